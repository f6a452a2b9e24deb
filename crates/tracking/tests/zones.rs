//! What zones and lines make of tracks, case by case.

use model::Rect;
use std::f32::consts::TAU;
use std::time::Duration;
use tracking::State;
use tracking::zones::{Direction, Event, EventKind, Object, Saved, Zones, ZonesConfig};

const FRAME: Duration = Duration::from_millis(40);
const ASPECT: f32 = 16.0 / 9.0;

/// A person whose feet are at a point, in fractions of the frame.
fn person(track: u64, (x, y): (f32, f32)) -> Object<'static> {
    let rect = Rect::new(x - 0.02, y - 0.15, 0.04, 0.15);
    Object { track, state: State::Confirmed, class: "person", rect, feet: None }
}

/// Zones, and a clock that goes on by a frame.
struct Scene {
    zones: Zones,
    time: Duration,
    events: Vec<Event>,
}

impl Scene {
    fn new(config: &str) -> Self {
        let zones = Zones::new(&ZonesConfig::parse(config).unwrap(), ASPECT).unwrap();
        Self { zones, time: Duration::ZERO, events: Vec::new() }
    }

    fn frame(&mut self, objects: &[Object]) {
        self.time += FRAME;
        self.events.extend_from_slice(self.zones.update(self.time, objects));
        for zone in self.zones.zones() {
            let inside = self.zones.occupants(zone.name).count();
            assert_eq!(zone.totals.entered.total() - zone.totals.left.total(), inside as u64);
            assert_eq!(zone.occupancy as usize, inside);
        }
    }

    /// Someone walks from one point to another in the given number of frames.
    fn walk(&mut self, track: u64, from: (f32, f32), to: (f32, f32), frames: u32) {
        for frame in 0..frames {
            let part = frame as f32 / (frames - 1) as f32;
            let at = (from.0 + part * (to.0 - from.0), from.1 + part * (to.1 - from.1));
            self.frame(&[person(track, at)]);
        }
    }

    fn empty(&mut self, frames: u32) {
        (0..frames).for_each(|_| self.frame(&[]));
    }

    fn crossings(&self) -> (u64, u64) {
        let line = self.zones.lines().next().unwrap();
        (line.totals.inwards.total(), line.totals.outwards.total())
    }

    /// Entered, left and inside.
    fn counts(&self) -> (u64, u64, u32) {
        let zone = self.zones.zones().next().unwrap();
        (zone.totals.entered.total(), zone.totals.left.total(), zone.occupancy)
    }
}

/// A horizontal line, to be crossed downwards to go in.
const LINE: &str = r#"{"lines": [{"name": "line", "from": [0.2, 0.5], "to": [0.8, 0.5]}]}"#;
const ZONE: &str = r#"{"zones": [{"name": "zone", "polygon": [[0.4, 0.3], [0.6, 0.3], [0.6, 0.7], [0.4, 0.7]]}]}"#;

#[test]
fn a_line_counts_by_direction_and_class() {
    let mut scene = Scene::new(LINE);
    scene.walk(1, (0.5, 0.3), (0.5, 0.7), 50);
    assert_eq!(scene.crossings(), (1, 0));
    scene.walk(1, (0.5, 0.7), (0.5, 0.3), 50);
    assert_eq!(scene.crossings(), (1, 1));
    assert!(matches!(scene.events[0].kind, EventKind::Crossed(Direction::In)));
    assert_eq!(scene.events[0].object.as_ref().unwrap().track, 1);
    // The time is that of the step across, not of the report.
    let crossed = scene.events[0].time.as_secs_f32();
    assert!((crossed - 25.5 * 0.04).abs() < 0.03, "{crossed}");
    let totals = scene.zones.lines().next().unwrap().totals.clone();
    assert_eq!((totals.inwards.of("person"), totals.inwards.of("car")), (1, 0));
}

#[test]
fn a_line_ends_where_it_ends() {
    let mut scene = Scene::new(LINE);
    scene.walk(1, (0.9, 0.3), (0.9, 0.7), 50);
    // Around its end, and back across it.
    scene.walk(2, (0.7, 0.3), (0.9, 0.4), 30);
    scene.walk(2, (0.9, 0.4), (0.9, 0.6), 30);
    scene.walk(2, (0.9, 0.6), (0.7, 0.7), 30);
    assert_eq!(scene.crossings(), (0, 0));
    scene.walk(2, (0.7, 0.7), (0.7, 0.3), 30);
    assert_eq!(scene.crossings(), (0, 1));
}

#[test]
fn a_line_of_the_centre_or_of_the_whole_box() {
    let with = |anchor: &str| LINE.replace("\"to\"", &format!("\"anchor\": \"{anchor}\", \"to\""));
    // Feet from 0.45 to 0.55; the box is 0.15 high.
    for (anchor, until, crosses) in
        [("feet", 0.55, 1), ("centre", 0.55, 0), ("centre", 0.62, 1), ("strict", 0.62, 0), ("strict", 0.68, 1)]
    {
        let mut scene = Scene::new(&with(anchor));
        scene.walk(1, (0.5, 0.4), (0.5, until), 50);
        scene.walk(1, (0.5, until), (0.5, until), 10);
        assert_eq!(scene.crossings(), (crosses, 0), "{anchor} until {until}");
    }
    // Ankles count instead of the box's lower edge.
    let mut scene = Scene::new(LINE);
    for frame in 0..50 {
        let y = 0.4 + 0.004 * frame as f32;
        scene.frame(&[Object { feet: Some((0.5, y - 0.2)), ..person(1, (0.5, y)) }]);
    }
    assert_eq!(scene.crossings(), (0, 0));
}

/// Noise of ±8 pixels, even or slow, at any place relative to the border.
#[test]
fn a_trembling_box_counts_once_at_most() {
    let config = r#"{
        "lines": [{"name": "line", "from": [0.2, 0.5], "to": [0.8, 0.5]}],
        "zones": [{"name": "zone", "polygon": [[0.2, 0.1], [0.8, 0.1], [0.8, 0.5], [0.2, 0.5]]}]
    }"#;
    for (width, height) in [(1920.0, 1080.0), (1280.0, 720.0), (640.0, 480.0), (320.0, 240.0)] {
        for offset in [-8.0, -6.0, -4.0, -1.0, 0.0, 1.0, 4.0, 6.0, 8.0] {
            for slow in [false, true] {
                let mut zones = Zones::new(&ZonesConfig::parse(config).unwrap(), width / height).unwrap();
                let mut random = Random(offset as u64 + 99);
                for frame in 0..10_000u32 {
                    let noise = |random: &mut Random| 16.0 * random.next() - 8.0;
                    let (x, mut y) = (noise(&mut random), noise(&mut random));
                    if slow {
                        y = 8.0 * (TAU * frame as f32 / 50.0).sin();
                    }
                    let rect =
                        Rect::new(0.5 + x / width, 0.5 + (offset + y - 90.0) / height, 40.0 / width, 90.0 / height);
                    let object = Object { track: 1, state: State::Confirmed, class: "person", rect, feet: None };
                    zones.update(FRAME * frame, &[object]);
                }
                let line = zones.lines().next().unwrap().totals;
                let zone = zones.zones().next().unwrap().totals;
                let case = format!("{width}×{height}, {offset}, slow: {slow}");
                assert!(line.inwards.total() + line.outwards.total() <= 1, "{case}: {line:?}");
                assert!(zone.entered.total() <= 1 && zone.left.total() == 0, "{case}: {zone:?}");
            }
        }
    }
}

#[test]
fn a_zone_knows_who_is_in_and_for_how_long() {
    let mut scene = Scene::new(ZONE);
    scene.walk(1, (0.3, 0.5), (0.5, 0.5), 51);
    assert_eq!(scene.counts(), (1, 0, 1));
    let inside = scene.zones.occupants("zone").next().unwrap();
    assert_eq!((inside.track, inside.class), (1, "person"));
    assert!((inside.dwell.as_secs_f32() - 1.0).abs() < 0.05, "{:?}", inside.dwell);
    scene.walk(1, (0.5, 0.5), (0.7, 0.5), 51);
    assert_eq!(scene.counts(), (1, 1, 0));
    let EventKind::Left { dwell, vanished } = scene.events[1].kind else { panic!("{:?}", scene.events) };
    assert!(!vanished && (dwell.as_secs_f32() - 2.0).abs() < 0.1, "{dwell:?}");
    assert!((scene.zones.zones().next().unwrap().totals.longest_dwell_s - 2.0).abs() < 0.1);
    // An object that appears and vanishes inside.
    scene.walk(2, (0.5, 0.5), (0.5, 0.5), 26);
    scene.empty(24);
    assert_eq!(scene.counts(), (2, 1, 1), "it may come back");
    scene.empty(4);
    assert_eq!(scene.counts(), (2, 2, 0));
    let EventKind::Left { dwell, vanished } = scene.events[3].kind else { panic!("{:?}", scene.events) };
    assert!(vanished && dwell == FRAME * 25, "{dwell:?}");
}

#[test]
fn only_confirmed_tracks_count_and_then_from_their_start() {
    let mut scene = Scene::new(LINE);
    let tentative = |y| Object { state: State::Tentative, ..person(1, (0.5, y)) };
    for frame in 0..40 {
        scene.frame(&[tentative(0.3 + 0.01 * frame as f32)]);
    }
    scene.empty(30);
    assert_eq!(scene.crossings(), (0, 0));
    for frame in 0..40 {
        scene.frame(&[Object { track: 2, ..tentative(0.3 + 0.01 * frame as f32) }]);
    }
    scene.frame(&[person(2, (0.5, 0.7))]);
    assert_eq!(scene.crossings(), (1, 0), "it crossed while it wasn't confirmed yet");
}

#[test]
fn predicted_boxes_are_no_evidence() {
    let mut scene = Scene::new(LINE);
    scene.walk(1, (0.5, 0.3), (0.5, 0.46), 20);
    for frame in 0..20 {
        scene.frame(&[Object { state: State::Predicted, ..person(1, (0.5, 0.46 + 0.01 * frame as f32)) }]);
    }
    assert_eq!(scene.crossings(), (0, 0), "it drifted across while hidden");
    scene.walk(1, (0.5, 0.46), (0.5, 0.46), 10);
    assert_eq!(scene.crossings(), (0, 0), "it was still there");
    // The model sees every fifth frame.
    for frame in 0..50 {
        let state = if frame % 5 == 0 { State::Confirmed } else { State::Predicted };
        scene.frame(&[Object { state, ..person(1, (0.5, 0.46 + 0.005 * frame as f32)) }]);
    }
    assert_eq!(scene.crossings(), (1, 0));
}

#[test]
fn an_object_with_a_new_id_is_the_same_within_merge() {
    for (gap, same) in [(10, true), (24, true), (30, false)] {
        let mut scene = Scene::new(ZONE);
        scene.walk(1, (0.38, 0.5), (0.48, 0.5), 51);
        scene.empty(gap);
        let moved = 0.48 + 0.002 * (gap + 1) as f32;
        scene.walk(2, (moved, 0.5), (0.7, 0.5), 80);
        scene.empty(30);
        let expected = if same { (1, 1, 0) } else { (2, 2, 0) };
        assert_eq!(scene.counts(), expected, "{gap} frames");
        let dwell = scene.zones.zones().next().unwrap().totals.longest_dwell_s;
        let whole = f64::from(FRAME.as_secs_f32()) * f64::from(40 + gap)
            + 0.04 * f64::from(80.0 * (0.6 - moved) / (0.7 - moved));
        assert!(!same || (dwell - whole).abs() < 0.1, "{gap} frames: {dwell} instead of {whole}");
    }
    // Another object, elsewhere or of another class, is another.
    for other in [person(2, (0.45, 0.35)), Object { class: "dog", ..person(2, (0.5, 0.5)) }] {
        let mut scene = Scene::new(ZONE);
        scene.walk(1, (0.3, 0.6), (0.5, 0.6), 51);
        (0..10).for_each(|_| scene.frame(&[other]));
        assert_eq!(scene.counts().0, 2, "{other:?}");
    }
}

/// A person who comes back is seen once, missed, and seen again when `merge` is over.
#[test]
fn a_newcomer_counts_from_its_first_glimpse() {
    for (glimpse, same) in [(Some(20), true), (None, false)] {
        let mut scene = Scene::new(ZONE);
        scene.walk(1, (0.45, 0.5), (0.5, 0.5), 51);
        for frame in 0..30 {
            let seen = glimpse == Some(frame);
            let person = Object { state: State::Tentative, ..person(2, (0.5, 0.5)) };
            scene.frame(if seen { std::slice::from_ref(&person) } else { &[] });
        }
        scene.walk(3, (0.5, 0.5), (0.51, 0.5), 10);
        assert_eq!(scene.counts().0, if same { 1 } else { 2 });
        assert_eq!(scene.counts().2, 1);
    }
    // A model's errors that come and go don't keep a person there.
    let mut scene = Scene::new(ZONE);
    scene.walk(1, (0.45, 0.5), (0.5, 0.5), 51);
    for frame in 0..100 {
        let error = Object { state: State::Tentative, ..person(10 + frame, (0.5, 0.5)) };
        scene.frame(if frame % 4 == 0 { std::slice::from_ref(&error) } else { &[] });
    }
    assert_eq!(scene.counts(), (1, 1, 0));
}

#[test]
fn an_object_crosses_while_its_id_changes() {
    let mut scene = Scene::new(LINE);
    scene.walk(1, (0.5, 0.3), (0.5, 0.48), 30);
    scene.empty(5);
    // The old track is still listed as predicted, and the new one is tentative first.
    for frame in 0..20 {
        let old = Object { state: State::Predicted, ..person(1, (0.5, 0.5)) };
        let state = if frame < 2 { State::Tentative } else { State::Confirmed };
        scene.frame(&[old, Object { state, ..person(2, (0.5, 0.52 + 0.005 * frame as f32)) }]);
    }
    scene.empty(40);
    assert_eq!(scene.crossings(), (1, 0));
}

#[test]
fn ids_that_are_exchanged_cross_no_line() {
    let mut scene = Scene::new(LINE);
    for frame in 0..100 {
        let (a, b) = if frame < 50 { (1, 2) } else { (2, 1) };
        scene.frame(&[person(a, (0.5, 0.3)), person(b, (0.5, 0.9))]);
    }
    scene.empty(40);
    assert_eq!(scene.crossings(), (0, 0));
}

#[test]
fn who_left_the_picture_isnt_who_comes_next() {
    let config = r#"{"zones": [{"name": "edge", "polygon": [[0, 0], [0.3, 0], [0.3, 1], [0, 1]]}]}"#;
    let mut scene = Scene::new(config);
    scene.walk(1, (0.4, 0.5), (0.02, 0.5), 60);
    scene.walk(2, (0.02, 0.5), (0.4, 0.5), 60);
    scene.empty(30);
    assert_eq!(scene.counts(), (2, 2, 0));
}

#[test]
fn alarms_are_given_once() {
    let config = r#"{"zones": [{
        "name": "zone", "polygon": [[0.4, 0.3], [0.6, 0.3], [0.6, 0.7], [0.4, 0.7]],
        "crowding": {"more_than": 2, "for_s": 1}, "loitering_s": 4, "forbidden": ["dog"]
    }]}"#;
    let mut scene = Scene::new(config);
    let three = [0.45, 0.5, 0.55].map(|x| person((x * 100.0) as u64, (x, 0.5)));
    // Three for less than a second, then for longer; then a dog for a moment.
    (0..20).for_each(|_| scene.frame(&three));
    (0..80).for_each(|_| scene.frame(&three[..2]));
    (0..50).for_each(|_| scene.frame(&three));
    let dog = Object { class: "dog", ..person(9, (0.42, 0.65)) };
    (0..10).for_each(|_| scene.frame(&[three[0], three[1], three[2], dog]));
    (0..60).for_each(|_| scene.frame(&three[..1]));
    let of =
        |wanted: fn(&EventKind) -> bool| scene.events.iter().filter(|event| wanted(&event.kind)).collect::<Vec<_>>();
    let crowded = of(|kind| matches!(kind, EventKind::Crowded { count: 3 }));
    assert_eq!(crowded.len(), 1, "{:?}", scene.events);
    assert_eq!(of(|kind| matches!(kind, EventKind::Dispersed { .. })).len(), 1);
    let loitering = of(|kind| *kind == EventKind::Loitering);
    assert_eq!(loitering.len(), 2, "two stayed longer than 4 s, each once: {loitering:?}");
    assert_eq!(loitering[0].time, FRAME + Duration::from_secs(4));
    let forbidden = of(|kind| *kind == EventKind::Forbidden);
    assert_eq!((forbidden.len(), &*forbidden[0].object.as_ref().unwrap().class), (1, "dog"));
    let totals = scene.zones.zones().next().unwrap().totals;
    assert_eq!((totals.crowded, totals.loitered, totals.forbidden), (1, 2, 1));
}

#[test]
fn classes_that_dont_count_dont_count() {
    let config = ZONE.replace("\"polygon\"", "\"classes\": [\"car\"], \"polygon\"");
    let mut scene = Scene::new(&config);
    scene.walk(1, (0.3, 0.5), (0.5, 0.5), 50);
    assert_eq!(scene.counts(), (0, 0, 0));
    (0..10).for_each(|_| scene.frame(&[Object { class: "car", ..person(2, (0.5, 0.5)) }]));
    assert_eq!(scene.counts(), (1, 0, 1));
}

#[test]
fn only_a_changed_zone_starts_anew() {
    let config = |right: f32| {
        format!(
            r#"{{"zones": [
                {{"name": "a", "polygon": [[0.4, 0.3], [0.6, 0.3], [0.6, 0.7], [0.4, 0.7]]}},
                {{"name": "b", "polygon": [[0.4, 0.3], [{right}, 0.3], [{right}, 0.7], [0.4, 0.7]]}}
            ], "lines": [{{"name": "line", "from": [0.2, 0.2], "to": [0.2, 0.8]}}]}}"#
        )
    };
    let mut scene = Scene::new(&config(0.6));
    scene.walk(1, (0.1, 0.5), (0.5, 0.5), 60);
    scene.zones.set_config(&ZonesConfig::parse(&config(0.7)).unwrap()).unwrap();
    let entered = |scene: &Scene| scene.zones.zones().map(|zone| zone.totals.entered.total()).collect::<Vec<_>>();
    assert_eq!(entered(&scene), [1, 0]);
    assert_eq!(scene.crossings(), (0, 1));
    scene.walk(1, (0.5, 0.5), (0.5, 0.5), 10);
    assert_eq!(entered(&scene), [1, 1], "who is inside enters the new zone");
    // Another order is no change.
    let mut swapped = ZonesConfig::parse(&config(0.7)).unwrap();
    swapped.zones.reverse();
    scene.zones.set_config(&swapped).unwrap();
    scene.walk(1, (0.5, 0.5), (0.9, 0.5), 60);
    assert_eq!(
        scene.zones.zones().map(|zone| (zone.name, zone.totals.left.total())).collect::<Vec<_>>(),
        [("b", 1), ("a", 1)]
    );
    let wrong = ZonesConfig { merge_s: -1.0, ..ZonesConfig::default() };
    assert!(scene.zones.set_config(&wrong).is_err());
    assert_eq!(scene.zones.zones().count(), 2, "what is rejected changes nothing");
}

#[test]
fn totals_outlive_a_restart() {
    let both = r#"{
        "zones": [{"name": "zone", "polygon": [[0.4, 0.3], [0.6, 0.3], [0.6, 0.7], [0.4, 0.7]]}],
        "lines": [{"name": "line", "from": [0.2, 0.5], "to": [0.8, 0.5]}]
    }"#;
    for (elapsed, same) in [(500, true), (5000, false)] {
        let mut scene = Scene::new(both);
        scene.walk(1, (0.5, 0.2), (0.5, 0.48), 60);
        assert_eq!(scene.counts(), (1, 0, 1));
        let text = serde_json::to_string(&scene.zones.save()).unwrap();
        let saved: Saved = serde_json::from_str(&text).unwrap();
        let mut scene = Scene::new(both);
        scene.zones.restore(&saved, Duration::from_millis(elapsed));
        scene.time = Duration::from_secs(77);
        scene.walk(5, (0.5, 0.5), (0.5, 0.6), 20);
        scene.empty(30);
        let expected = if same { (1, 1, 0) } else { (2, 2, 0) };
        assert_eq!(scene.counts(), expected, "after {elapsed} ms");
        assert_eq!(scene.crossings(), (u64::from(same), 0), "it crossed while nothing ran");
        // A zone that is another starts anew.
        let mut scene = Scene::new(&both.replace("0.3]", "0.2]"));
        scene.zones.restore(&saved, Duration::from_millis(elapsed));
        scene.empty(40);
        assert_eq!(scene.counts(), (0, 0, 0));
    }
}

#[test]
fn at_the_end_everything_is_settled() {
    let config = r#"{
        "zones": [{"name": "zone", "polygon": [[0.4, 0.3], [0.6, 0.3], [0.6, 0.7], [0.4, 0.7]]}],
        "lines": [{"name": "line", "from": [0.2, 0.5], "to": [0.8, 0.5]}]
    }"#;
    let mut scene = Scene::new(config);
    scene.walk(1, (0.5, 0.35), (0.5, 0.48), 30);
    // Across in the last frame: less than the time to settle.
    scene.frame(&[person(1, (0.5, 0.55))]);
    assert_eq!(scene.crossings(), (0, 0));
    let events = scene.zones.finish().to_vec();
    assert_eq!((scene.crossings(), scene.counts()), ((1, 0), (1, 1, 0)));
    assert_eq!(events.len(), 2);
    assert!(scene.zones.finish().is_empty());
}

#[test]
fn a_clock_that_starts_again_loses_nothing() {
    let mut scene = Scene::new(ZONE);
    scene.walk(1, (0.3, 0.5), (0.5, 0.5), 51);
    scene.time = Duration::ZERO;
    // After a reconnect the ids are others.
    scene.walk(7, (0.505, 0.5), (0.7, 0.5), 51);
    assert_eq!(scene.counts(), (1, 1, 0));
}

/// A seek of an hour, after which the person has another id: no time passes, so that it is within `merge`.
#[test]
fn no_time_passes_where_the_stream_is_interrupted() {
    let mut scene = Scene::new(ZONE);
    scene.walk(1, (0.3, 0.5), (0.5, 0.5), 25);
    scene.zones.interrupt();
    scene.time += Duration::from_secs(3600);
    scene.walk(2, (0.5, 0.5), (0.3, 0.5), 25);
    assert_eq!(scene.counts(), (1, 1, 0));
    let zone = scene.zones.zones().next().unwrap();
    assert!(zone.totals.longest_dwell_s < 2.0, "{:?}", zone.totals);
    // It holds for one frame.
    scene.zones.interrupt();
    scene.walk(3, (0.3, 0.5), (0.5, 0.5), 25);
    scene.time += Duration::from_secs(60);
    scene.walk(3, (0.5, 0.5), (0.3, 0.5), 25);
    let zone = scene.zones.zones().next().unwrap();
    assert!(zone.totals.longest_dwell_s > 60.0, "{:?}", zone.totals);
}

#[test]
fn the_frame_changes_its_shape() {
    let mut scene = Scene::new(ZONE);
    scene.walk(1, (0.3, 0.5), (0.5, 0.5), 51);
    scene.zones.set_aspect(4.0 / 3.0);
    scene.walk(1, (0.5, 0.5), (0.7, 0.5), 51);
    assert_eq!(scene.counts(), (1, 1, 0));
}

/// A linear congruential generator (Knuth's MMIX constants): the same numbers everywhere.
struct Random(u64);

impl Random {
    /// 0–1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }
}
