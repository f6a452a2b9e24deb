//! What a classifier says of an object: its classes, or a vector. For objects that a tracker follows it is kept for the
//! frames between two runs.

use super::opened::Opened;
use crate::meta::{Classification, Embedding, Object, Record};
use model::Detection;
use parking_lot::Mutex;
use std::collections::HashMap;

/// The results of one model for one object or frame.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes {
    classifications: Vec<Classification>,
    embedding: Option<Embedding>,
}

impl Attributes {
    /// `found` are a classifier's classes, or the vector of a model for embeddings.
    pub fn of(model: &Opened, found: Vec<Detection>) -> Self {
        let mut attributes = Self::default();
        for Detection { class_id, confidence, embedding, .. } in found {
            if embedding.is_empty() {
                let (class_id, label) = (Some(class_id), model.label(class_id));
                attributes.classifications.push(Classification { source: model.id, class_id, label, confidence });
            } else {
                attributes.embedding = Some(Embedding { source: model.id, values: embedding.into() });
            }
        }
        attributes
    }

    pub fn add_to_object(self, object: &mut Object) {
        object.classifications.extend(self.classifications);
        object.embeddings.extend(self.embedding);
    }

    pub fn add_to_frame(self, record: &mut Record) {
        record.classifications.extend(self.classifications);
        record.embeddings.extend(self.embedding);
    }
}

/// Frames after which a track that hasn't been seen is forgotten: longer than trackers look for a lost object.
const FORGOTTEN_AFTER: u64 = 512;

/// The objects that a tracker follows, by their ids.
#[derive(Debug, Default)]
pub struct Tracks(Mutex<HashMap<u64, Track>>);

#[derive(Debug)]
struct Track {
    /// The number of the frame in which the model last ran on the object.
    ran: u64,
    /// The number of the frame in which the object was last seen.
    seen: u64,
    /// Empty until that run has ended.
    found: Attributes,
}

impl Tracks {
    /// Whether the model is to run on an object in this frame, because it is new or `interval` frames lie between. If so,
    /// this counts as a run.
    pub fn is_due(&self, id: u64, frame: u64, interval: u32) -> bool {
        let mut tracks = self.0.lock();
        if frame.is_multiple_of(FORGOTTEN_AFTER) {
            tracks.retain(|_, track| frame.saturating_sub(track.seen) <= FORGOTTEN_AFTER.max(interval.into()));
        }
        let mut is_new = false;
        let track = tracks.entry(id).or_insert_with(|| {
            is_new = true;
            Track { ran: frame, seen: frame, found: Attributes::default() }
        });
        track.seen = frame;
        let is_due = is_new || frame > track.ran.saturating_add(interval.into());
        if is_due {
            track.ran = frame;
        }
        is_due
    }

    /// Keeps the results of a run, unless the track has been forgotten.
    pub fn keep(&self, id: u64, found: &Attributes) {
        if let Some(track) = self.0.lock().get_mut(&id) {
            track.found.clone_from(found);
        }
    }

    /// The results of the last run on an object.
    pub fn of(&self, id: u64) -> Option<Attributes> {
        self.0.lock().get(&id).map(|track| track.found.clone())
    }

    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Forgets all: another stream's tracks have the same ids.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn red(confidence: f32) -> Attributes {
        let class = Classification { source: "a".into(), class_id: Some(1), label: "red".into(), confidence };
        Attributes { classifications: vec![class], embedding: None }
    }

    #[test]
    fn each_track_has_its_own_interval() {
        let tracks = Tracks::default();
        let due = |id, frame| tracks.is_due(id, frame, 2);
        assert!(due(1, 0) && !due(1, 1) && due(2, 1), "a new track is due at once");
        tracks.keep(1, &red(0.5));
        assert!(!due(1, 2) && due(1, 3) && !due(2, 3) && due(2, 4));
        assert_eq!(tracks.of(1), Some(red(0.5)), "the last result, until the next");
        tracks.keep(1, &Attributes::default());
        assert_eq!(tracks.of(1), Some(Attributes::default()));
        assert!(due(1, 40), "seen again after a while");
        tracks.clear();
        assert!(tracks.is_empty() && due(1, 41));
        assert!((42..45).all(|frame| tracks.is_due(1, frame, 0)), "every frame");
    }

    #[test]
    fn lost_tracks_are_forgotten() {
        let tracks = Tracks::default();
        for frame in 0..4 * FORGOTTEN_AFTER {
            tracks.is_due(frame, frame, 0);
            tracks.is_due(u64::MAX, frame, 5000);
        }
        assert!(tracks.0.lock().len() as u64 <= 2 * FORGOTTEN_AFTER + 1);
        assert!(!tracks.is_due(u64::MAX, 4 * FORGOTTEN_AFTER, 5000), "one that is seen stays");
        tracks.keep(0, &red(1.0));
        assert_eq!(tracks.of(0), None);
    }
}
