//! The ways that tracked objects have come.

use super::shape::Point;
use crate::meta::{Object, Record};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// A point is kept where an object has moved by this part of the frame since the last one: one that stands keeps none.
const STEP: f32 = 0.004;

/// The number of points of one tail. Objects that move fast have shorter tails then.
const LONGEST: usize = 512;

/// Where an object was.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mark {
    time: Duration,
    /// The middle of the box's lower edge, in fractions of the frame.
    x: f32,
    y: f32,
}

/// Where tracked objects were lately.
#[derive(Debug, Default)]
pub struct Tails {
    of_track: HashMap<u64, VecDeque<Mark>>,
    last: Duration,
}

impl Tails {
    /// Adds where the objects are, and forgets what is older than `length`. A time before the last one starts anew.
    pub fn follow(&mut self, record: &Record, time: Duration, length: Duration) {
        if time < self.last || length.is_zero() {
            self.of_track.clear();
        }
        self.last = time;
        if length.is_zero() {
            return;
        }
        let oldest = time.saturating_sub(length);
        self.of_track.retain(|_, marks| {
            let old = marks.iter().take_while(|mark| mark.time < oldest).count();
            marks.drain(..old);
            !marks.is_empty()
        });
        for object in &record.objects {
            let (Some(track), (x, y)) = (object.track_id, foot(object)) else { continue };
            if !(x.is_finite() && y.is_finite()) {
                continue;
            }
            let marks = self.of_track.entry(track).or_default();
            if marks.back().is_some_and(|mark| (mark.x - x).hypot(mark.y - y) < STEP) {
                continue;
            }
            if marks.len() == LONGEST {
                marks.pop_front();
            }
            marks.push_back(Mark { time, x, y });
        }
    }

    /// The points of an object's tail in a frame of this size, the oldest first, and where it is now as the last.
    pub fn of(&self, object: &Object, (width, height): (f32, f32)) -> impl Iterator<Item = Point> {
        let marks = object.track_id.and_then(|track| self.of_track.get(&track));
        let now = marks.map(|_| foot(object));
        let marks = marks.into_iter().flatten().map(|mark| (mark.x, mark.y));
        marks.chain(now).map(move |(x, y)| Point { x: x * width, y: y * height })
    }
}

fn foot(object: &Object) -> (f32, f32) {
    (object.rect.x + object.rect.w / 2.0, object.rect.bottom())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Rect;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(track: u64, x: f32) -> Record {
        let object = Object { track_id: Some(track), rect: Rect::new(x, 0.2, 0.1, 0.3), ..Object::default() };
        Record { objects: vec![object], ..Record::default() }
    }

    fn tail(tails: &Tails, record: &Record) -> Vec<(u32, u32)> {
        let points = tails.of(&record.objects[0], (100.0, 100.0));
        points.map(|point| (point.x.round() as u32, point.y.round() as u32)).collect()
    }

    #[test]
    fn a_tail_ends_where_the_object_is_and_is_as_long_as_told() {
        let mut tails = Tails::default();
        for second in 0..6 {
            tails.follow(&at(1, 0.1 * second as f32), second * SECOND, 2 * SECOND);
        }
        assert_eq!(tail(&tails, &at(1, 0.5)), [(35, 50), (45, 50), (55, 50), (55, 50)]);
        assert!(tail(&tails, &at(2, 0.5)).is_empty(), "another track");
        let untracked = Record { objects: vec![Object::default()], ..Record::default() };
        assert!(tail(&tails, &untracked).is_empty());
    }

    #[test]
    fn an_object_that_stands_has_no_tail_after_a_while() {
        let mut tails = Tails::default();
        for frame in 0..100 {
            let x = if frame < 10 { 0.01 * frame as f32 } else { 0.1 + 0.001 * (frame % 2) as f32 };
            tails.follow(&at(1, x), frame * SECOND / 10, SECOND);
        }
        assert!(tail(&tails, &at(1, 0.1)).iter().all(|point| *point == (15, 50)));
        assert!(tails.of_track[&1].len() <= 1);
    }

    #[test]
    fn what_ended_is_forgotten_and_another_stream_starts_anew() {
        let mut tails = Tails::default();
        tails.follow(&at(1, 0.1), SECOND, SECOND);
        tails.follow(&at(2, 0.1), 3 * SECOND, SECOND);
        assert_eq!(tails.of_track.len(), 1);
        tails.follow(&at(2, 0.5), SECOND, SECOND);
        assert_eq!(tail(&tails, &at(2, 0.5)), [(55, 50); 2]);
        tails.follow(&at(2, 0.6), 2 * SECOND, Duration::ZERO);
        assert!(tail(&tails, &at(2, 0.6)).is_empty(), "switched off");
        for frame in 0..2000 {
            tails.follow(&at(1, 0.01 * (frame % 90) as f32), 3 * SECOND + frame * SECOND / 100, 60 * SECOND);
        }
        assert_eq!(tails.of_track[&1].len(), LONGEST);
    }
}
