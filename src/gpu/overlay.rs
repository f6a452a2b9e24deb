//! Drawing into frames on the device: the host lists the shapes, and one kernel paints them.

use crate::draw::{Area, Canvas, Mask, Point, Rgb};
use crate::error::{Error, ErrorKind};
use cuda::{
    CellAxes, Context, CudaStream, DeviceBuffer, DevicePicture, Event, Kernels, Line, MappedBuffer, OverlayArgs, Shape,
    Traffic,
};
use model::mask::Scaled;
use model::video::{Colorimetry, DeviceFormat};
use std::collections::HashMap;
use std::sync::Arc;

/// Kinds of [`Shape`], numbered as in overlay.cu.
const FILL: u32 = 0;
const MASK: u32 = 1;
const LINE: u32 = 2;
const CELLS: u32 = 3;

/// Bytes of coverage after which the atlas is cleared at the next frame.
const ATLAS_LIMIT: usize = 1 << 20;

/// A canvas that records what is drawn on it.
#[derive(Debug)]
pub struct DisplayList {
    area: Area,
    coding: Coding,
    shapes: Vec<Shape>,
    /// The masks' coverage, one mask after another, and the offsets of the masks that can be reused.
    atlas: Vec<u8>,
    known: HashMap<u64, u32>,
    /// The bits of this frame's cells, one mask after another.
    cells: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
enum Coding {
    Yuv(Colorimetry),
    Rgb { bgr: bool },
}

impl DisplayList {
    fn add(&mut self, shape: Shape) {
        let area = Area::new(shape.left, shape.top, shape.right, shape.bottom);
        if area.overlaps(&self.area) {
            self.shapes.push(shape);
        }
    }

    fn store(&mut self, coverage: &[u8]) -> u32 {
        let at = self.atlas.len() as u32;
        self.atlas.extend_from_slice(coverage);
        at
    }

    fn add_mask(&mut self, mask: &Mask<'_>, at: u32, ink: u32) {
        let (right, bottom) = (mask.right(), mask.bottom());
        let shape =
            Shape { left: mask.left, top: mask.top, right, bottom, kind: MASK, ink, mask: at, ..Shape::default() };
        self.add(shape);
    }
}

impl Canvas for DisplayList {
    /// The bytes of a sample, lowest byte first.
    type Ink = u32;

    fn area(&self) -> Area {
        self.area
    }

    fn ink(&self, colour: Rgb) -> u32 {
        let Rgb { r, g, b } = colour;
        u32::from_le_bytes(match self.coding {
            Coding::Yuv(colorimetry) => {
                let [y, cb, cr] = colour.to_yuv(colorimetry);
                [y, cb, cr, 0]
            }
            Coding::Rgb { bgr: true } => [b, g, r, 255],
            Coding::Rgb { bgr: false } => [r, g, b, 255],
        })
    }

    fn fill(&mut self, area: Area, ink: u32) {
        let Area { left, top, right, bottom } = area.intersection(&self.area);
        self.add(Shape { left, top, right, bottom, kind: FILL, ink, ..Shape::default() });
    }

    fn blend(&mut self, mask: Mask<'_>, ink: u32) {
        let at = self.store(mask.coverage);
        self.add_mask(&mask, at, ink);
    }

    fn blend_known(&mut self, key: u64, mask: Mask<'_>, ink: u32) {
        let at = match self.known.get(&key) {
            Some(&at) => at,
            None => {
                let at = self.store(mask.coverage);
                self.known.insert(key, at);
                at
            }
        };
        self.add_mask(&mask, at, ink);
    }

    fn line(&mut self, from: Point, to: Point, radius: f32, ink: u32) -> bool {
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        let length = dx.hypot(dy);
        let direction = if length > 0.0 { [dx / length, dy / length] } else { [1.0, 0.0] };
        // Coverage fades out over half a pixel more.
        let reach = radius + 0.5;
        self.add(Shape {
            left: (from.x.min(to.x) - reach).floor() as i32,
            top: (from.y.min(to.y) - reach).floor() as i32,
            right: (from.x.max(to.x) + reach).ceil() as i32,
            bottom: (from.y.max(to.y) + reach).ceil() as i32,
            kind: LINE,
            ink,
            geometry: bytemuck::cast(Line { from: [from.x, from.y], to: [to.x, to.y], direction, length, reach }),
            ..Shape::default()
        });
        true
    }

    fn cells(&mut self, cells: &Scaled<'_>, opacity: u8, ink: u32) -> bool {
        let (mask, pixel) = (cells.mask(), |pixel: u32| i32::try_from(pixel).unwrap_or(i32::MAX));
        let at = size_of_val(self.cells.as_slice()) as u32;
        self.cells.extend_from_slice(mask.bits());
        self.add(Shape {
            left: pixel(cells.columns.start),
            top: pixel(cells.rows.start),
            right: pixel(cells.columns.end),
            bottom: pixel(cells.rows.end),
            kind: CELLS,
            ink,
            mask: at,
            // A mask's sides have at most 12 bits.
            cells: mask.columns() | mask.rows() << 12 | u32::from(opacity) << 24,
            geometry: bytemuck::cast(CellAxes {
                x: cells.across.start,
                x_step: cells.across.step,
                y: cells.down.start,
                y_step: cells.down.step,
            }),
        });
        true
    }
}

/// Draws display lists into frames; keeps its glyphs and buffers from frame to frame.
///
/// 1. [`Self::begin`] returns an empty list for a frame.
/// 2. The caller draws on it, with [`crate::draw::Overlay`].
/// 3. [`Self::enqueue`] queues the drawing.
#[derive(Debug)]
pub struct Painter {
    context: Arc<Context>,
    kernels: Arc<Kernels>,
    list: DisplayList,
    /// Bytes of the atlas that have been uploaded.
    uploaded: usize,
    shapes: DeviceBuffer,
    atlas: DeviceBuffer,
    /// The shapes, and the cells' bits behind them.
    staging: MappedBuffer,
    /// Recorded behind the last copy out of `staging`.
    copied: Event,
}

impl Painter {
    /// # Errors
    /// Memory ran out.
    pub fn new(context: &Arc<Context>, kernels: &Arc<Kernels>) -> Result<Self, Error> {
        let list = DisplayList {
            area: Area::new(0, 0, 0, 0),
            coding: Coding::Rgb { bgr: false },
            shapes: Vec::new(),
            atlas: Vec::new(),
            known: HashMap::new(),
            cells: Vec::new(),
        };
        Ok(Self {
            context: context.clone(),
            kernels: kernels.clone(),
            list,
            uploaded: 0,
            shapes: DeviceBuffer::new(context, 1)?,
            atlas: DeviceBuffer::new(context, 1)?,
            staging: MappedBuffer::new(context, 1)?,
            copied: Event::new(context)?,
        })
    }

    /// Whether the painter can draw on frames of a format.
    pub fn draws_on(format: DeviceFormat) -> bool {
        matches!(format, DeviceFormat::Nv12 | DeviceFormat::Rgba | DeviceFormat::Bgra)
    }

    /// An empty list for drawing on a frame like `picture`.
    ///
    /// # Errors
    /// The painter can't draw on the format; NV12, RGBA and BGRA are supported.
    pub fn begin(&mut self, picture: &DevicePicture) -> Result<&mut DisplayList, Error> {
        self.list.coding = match picture.format {
            DeviceFormat::Nv12 => Coding::Yuv(picture.colorimetry),
            DeviceFormat::Rgba => Coding::Rgb { bgr: false },
            DeviceFormat::Bgra => Coding::Rgb { bgr: true },
            other => {
                let message =
                    format!("can't draw on {other:?} frames in GPU memory: put a cudaconvert to NV12 before it");
                return Err(Error::new(ErrorKind::Failed, message));
            }
        };
        let size = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
        self.list.area = Area::new(0, 0, size(picture.width), size(picture.height));
        self.list.shapes.clear();
        self.list.cells.clear();
        if self.list.atlas.len() > ATLAS_LIMIT {
            self.list.atlas.clear();
            self.list.known.clear();
            self.uploaded = 0;
        }
        Ok(&mut self.list)
    }

    /// Queues drawing the list's shapes.
    ///
    /// # Errors
    /// The device failed or is out of memory.
    ///
    /// # Safety
    /// `picture` is the one given to [`Self::begin`]; its planes are in this context, nothing else writes to them, and
    /// they stay valid until the launch has run. `self` is used with one stream only.
    pub unsafe fn enqueue(&mut self, picture: &DevicePicture, stream: &CudaStream) -> Result<(), Error> {
        picture.check()?;
        if self.list.shapes.is_empty() {
            return Ok(());
        }
        let shapes = size_of_val(self.list.shapes.as_slice());
        let bytes = shapes + size_of_val(self.list.cells.as_slice());
        // The previous frame's copy may still be reading the staging memory.
        self.copied.synchronise()?;
        if self.staging.bytes() < bytes {
            self.staging = MappedBuffer::new(&self.context, bytes.next_power_of_two())?;
            self.shapes = DeviceBuffer::new(&self.context, bytes.next_power_of_two())?;
        }
        self.staging.write(0, &self.list.shapes)?;
        self.staging.write(shapes, &self.list.cells)?;
        // SAFETY: the staging memory is written again only after the event recorded below; freeing waits for the
        // device.
        unsafe { self.shapes.copy_from_mapped(&self.staging, bytes, stream)? };
        self.context.count_traffic(Traffic { to_device: bytes as u64, ..Traffic::default() });
        self.copied.record(stream)?;
        self.upload_atlas(stream)?;
        let args = OverlayArgs {
            shapes: self.shapes.address(),
            atlas: self.atlas.address(),
            cells: self.shapes.address() + shapes as u64,
            planes: [picture.planes[0], picture.planes[1]],
            pitches: [picture.pitches[0], picture.pitches[1]],
            count: self.list.shapes.len() as u32,
            packed: u32::from(picture.format != DeviceFormat::Nv12),
            width: self.list.area.width(),
            height: self.list.area.height(),
        };
        // SAFETY: the caller vouches for the planes, whose alignment was checked; `self` owns the rest, and dropping it
        // waits.
        unsafe { self.kernels.overlay(stream, args) }?;
        Ok(())
    }

    /// Copies new glyphs and waits for the copy, which is acceptable because new glyphs are rare.
    fn upload_atlas(&mut self, stream: &CudaStream) -> Result<(), Error> {
        let atlas = &self.list.atlas;
        if self.uploaded == atlas.len() {
            return Ok(());
        }
        if self.atlas.bytes() < atlas.len() {
            self.atlas = DeviceBuffer::new(&self.context, atlas.len().next_power_of_two())?;
        }
        self.atlas.upload(atlas, stream)?;
        self.uploaded = atlas.len();
        Ok(())
    }
}
