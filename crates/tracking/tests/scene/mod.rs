//! A scene of 40 walkers, and what happens in it by their paths alone.

use model::Rect;
use std::time::Duration;

pub const FRAME: Duration = Duration::from_millis(40);
pub const SIZE: (u32, u32) = (1280, 720);
pub const LINE_X: f32 = 640.0;
/// Left and right of the zones, in pixels; they are as high as the frame.
pub const ZONES: [(&str, f32, f32); 2] = [("left", 320.0, 512.0), ("right", 768.0, 1152.0)];

/// Zones and lines as JSON.
pub fn zones_and_lines() -> String {
    let x = |pixels: f32| pixels / SIZE.0 as f32;
    let zone = |(name, left, right)| {
        let (left, right) = (x(left), x(right));
        format!(r#"{{"name": "{name}", "polygon": [[{left}, 0], [{right}, 0], [{right}, 1], [{left}, 1]]}}"#)
    };
    let zones = ZONES.map(zone).join(", ");
    // Downwards, so that walkers to the left go in.
    let line = format!(r#"{{"name": "line", "from": [{0}, 0], "to": [{0}, 1]}}"#, x(LINE_X));
    format!(r#"{{"zones": [{zones}], "lines": [{line}]}}"#)
}

/// Someone who walks along a lane, is hidden once, and turns around where told.
pub struct Walker {
    pub start: u32,
    pub feet: f32,
    pub from: f32,
    pub step: f32,
    pub frames: u32,
    /// After which frame of its own it walks back.
    pub turns: Option<u32>,
    pub hidden: std::ops::Range<u32>,
}

impl Walker {
    pub fn x(&self, frame: u32) -> Option<f32> {
        let frame = frame.checked_sub(self.start).filter(|frame| *frame < self.frames)?;
        let steps = match self.turns {
            Some(turns) if frame > turns => 2.0 * turns as f32 - frame as f32,
            _ => frame as f32,
        };
        Some(self.from + self.step * steps)
    }

    pub fn is_hidden(&self, frame: u32) -> bool {
        self.hidden.contains(&frame.wrapping_sub(self.start))
    }

    pub fn rect(&self, x: f32) -> Rect {
        let height = 110.0 + self.feet / 20.0;
        Rect::new(x - 22.0, self.feet - height, 44.0, height)
    }
}

/// Five walkers in each of eight lanes. Those of the last lane turn around in the right zone.
pub fn walkers() -> Vec<Walker> {
    let of_lane = |lane: u32| {
        (0..5).map(move |number| {
            let to_the_right = lane.is_multiple_of(2);
            let (from, step) = if to_the_right || lane == 7 { (60.0, 3.0) } else { (1220.0, -3.0) };
            let turns = (lane == 7).then_some(280);
            // The distances differ, so that walkers are hidden in zones, on the line and elsewhere.
            let hidden = 60 + (lane * 5 + number) * 37 % 280;
            Walker {
                start: 7 * lane + number * if turns.is_some() { 620 } else { 110 },
                feet: 180.0 + 70.0 * lane as f32,
                from,
                step,
                frames: if turns.is_some() { 560 } else { 387 },
                turns,
                hidden: hidden..hidden + 12,
            }
        })
    };
    (0..8).flat_map(of_lane).collect()
}

/// What happens in the scene, by its paths alone.
#[derive(Debug, Default, PartialEq)]
pub struct Truth {
    pub inwards: u64,
    pub outwards: u64,
    /// The dwell times of each zone in frames.
    pub dwell: [Vec<u32>; 2],
}

pub fn truth(walkers: &[Walker]) -> Truth {
    let mut truth = Truth::default();
    for walker in walkers {
        let path: Vec<f32> = (walker.start..walker.start + walker.frames).filter_map(|frame| walker.x(frame)).collect();
        for step in path.windows(2) {
            match (step[0] > LINE_X, step[1] > LINE_X) {
                (true, false) => truth.inwards += 1,
                (false, true) => truth.outwards += 1,
                _ => {}
            }
        }
        for (dwell, (_, left, right)) in truth.dwell.iter_mut().zip(ZONES) {
            let inside = |x: &f32| (left..right).contains(x);
            dwell.extend(
                path.chunk_by(|a, b| inside(a) == inside(b))
                    .filter(|part| inside(&part[0]))
                    .map(|part| part.len() as u32),
            );
        }
    }
    truth
}

/// A linear congruential generator (Knuth's MMIX constants): the same numbers everywhere.
pub struct Random(pub u64);

impl Random {
    /// 0–1.
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }
}
