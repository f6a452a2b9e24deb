//! Drawing the same records on a frame in device memory and on one in host memory.

use crate::common::random::Random;
use crate::{Effort, Gpu, Report};
use cuda::{DeviceBuffer, DevicePicture};
use gsttensorrt::draw::{ColorBy, Overlay, Packed, Planar, Plane, Style};
use gsttensorrt::error::Error;
use gsttensorrt::gpu::Painter;
use gsttensorrt::meta::{KeypointSet, Object, Record};
use model::video::{Colorimetry, DeviceFormat, Matrix};
use model::{Keypoint, KeypointLayout, Mask, OrientedBox, Rect};

/// Guard bytes after each row that must stay unchanged.
const PADDING: usize = 12;

/// A frame in both memories.
pub struct Canvas {
    pub picture: DevicePicture,
    pub memory: Vec<DeviceBuffer>,
    planes: Vec<Vec<u8>>,
}

impl Canvas {
    pub fn new(
        gpu: &Gpu,
        random: &mut Random,
        format: DeviceFormat,
        (width, height): (u32, u32),
    ) -> Result<Self, Error> {
        let colorimetry = Colorimetry { matrix: Matrix::Bt709, full_range: random.chance(0.5) };
        let (w, h) = (width as usize, height as usize);
        let sizes = match format {
            DeviceFormat::Nv12 => vec![(w, h), (2 * w.div_ceil(2), h.div_ceil(2))],
            _ => vec![(4 * w, h)],
        };
        let mut canvas = Self {
            picture: DevicePicture { format, colorimetry, width, height, planes: [0; 3], pitches: [0; 3] },
            memory: Vec::new(),
            planes: Vec::new(),
        };
        for (index, (row, rows)) in sizes.into_iter().enumerate() {
            let pitch = row.next_multiple_of(4) + PADDING;
            let bytes = random.bytes(pitch * rows);
            let mut memory = DeviceBuffer::new(&gpu.context, bytes.len())?;
            memory.upload(&bytes, &gpu.stream)?;
            canvas.picture.planes[index] = memory.address();
            canvas.picture.pitches[index] = pitch as u32;
            canvas.memory.push(memory);
            canvas.planes.push(bytes);
        }
        Ok(canvas)
    }

    fn draw_on_host(&mut self, overlay: &mut Overlay, record: &Record, style: &Style) {
        let DevicePicture { format, colorimetry, width, height, pitches, .. } = self.picture;
        let (w, h) = (width as usize, height as usize);
        let pitch = |plane: usize| pitches[plane] as usize;
        match self.planes.as_mut_slice() {
            [luma, chroma] => {
                let luma = Plane::new(luma, pitch(0), w, h);
                let chroma = Plane::<2>::new(chroma, pitch(1), w.div_ceil(2), h.div_ceil(2));
                overlay.draw(&mut Planar::new(luma, chroma, colorimetry), record, style);
            }
            [packed] => {
                let plane = Plane::<4>::new(packed, pitch(0), w, h);
                overlay.draw(&mut Packed::new(plane, format == DeviceFormat::Bgra), record, style);
            }
            _ => unreachable!("one or two planes"),
        }
    }
}

pub fn record(random: &mut Random, objects: usize) -> Record {
    let labels = ["person", "traffic light", "a long name of something", "x"];
    let object = |id: usize, random: &mut Random| {
        let rect = Rect::new(
            random.float(-0.2, 1.0),
            random.float(-0.2, 1.0),
            random.float(-0.05, 0.5),
            random.float(-0.05, 0.7),
        );
        let points = (0..17).map(|_| Keypoint {
            x: rect.x + random.float(-0.2, 1.2) * rect.w,
            y: rect.y + random.float(-0.2, 1.2) * rect.h,
            confidence: random.float(0.0, 1.0),
        });
        let points: Vec<_> = points.collect();
        let keypoints =
            random.chance(0.6).then(|| KeypointSet { source: "pose".into(), layout: KeypointLayout::coco17(), points });
        let (columns, rows) = (1 + random.below(60), 1 + random.below(60));
        let bits: Vec<u32> =
            (0..Mask::words(columns as u32, rows as u32)).map(|_| random.below(1 << 32) as u32).collect();
        let mask = random.chance(0.5).then(|| Mask::new(rect, columns as u32, rows as u32, bits)).flatten();
        let (cx, cy) = (rect.x + rect.w / 2.0, rect.y + rect.h / 2.0);
        let angle = random.float(-0.8, 2.4);
        let oriented = random.chance(0.4).then(|| OrientedBox::new(cx, cy, rect.w, rect.h, angle)).flatten();
        Object {
            id: id as u32,
            rect,
            oriented,
            mask,
            class_id: Some(random.below(80) as u32),
            label: (*random.pick(&labels)).into(),
            confidence: random.float(0.0, 1.0),
            source: "detect".into(),
            keypoints,
            ..Object::default()
        }
    };
    Record { objects: (0..objects).map(|id| object(id, random)).collect(), models: Vec::new(), ..Record::default() }
}

pub fn run(gpu: &Gpu, report: &mut Report) -> Result<(), Error> {
    let mut random = Random::new(5);
    let mut painter = Painter::new(&gpu.context, &gpu.kernels)?;
    let (mut on_device, mut on_host) = (overlay(), overlay());
    let sizes: &[(u32, u32)] = if gpu.effort < Effort::All {
        &[(1, 1), (97, 61), (160, 90)]
    } else {
        &[(1, 1), (2, 3), (97, 61), (641, 359), (1920, 1080)]
    };
    for round in 0..if gpu.effort < Effort::All { 2 } else { 6 } {
        for format in [DeviceFormat::Nv12, DeviceFormat::Rgba, DeviceFormat::Bgra] {
            for &size in sizes {
                let mut canvas = Canvas::new(gpu, &mut random, format, size)?;
                let objects = [0, 1, 12, 40][random.below(4)];
                let record = record(&mut random, objects);
                let style = Style {
                    line_width: [0, 1, 4, 7][round % 4],
                    font_size: if round % 2 == 0 { 0 } else { 10 + 7 * round as u32 },
                    color_by: ColorBy::Id,
                    ..Style::default()
                };
                on_device.draw(painter.begin(&canvas.picture)?, &record, &style);
                // SAFETY: the planes belong to the canvas, which outlives the downloads below.
                unsafe { painter.enqueue(&canvas.picture, &gpu.stream)? };
                canvas.draw_on_host(&mut on_host, &record, &style);
                let name = format!("drawing {objects} objects on {format:?} {}×{}", size.0, size.1);
                report.case(&name, same(gpu, &canvas)?);
            }
        }
    }
    let other = DevicePicture {
        format: DeviceFormat::P010,
        ..Canvas::new(gpu, &mut random, DeviceFormat::Nv12, (64, 64))?.picture
    };
    let refused = if painter.begin(&other).is_err() { Ok(()) } else { Err("was taken".into()) };
    report.case("P010 isn't drawn on", refused);
    Ok(())
}

fn overlay() -> Overlay {
    Overlay::new().expect("the built-in font can be read")
}

fn same(gpu: &Gpu, canvas: &Canvas) -> Result<Result<(), String>, Error> {
    for (plane, (memory, expected)) in canvas.memory.iter().zip(&canvas.planes).enumerate() {
        let mut got = vec![0u8; expected.len()];
        memory.download(&mut got, &gpu.stream)?;
        let pitch = canvas.picture.pitches[plane] as usize;
        let different: Vec<_> = (0..got.len()).filter(|&i| got[i] != expected[i]).collect();
        if let Some(&at) = different.first() {
            let (x, y, count) = (at % pitch, at / pitch, different.len());
            let (a, b) = (got[at], expected[at]);
            return Ok(Err(format!("plane {plane}: {count} bytes, first {x}, {y}: {a} instead of {b}")));
        }
    }
    Ok(Ok(()))
}
