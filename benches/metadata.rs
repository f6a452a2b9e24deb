//! The cost of objects on a buffer, by their number: microseconds per frame, of a single thread and with one on every core.
//!
//!     cargo bench --bench metadata

use gsttensorrt::meta::{self, KeypointSet, Object, Record};
use gsttensorrt::publish::{Frame, write_line};
use model::{Keypoint, KeypointLayout, Rect};
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::Instant;

const FRAMES: u32 = 5_000;
const WIDTH: u32 = 1920;
const HEIGHT: u32 = 1080;

fn main() {
    gst::init().expect("GStreamer starts");
    meta::register();
    println!("{:50}{:>9}{:>9}", "µs a frame", "alone", "together");
    let people = 5;
    for objects in [0, 20, 300] {
        let detected = Arc::new(record(objects));
        let posed = Arc::new(with_poses(&detected, people.min(objects)));
        report(&format!("{objects} objects put on a buffer"), || {
            let mut buffer = gst::Buffer::new();
            meta::set_record(buffer.get_mut().expect("a new buffer"), detected.clone(), WIDTH, HEIGHT);
            black_box(buffer);
        });
        report(&format!("{objects} objects, then {} with poses", people.min(objects)), || {
            let mut buffer = gst::Buffer::new();
            let writable = buffer.get_mut().expect("a new buffer");
            meta::set_record(writable, detected.clone(), WIDTH, HEIGHT);
            meta::set_record(writable, posed.clone(), WIDTH, HEIGHT);
            black_box(buffer);
        });
        report(&format!("{objects} objects, then {} with poses, roi-meta=false", people.min(objects)), || {
            let mut buffer = gst::Buffer::new();
            let writable = buffer.get_mut().expect("a new buffer");
            meta::set_record_alone(writable, detected.clone(), WIDTH, HEIGHT);
            meta::set_record_alone(writable, posed.clone(), WIDTH, HEIGHT);
            black_box(buffer);
        });
        let mut buffer = gst::Buffer::new();
        meta::set_record(buffer.get_mut().expect("a new buffer"), posed.clone(), WIDTH, HEIGHT);
        report(&format!("{objects} objects read"), || {
            black_box(meta::read(&buffer, WIDTH, HEIGHT));
        });
        report(&format!("{objects} objects as a line of JSON"), || {
            let frame =
                Frame { stream: "camera", number: 1, pts: Some(1), captured: None, width: WIDTH, height: HEIGHT };
            let mut line = Vec::with_capacity(64 * 1024);
            write_line(&mut line, &frame, &posed);
            black_box(&line);
        });
    }
}

/// Alone, and in as many threads as there are cores, as with many streams.
fn report(name: &str, work: impl Fn() + Sync) {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    println!("{name:50}{:9.2}{:9.2}", cost(1, &work), cost(cores, &work));
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
    let mut record = Record::default();
    for k in 0..objects {
        let at = |cell: u32| 0.05 * (cell % 18) as f32 + 0.01;
        record.push(Object {
            id: 0,
            rect: Rect::new(at(k), at(k / 18), 0.04, 0.04),
            class_id: Some(0),
            label: "person".into(),
            confidence: 0.5,
            source: "yolo12m".into(),
            parent: None,
            keypoints: None,
        });
    }
    record
}

fn with_poses(record: &Record, people: u32) -> Record {
    let mut record = record.clone();
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
