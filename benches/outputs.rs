//! The CPU time that an output takes: 16 streams × 30 fps, 20 objects a frame, all in this process.
//!
//!     cargo bench --bench outputs
//!
//! It prints for each output the CPU time per frame, and how much that is over the file's, in turns of the same run. Kafka's may be at
//! most 25 µs over the file's. A server that isn't installed is skipped.

#[path = "../tests/common/mod.rs"]
mod common;

use common::kafka::Kafka;
use common::redis::Redis;
use gsttensorrt::config::MaskFormat;
use gsttensorrt::meta::{Object, Record};
use gsttensorrt::publish::{self, Frame, Overflow, PublishOptions, Publisher, Subject, write_line};
use model::Rect;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::sync::Arc;
use std::time::{Duration, Instant};

const STREAMS: usize = 16;
const RATE: u32 = 30;
const SECONDS: u32 = 10;
const TURNS: usize = 3;
/// µs a frame.
const MOST_OVER_FILE: f64 = 25.0;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = format!("{}/{{stream-id}}.jsonl", folder.path().display());
    let mut outputs = vec![("file", file)];
    let (kafka, redis) = (Kafka::open(), Redis::open());
    if let Some(kafka) = &kafka {
        kafka.create_topic("objects", 16, &[]);
        outputs.push(("kafka", format!("kafka://{}/objects", kafka.brokers())));
    }
    outputs.extend(
        redis.as_ref().map(|redis| ("redis", format!("redis://127.0.0.1:{}/objects:{{stream-id}}", redis.port))),
    );
    println!(
        "{STREAMS} streams × {RATE} fps, 20 objects: µs of CPU a frame, of which making the line is the same for all"
    );
    let mut least = vec![f64::INFINITY; outputs.len()];
    for turn in 1..=TURNS {
        for ((name, location), least) in outputs.iter().zip(&mut least) {
            let took = measure(location);
            *least = least.min(took);
            println!("turn {turn} {name:6}{took:8.1}");
        }
    }
    let file = least[0];
    let mut failed = false;
    for ((name, _), least) in outputs.iter().zip(&least) {
        println!("{name:6} {least:.1} µs, {:+.1} µs over the file, {:.2} times", least - file, least / file);
        failed |= *name == "kafka" && least - file > MOST_OVER_FILE;
    }
    assert!(!failed, "Kafka takes more than {MOST_OVER_FILE} µs a frame over the file");
}

/// µs of CPU a frame.
fn measure(location: &str) -> f64 {
    let record = record();
    let publishers: Vec<(Arc<str>, Publisher)> = (0..STREAMS)
        .map(|number| {
            let stream = format!("camera-{number}");
            let location =
                if location.contains("://") { location.to_owned() } else { location.replace("{stream-id}", &stream) };
            let options = PublishOptions { location, ..PublishOptions::default() };
            let output = publish::open(&options, Arc::new(|notice| println!("{notice:?}"))).expect("the output opens");
            (stream.into(), Publisher::new(output, None, |name, error| panic!("{name}: {error}")).expect("a thread"))
        })
        .collect();
    // Connections are made, and memory is warm.
    run(&publishers, &record, 1);
    let (cpu, frames) = (cpu(), STREAMS as u32 * RATE * SECONDS);
    run(&publishers, &record, SECONDS);
    let took = self::cpu() - cpu;
    for (_, publisher) in &publishers {
        publisher.drain(Some(Duration::from_secs(30))).expect("all lines arrive");
        assert_eq!(publisher.stats().dropped, 0);
    }
    took.as_secs_f64() * 1e6 / f64::from(frames)
}

/// Pushes frames of all streams at their rate.
fn run(publishers: &[(Arc<str>, Publisher)], record: &Record, seconds: u32) {
    let (start, mut line) = (Instant::now(), Vec::new());
    for number in 0..RATE * seconds {
        for (stream, publisher) in publishers {
            let frame = Frame {
                stream,
                number: number.into(),
                pts: Some(u64::from(number) * 33_333_333),
                captured: None,
                width: 1920,
                height: 1080,
            };
            line.clear();
            write_line(&mut line, &frame, record, MaskFormat::Rle);
            let subject = Subject::objects(stream.clone());
            publisher.push(&mut line, &subject, 256, Overflow::Block).expect("it's accepted");
        }
        let next = start + Duration::from_secs(1) * (number + 1) / RATE;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("Linux");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(micros).expect("time goes forward"))
}

fn record() -> Record {
    let object = |id: u32| Object {
        id,
        label: "person".into(),
        class_id: Some(0),
        rect: Rect::new(0.04 * id as f32, 0.31, 0.087, 0.213),
        confidence: 0.8123,
        source: "detect".into(),
        track_id: Some(id.into()),
        ..Object::default()
    };
    Record { objects: (0..20).map(object).collect(), ..Record::default() }
}
