//! ByteTrack, and BoT-SORT, which differs in its motion model and in its use of appearance.

use crate::lifecycle::{Lifecycle, Tracked};
use crate::motion::Coordinates;
use crate::settings::{Algorithm, Settings};
use crate::track::{Observation, Track};
use crate::tracker::Tracker;
use std::time::Duration;

/// The least overlap with an observation of low confidence (ByteTrack).
const LOW_IOU: f32 = 0.5;
/// The least overlap of a tentative track's second observation, multiplied by its confidence (ByteTrack).
const TENTATIVE_IOU: f32 = 0.3;
/// Objects that overlap less are never the same by their looks alone (BoT-SORT's proximity threshold).
const PROXIMITY_IOU: f32 = 0.5;

/// The cascade of three assignments.
#[derive(Debug)]
pub struct Byte {
    lifecycle: Lifecycle<()>,
    with_appearance: bool,
}

impl Byte {
    pub fn new(settings: Settings) -> Self {
        let with_appearance = settings.algorithm == Algorithm::BotSort;
        let coordinates = if with_appearance { Coordinates::Size } else { Coordinates::AspectHeight };
        Self { lifecycle: Lifecycle::new(settings, coordinates), with_appearance }
    }
}

/// How similar two are, 0–1: by overlap and confidence, or by their looks.
fn similarity(track: &Tracked<()>, observation: &Observation, appearance: Option<f32>) -> f32 {
    let iou = track.expected.iou(&observation.rect);
    let fused = if appearance.is_some() { iou * observation.confidence } else { iou };
    let (Some(greatest), Some(embedding)) = (appearance, observation.embedding) else { return fused };
    match track.look.distance(embedding) {
        // The published cost is half the distance.
        Some(distance) if distance <= greatest && iou >= PROXIMITY_IOU => fused.max(1.0 - distance / 2.0),
        _ => fused,
    }
}

/// `value` above its least, as a gain of the assignment, which must be positive.
fn above(value: f32, least: f32) -> f32 {
    if value >= least { (value - least).max(f32::EPSILON) } else { 0.0 }
}

impl Tracker for Byte {
    fn update(&mut self, time: Duration, observations: &[Observation]) -> &[Track] {
        let lifecycle = &mut self.lifecycle;
        let frames = lifecycle.start_frame(time, observations).max(1.0) as f32;
        let Settings { iou, high_confidence, low_confidence, .. } = lifecycle.settings;
        let appearance = self.with_appearance.then_some(lifecycle.settings.appearance.distance);
        let high = |observation: &Observation| observation.confidence >= high_confidence;
        let low = |observation: &Observation| (low_confidence..high_confidence).contains(&observation.confidence);
        let gain = |least: f32| {
            move |track: &Tracked<()>, observation: &Observation| {
                above(similarity(track, observation, appearance), least)
            }
        };
        lifecycle.assign(observations, |track| track.confirmed, high, gain(iou / frames));
        let overlap = |track: &Tracked<()>, observation: &Observation| {
            above(track.expected.iou(&observation.rect), LOW_IOU / frames)
        };
        lifecycle.assign(observations, |track| track.confirmed && !track.is_lost(), low, overlap);
        lifecycle.assign(observations, |track| !track.confirmed, high, gain(TENTATIVE_IOU / frames));
        lifecycle.end_frame(time, observations, |track, rect| track.motion.update(rect))
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
