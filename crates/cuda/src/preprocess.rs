//! From frames on the device to a batch's input tensor.

use super::error::{Error, ErrorKind};
use super::kernels::Kernels;
use super::layout::{PreprocessArgs, SlotSource, SourceAxis, element_code, spans_bytes};
use super::memory::{DeviceAllocator, DeviceBuffer, MappedBuffer};
use super::postprocess::Postprocessor;
use super::stream::CudaStream;
use model::video::{Colorimetry, Conversion, DeviceFormat};
use model::{Fit, InputSpec, Interpolation, Layout, Letterbox, Rect, SourceSpan};
use std::sync::Arc;

/// The format of a slot whose tensor already exists.
const TENSOR: u8 = 5;

/// A frame in device memory. Chroma planes of odd sizes are rounded up: `(width + 1) / 2`.
#[derive(Debug, Clone, Copy)]
pub struct DevicePicture {
    /// How pixels are stored.
    pub format: DeviceFormat,
    /// Ignored for RGB formats.
    pub colorimetry: Colorimetry,
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Addresses. NV12 and P010: Y, UV; I420: Y, U, V; packed formats: one plane.
    pub planes: [u64; 3],
    /// Bytes from one row to the next.
    pub pitches: [u32; 3],
}

impl DevicePicture {
    /// For each plane: bytes per row, bytes per access, and rows.
    pub(super) fn layout(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let (width, cells) = (u64::from(self.width), u64::from(self.width.div_ceil(2)));
        let (height, lines) = (u64::from(self.height), u64::from(self.height.div_ceil(2)));
        let none = (0, 1, 0);
        let planes = match self.format {
            DeviceFormat::Nv12 => [(width, 1, height), (2 * cells, 2, lines), none],
            DeviceFormat::P010 => [(2 * width, 2, height), (4 * cells, 4, lines), none],
            DeviceFormat::I420 => [(width, 1, height), (cells, 1, lines), (cells, 1, lines)],
            DeviceFormat::Rgba | DeviceFormat::Bgra => [(4 * width, 4, height), none, none],
        };
        planes.into_iter().filter(|&(row, ..)| row > 0)
    }

    /// Checks what the kernel relies on: a misaligned access would make the whole context unusable.
    ///
    /// # Errors
    /// A plane isn't aligned to its pixels, or its rows are shorter than the frame's width.
    pub fn check(&self) -> Result<(), Error> {
        for (index, ((&address, &pitch), (row, unit, _))) in
            self.planes.iter().zip(&self.pitches).zip(self.layout()).enumerate()
        {
            let pitch = u64::from(pitch);
            if address == 0 || address % unit != 0 || pitch % unit != 0 || pitch < row {
                return Err(Error::new(
                    ErrorKind::Failed,
                    format!(
                        "plane {index} of a {}×{} {:?} frame can't be read: address {address:#x}, {pitch} bytes a row",
                        self.width, self.height, self.format
                    ),
                ));
            }
        }
        Ok(())
    }
}

impl SlotSource {
    /// A region of a frame, in frame pixels. A region without pixels gives only the border.
    ///
    /// # Errors
    /// A plane isn't aligned to its pixels, or its rows are shorter than the frame's width.
    pub fn picture(picture: &DevicePicture, region: Rect, spec: &InputSpec) -> Result<Self, Error> {
        picture.check()?;
        let frame = Rect::new(0.0, 0.0, picture.width as f32, picture.height as f32);
        let place = Letterbox::new(region, spec);
        let region = place.region;
        let finite = [region.x, region.y, region.w, region.h].iter().all(|v| v.is_finite());
        if !finite || region.intersection(&frame).area() <= 0.0 {
            return Ok(Self::border());
        }
        let extended = spec.resize.fit == Fit::Extended;
        let conversion = conversion(picture);
        let [x, y] = place.sources();
        let x = SourceAxis::new(x, picture.width, place.width, extended);
        let y = SourceAxis::new(y, picture.height, place.height, extended);
        Ok(Self {
            planes: picture.planes,
            pitches: picture.pitches,
            format: picture.format as u8,
            extended: u8::from(extended),
            left: place.left,
            top: place.top,
            width: place.width,
            height: place.height,
            x_exact: u8::from(x.is_exact(place.width)),
            y_exact: u8::from(y.is_exact(place.height)),
            x,
            y,
            luma_offset: conversion.luma_offset,
            luma_scale: conversion.luma_scale,
            red_cr: conversion.red_cr,
            green_cb: conversion.green_cb,
            green_cr: conversion.green_cr,
            blue_cb: conversion.blue_cb,
        })
    }

    /// A tensor on the device that already has the model's input format and is only copied.
    pub fn tensor(address: u64) -> Self {
        Self { planes: [address, 0, 0], format: TENSOR, ..Self::default() }
    }

    /// Only the border without a picture, for slots of a batch that stay empty.
    pub fn border() -> Self {
        Self::default()
    }
}

impl SourceAxis {
    /// The pixels inside the frame that the region touches, or all if it is extended, as in the CPU engine's resampling.
    fn new(SourceSpan { start, length }: SourceSpan, source: u32, target: u32, extended: bool) -> Self {
        let last = f64::from(source.saturating_sub(1));
        let scale = length / f64::from(target.max(1));
        if extended {
            return Self { start, scale, low: 0, high: last as u32 };
        }
        let low = start.floor().clamp(0.0, last);
        let high = ((start + length).ceil() - 1.0).clamp(low, last);
        Self { start, scale, low: low as u32, high: high as u32 }
    }

    /// Whether every target pixel coincides with a source pixel, as when 1920 pixels become 640.
    fn is_exact(&self, target: u32) -> bool {
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        let position = |at: u32| self.start + (f64::from(at) + 0.5) * self.scale - 0.5;
        // The common case first: a whole number of steps from a whole position.
        (self.scale.fract() == 0.0 && position(0).fract() == 0.0)
            || (0..target).all(|at| position(at).clamp(low, high).fract() == 0.0)
    }
}

/// The conversion on the 8-bit scale. White is 1023 in 10-bit full range, a quarter of which is 255.75 rather than 255.
fn conversion(picture: &DevicePicture) -> Conversion {
    let mut conversion = Conversion::new(picture.colorimetry);
    if picture.format == DeviceFormat::P010 && picture.colorimetry.full_range {
        let scale = 1020.0 / 1023.0;
        for factor in [
            &mut conversion.luma_scale,
            &mut conversion.red_cr,
            &mut conversion.green_cb,
            &mut conversion.green_cr,
            &mut conversion.blue_cb,
        ] {
            *factor *= scale;
        }
    }
    conversion
}

/// A lane's table of sources, and the kernel that turns them into tensors.
#[derive(Debug)]
pub struct Preprocessor {
    kernels: Arc<Kernels>,
    sources: MappedBuffer,
    /// The sources' copy on the device: only the kernel that copies them reads a table over the bus.
    staged: DeviceBuffer,
    /// Weights of target columns and lines, which the kernels compute; none for linear interpolation.
    spans: Option<DeviceBuffer>,
    args: PreprocessArgs,
}

impl Preprocessor {
    /// For batches of at most `batch` images.
    ///
    /// # Errors
    /// The host can't pin the table, or the device is out of memory.
    pub fn new<R: DeviceAllocator + 'static>(
        allocator: &Arc<R>,
        kernels: &Arc<Kernels>,
        spec: &InputSpec,
        batch: usize,
    ) -> Result<Self, Error> {
        let sources = MappedBuffer::new(kernels.context(), batch * size_of::<SlotSource>())?;
        let staged = DeviceBuffer::new(allocator, sources.bytes())?;
        let filtered = spec.resize.interpolation != Interpolation::Linear;
        let spans = filtered.then(|| DeviceBuffer::new(allocator, batch * spans_bytes(spec.width, spec.height)));
        let spans = spans.transpose()?;
        let args = PreprocessArgs {
            sources: staged.address(),
            spans: spans.as_ref().map_or(0, DeviceBuffer::address),
            width: spec.width,
            height: spec.height,
            element: element_code(spec.element),
            nhwc: u32::from(spec.layout == Layout::Nhwc),
            bgr: u32::from(spec.bgr),
            pad: f32::from(spec.pad),
            mean: spec.normalization.mean,
            scale: spec.normalization.scale,
            cubic: u32::from(spec.resize.interpolation == Interpolation::Cubic),
            ..PreprocessArgs::default()
        };
        Ok(Self { kernels: kernels.clone(), sources, staged, spans, args })
    }

    /// Sets a slot's source from the next launch on. Earlier launches must have completed.
    ///
    /// # Errors
    /// There is no such slot.
    pub fn set(&mut self, slot: usize, source: &SlotSource) -> Result<(), Error> {
        self.sources.write(slot * size_of::<SlotSource>(), std::slice::from_ref(source))
    }

    /// Queues the preprocessing of the first `batch` slots into `tensor`, and the preparation of `chain`, which follows
    /// the model.
    ///
    /// # Errors
    /// The batch is larger than the table, or the device failed.
    ///
    /// # Safety
    /// `tensor` has space for `batch` images, aligned to 16 bytes; each slot's source points to planes of its size (or
    /// a tensor) in this context; all of these, `chain` and `self` stay valid until the launch, or every launch of a
    /// graph that captures it, has run.
    pub unsafe fn enqueue(
        &self,
        stream: &CudaStream,
        tensor: u64,
        chain: Option<&Postprocessor>,
        batch: usize,
    ) -> Result<(), Error> {
        let sources = self.sources.table(&self.staged, batch * size_of::<SlotSource>())?;
        let (params, counts) = chain.map_or(Ok(Default::default()), |chain| chain.prepared(batch))?;
        let args = PreprocessArgs { tensor, counts, ..self.args };
        // SAFETY: the caller guarantees it; the tables are written only after earlier launches have completed.
        unsafe {
            self.kernels.stage(stream, [sources, params])?;
            match self.spans {
                Some(_) => self.kernels.preprocess_filtered(stream, args, batch as u32),
                None => self.kernels.preprocess(stream, args, batch as u32),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::video::Matrix;
    use model::{ElementType, Normalization, Resize};

    const SPEC: InputSpec = InputSpec {
        width: 640,
        height: 640,
        layout: Layout::Nchw,
        element: ElementType::F16,
        normalization: Normalization::UNIT,
        bgr: false,
        resize: Resize::LETTERBOX,
        pad: 114,
    };

    fn picture(width: u32, height: u32) -> DevicePicture {
        DevicePicture {
            format: DeviceFormat::Nv12,
            colorimetry: Colorimetry { matrix: Matrix::Bt709, full_range: false },
            width,
            height,
            planes: [0x10000, 0x20000, 0],
            pitches: [2048, 2048, 0],
        }
    }

    fn whole(picture: &DevicePicture) -> Rect {
        Rect::new(0.0, 0.0, picture.width as f32, picture.height as f32)
    }

    #[test]
    fn source_is_the_letterbox() {
        let hd = picture(1920, 1080);
        let source = SlotSource::picture(&hd, whole(&hd), &SPEC).unwrap();
        assert_eq!((source.left, source.top, source.width, source.height), (0, 140, 640, 360));
        assert_eq!((source.x.scale, source.y.scale, source.x.high, source.y.high), (3.0, 3.0, 1919, 1079));
        assert_eq!((source.x_exact, source.y_exact), (1, 1), "each pixel is the middle one of three");
        let sd = picture(1280, 720);
        let source = SlotSource::picture(&sd, whole(&sd), &SPEC).unwrap();
        assert_eq!((source.x_exact, source.y_exact), (0, 0), "each pixel lies between two");
        let crop = SlotSource::picture(&hd, Rect::new(100.0, 50.5, 10.0, 20.0), &SPEC).unwrap();
        assert_eq!((crop.x.low, crop.x.high, crop.y.low, crop.y.high), (100, 109, 50, 70));
    }

    #[test]
    fn region_without_pixels_is_a_border() {
        let hd = picture(1920, 1080);
        for region in [Rect::new(1920.0, 0.0, 5.0, 5.0), Rect::default(), Rect::new(f32::NAN, 0.0, 5.0, 5.0)] {
            assert_eq!(SlotSource::picture(&hd, region, &SPEC).unwrap(), SlotSource::border());
        }
    }

    #[test]
    fn planes_that_cannot_be_read_are_errors() {
        let hd = picture(1920, 1080);
        let wrong = [
            DevicePicture { planes: [0x10000, 0x20001, 0], ..hd },
            DevicePicture { planes: [0, 0x20000, 0], ..hd },
            DevicePicture { pitches: [2048, 2047, 0], ..hd },
            DevicePicture { pitches: [1919, 2048, 0], ..hd },
            DevicePicture { format: DeviceFormat::Rgba, ..hd },
            DevicePicture { format: DeviceFormat::P010, ..hd },
        ];
        for picture in wrong {
            let error = SlotSource::picture(&picture, whole(&picture), &SPEC).unwrap_err();
            assert!(error.message.contains("can't be read"), "{error}");
        }
    }

    /// White and black in ten bits map to white and black in eight.
    #[test]
    fn ten_bit_white_is_white() {
        for full_range in [false, true] {
            let colorimetry = Colorimetry { matrix: Matrix::Bt709, full_range };
            let k = conversion(&DevicePicture { format: DeviceFormat::P010, colorimetry, ..picture(64, 64) });
            let (black, white) = if full_range { (0.0, 1023.0) } else { (64.0, 940.0) };
            let level = |ten: f32| (ten * 0.25 - k.luma_offset) * k.luma_scale;
            assert!(level(black).abs() < 1e-3 && (level(white) - 255.0).abs() < 1e-3, "{full_range}");
        }
    }
}
