//! Preprocessing: every format, layout, element type, odd sizes, regions and batches.

use crate::common::random::Random;
use crate::{Effort, Gpu, Report};
use cuda::{DeviceBuffer, DevicePicture, Preprocessor, SlotSource};
use gsttensorrt::cpu::{Image, Workspace, preprocess};
use gsttensorrt::error::Error;
use model::video::{Colorimetry, Conversion, DeviceFormat, HostFormat, Matrix};
use model::{ElementType, InputSpec, Layout, Normalization, Rect, Resize};

const FORMATS: [DeviceFormat; 5] =
    [DeviceFormat::Nv12, DeviceFormat::P010, DeviceFormat::I420, DeviceFormat::Rgba, DeviceFormat::Bgra];
const ELEMENTS: [ElementType; 5] =
    [ElementType::F32, ElementType::F16, ElementType::U8, ElementType::I32, ElementType::I64];
const MATRICES: [Matrix; 5] = [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020, Matrix::Fcc, Matrix::Smpte240m];
const SIZES: [(u32, u32); 12] = [
    (1, 1),
    (1, 2),
    (2, 1),
    (3, 3),
    (17, 9),
    (101, 67),
    (192, 108),
    (37, 90),
    (641, 359),
    (500, 1),
    (256, 144),
    (1920, 1080),
];
/// Guard bytes after each tensor that must stay unchanged.
const GUARD: usize = 64;
const POISON: u8 = 0xA5;

/// A picture in both memories. P010 has 8-bit samples here, so the CPU engine reads it as NV12.
pub struct Picture {
    pub device: DevicePicture,
    cpu: HostFormat,
    planes: Vec<(Vec<u8>, usize)>,
    _memory: Vec<DeviceBuffer>,
}

impl Picture {
    pub fn new(
        gpu: &Gpu,
        random: &mut Random,
        format: DeviceFormat,
        (width, height): (u32, u32),
    ) -> Result<Self, Error> {
        let colorimetry = Colorimetry { matrix: *random.pick(&MATRICES), full_range: random.chance(0.5) };
        // The CPU engine has no 10-bit full range, in which white isn't a multiple of four.
        let colorimetry =
            Colorimetry { full_range: colorimetry.full_range && format != DeviceFormat::P010, ..colorimetry };
        let (w, h) = (width as usize, height as usize);
        let (cells, rows) = (w.div_ceil(2), h.div_ceil(2));
        let (cpu, sizes) = match format {
            DeviceFormat::Nv12 | DeviceFormat::P010 => (HostFormat::Nv12, vec![(w, h), (2 * cells, rows)]),
            DeviceFormat::I420 => (HostFormat::I420, vec![(w, h), (cells, rows), (cells, rows)]),
            DeviceFormat::Rgba => (HostFormat::Rgba, vec![(4 * w, h)]),
            DeviceFormat::Bgra => (HostFormat::Bgra, vec![(4 * w, h)]),
        };
        let mut picture = Self {
            device: DevicePicture { format, colorimetry, width, height, planes: [0; 3], pitches: [0; 3] },
            cpu,
            planes: Vec::new(),
            _memory: Vec::new(),
        };
        for (index, (row, rows)) in sizes.into_iter().enumerate() {
            let pitch = row.next_multiple_of(4) + 4 * random.below(40);
            let bytes = random.bytes(pitch * rows);
            let deep = format == DeviceFormat::P010;
            // Ten bits at the top, the lower two of which are 0 here.
            let uploaded: Vec<u8> = if deep { bytes.iter().flat_map(|&b| [0, b]).collect() } else { bytes.clone() };
            let mut memory = DeviceBuffer::new(&gpu.context, uploaded.len())?;
            memory.upload(&uploaded, &gpu.stream)?;
            picture.device.planes[index] = memory.address();
            picture.device.pitches[index] = (pitch * if deep { 2 } else { 1 }) as u32;
            picture.planes.push((bytes, pitch));
            picture._memory.push(memory);
        }
        Ok(picture)
    }

    fn image(&self) -> Image<'_> {
        let mut image = Image {
            format: self.cpu,
            colorimetry: self.device.colorimetry,
            width: self.device.width as usize,
            height: self.device.height as usize,
            planes: [&[]; 3],
            strides: [0; 3],
        };
        for (i, (bytes, pitch)) in self.planes.iter().enumerate() {
            (image.planes[i], image.strides[i]) = (bytes, *pitch);
        }
        image
    }
}

fn random_spec(random: &mut Random) -> InputSpec {
    let sizes = [(64, 64), (128, 96), (33, 65), (150, 40), (640, 640), (256, 192)];
    let (width, height) = *random.pick(&sizes);
    let own = Normalization { mean: [10.0, 20.5, 30.0], scale: [1.0, 0.5, 1.0 / 57.0] };
    InputSpec {
        width,
        height,
        layout: *random.pick(&[Layout::Nchw, Layout::Nhwc]),
        element: *random.pick(&ELEMENTS),
        normalization: *random.pick(&[Normalization::NONE, Normalization::UNIT, own]),
        bgr: random.chance(0.5),
        resize: random_resize(random),
        pad: *random.pick(&[0, 114, 255]),
    }
}

fn random_resize(random: &mut Random) -> Resize {
    let down = Resize { round_down: true, ..Resize::LETTERBOX };
    let all = [Resize::LETTERBOX, Resize::STRETCH, Resize::TOP_LEFT, down, Resize::CROP, Resize::CROP_INSIDE];
    let resize = *random.pick(&all);
    match random.below(12) {
        0..4 => resize.antialiased(),
        10.. => resize.cubic(),
        4 => Resize::EXTENDED,
        5 => Resize::EXTENDED_UDP,
        _ => resize,
    }
}

fn random_region(random: &mut Random, (width, height): (u32, u32)) -> Rect {
    let (w, h) = (width as f32, height as f32);
    match random.below(6) {
        0 => Rect::new(random.float(0.0, w), random.float(0.0, h), random.float(0.0, w), random.float(0.0, h)),
        1 => Rect::new(-5.5, -3.0, w + 9.0, h + 7.25),
        2 => Rect::new(w, 0.0, 10.0, 10.0),
        3 => {
            let (x, y) = (random.below(width as usize), random.below(height as usize));
            let (w, h) = (1 + random.below(width as usize - x), 1 + random.below(height as usize - y));
            Rect::new(x as f32, y as f32, w as f32, h as f32)
        }
        _ => Rect::new(0.0, 0.0, w, h),
    }
}

pub fn run(gpu: &Gpu, report: &mut Report) -> Result<(), Error> {
    let mut random = Random::new(1);
    // Every combination once, in small sizes; then mixed batches.
    let sizes = if gpu.effort < Effort::All { &SIZES[..6] } else { &SIZES[..] };
    for format in FORMATS {
        for &size in sizes {
            let picture = Picture::new(gpu, &mut random, format, size)?;
            let mut spec = random_spec(&mut random);
            (spec.width, spec.height) = if gpu.effort < Effort::All { (64, 48) } else { (spec.width, spec.height) };
            let region = Rect::new(0.0, 0.0, size.0 as f32, size.1 as f32);
            batch(gpu, report, &spec, &[(&picture, region)])?;
        }
    }
    for layout in [Layout::Nchw, Layout::Nhwc] {
        for element in ELEMENTS {
            for width in [64, 61] {
                let spec = InputSpec { layout, element, width, ..random_spec(&mut random) };
                let picture = Picture::new(gpu, &mut random, DeviceFormat::Nv12, (101, 67))?;
                batch(gpu, report, &spec, &[(&picture, Rect::new(0.0, 0.0, 101.0, 67.0))])?;
            }
        }
    }
    for round in 0..if gpu.effort < Effort::All { 4 } else { 60 } {
        let spec = random_spec(&mut random);
        let count = [1, 2, 3, 5, 8, 16][round % 6];
        let slots = (0..count)
            .map(|_| {
                let (format, size) = (*random.pick(&FORMATS), *random.pick(&SIZES));
                let size = if gpu.effort < Effort::All { *random.pick(&SIZES[..7]) } else { size };
                Ok((Picture::new(gpu, &mut random, format, size)?, random_region(&mut random, size)))
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let slots: Vec<_> = slots.iter().map(|(picture, region)| (picture, *region)).collect();
        batch(gpu, report, &spec, &slots)?;
    }
    filtered(gpu, report, &mut random)?;
    ten_bits(gpu, report, &mut random)?;
    ready_tensors(gpu, report, &mut random)
}

/// Every way of resizing with a filter: much smaller than the stored weights reach, smaller, larger, and equal.
fn filtered(gpu: &Gpu, report: &mut Report, random: &mut Random) -> Result<(), Error> {
    let fits = [Resize::STRETCH, Resize::LETTERBOX, Resize::TOP_LEFT];
    for resize in fits.into_iter().flat_map(|fit| [fit.antialiased(), fit.cubic()]) {
        for (size, input) in [((641, 359), (16, 9)), ((192, 108), (64, 48)), ((17, 9), (130, 40)), ((64, 48), (64, 48))]
        {
            let (width, height) = input;
            let spec = InputSpec { width, height, resize, ..random_spec(random) };
            let pictures = [random.pick(&FORMATS).to_owned(), DeviceFormat::Nv12]
                .map(|format| Picture::new(gpu, random, format, size));
            let [a, b] = pictures;
            let (a, b) = (a?, b?);
            let whole = Rect::new(0.0, 0.0, size.0 as f32, size.1 as f32);
            let part = random_region(random, size);
            batch(gpu, report, &spec, &[(&a, whole), (&b, part), (&b, Rect::new(1.5, 2.25, 0.0, 3.0))])?;
        }
    }
    Ok(())
}

/// One batch on the device, with guard bytes after it.
fn launch(gpu: &Gpu, spec: &InputSpec, sources: &[SlotSource]) -> Result<(Vec<u8>, bool), Error> {
    let bytes = sources.len() * spec.elements() * spec.element.size();
    let mut tensor = DeviceBuffer::new(&gpu.context, bytes + GUARD)?;
    tensor.fill(POISON, &gpu.stream)?;
    let mut lane = Preprocessor::new(&gpu.context, &gpu.kernels, spec, sources.len())?;
    for (slot, source) in sources.iter().enumerate() {
        lane.set(slot, source)?;
    }
    // SAFETY: the tensor fits the batch, and everything lives until the download below has waited.
    unsafe { lane.enqueue(&gpu.stream, tensor.address(), None, sources.len())? };
    let mut got = vec![0u8; bytes + GUARD];
    tensor.download(&mut got, &gpu.stream)?;
    let clean = got[bytes..].iter().all(|&b| b == POISON);
    got.truncate(bytes);
    Ok((got, clean))
}

fn batch(gpu: &Gpu, report: &mut Report, spec: &InputSpec, slots: &[(&Picture, Rect)]) -> Result<(), Error> {
    let sources = slots
        .iter()
        .map(|(picture, region)| SlotSource::picture(&picture.device, *region, spec))
        .collect::<Result<Vec<_>, _>>()?;
    let (got, clean) = launch(gpu, spec, &sources)?;
    report.case("behind the tensor", if clean { Ok(()) } else { Err("was written to".into()) });
    let size = spec.elements() * spec.element.size();
    let mut workspace = Workspace::default();
    for (slot, ((picture, region), got)) in slots.iter().zip(got.chunks_exact(size)).enumerate() {
        let mut expected = vec![0; size];
        preprocess(&picture.image(), *region, spec, &mut workspace, &mut expected).expect("the picture is whole");
        let DevicePicture { format, width, height, colorimetry, .. } = picture.device;
        let name = format!("slot {slot}: {format:?} {width}×{height} {colorimetry:?} {region:?} to {spec}");
        report.case(&name, same(got, &expected, spec.element.size()));
    }
    Ok(())
}

fn same(got: &[u8], expected: &[u8], size: usize) -> Result<(), String> {
    let elements = got.chunks_exact(size).zip(expected.chunks_exact(size)).enumerate();
    let different: Vec<_> = elements.filter(|(_, (a, b))| a != b).collect();
    match different.first() {
        None => Ok(()),
        Some((at, (a, b))) => Err(format!("{} elements differ, first {at}: {a:?} instead of {b:?}", different.len())),
    }
}

/// All ten bits, both ranges, without resampling, compared with the formula.
fn ten_bits(gpu: &Gpu, report: &mut Report, random: &mut Random) -> Result<(), Error> {
    let (w, h) = (66usize, 34usize);
    let spec = InputSpec {
        width: w as u32,
        height: h as u32,
        layout: Layout::Nhwc,
        element: ElementType::F32,
        normalization: Normalization::NONE,
        bgr: false,
        resize: Resize::LETTERBOX,
        pad: 0,
    };
    for full_range in [false, true] {
        let mut picture = Picture::new(gpu, random, DeviceFormat::P010, (w as u32, h as u32))?;
        picture.device.colorimetry = Colorimetry { matrix: Matrix::Bt2020, full_range };
        let mut planes = Vec::new();
        for (index, rows) in [h, h / 2].into_iter().enumerate() {
            let samples: Vec<u16> = (0..w * rows).map(|_| (random.below(1024) as u16) << 6).collect();
            picture._memory[index] = DeviceBuffer::new(&gpu.context, 2 * samples.len())?;
            picture._memory[index].upload(&samples, &gpu.stream)?;
            picture.device.planes[index] = picture._memory[index].address();
            picture.device.pitches[index] = 2 * w as u32;
            planes.push(samples);
        }
        let region = Rect::new(0.0, 0.0, w as f32, h as f32);
        let (got, _) = launch(gpu, &spec, &[SlotSource::picture(&picture.device, region, &spec)?])?;
        let k = Conversion::new(picture.device.colorimetry);
        let white = if full_range { 1023.0 / 255.0 } else { 4.0 };
        let mut worst = 0f32;
        for (i, pixel) in got.chunks_exact(12).enumerate() {
            let (x, y) = (i % w, i / w);
            let ten = |plane: usize, at: usize| f32::from(planes[plane][at] >> 6);
            let luma = (ten(0, y * w + x) / white - k.luma_offset) * k.luma_scale;
            let at = y / 2 * w + x / 2 * 2;
            let (cb, cr) = ((ten(1, at) - 512.0) / white, (ten(1, at + 1) - 512.0) / white);
            let expected = [luma + k.red_cr * cr, luma + k.green_cb * cb + k.green_cr * cr, luma + k.blue_cb * cb];
            for (bytes, expected) in pixel.as_chunks::<4>().0.iter().zip(expected) {
                worst = worst.max((f32::from_ne_bytes(*bytes) - expected.clamp(0.0, 255.0)).abs());
            }
        }
        // Half a level from rounding, plus float error.
        let outcome = if worst <= 0.51 { Ok(()) } else { Err(format!("{worst} levels off")) };
        report.case(&format!("P010 full range {full_range}"), outcome);
    }
    Ok(())
}

/// Ready tensors are copied, in batches with frames that aren't ready.
fn ready_tensors(gpu: &Gpu, report: &mut Report, random: &mut Random) -> Result<(), Error> {
    for element in ELEMENTS {
        for width in [64, 61] {
            let spec = InputSpec { element, width, ..random_spec(random) };
            let size = spec.elements() * element.size();
            let ready = random.bytes(size);
            let mut memory = DeviceBuffer::new(&gpu.context, size)?;
            memory.upload(&ready, &gpu.stream)?;
            let picture = Picture::new(gpu, random, DeviceFormat::I420, (101, 67))?;
            let frame = SlotSource::picture(&picture.device, Rect::new(0.0, 0.0, 101.0, 67.0), &spec)?;
            let (got, _) =
                launch(gpu, &spec, &[frame, SlotSource::tensor(memory.address()), frame, SlotSource::border()])?;
            let slots: Vec<_> = got.chunks_exact(size).collect();
            report.case(&format!("tensor of {element:?}, width {width}"), same(slots[1], &ready, element.size()));
            report.case("frames beside a tensor", same(slots[0], slots[2], element.size()));
            let mut border = vec![0; size];
            let nowhere = Rect::default();
            preprocess(&picture.image(), nowhere, &spec, &mut Workspace::default(), &mut border).expect("whole");
            report.case("an empty slot", same(slots[3], &border, element.size()));
        }
    }
    Ok(())
}
