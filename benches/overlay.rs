//! Drawing 20 objects with labels, five of them with skeletons, on 1080p frames.
//!
//!     cargo bench --bench overlay
//!
//! It prints for each layout the median and the 99th percentile of the time per frame, on one thread.

use gsttensorrt::draw::{Canvas, Overlay, Packed, Planar, Plane, Style};
use gsttensorrt::meta::{KeypointSet, Object, Record};
use model::video::{Colorimetry, Matrix};
use model::{Keypoint, KeypointLayout, Rect};
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 1000;
const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;

fn main() {
    let record = street();
    let colorimetry = Colorimetry { matrix: Matrix::Bt709, full_range: false };
    println!("20 objects, 5 skeletons on {WIDTH} × {HEIGHT}, {ROUNDS} frames, one thread");
    let mut luma = vec![128u8; WIDTH * HEIGHT];
    let mut chroma = vec![128u8; WIDTH * HEIGHT / 2];
    let luma = Plane::new(&mut luma, WIDTH, WIDTH, HEIGHT);
    let chroma = Plane::<2>::new(&mut chroma, WIDTH, WIDTH / 2, HEIGHT / 2);
    measure("NV12", &mut Planar::new(luma, chroma, colorimetry), &record);
    let mut rgb = vec![128u8; WIDTH * HEIGHT * 4];
    measure("RGB", &mut Packed::<3>::new(Plane::new(&mut rgb, WIDTH * 3, WIDTH, HEIGHT), false), &record);
    measure("BGRA", &mut Packed::<4>::new(Plane::new(&mut rgb, WIDTH * 4, WIDTH, HEIGHT), true), &record);
}

fn measure<C: Canvas>(name: &str, canvas: &mut C, record: &Record) {
    let mut overlay = Overlay::new().expect("the built-in font is readable");
    let style = Style::default();
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            overlay.draw(canvas, record, &style);
            start.elapsed()
        })
        .collect();
    times.sort();
    println!("{name:5} median {:?}, p99 {:?}", times[ROUNDS / 2], times[ROUNDS * 99 / 100]);
}

/// Five people with COCO skeletons, a third of the frame high, and fifteen vehicles of several sizes.
fn street() -> Record {
    // A standing person, normalised to the box: x, y.
    const POSE: [(f32, f32); 17] = [
        (0.50, 0.08),
        (0.54, 0.06),
        (0.46, 0.06),
        (0.60, 0.08),
        (0.40, 0.08),
        (0.72, 0.22),
        (0.28, 0.22),
        (0.82, 0.38),
        (0.18, 0.38),
        (0.85, 0.52),
        (0.15, 0.52),
        (0.64, 0.52),
        (0.36, 0.52),
        (0.66, 0.74),
        (0.34, 0.74),
        (0.66, 0.95),
        (0.34, 0.95),
    ];
    let limbs = [
        (15, 13),
        (13, 11),
        (16, 14),
        (14, 12),
        (11, 12),
        (5, 11),
        (6, 12),
        (5, 6),
        (5, 7),
        (6, 8),
        (7, 9),
        (8, 10),
        (1, 2),
        (0, 1),
        (0, 2),
        (1, 3),
        (2, 4),
        (3, 5),
        (4, 6),
    ];
    let names = (0..17).map(|i| if i % 2 == 1 { "left_joint" } else { "right_joint" }.into()).collect();
    let layout = Arc::new(KeypointLayout { name: "coco-17", names, limbs: limbs.to_vec() });
    let objects = (0..20u32).map(|id| {
        let person = id < 5;
        let (column, row) = ((id % 5) as f32, (id / 5) as f32);
        let size = if person { (0.08, 0.33) } else { (0.05 + 0.02 * column, 0.04 + 0.02 * row) };
        let rect = Rect::new(0.04 + 0.19 * column, 0.1 + 0.21 * row, size.0, size.1);
        let points = POSE.map(|(x, y)| Keypoint { x: rect.x + x * rect.w, y: rect.y + y * rect.h, confidence: 0.9 });
        Object {
            id,
            rect,
            class_id: Some(if person { 0 } else { 2 + id % 6 }),
            label: if person { "person" } else { "motorcycle" }.into(),
            confidence: 0.5 + 0.02 * id as f32,
            source: "detector".into(),
            keypoints: person.then(|| KeypointSet {
                source: "pose".into(),
                layout: layout.clone(),
                points: points.to_vec(),
            }),
            ..Object::default()
        }
    });
    Record { objects: objects.collect(), models: Vec::new(), ..Record::default() }
}
