//! The cost of objects on a buffer, by their number: microseconds per frame, of a single thread and with one on every core.
//!
//!     cargo bench --bench metadata

use gsttensorrt::config::MaskFormat;
use gsttensorrt::meta::{self, Inference, KeypointSet, Mirrors, ModelRun, Object, Record};
use gsttensorrt::publish::{Frame, write_line};
use model::{Keypoint, KeypointLayout, Rect};
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::Instant;

const FRAMES: u32 = 5_000;
const WIDTH: u32 = 1920;
const HEIGHT: u32 = 1080;

/// How the objects are written beside the record.
const FORMS: [(&str, Mirrors); 3] = [
    (", record alone", Mirrors { roi: false, analytics: false }),
    (", as ROI metas", Mirrors { roi: true, analytics: false }),
    (", as analytics metadata", Mirrors { roi: false, analytics: true }),
];

fn main() {
    gst::init().expect("GStreamer starts");
    meta::register();
    println!("{:60}{:>9}{:>9}", "µs a frame", "alone", "together");
    let people = 5;
    for objects in [0, 20, 300] {
        let detected = Arc::new(record(objects));
        let posed = Arc::new(with_poses(&detected, people.min(objects)));
        for (name, mirrors) in FORMS {
            if mirrors.analytics && !meta::analytics::is_there() {
                println!("skipped: {name}: GStreamer has no libgstanalytics");
                continue;
            }
            let set = |buffer: &mut gst::Buffer, record: &Arc<Record>| {
                let buffer = buffer.get_mut().expect("no other reference");
                meta::set_record_with(buffer, record.clone(), WIDTH, HEIGHT, mirrors);
            };
            report(&format!("{objects} objects put on a buffer{name}"), || {
                let mut buffer = gst::Buffer::new();
                set(&mut buffer, &detected);
                black_box(buffer);
            });
            report(&format!("{objects} objects, then {} with poses{name}", people.min(objects)), || {
                let mut buffer = gst::Buffer::new();
                set(&mut buffer, &detected);
                set(&mut buffer, &posed);
                black_box(buffer);
            });
            let mut buffer = gst::Buffer::new();
            set(&mut buffer, &posed);
            report(&format!("{objects} objects read{name}"), || {
                black_box(meta::read(&buffer, WIDTH, HEIGHT));
            });
            report(&format!("{objects} objects on a copied buffer{name}"), || {
                black_box(buffer.copy());
            });
        }
        report(&format!("{objects} objects as a line of JSON"), || {
            let frame =
                Frame { stream: "camera", number: 1, pts: Some(1), captured: None, width: WIDTH, height: HEIGHT };
            let mut line = Vec::with_capacity(64 * 1024);
            write_line(&mut line, &frame, &posed, MaskFormat::Rle);
            black_box(&line);
        });
    }
}

/// Alone, and in as many threads as there are cores, as with many streams.
fn report(name: &str, work: impl Fn() + Sync) {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    println!("{name:60}{:9.2}{:9.2}", cost(1, &work), cost(cores, &work));
}

/// Microseconds of one thread per frame.
fn cost(threads: usize, work: &(impl Fn() + Sync)) -> f64 {
    let start = Barrier::new(threads);
    let run = || {
        (0..FRAMES / 10).for_each(|_| work());
        start.wait();
        let begin = Instant::now();
        (0..FRAMES).for_each(|_| work());
        begin.elapsed().as_secs_f64() * 1e6 / f64::from(FRAMES)
    };
    let times: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    times.iter().sum::<f64>() / times.len() as f64
}

fn record(objects: u32) -> Record {
    let run = ModelRun { model_id: "yolo12m".into(), inference: Inference::Done };
    let mut record = Record { objects: vec![], models: vec![run], ..Record::default() };
    for k in 0..objects {
        let at = |cell: u32| 0.05 * (cell % 18) as f32 + 0.01;
        record.push(Object {
            id: 0,
            rect: Rect::new(at(k), at(k / 18), 0.04, 0.04),
            class_id: Some(0),
            label: "person".into(),
            confidence: 0.5,
            source: "yolo12m".into(),
            ..Object::default()
        });
    }
    record
}

fn with_poses(record: &Record, people: u32) -> Record {
    let mut record = record.clone();
    record.models.push(ModelRun { model_id: "yolo11m-pose".into(), inference: Inference::Done });
    for object in record.objects.iter_mut().take(people as usize) {
        let point = Keypoint { x: object.rect.x, y: object.rect.y, confidence: 0.5 };
        object.keypoints = Some(KeypointSet {
            source: "yolo11m-pose".into(),
            layout: KeypointLayout::coco17(),
            points: vec![point; 17],
        });
    }
    record
}
