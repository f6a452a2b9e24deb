//! The tracks of one stream: a tracker for each source of objects.

use super::clock::Clock;
use super::doubt;
use super::reid::Look;
use crate::meta::{Inference, Name, Object, Record, TrackInfo, TrackState};
use crate::options::TrackingOptions;
use model::{OrientedBox, Rect};
use std::collections::HashMap;
use std::time::Duration;
use tracking::{Observation, Settings, SettingsError, Track, Tracker, tracker};

/// Gives the objects of one stream their tracks.
///
/// Each source has a tracker, because models number their classes independently, and because one may have looked at a frame
/// that another one skipped.
#[derive(Debug, Default)]
pub struct Stream {
    options: TrackingOptions,
    clock: Clock,
    /// The unit of the trackers' boxes: the size of the frames at the first caps, pixels. Boxes keep their place and size in it
    /// when a stream changes its resolution.
    size: Option<(f32, f32)>,
    sources: Vec<Source>,
    /// In the last frame.
    tracks: u32,
}

/// What one frame came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Whether a detector looked at it.
    pub updated: bool,
    /// Objects that were found and have a track.
    pub observed: u32,
    pub predicted: u32,
}

/// What a frame has, before its objects have tracks.
#[derive(Debug)]
pub struct Examined {
    time: Duration,
    /// Of each source.
    found: Vec<Found>,
}

#[derive(Debug)]
struct Found {
    looked: bool,
    observations: Vec<Observation<'static>>,
    /// The indices of their objects.
    indices: Vec<usize>,
    /// The observations that are to be looked at.
    doubtful: Vec<usize>,
}

impl Examined {
    /// The objects that are to be looked at, by their indices in the record.
    pub fn objects(&self) -> impl Iterator<Item = usize> {
        let of =
            |found: &'_ Found| found.doubtful.iter().filter_map(|index| found.indices.get(*index).copied()).collect();
        self.found.iter().flat_map(move |found| -> Vec<usize> { of(found) })
    }
}

#[derive(Debug)]
struct Source {
    name: Name,
    tracker: Box<dyn Tracker>,
    /// The tracker's numbers of classes are indices here.
    classes: Vec<(Name, Option<u32>)>,
    /// The angles of tracks with oriented boxes, as last observed.
    angles: HashMap<u64, f32>,
    /// When tracks were last looked at.
    looks: HashMap<u64, Duration>,
    rhythm: Rhythm,
}

/// In which frames another program's detector looks. It doesn't say so: frames without objects may be empty, or skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Rhythm {
    /// The least number of frames from one with objects to the next: detectors that skip frames do so regularly.
    every: Option<u32>,
    /// Frames since the last one with objects, which is 0.
    since: Option<u32>,
}

impl Rhythm {
    /// Whether the detector has looked at the next frame.
    fn looks(&mut self, has_objects: bool) -> bool {
        let since = self.since.map(|since| since.saturating_add(1));
        if has_objects {
            self.every = [self.every, since].into_iter().flatten().min();
            self.since = Some(0);
            return true;
        }
        self.since = since;
        self.every.zip(since).is_some_and(|(every, since)| since.is_multiple_of(every))
    }
}

impl Stream {
    /// Changes the settings from the next frame on.
    ///
    /// # Errors
    /// They don't go together; the old ones stay.
    pub fn set_options(&mut self, options: &TrackingOptions) -> Result<(), SettingsError> {
        let settings = options.settings(self.clock.interval());
        settings.check()?;
        self.options = options.clone();
        self.apply(&settings)
    }

    /// The caps of the frames that follow. Tracks go on.
    pub fn set_format(&mut self, (width, height): (u32, u32), frame_interval: Option<Duration>) {
        self.clock.set_nominal(frame_interval);
        self.size.get_or_insert((width.max(1) as f32, height.max(1) as f32));
    }

    /// Whether a frame at this time doesn't continue the last one: time goes back, or by more than tracks last. Leaky queues, which
    /// drop frames, mark frames as discontinuous that do.
    pub fn jumps_to(&self, timestamp: Option<Duration>) -> bool {
        let settings = self.options.settings(self.clock.interval());
        self.clock.jumps_to(timestamp, settings.frame_interval.saturating_mul(settings.max_age))
    }

    /// All tracks end, as at the start of another stream, with frames of this size.
    pub fn reset(&mut self, (width, height): (u32, u32)) {
        self.clock.reset();
        self.size = Some((width.max(1) as f32, height.max(1) as f32));
        self.sources.clear();
        self.tracks = 0;
    }

    /// How many tracks there were in the last frame, lost ones included.
    pub fn tracks(&self) -> u32 {
        self.tracks
    }

    fn apply(&mut self, settings: &Settings) -> Result<(), SettingsError> {
        self.sources.iter_mut().try_for_each(|source| tracker::set(&mut source.tracker, settings.clone()))
    }

    /// Looks what the next frame has. `wants_looks`: whether the objects of which the trackers can't be sure by their places
    /// are to be looked at.
    ///
    /// # Errors
    /// A tracker can't be made.
    pub fn examine(
        &mut self,
        record: &mut Record,
        timestamp: Option<Duration>,
        wants_looks: bool,
    ) -> Result<Examined, SettingsError> {
        let time = self.clock.tick(timestamp);
        let settings = self.options.settings(self.clock.interval());
        let is_known = |source: &Source| source.tracker.settings().frame_interval == settings.frame_interval;
        if !self.sources.iter().all(is_known) {
            self.apply(&settings)?;
        }
        forget_tracks(record);
        self.meet_sources(record, &settings)?;
        let size = self.size.unwrap_or((1.0, 1.0));
        let interval = self.options.reid_interval;
        let examine = |source: &mut Source| {
            let looked = source.looked(record);
            let (observations, indices) = if looked { source.observations(record, size) } else { Default::default() };
            let doubtful = match wants_looks && looked {
                true => doubt::doubtful(source.tracker.as_mut(), &source.looks, time, interval, &observations),
                false => vec![],
            };
            Found { looked, observations, indices, doubtful }
        };
        Ok(Examined { time, found: self.sources.iter_mut().map(examine).collect() })
    }

    /// Gives the objects of a frame that was just examined their tracks, and adds those that no model looked for where they are
    /// expected. `looks` are those of [`Examined::objects`].
    pub fn advance(&mut self, record: &mut Record, examined: Examined, looks: &[Look]) -> Counts {
        let Examined { time, found } = examined;
        let size = self.size.unwrap_or((1.0, 1.0));
        let settings = self.options.settings(self.clock.interval());
        let longest = settings.frame_interval.saturating_mul(settings.max_age);
        let mut counts = Counts::default();
        let mut predicted = Vec::new();
        let mut looks = looks.iter();
        self.tracks = 0;
        for (source, Found { looked, mut observations, indices, doubtful }) in self.sources.iter_mut().zip(found) {
            counts.updated |= looked;
            for (index, look) in doubtful.iter().zip(looks.by_ref()) {
                if let Some(observation) = observations.get_mut(*index) {
                    observation.embedding = look.as_deref();
                }
            }
            let Source { name, tracker, classes, angles, looks: looked_at, .. } = source;
            let tracks = if looked { tracker.update(time, &observations) } else { tracker.predict(time) };
            if looked {
                angles.retain(|id, _| tracks.iter().any(|track| track.id == *id));
                looked_at.retain(|id, _| tracks.iter().any(|track| track.id == *id));
            }
            for track in tracks.iter().filter(|track| track.observation.is_some() || track.unseen <= longest) {
                self.tracks += 1;
                let known = Some(info(track, size));
                if track.observation.and_then(|index| observations.get(index)).is_some_and(|o| o.embedding.is_some()) {
                    looked_at.insert(track.id, time);
                }
                let object = track.observation.and_then(|index| indices.get(index));
                match object.and_then(|index| record.objects.get_mut(*index)) {
                    Some(object) => {
                        (object.track_id, object.track) = (Some(track.id), known);
                        if let Some(oriented) = &object.oriented {
                            angles.insert(track.id, oriented.scaled(size.0, size.1).angle());
                        }
                        counts.observed += 1;
                    }
                    // It was there when a model last looked.
                    None if track.missed == 0 => {
                        let angle = angles.get(&track.id).copied();
                        let (rect, oriented) = place(track, angle, size);
                        let (label, class_id) = classes.get(track.class_id as usize).copied().unwrap_or_default();
                        let (confidence, track_id) = (track.confidence, Some(track.id));
                        predicted.push(Object {
                            rect,
                            oriented,
                            class_id,
                            label,
                            confidence,
                            source: *name,
                            track_id,
                            track: known,
                            ..Object::default()
                        });
                        counts.predicted += 1;
                    }
                    None => record.lost_tracks.push(track.id),
                }
            }
        }
        record.extend(predicted);
        counts
    }

    /// Makes trackers for the sources that are new: models that have run, although they may have found nothing, and whatever
    /// else has found objects.
    fn meet_sources(&mut self, record: &Record, settings: &Settings) -> Result<(), SettingsError> {
        let models = record.models.iter().filter(|run| run.inference == Inference::Done).map(|run| run.model_id);
        let others = record.objects.iter().filter(|object| is_tracked(object)).map(|object| object.source);
        for name in models.chain(others) {
            if self.sources.iter().all(|source| source.name != name) {
                self.sources.push(Source {
                    name,
                    tracker: tracker::new(settings.clone())?,
                    classes: Vec::new(),
                    angles: HashMap::new(),
                    looks: HashMap::new(),
                    rhythm: Rhythm::default(),
                });
            }
        }
        Ok(())
    }
}

impl Source {
    /// Whether the source has looked at a frame.
    fn looked(&mut self, record: &Record) -> bool {
        match record.models.iter().find(|run| run.model_id == self.name) {
            Some(run) => match run.inference {
                // Where there was nothing to look at, there is nothing.
                Inference::Done | Inference::NoRegion => true,
                Inference::Interval | Inference::Busy => false,
            },
            None => {
                let has_objects = record.objects.iter().any(|object| is_tracked(object) && object.source == self.name);
                self.rhythm.looks(has_objects)
            }
        }
    }

    /// What it has found, for its tracker, with the indices of the objects.
    fn observations(&mut self, record: &Record, size: (f32, f32)) -> (Vec<Observation<'static>>, Vec<usize>) {
        let classes = &mut self.classes;
        let its = record.objects.iter().enumerate();
        let its = its.filter(|(_, object)| object.source == self.name && is_tracked(object));
        let observed = its.map(|(index, object)| {
            let rect = match &object.oriented {
                Some(oriented) => oriented.scaled(size.0, size.1).unrotated(),
                None => object.rect.scaled(size.0, size.1),
            };
            let class_id = class(classes, object);
            (Observation { rect, class_id, confidence: object.confidence, embedding: None }, index)
        });
        observed.unzip()
    }
}

/// The number of an object's class.
fn class(classes: &mut Vec<(Name, Option<u32>)>, object: &Object) -> u32 {
    let class = (object.label, object.class_id);
    let index = classes.iter().position(|known| *known == class).unwrap_or_else(|| {
        classes.push(class);
        classes.len() - 1
    });
    index as u32
}

/// A face in a person's box moves with the person, and a box without a place can't be followed.
fn is_tracked(object: &Object) -> bool {
    let Rect { x, y, w, h } = object.rect;
    object.parent.is_none() && [x, y, w, h, object.confidence].iter().all(|value| value.is_finite())
}

/// Removes what an earlier `trttrack` has added.
fn forget_tracks(record: &mut Record) {
    record.lost_tracks.clear();
    let is_predicted = |object: &Object| object.track.is_some_and(|track| track.state == TrackState::Predicted);
    if !record.objects.iter().any(is_predicted) {
        return;
    }
    let gone: Vec<u32> = record.objects.iter().filter(|object| is_predicted(object)).map(|object| object.id).collect();
    record.objects.retain(|object| !is_predicted(object));
    for object in &mut record.objects {
        object.parent = object.parent.filter(|parent| !gone.contains(parent));
    }
}

fn info(track: &Track, (width, height): (f32, f32)) -> TrackInfo {
    let (x, y) = track.velocity;
    TrackInfo { state: track.state, age: track.age, velocity: (x / width, y / height) }
}

/// Where a track's object is expected, normalised to the frame.
fn place(track: &Track, angle: Option<f32>, (width, height): (f32, f32)) -> (Rect, Option<OrientedBox>) {
    let Rect { x, y, w, h } = track.rect;
    let oriented = angle.and_then(|angle| OrientedBox::new(x + w / 2.0, y + h / 2.0, w, h, angle));
    let oriented = oriented.map(|oriented| oriented.scaled(1.0 / width, 1.0 / height));
    let upright = track.rect.scaled(1.0 / width, 1.0 / height);
    (oriented.map_or(upright, |oriented| oriented.enclosing()), oriented)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::ModelRun;

    const SIZE: (u32, u32) = (320, 240);

    fn stream() -> Stream {
        let mut stream = Stream::default();
        stream.set_format(SIZE, Some(Duration::from_millis(40)));
        stream
    }

    fn car(source: &str, x: f32) -> Object {
        let (label, rect) = ("car".into(), Rect::new(x, 0.4, 0.2, 0.2));
        Object { rect, class_id: Some(2), label, confidence: 0.9, source: source.into(), ..Object::default() }
    }

    fn record(inference: Inference, objects: Vec<Object>) -> Record {
        let models = vec![ModelRun { model_id: "det".into(), inference }];
        let mut record = Record { models, ..Record::default() };
        record.extend(objects);
        record
    }

    /// Frames of 40 ms, each with what `of` says of it. Returns the records.
    fn play(stream: &mut Stream, frames: std::ops::Range<u32>, of: impl Fn(u32) -> Record) -> Vec<Record> {
        let play = |frame: u32| {
            let mut record = of(frame);
            let time = Some(Duration::from_millis(40) * frame);
            let examined = stream.examine(&mut record, time, false).unwrap();
            stream.advance(&mut record, examined, &[]);
            record
        };
        frames.map(play).collect()
    }

    #[test]
    fn skipped_frames_have_predicted_boxes_that_move_on() {
        let x = |frame: u32| 0.1 + 0.01 * frame as f32;
        let records = play(&mut stream(), 0..30, |frame| match frame % 3 {
            0 => record(Inference::Done, vec![car("det", x(frame))]),
            _ => record(Inference::Interval, vec![]),
        });
        let id = records[0].objects[0].track_id.unwrap();
        for (frame, record) in (0..).zip(&records) {
            let [object] = &record.objects[..] else { panic!("frame {frame}: {record:?}") };
            assert_eq!((object.track_id, &*object.label, object.class_id), (Some(id), "car", Some(2)), "frame {frame}");
            let state = object.track.unwrap().state;
            assert_eq!(state == TrackState::Predicted, frame % 3 != 0, "frame {frame}");
            assert!(frame < 9 || (object.rect.x - x(frame)).abs() < 0.01, "frame {frame}: {:?}", object.rect);
        }
        // 0.01 of the frame in 40 ms.
        let velocity = records[29].objects[0].track.unwrap().velocity;
        assert!((velocity.0 - 0.25).abs() < 0.03 && velocity.1.abs() < 0.03, "{velocity:?}");
    }

    #[test]
    fn two_sources_of_one_class_have_tracks_of_their_own() {
        let records = play(&mut stream(), 0..10, |frame| {
            // The other model runs on every second frame, and finds the same car.
            let other = frame.is_multiple_of(2);
            let mut objects = vec![car("det", 0.3)];
            objects.extend(other.then(|| car("other", 0.31)));
            let mut record = record(Inference::Done, objects);
            let inference = if other { Inference::Done } else { Inference::Interval };
            record.models.push(ModelRun { model_id: "other".into(), inference });
            record
        });
        let id = |record: &Record, source: &str| {
            let its = record.objects.iter().find(|object| *object.source == *source);
            its.and_then(|object| object.track_id).unwrap()
        };
        let (first, second) = (id(&records[0], "det"), id(&records[0], "other"));
        assert_ne!(first, second);
        for record in &records {
            assert_eq!((record.objects.len(), id(record, "det"), id(record, "other")), (2, first, second));
        }
    }

    #[test]
    fn what_a_model_looked_for_in_vain_is_lost_but_not_shown() {
        let records = play(&mut stream(), 0..50, |frame| match frame {
            0..5 => record(Inference::Done, vec![car("det", 0.3)]),
            5..8 => record(Inference::Done, vec![]),
            8..10 => record(Inference::Busy, vec![]),
            _ => record(Inference::Done, vec![]),
        });
        let id = records[0].objects[0].track_id.unwrap();
        for (frame, record) in records.iter().enumerate().take(30).skip(5) {
            assert_eq!((&record.objects[..], &record.lost_tracks[..]), (&[][..], &[id][..]), "{frame}");
        }
        assert!(records[40..].iter().all(|record| record.lost_tracks.is_empty()), "it has ended");
    }

    #[test]
    fn predictions_end_at_the_greatest_age() {
        let records = play(&mut stream(), 0..60, |frame| match frame {
            0 => record(Inference::Done, vec![car("det", 0.3)]),
            _ => record(Inference::Busy, vec![]),
        });
        assert!(records[..=30].iter().all(|record| record.objects.len() == 1));
        assert!(records[31..].iter().all(|record| record.objects.is_empty() && record.lost_tracks.is_empty()));
    }

    #[test]
    fn another_programs_detector_is_taken_to_look_regularly() {
        let foreign = |found: bool| {
            let mut record = Record::default();
            record.extend(found.then(|| Object { foreign: true, ..car("gva", 0.3) }));
            record
        };
        // On every third frame, until the car leaves.
        let records = play(&mut stream(), 0..30, |frame| foreign(frame % 3 == 0 && frame <= 12));
        let ids: Vec<_> =
            records.iter().map(|record| record.objects.first().and_then(|object| object.track_id)).collect();
        assert!(ids[0].is_some() && ids[..15].iter().all(|id| *id == ids[0]), "{ids:?}");
        assert!(ids[15..].iter().all(Option::is_none), "{ids:?}");
        // On every frame: nothing is predicted.
        let records = play(&mut stream(), 0..10, |frame| foreign(frame < 5));
        assert!(records[5..].iter().all(|record| record.objects.is_empty() && record.lost_tracks.len() == 1));
    }

    #[test]
    fn objects_in_others_boxes_are_left_out() {
        let records = play(&mut stream(), 0..3, |_| {
            let face = Object { parent: Some(0), ..car("det", 0.3) };
            record(Inference::Done, vec![car("det", 0.3), face])
        });
        for record in records {
            let ids: Vec<_> = record.objects.iter().map(|object| object.track_id.is_some()).collect();
            assert_eq!(ids, [true, false]);
        }
    }

    #[test]
    fn a_resolution_that_changes_keeps_ids_and_a_reset_ends_them() {
        let mut stream = stream();
        let one = |_| record(Inference::Done, vec![car("det", 0.3)]);
        let id = |records: Vec<Record>| records.last().unwrap().objects[0].track_id.unwrap();
        let first = id(play(&mut stream, 0..5, one));
        stream.set_format((1280, 720), None);
        assert_eq!(id(play(&mut stream, 5..10, one)), first);
        stream.reset((1280, 720));
        let second = id(play(&mut stream, 0..1, one));
        assert!(second > first, "never used again");
    }

    /// `max-age` is a number of frames: at another rate it is another time.
    #[test]
    fn a_rate_that_changes_is_the_new_unit_of_time() {
        let mut stream = stream();
        let found = |_| record(Inference::Done, vec![car("det", 0.3)]);
        play(&mut stream, 0..5, found);
        stream.set_format(SIZE, Some(Duration::from_millis(10)));
        let records = play(&mut stream, 5..15, |_| record(Inference::Done, vec![]));
        let lost = records.iter().filter(|record| !record.lost_tracks.is_empty()).count();
        assert_eq!(lost, 7, "30 frames of 10 ms are less than 8 of 40 ms");
    }

    #[test]
    fn a_predicted_oriented_box_keeps_its_angle() {
        let of = |frame: u32| match frame {
            0..5 => {
                let oriented =
                    OrientedBox::new(100.0, 100.0, 80.0, 30.0, 0.6).unwrap().scaled(1.0 / 320.0, 1.0 / 240.0);
                let boat = Object { rect: oriented.enclosing(), oriented: Some(oriented), ..car("det", 0.0) };
                record(Inference::Done, vec![boat])
            }
            _ => record(Inference::Interval, vec![]),
        };
        let records = play(&mut stream(), 0..6, of);
        let predicted = records[5].objects[0].oriented.unwrap().scaled(320.0, 240.0);
        let ((x, y), (w, h)) = (predicted.centre(), predicted.size());
        let off = [x - 100.0, y - 100.0, w - 80.0, h - 30.0, 100.0 * (predicted.angle() - 0.6)];
        assert!(off.iter().all(|off| off.abs() < 1.0), "{predicted:?}");
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let mut stream = stream();
        let wrong = TrackingOptions { low_confidence: 0.9, ..TrackingOptions::default() };
        assert!(stream.set_options(&wrong).unwrap_err().to_string().starts_with("low-confidence 0.9 is above"));
        assert_eq!(stream.options, TrackingOptions::default());
    }
}
