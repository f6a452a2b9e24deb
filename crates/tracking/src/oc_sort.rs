//! OC-SORT.

use crate::lifecycle::{Lifecycle, Tracked};
use crate::motion::{Coordinates, Motion};
use crate::settings::Settings;
use crate::track::{Observation, Track};
use crate::tracker::Tracker;
use model::Rect;
use std::f32::consts::{FRAC_PI_2, PI};
use std::time::Duration;

/// Over how many frames the direction of motion is measured (the paper's Δt).
const DIRECTION_FRAMES: usize = 3;
/// How much the direction counts beside the overlap (the paper's λ, "inertia" in the authors' code).
const DIRECTION_WEIGHT: f32 = 0.2;

/// What OC-SORT remembers of a track.
#[derive(Debug, Default)]
struct Past {
    /// The boxes of the latest frames that a model saw, the newest first; `None` where it wasn't observed.
    boxes: [Option<Rect>; DIRECTION_FRAMES],
    /// Unit vector.
    direction: Option<(f32, f32)>,
    /// The motion after the last observation, and how many frames have passed since.
    motion: Option<Motion>,
    frames: f64,
}

impl Past {
    /// The box from which the direction is measured: the oldest of those remembered, or the last one observed.
    fn origin(&self, observed: &Rect) -> Rect {
        self.boxes.iter().rev().flatten().next().copied().unwrap_or(*observed)
    }
}

fn centre(rect: &Rect) -> (f32, f32) {
    (rect.x + rect.w / 2.0, rect.y + rect.h / 2.0)
}

fn direction(from: &Rect, to: &Rect) -> (f32, f32) {
    let (from, to) = (centre(from), centre(to));
    let (x, y) = (to.0 - from.0, to.1 - from.1);
    let length = x.hypot(y) + 1e-6;
    (x / length, y / length)
}

/// Observation-centric momentum: −0.5 to 0.5, by how well a step to the observation continues the motion.
fn momentum(track: &Tracked<Past>, observation: &Observation) -> f32 {
    let Some(old) = track.extra.direction else { return 0.0 };
    let new = direction(&track.extra.origin(&track.observed), &observation.rect);
    let angle = (old.0 * new.0 + old.1 * new.1).clamp(-1.0, 1.0).acos();
    (FRAC_PI_2 - angle) / PI
}

/// Observation-centric re-update: after a gap, the motion since the last observation is that of a straight line to the
/// new one.
fn update(track: &mut Tracked<Past>, rect: &Rect) {
    let past = &mut track.extra;
    past.direction = Some(direction(&past.origin(&track.observed), rect));
    match past.motion {
        Some(motion) if track.missed > 0 => {
            let steps = track.missed + 1;
            let old = track.observed;
            track.motion = motion;
            for step in 1..=steps {
                let part = step as f32 / steps as f32;
                let between = |from: f32, to: f32| from + part * (to - from);
                let (from, to) = (centre(&old), centre(rect));
                track.motion.predict(past.frames / f64::from(steps), false);
                track.motion.update(&Rect::from_centre(
                    between(from.0, to.0),
                    between(from.1, to.1),
                    between(old.w, rect.w),
                    between(old.h, rect.h),
                ));
            }
        }
        _ => track.motion.update(rect),
    }
    past.motion = Some(track.motion);
    past.frames = 0.0;
    past.boxes[0] = Some(*rect);
}

/// The tracker.
#[derive(Debug)]
pub struct OcSort {
    lifecycle: Lifecycle<Past>,
}

impl OcSort {
    pub fn new(settings: Settings) -> Self {
        Self { lifecycle: Lifecycle::new(settings, Coordinates::AreaAspect) }
    }
}

impl Tracker for OcSort {
    fn update(&mut self, time: Duration, observations: &[Observation]) -> &[Track] {
        let lifecycle = &mut self.lifecycle;
        let frames = lifecycle.start_frame(time, observations);
        for track in &mut lifecycle.tracks {
            let past = &mut track.extra;
            past.frames += frames;
            if past.motion.is_none() {
                // The track's first frame after the one that started it.
                past.boxes[0] = Some(track.observed);
            }
            past.boxes.rotate_right(1);
            past.boxes[0] = None;
        }
        let Settings { iou: least, high_confidence, low_confidence, .. } = lifecycle.settings;
        let high = |observation: &Observation| observation.confidence >= high_confidence;
        let least = least / (frames.max(1.0) as f32);
        let low = |observation: &Observation| (low_confidence..high_confidence).contains(&observation.confidence);
        let overlap = |expected: &Rect, observation: &Observation, more: &dyn Fn() -> f32| {
            let iou = expected.iou(&observation.rect);
            if iou >= least { (iou - least + more()).max(f32::EPSILON) } else { 0.0 }
        };
        let by_motion = |track: &Tracked<Past>, observation: &Observation| {
            let more = || DIRECTION_WEIGHT * momentum(track, observation) * observation.confidence;
            overlap(&track.expected, observation, &more)
        };
        lifecycle.assign(observations, |_| true, high, by_motion);
        lifecycle.assign(
            observations,
            |track| track.confirmed,
            low,
            |track, observation| overlap(&track.expected, observation, &|| 0.0),
        );
        // Observation-centric recovery: objects that stopped while they couldn't be seen.
        lifecycle.assign(
            observations,
            |_| true,
            high,
            |track, observation| overlap(&track.observed, observation, &|| 0.0),
        );
        lifecycle.end_frame(time, observations, update)
    }

    fn predict(&mut self, time: Duration) -> &[Track] {
        self.lifecycle.predict(time)
    }

    fn reset(&mut self) {
        self.lifecycle.reset();
    }

    fn settings(&self) -> &Settings {
        &self.lifecycle.settings
    }

    fn settings_mut(&mut self) -> &mut Settings {
        &mut self.lifecycle.settings
    }
}
