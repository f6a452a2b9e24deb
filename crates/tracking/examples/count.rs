//! Counts walkers who cross a line, with boxes that are made up instead of a model's:
//! `cargo run --package gst-tensorrt-tracking --example count`.

use model::Rect;
use std::time::Duration;
use tracking::zones::{Direction, Object, Zones, ZonesConfig};
use tracking::{Observation, Settings, tracker};

/// Of the frames, in pixels.
const SIZE: (u32, u32) = (1280, 720);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // One tracker and one set of zones per stream.
    let frame_interval = Duration::from_millis(40);
    let mut tracker = tracker::new(Settings { frame_interval, ..Settings::default() })?;
    let config = ZonesConfig::parse(
        r#"{
            "lines": [{"name": "door", "from": [0.5, 0], "to": [0.5, 1]}],
            "zones": [{"name": "hall", "polygon": [[0.5, 0], [1, 0], [1, 1], [0.5, 1]], "loitering_s": 5}]
        }"#,
    )?;
    let mut zones = Zones::new(&config, SIZE.0 as f32 / SIZE.1 as f32)?;

    for frame in 0..200u32 {
        let time = frame_interval * frame;
        // Two people walk into the hall. The model sees every third frame, and misses one of them for a while.
        let person = |x: f32, y: f32| Observation {
            rect: Rect::new(x, y, 60.0, 160.0),
            class_id: 0,
            confidence: 0.9,
            embedding: None,
        };
        let first = person(300.0 + 3.0 * frame as f32, 200.0);
        let second = person(500.0 + 2.0 * frame as f32, 400.0);
        let found: &[_] = if (60..75).contains(&frame) { &[first] } else { &[first, second] };
        let tracks = if frame % 3 == 0 { tracker.update(time, found) } else { tracker.predict(time) };

        let objects: Vec<_> = tracks.iter().map(|track| Object::new(track, "person", SIZE)).collect();
        for event in zones.update(time, &objects) {
            println!("{:5.2} s, {}: {:?} {:?}", event.time.as_secs_f32(), event.place, event.kind, event.object);
        }
    }
    zones.finish();
    let line = zones.lines().next().ok_or("there is no line")?;
    let (inwards, outwards) = (line.totals.of(Direction::In).total(), line.totals.of(Direction::Out).total());
    println!("{}: {inwards} in, {outwards} out", line.name);
    assert_eq!((inwards, outwards), (0, 2));
    Ok(())
}
