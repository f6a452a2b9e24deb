//! Time of a frame with 50 objects, per algorithm, and of 8 zones and 4 lines: `cargo bench -p gst-tensorrt-tracking`.
//!
//! Prints the medians and fails if one is above its limit.

use model::Rect;
use std::error::Error;
use std::time::{Duration, Instant};
use tracking::zones::{Object, Zones, ZonesConfig};
use tracking::{Algorithm, Observation, Settings, State, tracker};

const FRAMES: u32 = 3000;
const OBJECTS: usize = 50;
/// Microseconds.
const TRACKER_LIMIT: f64 = 60.0;
const ZONES_LIMIT: f64 = 20.0;

fn main() -> Result<(), Box<dyn Error>> {
    let mut slow = Vec::new();
    for algorithm in Algorithm::ALL {
        for (scene, height) in [("a street", 1080.0), ("a crowd", 300.0)] {
            let time = track(algorithm, height)?;
            println!("{:9} {OBJECTS} objects of {scene:9} {time:6.1} us", algorithm.name());
            if time > TRACKER_LIMIT {
                slow.push(format!("{algorithm}: {time:.1} us a frame is above {TRACKER_LIMIT}"));
            }
        }
    }
    let time = count()?;
    println!("8 zones and 4 lines, {OBJECTS} objects     {time:6.1} us");
    if time > ZONES_LIMIT {
        slow.push(format!("zones: {time:.1} us a frame is above {ZONES_LIMIT}"));
    }
    if slow.is_empty() { Ok(()) } else { Err(slow.join("\n").into()) }
}

/// The median of frames in microseconds. Objects walk to and fro in a picture of 1920 by `height` pixels, a tenth of them
/// missing in each frame.
fn track(algorithm: Algorithm, height: f32) -> Result<f64, Box<dyn Error>> {
    let mut tracker = tracker::new(Settings { algorithm, ..Settings::default() })?;
    let mut random = Random(7);
    let objects: Vec<[f32; 4]> = (0..OBJECTS)
        .map(|_| [1800.0 * random.next(), (height - 150.0) * random.next(), 3.0 * random.next() - 1.5, random.next()])
        .collect();
    let (mut times, mut found) = (Vec::new(), Vec::new());
    for frame in 0..FRAMES {
        found.clear();
        for [x, y, speed, size] in &objects {
            if random.next() < 0.1 {
                continue;
            }
            let x = (x + speed * frame as f32).rem_euclid(1900.0) + 3.0 * random.next();
            let (w, h) = (40.0 + 40.0 * size, 100.0 + 80.0 * size);
            let rect = Rect::new(x, y + 3.0 * random.next(), w, h);
            found.push(Observation { rect, class_id: 0, confidence: 0.4 + 0.6 * random.next(), embedding: None });
        }
        let start = Instant::now();
        tracker.update(Duration::from_nanos(33_333_333) * frame, &found);
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// The median of frames in microseconds. The zones are hexagons that cover most of the picture.
fn count() -> Result<f64, Box<dyn Error>> {
    let zone = |index: u32| {
        let (x, y) = (0.13 + 0.25 * (index % 4) as f32, 0.25 + 0.5 * (index / 4) as f32);
        let corner = |(dx, dy): (f32, f32)| format!("[{}, {}]", x + dx, y + dy);
        let corners = [(-0.12, 0.0), (-0.06, -0.2), (0.06, -0.2), (0.12, 0.0), (0.06, 0.2), (-0.06, 0.2)].map(corner);
        format!(
            r#"{{"name": "z{index}", "polygon": [{}], "crowding": {{"more_than": 5}}, "loitering_s": 10}}"#,
            corners.join(", ")
        )
    };
    let line = |index: u32| {
        let x = 0.2 + 0.2 * index as f32;
        format!(r#"{{"name": "l{index}", "from": [{x}, 0], "to": [{x}, 1]}}"#)
    };
    let (zones, lines): (Vec<_>, Vec<_>) = ((0..8).map(zone).collect(), (0..4).map(line).collect());
    let config = format!(r#"{{"zones": [{}], "lines": [{}]}}"#, zones.join(", "), lines.join(", "));
    let mut zones = Zones::new(&ZonesConfig::parse(&config)?, 16.0 / 9.0)?;
    let mut random = Random(7);
    let people: Vec<[f32; 3]> =
        (0..OBJECTS).map(|_| [random.next(), 0.8 * random.next(), 0.004 * random.next() - 0.002]).collect();
    let (mut times, mut objects) = (Vec::new(), Vec::new());
    for frame in 0..FRAMES {
        objects.clear();
        for (track, [x, y, step]) in people.iter().enumerate() {
            let x = (x + step * frame as f32).rem_euclid(1.9);
            let x = if x > 0.95 { 1.9 - x } else { x };
            let rect = Rect::new(x + 0.004 * random.next(), y + 0.004 * random.next(), 0.04, 0.15);
            objects.push(Object { track: track as u64, state: State::Confirmed, class: "person", rect, feet: None });
        }
        let start = Instant::now();
        zones.update(Duration::from_nanos(33_333_333) * frame, &objects);
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// A linear congruential generator (Knuth's MMIX constants): the same numbers everywhere.
struct Random(u64);

impl Random {
    /// 0–1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }
}
