//! A scene of 40 walkers, through a tracker and zones: every count is exact, and nothing drifts.

use model::Rect;
use std::collections::HashMap;
use std::time::Duration;
use tracking::zones::{Direction, Event, EventKind, Object, Zones, ZonesConfig};
use tracking::{Algorithm, Observation, Settings, Track, Tracker, tracker};

const FRAME: Duration = Duration::from_millis(40);
const SIZE: (u32, u32) = (1280, 720);
const LINE_X: f32 = 640.0;
/// Left and right of the zones, in pixels; they are as high as the frame.
const ZONES: [(&str, f32, f32); 2] = [("left", 320.0, 512.0), ("right", 768.0, 1152.0)];

fn config() -> ZonesConfig {
    let x = |pixels: f32| pixels / SIZE.0 as f32;
    let zone = |(name, left, right)| {
        let (left, right) = (x(left), x(right));
        format!(r#"{{"name": "{name}", "polygon": [[{left}, 0], [{right}, 0], [{right}, 1], [{left}, 1]]}}"#)
    };
    let zones = ZONES.map(zone).join(", ");
    // Downwards, so that walkers to the left go in.
    let line = format!(r#"{{"name": "line", "from": [{0}, 0], "to": [{0}, 1]}}"#, x(LINE_X));
    ZonesConfig::parse(&format!(r#"{{"zones": [{zones}], "lines": [{line}]}}"#)).unwrap()
}

/// Someone who walks along a lane, is hidden once, and turns around where told.
struct Walker {
    start: u32,
    feet: f32,
    from: f32,
    step: f32,
    frames: u32,
    /// After which frame of its own it walks back.
    turns: Option<u32>,
    hidden: std::ops::Range<u32>,
}

impl Walker {
    fn x(&self, frame: u32) -> Option<f32> {
        let frame = frame.checked_sub(self.start).filter(|frame| *frame < self.frames)?;
        let steps = match self.turns {
            Some(turns) if frame > turns => 2.0 * turns as f32 - frame as f32,
            _ => frame as f32,
        };
        Some(self.from + self.step * steps)
    }

    fn is_hidden(&self, frame: u32) -> bool {
        self.hidden.contains(&frame.wrapping_sub(self.start))
    }

    fn rect(&self, x: f32) -> Rect {
        let height = 110.0 + self.feet / 20.0;
        Rect::new(x - 22.0, self.feet - height, 44.0, height)
    }
}

/// Five walkers in each of eight lanes. Those of the last lane turn around in the right zone.
fn walkers() -> Vec<Walker> {
    let of_lane = |lane: u32| {
        (0..5).map(move |number| {
            let to_the_right = lane.is_multiple_of(2);
            let (from, step) = if to_the_right || lane == 7 { (60.0, 3.0) } else { (1220.0, -3.0) };
            let turns = (lane == 7).then_some(280);
            // The distances differ, so that walkers are hidden in zones, on the line and elsewhere.
            let hidden = 60 + (lane * 5 + number) * 37 % 280;
            Walker {
                start: 7 * lane + number * if turns.is_some() { 620 } else { 110 },
                feet: 180.0 + 70.0 * lane as f32,
                from,
                step,
                frames: if turns.is_some() { 560 } else { 387 },
                turns,
                hidden: hidden..hidden + 12,
            }
        })
    };
    (0..8).flat_map(of_lane).collect()
}

/// What happens in the scene, by its paths alone.
#[derive(Debug, Default, PartialEq)]
struct Truth {
    inwards: u64,
    outwards: u64,
    /// The dwell times of each zone in frames.
    dwell: [Vec<u32>; 2],
}

fn truth(walkers: &[Walker]) -> Truth {
    let mut truth = Truth::default();
    for walker in walkers {
        let path: Vec<f32> = (walker.start..walker.start + walker.frames).filter_map(|frame| walker.x(frame)).collect();
        for step in path.windows(2) {
            match (step[0] > LINE_X, step[1] > LINE_X) {
                (true, false) => truth.inwards += 1,
                (false, true) => truth.outwards += 1,
                _ => {}
            }
        }
        for (dwell, (_, left, right)) in truth.dwell.iter_mut().zip(ZONES) {
            let inside = |x: &f32| (left..right).contains(x);
            dwell.extend(
                path.chunk_by(|a, b| inside(a) == inside(b))
                    .filter(|part| inside(&part[0]))
                    .map(|part| part.len() as u32),
            );
        }
    }
    truth
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
            for seed in 0..5 {
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
                    check_dwell(&events, zone.name, dwell, &case);
                }
            }
        }
    }
}

/// Walkers are hidden for 12 frames, and a few of them are just then at a border; the others' times are known to a few frames.
fn check_dwell(events: &[Event], zone: &str, truth: &[u32], case: &str) {
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
    assert!(median <= 0.12 && worst <= 0.6, "{case}: {zone}: {median} {worst}");
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

/// A linear congruential generator (Knuth's MMIX constants): the same numbers everywhere.
struct Random(u64);

impl Random {
    /// 0–1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }
}
