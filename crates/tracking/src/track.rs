//! What goes into a tracker and what comes out.

use model::{Detection, Rect};
use std::time::Duration;

/// An object that a model found in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Observation<'a> {
    /// Its box in pixels of the frame. Of an oriented box it is the upright rectangle of the same centre and size.
    pub rect: Rect,
    /// Its class.
    pub class_id: u32,
    /// 0–1.
    pub confidence: f32,
    /// What it looks like, as a model for re-identification says; of any length other than 0, the same for all.
    pub embedding: Option<&'a [f32]>,
}

impl From<&Detection> for Observation<'_> {
    fn from(detection: &Detection) -> Self {
        let Detection { rect, class_id, confidence, .. } = *detection;
        Self { rect, class_id, confidence, embedding: None }
    }
}

/// How far a track is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Observed less than `min-hits` times; it may be an error of the model.
    Tentative,
    /// Observed in this frame, and often enough.
    Confirmed,
    /// Confirmed before, but not observed in this frame, either because no model saw the frame ([`Track::missed`] is 0)
    /// or because the model didn't find it. The box is where the object is expected.
    Predicted,
}

/// An object in a frame, under an id that stays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Track {
    /// Unique in the life of the process, and never reused.
    pub id: u64,
    /// How far the track is believed.
    pub state: State,
    /// The index of its observation in this frame; `None` for predicted boxes.
    pub observation: Option<usize>,
    /// The box in pixels of the frame: the observed one, or else the predicted one.
    pub rect: Rect,
    /// The box of the last observation.
    pub observed: Rect,
    /// The class that most of the observations had, weighted by their confidence.
    pub class_id: u32,
    /// The confidence of the last observation.
    pub confidence: f32,
    /// Of the box's centre, in pixels per second.
    pub velocity: (f32, f32),
    /// The time since the first observation.
    pub age: Duration,
    /// The time since the last observation.
    pub unseen: Duration,
    /// In how many frames since the last observation a model looked for it in vain.
    pub missed: u32,
}

impl Track {
    /// Moves a point of the object, as it was last observed, along with the box: a corner of an oriented box, for example.
    /// Keypoints of a pose move by themselves, and are better left out of predicted boxes than moved.
    pub fn carry(&self, x: f32, y: f32) -> (f32, f32) {
        let part = |value, from, length: f32| if length > 0.0 { (value - from) / length } else { 0.5 };
        let (horizontal, vertical) =
            (part(x, self.observed.x, self.observed.w), part(y, self.observed.y, self.observed.h));
        (self.rect.x + horizontal * self.rect.w, self.rect.y + vertical * self.rect.h)
    }
}
