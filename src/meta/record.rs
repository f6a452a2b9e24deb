//! The record: everything that models found in one frame.

use super::Name;
use model::{Keypoint, KeypointLayout, Mask, OrientedBox, Rect};
use std::sync::Arc;
use std::time::Duration;
pub use tracking::State as TrackState;
pub use tracking::zones::{Counted, Event, EventKind, EventObject, Tally};

/// One object. Coordinates are normalised to the frame, 0–1; where an object extends beyond it, they do too.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object {
    /// Unique in the frame, from 0; also the id of the mirrored ROI meta.
    pub id: u32,
    /// Of an oriented box the upright one around it.
    pub rect: Rect,
    /// Only where a model or another element tells the box's direction. Unlike `rect` it isn't clipped to the frame.
    pub oriented: Option<OrientedBox>,
    /// `None` if another program's detector gave only a label.
    pub class_id: Option<u32>,
    pub label: Name,
    /// 0–1.
    pub confidence: f32,
    /// The `model-id` of the model that found it.
    pub source: Name,
    /// Found by another element, whose own metadata on the buffer has it.
    pub foreign: bool,
    /// The id that a tracker gives to the same object in all frames.
    pub track_id: Option<u64>,
    /// What `trttrack` knows of it besides the id; `None` where it has no track, or another program's tracker gave it the id.
    pub track: Option<TrackInfo>,
    /// The object in whose box it was found.
    pub parent: Option<u32>,
    pub keypoints: Option<KeypointSet>,
    /// Its shape within its box, from a model with masks. The mask's area is normalised to the frame too.
    pub mask: Option<Mask>,
    /// Those of one model are adjacent, the most confident first.
    pub classifications: Vec<Classification>,
    /// At most one for each model.
    pub embeddings: Vec<Embedding>,
}

/// What a tracker knows of an object besides its id.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackInfo {
    /// How far the track is believed. A predicted object wasn't found in this frame: its box is where it is expected.
    pub state: TrackState,
    /// The time since the object was first found.
    pub age: Duration,
    /// Of the box's centre, in fractions of the frame's width and height per second.
    pub velocity: (f32, f32),
}

/// A class that a classifier gave to an object or to the whole frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Classification {
    /// The `model-id` of the classifier.
    pub source: Name,
    /// `None` if another program's classifier gave only a label.
    pub class_id: Option<u32>,
    pub label: Name,
    /// 0–1.
    pub confidence: f32,
}

/// A vector of length 1 that describes an object or the whole frame, for comparisons.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// The `model-id` of the model.
    pub source: Name,
    pub values: Arc<[f32]>,
}

/// A person's keypoints, normalised to the frame.
#[derive(Debug, Clone, PartialEq)]
pub struct KeypointSet {
    /// The `model-id` of the pose model.
    pub source: Name,
    pub layout: Arc<KeypointLayout>,
    pub points: Vec<Keypoint>,
}

/// A zone or a line, and what has been counted there up to this frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    pub name: Arc<str>,
    /// A zone's corners or a line's two ends, normalised to the frame.
    pub points: Arc<[(f32, f32)]>,
    pub count: PlaceCount,
}

/// What has been counted in a zone or on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceCount {
    Zone { occupancy: u32 },
    Line { inwards: u64, outwards: u64 },
}

/// What a model did with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inference {
    /// It ran; no objects means that it found none.
    Done,
    /// Skipped by the `interval` property.
    Interval,
    /// Skipped by `skip-when-busy`.
    Busy,
    /// `inference-region=objects`, and there was no object to run on.
    NoRegion,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ModelRun {
    /// The element's `model-id`.
    pub model_id: Name,
    pub inference: Inference,
}

/// One frame's objects, and the models that ran on it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Record {
    pub objects: Vec<Object>,
    pub models: Vec<ModelRun>,
    /// The classes of the whole frame, as an object has them.
    pub classifications: Vec<Classification>,
    /// The vectors of the whole frame.
    pub embeddings: Vec<Embedding>,
    /// Tracks that go on although no object of the frame has them: a model looked for these objects in vain. Zones must know
    /// them from tracks that have ended.
    pub lost_tracks: Vec<u64>,
    /// What has happened in zones and on lines. Times are presentation timestamps.
    pub events: Vec<Event>,
    /// What has been counted in zones and on lines up to this frame: those where something has happened, and in the first frame
    /// all.
    pub tallies: Vec<Tally>,
    /// The zones and lines that `trtzones` watches, for drawing.
    pub places: Vec<Place>,
}

impl Object {
    /// True if two objects differ by nothing but their tracks.
    pub(super) fn is_same_but_for_track(&self, other: &Self) -> bool {
        let Self { track_id: _, track: _, id, rect, oriented, class_id, label, confidence, source, foreign, .. } = self;
        let Self { parent, keypoints, mask, classifications, embeddings, .. } = self;
        (id, rect, oriented, class_id) == (&other.id, &other.rect, &other.oriented, &other.class_id)
            && (label, confidence, source, foreign) == (&other.label, &other.confidence, &other.source, &other.foreign)
            && (parent, keypoints, mask) == (&other.parent, &other.keypoints, &other.mask)
            && (classifications, embeddings) == (&other.classifications, &other.embeddings)
    }
}

/// The classes of each model.
pub fn by_model(classifications: &[Classification]) -> impl Iterator<Item = &[Classification]> {
    classifications.chunk_by(|a, b| a.source == b.source)
}

impl Record {
    /// The next object's id: one more than the highest.
    pub fn next_id(&self) -> u32 {
        self.objects.iter().map(|object| object.id.saturating_add(1)).max().unwrap_or(0)
    }

    /// The index of the object with this id.
    pub fn position(&self, id: u32) -> Option<usize> {
        match self.objects.get(id as usize) {
            Some(object) if object.id == id => Some(id as usize),
            _ => self.objects.iter().position(|object| object.id == id),
        }
    }

    /// A copy of everything but the objects.
    pub(super) fn without_objects(&self) -> Self {
        let Self { objects: _, models, classifications, embeddings, lost_tracks, events, tallies, places } = self;
        Self {
            objects: Vec::new(),
            models: models.clone(),
            classifications: classifications.clone(),
            embeddings: embeddings.clone(),
            lost_tracks: lost_tracks.clone(),
            events: events.clone(),
            tallies: tallies.clone(),
            places: places.clone(),
        }
    }

    /// Adds objects with the next ids.
    pub fn extend(&mut self, objects: impl IntoIterator<Item = Object>) {
        let mut next = self.next_id();
        self.objects.extend(objects.into_iter().map(|object| {
            let id = next;
            next = next.saturating_add(1);
            Object { id, ..object }
        }));
    }

    /// Adds what was found in a part of the same frame, with the next ids and in the same order. A model that ran on any
    /// part ran on the frame; the classes and vectors of the part as a whole aren't those of the frame.
    pub(super) fn append(&mut self, part: &Self) {
        let first = self.next_id();
        let new_id = |id: u32| {
            let index = part.objects.iter().position(|object| object.id == id)?;
            Some(first.saturating_add(u32::try_from(index).ok()?))
        };
        self.objects.extend((first..).zip(&part.objects).map(|(id, object)| Object {
            id,
            parent: object.parent.and_then(new_id),
            ..object.clone()
        }));
        self.lost_tracks.extend_from_slice(&part.lost_tracks);
        self.events.extend_from_slice(&part.events);
        self.tallies.extend_from_slice(&part.tallies);
        self.places.extend_from_slice(&part.places);
        for run in &part.models {
            match self.models.iter_mut().find(|there| there.model_id == run.model_id) {
                Some(there) if run.inference == Inference::Done => there.inference = Inference::Done,
                Some(_) => {}
                None => self.models.push(run.clone()),
            }
        }
    }

    /// Adds `object` with the next id, which is returned.
    pub fn push(&mut self, mut object: Object) -> u32 {
        object.id = self.next_id();
        let id = object.id;
        self.objects.push(object);
        id
    }
}
