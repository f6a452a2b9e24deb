//! A scene of 40 walkers, through a tracker and zones: every count is exact, and nothing drifts.

mod scene;

use model::Rect;
use scene::{FRAME, Random, SIZE, ZONES, truth, walkers, zones_and_lines};
use std::collections::HashMap;
use std::time::Duration;
use tracking::zones::{Direction, Event, EventKind, Object, Zones, ZonesConfig};
use tracking::{Algorithm, Observation, Settings, Track, Tracker, tracker};

fn config() -> ZonesConfig {
    ZonesConfig::parse(&zones_and_lines()).unwrap()
}

/// Boxes that tremble, and a tracker that sees them.
struct Camera {
    tracker: Box<dyn Tracker>,
    random: Random,
    misses: f32,
    found: Vec<Observation<'static>>,
}

impl Camera {
    fn new(algorithm: Algorithm, misses: f32, seed: u64) -> Self {
        let settings = Settings { algorithm, frame_interval: FRAME, ..Settings::default() };
        Self { tracker: tracker::new(settings).unwrap(), random: Random(seed), misses, found: Vec::new() }
    }

    fn see(&mut self, rect: Rect) {
        if self.random.next() < self.misses {
            return;
        }
        let mut noise = |part: f32| part * (self.random.next() + self.random.next() - 1.0);
        let (x, y) = (rect.x + noise(0.06 * rect.w), rect.y + noise(0.03 * rect.h));
        let rect = Rect::new(x, y, rect.w * (1.0 + noise(0.06)), rect.h * (1.0 + noise(0.03)));
        self.found.push(Observation {
            rect,
            class_id: 0,
            confidence: 0.65 + 0.3 * self.random.next(),
            embedding: None,
        });
    }

    fn tracks(&mut self, time: Duration, seen: bool) -> &[Track] {
        let tracks = if seen { self.tracker.update(time, &self.found) } else { self.tracker.predict(time) };
        self.found.clear();
        tracks
    }
}

fn objects<'a>(tracks: &'a [Track]) -> impl Iterator<Item = Object<'static>> + 'a {
    tracks.iter().map(|track| Object::new(track, "person", SIZE))
}

fn assert_balance(zones: &Zones) {
    for zone in zones.zones() {
        let inside = zones.occupants(zone.name).count() as u64;
        assert_eq!(zone.totals.entered.total() - zone.totals.left.total(), inside, "{}", zone.name);
        assert_eq!(u64::from(zone.occupancy), inside, "{}", zone.name);
    }
}

#[test]
fn every_count_is_exact() {
    let walkers = walkers();
    assert_eq!(walkers.len(), 40);
    let truth = truth(&walkers);
    assert_eq!((truth.inwards, truth.outwards), (20, 25));
    let last = walkers.iter().map(|walker| walker.start + walker.frames).max().unwrap() + 60;
    for algorithm in Algorithm::ALL {
        for (misses, interval) in [(0.0, 0), (0.1, 0), (0.0, 2), (0.1, 2)] {
            for seed in 0..40 {
                let case = format!("{algorithm}, misses {misses}, interval {interval}, seed {seed}");
                let mut camera = Camera::new(algorithm, misses, seed);
                let mut zones = Zones::new(&config(), SIZE.0 as f32 / SIZE.1 as f32).unwrap();
                let mut events: Vec<Event> = Vec::new();
                for frame in 0..last {
                    let seen = frame % (interval + 1) == 0;
                    for walker in walkers.iter().filter(|walker| seen && !walker.is_hidden(frame)) {
                        if let Some(x) = walker.x(frame) {
                            camera.see(walker.rect(x));
                        }
                    }
                    let time = FRAME * frame;
                    let objects: Vec<_> = objects(camera.tracks(time, seen)).collect();
                    events.extend_from_slice(zones.update(time, &objects));
                    assert_balance(&zones);
                }
                let line = zones.lines().next().unwrap().totals;
                let counted = (line.of(Direction::In).total(), line.of(Direction::Out).total());
                assert_eq!(counted, (truth.inwards, truth.outwards), "{case}");
                for (zone, dwell) in zones.zones().zip(&truth.dwell) {
                    let counted = (zone.totals.entered.total(), zone.totals.left.total(), zone.totals.vanished);
                    assert_eq!(counted, (dwell.len() as u64, dwell.len() as u64, 0), "{case}: {}", zone.name);
                    check_dwell(&events, zone.name, dwell, interval, &case);
                }
            }
        }
    }
}

/// A few walkers pass a border just while they are hidden; the others' times are known to a few frames. Hidden are 12 frames, and a
/// model that looks at every third may miss the walker in the one before and the one after. Of the 40 seeds the worst is off by 17
/// frames with every third frame seen, and by 13 with each.
fn check_dwell(events: &[Event], zone: &str, truth: &[u32], interval: u32, case: &str) {
    let seconds = |event: &Event| match event.kind {
        EventKind::Left { dwell, .. } if *event.place == *zone => Some(dwell.as_secs_f32()),
        _ => None,
    };
    let mut counted: Vec<f32> = events.iter().filter_map(seconds).collect();
    let mut truth: Vec<f32> = truth.iter().map(|frames| *frames as f32 * FRAME.as_secs_f32()).collect();
    counted.sort_by(f32::total_cmp);
    truth.sort_by(f32::total_cmp);
    let off: Vec<f32> = counted.iter().zip(&truth).map(|(a, b)| (a - b).abs()).collect();
    let median = {
        let mut off = off.clone();
        off.sort_by(f32::total_cmp);
        off[off.len() / 2]
    };
    let worst = off.iter().copied().fold(0.0, f32::max);
    let limit = (12 + 2 * (interval + 1)) as f32 * FRAME.as_secs_f32() + 1e-3;
    assert!(median <= 0.12 && worst <= limit, "{case}: {zone}: {median} {worst}");
}

/// Half an hour of walkers who go to and fro and stop, with ids that change, a reconnect and another clock every five
/// minutes, and a zone that is edited every two.
#[test]
fn nothing_drifts_in_half_an_hour() {
    const FRAMES: u32 = 30 * 60 * 25;
    let mut random = Random(3);
    let mut people: Vec<[f32; 4]> =
        (0..40).map(|index| [60.0 + 1160.0 * random.next(), 170.0 + 13.0 * index as f32, 3.0, 0.0]).collect();
    let mut camera = Camera::new(Algorithm::default(), 0.1, 5);
    let mut config = config();
    let mut zones = Zones::new(&config, SIZE.0 as f32 / SIZE.1 as f32).unwrap();
    let mut ids: HashMap<u64, u64> = HashMap::new();
    let (mut next_id, mut clock) = (1 << 40, Duration::ZERO);
    let (mut edits, mut switches, mut entered) = (0, 0, 0);
    for frame in 0..FRAMES {
        for [x, feet, step, until] in &mut people {
            if frame as f32 >= *until {
                *until = frame as f32 + 50.0 + 300.0 * random.next();
                *step = 6.0 * random.next() - 3.0;
            }
            *x += *step;
            if !(60.0..1220.0).contains(x) {
                *step = -*step;
                *x += 2.0 * *step;
            }
            camera.see(Rect::new(*x - 22.0, *feet - 120.0, 44.0, 120.0));
        }
        clock += FRAME;
        if frame % (5 * 60 * 25) == 5 * 60 * 25 - 1 {
            camera.tracker.reset();
            clock = Duration::from_secs(u64::from(frame % 7));
        }
        if frame % (2 * 60 * 25) == 2 * 60 * 25 - 1 {
            config.zones[1].polygon[0][0] = 0.6 + 0.01 * (edits % 5) as f32;
            edits += 1;
            zones.set_config(&config).unwrap();
        }
        let mut frame_objects: Vec<_> = objects(camera.tracks(clock, true)).collect();
        for object in &mut frame_objects {
            if random.next() < 0.001 {
                next_id += 1;
                switches += 1;
                ids.insert(object.track, next_id);
            }
            object.track = ids.get(&object.track).copied().unwrap_or(object.track);
        }
        zones.update(clock, &frame_objects);
        assert_balance(&zones);
        let total = zones.zones().next().unwrap().totals.entered.total();
        assert!(total >= entered, "a zone that isn't edited goes on");
        entered = total;
    }
    assert!(edits >= 14 && switches > 1000 && entered > 500, "{edits} {switches} {entered}");
    // Everybody is still somewhere: those counted inside are those who are.
    for (zone, (_, left, right)) in zones.zones().zip(ZONES) {
        if zone.name == "left" {
            let inside = people.iter().filter(|[x, ..]| (left..right).contains(x)).count() as i64;
            let off = (i64::from(zone.occupancy) - inside).abs();
            assert!(off <= 2, "{} instead of {inside}", zone.occupancy);
        }
    }
    println!("{edits} edits, {switches} changes of ids, {entered} entered");
}
