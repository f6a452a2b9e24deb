//! Where tracked objects have been.

use super::unit::Time;
use crate::meta::{Name, Record};
use model::Rect;
use std::collections::VecDeque;

/// The tracks of one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub time: Time,
    /// Normalised to the frame.
    pub boxes: Vec<(u64, Name, Rect)>,
}

/// The tracks of frames, oldest first, in bounded memory.
#[derive(Debug, Default)]
pub struct Tracks {
    frames: VecDeque<Seen>,
    boxes: usize,
    /// Boxes that there was no space for.
    left_out: usize,
}

impl Tracks {
    /// The most boxes that are kept: 100 objects of 25 frames a second over 40 s, about 6 MB.
    const MOST: usize = 100_000;

    /// Adds a frame, unless nothing in it is tracked.
    pub fn add(&mut self, time: Time, record: &Record) {
        let tracked = record.objects.iter().filter_map(|object| Some((object.track_id?, object.label, object.rect)));
        let boxes: Vec<_> = tracked.collect();
        if !boxes.is_empty() {
            self.put(Seen { time, boxes });
        }
    }

    fn put(&mut self, seen: Seen) {
        self.boxes += seen.boxes.len();
        self.frames.push_back(seen);
        while self.boxes > Self::MOST
            && let Some(oldest) = self.frames.pop_front()
        {
            self.boxes -= oldest.boxes.len();
            self.left_out += oldest.boxes.len();
        }
    }

    /// Removes the frames before `oldest`.
    pub fn trim(&mut self, oldest: Time) {
        while self.frames.front().is_some_and(|seen| seen.time < oldest)
            && let Some(old) = self.frames.pop_front()
        {
            self.boxes -= old.boxes.len();
        }
    }

    /// A copy of the frames from `begin` on.
    pub fn since(&self, begin: Time) -> Self {
        let mut copy = Self::default();
        self.frames.iter().filter(|seen| seen.time >= begin).for_each(|seen| copy.put(seen.clone()));
        copy
    }

    pub fn frames(&self) -> impl Iterator<Item = &Seen> {
        self.frames.iter()
    }

    pub fn left_out(&self) -> usize {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Object;

    #[test]
    fn tracks_are_kept_for_a_time_and_in_bounded_memory() {
        gst::init().unwrap();
        let tracked = |id: Option<u64>| Object { track_id: id, ..Object::default() };
        let record =
            |ids: &[Option<u64>]| Record { objects: ids.iter().map(|id| tracked(*id)).collect(), ..Record::default() };
        let mut tracks = Tracks::default();
        tracks.add(1, &record(&[None]));
        for time in 2..10 {
            tracks.add(time, &record(&[Some(7), None, Some(8)]));
        }
        let times = |tracks: &Tracks| tracks.frames().map(|seen| (seen.time, seen.boxes.len())).collect::<Vec<_>>();
        assert_eq!(times(&tracks.since(8)), [(8, 2), (9, 2)]);
        tracks.trim(9);
        assert_eq!((times(&tracks), tracks.boxes), (vec![(9, 2)], 2));
        let many = record(&vec![Some(1); 30_000]);
        (10..14).for_each(|time| tracks.add(time, &many));
        assert_eq!((tracks.boxes, tracks.left_out()), (90_000, 30_002));
    }
}
