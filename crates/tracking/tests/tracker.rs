//! What every tracker does with objects of a few frames.

use model::Rect;
use std::collections::HashSet;
use std::time::Duration;
use tracking::{Algorithm, Observation, Settings, State, Track, Tracker, tracker};

const FRAME: Duration = Duration::from_millis(40);

fn settings(algorithm: Algorithm) -> Settings {
    Settings { algorithm, frame_interval: FRAME, ..Settings::default() }
}

fn new(settings: Settings) -> Box<dyn Tracker> {
    tracker::new(settings).unwrap()
}

fn person(x: f32) -> Observation<'static> {
    Observation { rect: Rect::new(x, 100.0, 40.0, 100.0), class_id: 0, confidence: 0.9, embedding: None }
}

/// Ids of the tracks in a state.
fn ids(tracks: &[Track], state: State) -> Vec<u64> {
    tracks.iter().filter(|track| track.state == state).map(|track| track.id).collect()
}

#[test]
fn an_object_is_tentative_then_confirmed_then_predicted_then_gone() {
    for algorithm in Algorithm::ALL {
        let mut tracker = new(Settings { min_hits: 3, max_age: 5, ..settings(algorithm) });
        // The first frame has another object, because objects of the first frame are confirmed at once.
        tracker.update(FRAME, &[person(600.0)]);
        let mut states = Vec::new();
        for frame in 2..12 {
            let x = 10.0 + 4.0 * frame as f32;
            let found: &[_] = if frame < 6 { &[person(600.0), person(x)] } else { &[person(600.0)] };
            let tracks = tracker.update(FRAME * frame, found);
            states.push(tracks.iter().find(|track| track.observed.x < 300.0).map(|track| track.state));
        }
        let (tentative, confirmed, predicted) =
            (Some(State::Tentative), Some(State::Confirmed), Some(State::Predicted));
        let mut expected = vec![tentative, tentative, confirmed, confirmed];
        // Five frames of max-age, and the sixth ends it.
        expected.extend([predicted; 5]);
        expected.push(None);
        assert_eq!(states, expected, "{algorithm}");
    }
}

#[test]
fn a_frame_that_no_model_saw_has_predicted_boxes() {
    for algorithm in Algorithm::ALL {
        let mut tracker = new(settings(algorithm));
        for frame in 0..40u32 {
            let time = FRAME * frame;
            let truth = person(10.0 + 5.0 * frame as f32);
            let tracks = if frame % 3 == 0 { tracker.update(time, &[truth]) } else { tracker.predict(time) };
            assert_eq!(tracks.len(), 1, "{algorithm}");
            let track = tracks[0];
            let expected = if frame % 3 == 0 { State::Confirmed } else { State::Predicted };
            assert_eq!((track.state, track.missed), (expected, 0), "{algorithm}, frame {frame}");
            assert_eq!(track.observation.is_some(), frame % 3 == 0);
            assert_eq!(track.unseen, FRAME * (frame % 3));
            if frame > 10 {
                assert!(track.rect.iou(&truth.rect) > 0.9, "{algorithm}, frame {frame}: {:?}", track.rect);
                assert!((track.velocity.0 - 125.0).abs() < 10.0, "{algorithm}: {:?}", track.velocity);
                let (x, y) = track.carry(track.observed.x + 20.0, track.observed.y + 50.0);
                assert!((x - truth.rect.x - 20.0).abs() < 4.0 && (y - 150.0).abs() < 4.0, "{algorithm}: {x} {y}");
            }
        }
    }
}

#[test]
fn motion_goes_by_the_time_that_passed() {
    for algorithm in Algorithm::ALL {
        let mut tracker = new(settings(algorithm));
        // Every second frame is dropped from frame 20 on, and then six at once.
        let frames: Vec<u32> = (0..20).chain((20..40).step_by(2)).chain((46..60).step_by(2)).collect();
        let mut found = HashSet::new();
        for frame in &frames {
            let tracks = tracker.update(FRAME * *frame, &[person(10.0 + 8.0 * *frame as f32)]);
            found.extend(ids(tracks, State::Confirmed));
            assert_eq!(tracks.len(), 1, "{algorithm}, frame {frame}");
        }
        assert_eq!(found.len(), 1, "{algorithm}");
    }
}

#[test]
fn ids_are_unique_across_trackers_and_resets() {
    let mut all = HashSet::new();
    let mut count = 0;
    for algorithm in Algorithm::ALL {
        let (mut one, mut other) = (new(settings(algorithm)), new(settings(algorithm)));
        for _ in 0..3 {
            for tracker in [&mut one, &mut other] {
                let tracks = tracker.update(FRAME, &[person(0.0), person(300.0)]);
                assert_eq!(tracks.len(), 2);
                all.extend(tracks.iter().map(|track| track.id));
                count += 2;
                tracker.reset();
                assert!(tracker.predict(FRAME * 2).is_empty());
            }
        }
    }
    assert_eq!(all.len(), count);
}

#[test]
fn an_observation_continues_a_track_of_its_class_unless_classes_dont_matter() {
    for algorithm in Algorithm::ALL {
        for class_agnostic in [false, true] {
            let mut tracker = new(Settings { class_agnostic, ..settings(algorithm) });
            let (mut found, mut classes) = (HashSet::new(), HashSet::new());
            for frame in 0..20 {
                let class_id = if frame % 5 == 4 { 7 } else { 2 };
                let tracks = tracker.update(FRAME * frame, &[Observation { class_id, ..person(50.0) }]);
                for track in tracks.iter().filter(|track| track.observation.is_some()) {
                    found.insert(track.id);
                    classes.insert(track.class_id);
                }
            }
            let expected = if class_agnostic { 1 } else { 2 };
            assert_eq!(classes.len(), expected, "{algorithm}: the class is that of most observations");
            assert!(class_agnostic == (found.len() == 1), "{algorithm}: {found:?}");
        }
    }
}

#[test]
fn low_confidence_continues_a_track_but_starts_none() {
    for algorithm in Algorithm::ALL {
        let mut tracker = new(settings(algorithm));
        let low = |x| Observation { confidence: 0.3, ..person(x) };
        assert!(tracker.update(Duration::ZERO, &[low(50.0)]).is_empty(), "{algorithm}");
        tracker.reset();
        tracker.update(FRAME, &[person(50.0)]);
        for frame in 2..10 {
            let tracks = tracker.update(FRAME * frame, &[low(50.0)]);
            assert_eq!(ids(tracks, State::Confirmed).len(), 1, "{algorithm}");
        }
        let ignored = Observation { confidence: 0.05, ..person(50.0) };
        assert_eq!(ids(tracker.update(FRAME * 10, &[ignored]), State::Predicted).len(), 1, "{algorithm}");
    }
}

#[test]
fn an_object_is_recognised_by_its_looks_after_it_was_away() {
    for algorithm in Algorithm::ALL {
        let mut tracker = new(settings(algorithm));
        let (red, blue) = ([1.0, 0.2, 0.0], [0.0, 0.1, 1.0]);
        let look = |x, embedding: &'static [f32; 3]| Observation { embedding: Some(embedding), ..person(x) };
        const RED: [f32; 3] = [2.0, 0.5, 0.1];
        const BLUE: [f32; 3] = [0.1, 0.1, 3.0];
        let first = ids(tracker.update(Duration::ZERO, &[look(50.0, &RED)]), State::Confirmed);
        for frame in 1..10 {
            tracker.update(FRAME * frame, &[look(50.0, &RED)]);
        }
        // Away for 200 frames, much longer than max-age, and back elsewhere, a moment after another object.
        tracker.update(FRAME * 210, &[look(500.0, &BLUE)]);
        let tracks = tracker.update(FRAME * 211, &[look(500.0, &BLUE), look(300.0, &RED)]);
        let back: Vec<_> = tracks.iter().filter(|track| track.observed.x == 300.0).collect();
        assert_eq!((back[0].id, back[0].state), (first[0], State::Confirmed), "{algorithm}");
        assert_eq!(back[0].age, FRAME * 211, "{algorithm}");
        assert!(tracks.iter().any(|track| track.observed.x == 500.0 && track.id != first[0]), "{algorithm}");
        // After the gallery's max-age it is another.
        tracker.update(FRAME * 300, &[]);
        let late = tracker.update(FRAME * 3000, &[Observation { embedding: Some(&red), ..person(300.0) }]);
        assert_ne!(late[0].id, first[0], "{algorithm}");
        let other = tracker.update(FRAME * 3001, &[Observation { embedding: Some(&blue), ..person(10.0) }]);
        assert!(other.iter().all(|track| track.id != first[0]), "{algorithm}");
    }
}

#[test]
fn settings_change_while_running() {
    let mut tracker = new(settings(Algorithm::ByteTrack));
    let id = tracker.update(FRAME, &[person(50.0)])[0].id;
    let changed = Settings { max_age: 2, ..settings(Algorithm::ByteTrack) };
    tracker::set(&mut tracker, changed.clone()).unwrap();
    assert_eq!(tracker.update(FRAME * 2, &[person(50.0)])[0].id, id, "tracks stay");
    assert!(tracker::set(&mut tracker, Settings { iou: 2.0, ..changed }).is_err());
    assert_eq!(tracker.settings().max_age, 2, "what is rejected changes nothing");
    tracker::set(&mut tracker, settings(Algorithm::OcSort)).unwrap();
    assert_ne!(tracker.update(FRAME * 3, &[person(50.0)])[0].id, id, "another algorithm starts anew");
}

/// Times that stand still or go back, and boxes without a size, don't upset a tracker.
#[test]
fn nonsense_is_survived() {
    for algorithm in Algorithm::ALL {
        let mut tracker = new(settings(algorithm));
        let odd = [0.0, f32::NAN, f32::INFINITY, -5.0, 1e30]
            .map(|size| Observation { rect: Rect::new(size, size, size, size), ..person(0.0) });
        for frame in [5u32, 5, 4, 100, 0, 101, 102] {
            tracker.update(FRAME * frame, &odd);
            tracker.predict(FRAME * frame);
            let tracks = tracker.update(FRAME * frame, &[person(50.0)]);
            assert!(tracks.iter().filter(|track| track.observation == Some(0)).count() <= 1, "{algorithm}");
        }
    }
}
