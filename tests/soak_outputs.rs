//! Failing outputs, over minutes:
//!
//!     cargo test --release --test soak_outputs -- --ignored --nocapture --test-threads=1

mod common;

use common::kafka::Kafka;
use common::publish::{Publish, number};
use std::time::{Duration, Instant};

#[test]
#[ignore = "minutes: cargo test --release --test soak_outputs -- --ignored"]
fn outputs_fail_by_chance_for_minutes() {
    for seed in 1..=4 {
        eprintln!("seed {seed}");
        common::outputs::run_with_failures(seed, 24, Duration::from_millis(2500));
    }
}

/// 16 streams × 30 fps, while the broker is away for a minute.
#[test]
#[ignore = "minutes: cargo test --release --test soak_outputs -- --ignored"]
fn kafka_is_away_for_a_minute() {
    const QUEUE: u64 = 1000;
    let Some(mut kafka) = Kafka::open() else { return };
    kafka.create_topic("objects", 8, &[]);
    let mut streams: Vec<_> = (0..16)
        .map(|number| {
            let location = format!("location=kafka://{}/objects stream-id={number}", kafka.brokers());
            Publish::new(&format!("{location} overflow=drop-oldest max-queue={QUEUE} drain-timeout=60000000000"))
        })
        .collect();
    let mut longest = Duration::ZERO;
    let mut play = |streams: &mut [Publish], seconds: u32| {
        let start = Instant::now();
        for frame in 1..=30 * seconds {
            for stream in &mut *streams {
                let push = Instant::now();
                stream.push(1);
                longest = longest.max(push.elapsed());
            }
            let next = start + Duration::from_secs(1) * frame / 30;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    };
    play(&mut streams, 5);
    kafka.stop();
    play(&mut streams, 60);
    kafka.start();
    play(&mut streams, 5);
    streams.iter_mut().for_each(Publish::eos);
    let lines: u64 = streams.iter().map(|stream| stream.stat("lines")).sum();
    let dropped: u64 = streams.iter().map(|stream| stream.stat("dropped")).sum();
    eprintln!("longest push {longest:?}, {lines} lines arrived, {dropped} dropped");
    assert!(longest < Duration::from_millis(200), "{longest:?}");
    let mut frames = std::collections::BTreeMap::<String, Vec<u64>>::new();
    for record in kafka.read("objects", usize::try_from(lines).unwrap()) {
        frames.entry(record.key.clone()).or_default().push(number(record.text()));
    }
    for (key, numbers) in frames {
        assert!(numbers.is_sorted_by(|a, b| a < b), "{key}: {numbers:?}");
        let stream = &streams[key.parse::<usize>().unwrap()];
        assert_eq!(stream.stat("lines") + stream.stat("dropped"), stream.frames, "{key}");
        let kept = numbers.iter().filter(|number| **number >= stream.frames - QUEUE).count() as u64;
        assert_eq!(kept, QUEUE, "{key}: what the queue holds");
    }
}

/// Through `gst-trt run`, which publishes to Kafka and to Redis.
#[test]
#[ignore = "minutes: cargo test --release --test soak_outputs -- --ignored"]
fn kafka_and_redis_are_away_for_a_minute() {
    if common::running::start() {
        common::outage::kafka_and_redis_are_away(Duration::from_secs(60));
    }
}
