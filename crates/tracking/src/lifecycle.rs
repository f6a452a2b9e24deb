//! What all trackers have in common: tracks start, are confirmed, get lost and end.

use crate::appearance::{Gallery, Look};
use crate::assignment::Assignment;
use crate::motion::{Coordinates, Motion};
use crate::settings::Settings;
use crate::track::{Observation, State, Track};
use model::Rect;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How much more confidence than `high-confidence` an observation needs to start a track (ByteTrack).
const START_MARGIN: f32 = 0.1;

/// Shared by all trackers of the process.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A track as its tracker knows it. `E` is what only one algorithm needs.
#[derive(Debug)]
pub struct Tracked<E> {
    pub id: u64,
    pub motion: Motion,
    /// The box that is expected in this frame.
    pub expected: Rect,
    pub class_id: u32,
    /// By how much the class's confidences exceed those of other classes.
    class_lead: f32,
    pub confidence: f32,
    /// In how many frames that a model saw it has been observed without a miss.
    hits: u32,
    /// How often it has been observed.
    observations: u32,
    pub confirmed: bool,
    pub missed: u32,
    first_seen: Duration,
    last_seen: Duration,
    pub observed: Rect,
    /// The observation in this frame.
    pub observation: Option<usize>,
    pub look: Look,
    pub extra: E,
}

impl<E> Tracked<E> {
    fn observe(&mut self, time: Duration, observation: &Observation) {
        self.missed = 0;
        self.hits += 1;
        self.observations += 1;
        self.last_seen = time;
        self.observed = observation.rect;
        self.confidence = observation.confidence;
        // The vote of Boyer and Moore, weighted.
        if observation.class_id == self.class_id {
            self.class_lead += observation.confidence;
        } else if self.class_lead < observation.confidence {
            self.class_id = observation.class_id;
            self.class_lead = observation.confidence - self.class_lead;
        } else {
            self.class_lead -= observation.confidence;
        }
        if let Some(embedding) = observation.embedding {
            self.look.update(embedding);
        }
    }

    pub fn is_lost(&self) -> bool {
        self.missed > 0
    }
}

/// The tracks of one stream, and the memory that is reused from frame to frame.
#[derive(Debug)]
pub struct Lifecycle<E> {
    pub settings: Settings,
    coordinates: Coordinates,
    pub tracks: Vec<Tracked<E>>,
    /// When a model last saw a frame.
    seen: Option<Duration>,
    /// Whether an observation of this frame has been assigned.
    taken: Vec<bool>,
    assignment: Assignment,
    rows: Vec<usize>,
    columns: Vec<usize>,
    gallery: Gallery,
    output: Vec<Track>,
}

impl<E: Default> Lifecycle<E> {
    pub fn new(settings: Settings, coordinates: Coordinates) -> Self {
        Self {
            settings,
            coordinates,
            tracks: Vec::new(),
            seen: None,
            taken: Vec::new(),
            assignment: Assignment::default(),
            rows: Vec::new(),
            columns: Vec::new(),
            gallery: Gallery::default(),
            output: Vec::new(),
        }
    }

    /// A duration in nominal frames.
    fn frames(&self, duration: Duration) -> f64 {
        duration.as_secs_f64() / self.settings.frame_interval.as_secs_f64()
    }

    /// Starts a frame that a model saw: tracks that are too old end, the others move on. Returns how many nominal frames
    /// have passed since the model last saw one.
    pub fn start_frame(&mut self, time: Duration, observations: &[Observation]) -> f64 {
        let frames = self.seen.map_or(0.0, |seen| self.frames(time.saturating_sub(seen)));
        self.gallery.forget(time, &self.settings.appearance);
        let longest = self.settings.frame_interval.saturating_mul(self.settings.max_age);
        self.end_tracks(|track| time.saturating_sub(track.last_seen) > longest);
        for track in &mut self.tracks {
            track.observation = None;
            track.motion.predict(frames, track.missed > 0);
            track.expected = track.motion.rect();
        }
        self.taken.clear();
        self.taken.resize(observations.len(), false);
        frames
    }

    /// Assigns observations to tracks that have none. `rows` and `columns` choose the tracks and observations that take
    /// part, and `gain` says how well two fit; where it isn't positive, they don't.
    pub fn assign(
        &mut self,
        observations: &[Observation],
        rows: impl Fn(&Tracked<E>) -> bool,
        columns: impl Fn(&Observation) -> bool,
        gain: impl Fn(&Tracked<E>, &Observation) -> f32,
    ) {
        self.rows.clear();
        let free = self.tracks.iter().enumerate().filter(|(_, track)| track.observation.is_none() && rows(track));
        self.rows.extend(free.map(|(index, _)| index));
        self.columns.clear();
        let free = observations.iter().enumerate().filter(|(index, _)| !self.taken[*index]);
        self.columns.extend(free.filter(|(_, observation)| columns(observation)).map(|(index, _)| index));
        let (tracks, any_class) = (&self.tracks, self.settings.class_agnostic);
        let pairs = self.assignment.solve(self.rows.len(), self.columns.len(), |row, column| {
            let (track, observation) = (&tracks[self.rows[row]], &observations[self.columns[column]]);
            // The share of frames in which it was observed: where tracks compete, one that has been lost for long, or that
            // is an error of the model, mustn't take the observation of another.
            let observed = track.observations as f32;
            let weight = observed / (observed + track.missed as f32 + 1.0);
            if any_class || track.class_id == observation.class_id { weight * gain(track, observation) } else { 0.0 }
        });
        for (row, column) in pairs {
            let column = self.columns[*column];
            self.taken[column] = true;
            self.tracks[self.rows[*row]].observation = Some(column);
        }
    }

    /// Ends a frame that a model saw: takes the assigned observations into account, and starts tracks for the others.
    /// `moved` updates a track's motion.
    pub fn end_frame(
        &mut self,
        time: Duration,
        observations: &[Observation],
        mut moved: impl FnMut(&mut Tracked<E>, &Rect),
    ) -> &[Track] {
        for track in &mut self.tracks {
            match track.observation {
                Some(index) => {
                    let observation = &observations[index];
                    moved(track, &observation.rect);
                    track.observe(time, observation);
                    track.confirmed |= track.hits >= self.settings.min_hits;
                }
                None => {
                    track.missed += 1;
                    track.hits = 0;
                }
            }
        }
        self.end_tracks(|track| !track.confirmed && track.missed > 0);
        let start = self.settings.high_confidence + START_MARGIN;
        let first = self.seen.is_none();
        for (index, observation) in observations.iter().enumerate() {
            if !self.taken[index] && observation.confidence >= start.min(1.0) {
                self.start_track(time, index, observation, first);
            }
        }
        self.seen = Some(time);
        self.write_output(time, Duration::ZERO)
    }

    /// A frame that no model saw.
    pub fn predict(&mut self, time: Duration) -> &[Track] {
        let ahead = self.seen.map_or(Duration::ZERO, |seen| time.saturating_sub(seen));
        self.tracks.iter_mut().for_each(|track| track.observation = None);
        self.write_output(time, ahead)
    }

    fn write_output(&mut self, time: Duration, ahead: Duration) -> &[Track] {
        let frames = self.frames(ahead);
        let per_second = 1.0 / self.settings.frame_interval.as_secs_f32();
        self.output.clear();
        for track in &self.tracks {
            let state = match (track.observation, track.confirmed) {
                (Some(_), true) => State::Confirmed,
                (Some(_), false) => State::Tentative,
                (None, true) => State::Predicted,
                (None, false) => continue,
            };
            let (x, y) = track.motion.velocity();
            self.output.push(Track {
                id: track.id,
                state,
                observation: track.observation,
                rect: if track.observation.is_some() { track.observed } else { track.motion.rect_after(frames) },
                observed: track.observed,
                class_id: track.class_id,
                confidence: track.confidence,
                velocity: (x * per_second, y * per_second),
                age: time.saturating_sub(track.first_seen),
                unseen: time.saturating_sub(track.last_seen),
                missed: track.missed,
            });
        }
        &self.output
    }

    fn start_track(&mut self, time: Duration, index: usize, observation: &Observation, first: bool) {
        let class_id = (!self.settings.class_agnostic).then_some(observation.class_id);
        let appearance = &self.settings.appearance;
        let (look, returned) = match observation.embedding {
            Some(embedding) => {
                // A lost track is nearer than one that has ended.
                if let Some(track) = lost_that_looks_like(&mut self.tracks, embedding, class_id, appearance.distance) {
                    track.motion = Motion::new(self.coordinates, &observation.rect);
                    track.extra = E::default();
                    track.observation = Some(index);
                    track.observe(time, observation);
                    return;
                }
                match self.gallery.find(embedding, class_id, appearance) {
                    Some((returned, look)) => (look, Some(returned)),
                    None => (self.gallery.empty_look(), None),
                }
            }
            None => (Look::default(), None),
        };
        let confirmed = returned.is_some() || first || self.settings.min_hits == 1;
        let (id, first_seen) = match returned {
            Some(returned) => (returned.id, returned.first_seen),
            None => (NEXT_ID.fetch_add(1, Ordering::Relaxed), time),
        };
        let motion = Motion::new(self.coordinates, &observation.rect);
        let mut track = Tracked {
            id,
            motion,
            expected: observation.rect,
            class_id: observation.class_id,
            class_lead: 0.0,
            confidence: 0.0,
            hits: 0,
            observations: 0,
            confirmed,
            missed: 0,
            first_seen,
            last_seen: time,
            observed: observation.rect,
            observation: Some(index),
            look,
            extra: E::default(),
        };
        track.observe(time, observation);
        self.tracks.push(track);
    }

    fn end_tracks(&mut self, ends: impl Fn(&Tracked<E>) -> bool) {
        let gallery = &mut self.gallery;
        for track in self.tracks.extract_if(.., |track| ends(track)) {
            if track.confirmed && track.look.is_known() {
                gallery.keep(track.id, track.class_id, track.first_seen, track.last_seen, track.look);
            } else if track.look.is_known() {
                gallery.recycle(track.look);
            }
        }
    }

    pub fn reset(&mut self) {
        for track in self.tracks.drain(..) {
            self.gallery.recycle(track.look);
        }
        self.gallery.clear();
        self.output.clear();
        self.seen = None;
    }
}

fn lost_that_looks_like<'a, E>(
    tracks: &'a mut [Tracked<E>],
    embedding: &[f32],
    class_id: Option<u32>,
    greatest: f32,
) -> Option<&'a mut Tracked<E>> {
    let lost = tracks.iter_mut().filter(|track| track.confirmed && track.observation.is_none());
    let lost = lost.filter(|track| class_id.is_none_or(|class_id| class_id == track.class_id));
    let distances = lost.filter_map(|track| Some((track.look.distance(embedding)?, track)));
    let near = distances.filter(|(distance, _)| *distance <= greatest);
    near.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, track)| track)
}
