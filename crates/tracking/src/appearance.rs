//! What objects look like: embeddings, and the gallery of objects that are gone.

use crate::settings::Appearance;
use std::time::Duration;

/// How much of a track's embedding remains at each observation (BoT-SORT).
const MEMORY: f32 = 0.9;

/// The mean of an object's embeddings, of length 1; empty if it has had none.
#[derive(Debug, Default)]
pub struct Look(Vec<f32>);

impl Look {
    /// Takes another embedding of the object into account. One of another length, or without any, replaces what was.
    pub fn update(&mut self, embedding: &[f32]) {
        let norm = norm(embedding);
        if norm == 0.0 || !norm.is_finite() {
            return;
        }
        if self.0.len() == embedding.len() {
            let old = self.0.iter_mut().zip(embedding);
            old.for_each(|(old, new)| *old = MEMORY * *old + (1.0 - MEMORY) * new / norm);
            let length = self::norm(&self.0);
            if length > 0.0 {
                self.0.iter_mut().for_each(|value| *value /= length);
            }
        } else {
            self.0.clear();
            self.0.extend(embedding.iter().map(|value| value / norm));
        }
    }

    /// 1 − cosine, 0–2; `None` if the two can't be compared.
    pub fn distance(&self, embedding: &[f32]) -> Option<f32> {
        let norm = norm(embedding);
        if self.0.len() != embedding.len() || self.0.is_empty() || norm == 0.0 || !norm.is_finite() {
            return None;
        }
        let dot: f32 = self.0.iter().zip(embedding).map(|(a, b)| a * b).sum();
        Some(1.0 - dot / norm)
    }

    pub fn is_known(&self) -> bool {
        !self.0.is_empty()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

fn norm(values: &[f32]) -> f32 {
    values.iter().map(|value| value * value).sum::<f32>().sqrt()
}

/// An object that is no longer tracked.
#[derive(Debug)]
struct Gone {
    id: u64,
    class_id: u32,
    first_seen: Duration,
    last_seen: Duration,
    look: Look,
}

/// The objects that are no longer tracked, but may come back.
#[derive(Debug, Default)]
pub struct Gallery {
    gone: Vec<Gone>,
    /// Memory for the next embeddings.
    spare: Vec<Look>,
}

/// Who came back.
#[derive(Debug, PartialEq)]
pub struct Returned {
    pub id: u64,
    pub first_seen: Duration,
}

impl Gallery {
    /// An empty embedding, with the memory of an earlier one if there is any.
    pub fn empty_look(&mut self) -> Look {
        self.spare.pop().unwrap_or_default()
    }

    pub fn recycle(&mut self, mut look: Look) {
        look.clear();
        self.spare.push(look);
    }

    pub fn keep(&mut self, id: u64, class_id: u32, first_seen: Duration, last_seen: Duration, look: Look) {
        self.gone.push(Gone { id, class_id, first_seen, last_seen, look });
    }

    pub fn forget(&mut self, now: Duration, settings: &Appearance) {
        let mut index = 0;
        while let Some(gone) = self.gone.get(index) {
            if now.saturating_sub(gone.last_seen) > settings.max_age {
                let look = self.gone.swap_remove(index).look;
                self.recycle(look);
            } else {
                index += 1;
            }
        }
    }

    /// The object that looks most like the embedding, which leaves the gallery.
    pub fn find(
        &mut self,
        embedding: &[f32],
        class_id: Option<u32>,
        settings: &Appearance,
    ) -> Option<(Returned, Look)> {
        let candidates = self.gone.iter().enumerate();
        let candidates = candidates.filter(|(_, gone)| class_id.is_none_or(|class_id| class_id == gone.class_id));
        let distances = candidates.filter_map(|(index, gone)| Some((index, gone.look.distance(embedding)?)));
        let near = distances.filter(|(_, distance)| *distance <= settings.distance);
        let (index, _) = near.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
        let Gone { id, first_seen, look, .. } = self.gone.swap_remove(index);
        Some((Returned { id, first_seen }, look))
    }

    pub fn clear(&mut self) {
        while let Some(gone) = self.gone.pop() {
            self.recycle(gone.look);
        }
    }
}
