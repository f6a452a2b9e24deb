//! The last seconds of what a camera has sent.

use super::unit::{Time, Unit};
use std::collections::VecDeque;
use std::sync::Arc;

/// Units in the order in which they came, each with a number. Those of a stream begin with a key frame.
#[derive(Debug)]
pub struct Ring {
    units: VecDeque<Arc<Unit>>,
    /// The number of the first unit.
    first: u64,
    /// Of the units' data.
    bytes: u64,
    limit: u64,
    /// Units are left out up to the next key frame.
    needs_key: bool,
}

impl Ring {
    /// Makes a ring for at most `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self { units: VecDeque::new(), first: 0, bytes: 0, limit, needs_key: true }
    }

    /// Adds a unit, unless the key frame before it is missing.
    pub fn push(&mut self, unit: Unit) {
        self.needs_key |= self.last().is_none_or(|last| last.stream != unit.stream);
        if self.needs_key && !unit.is_key {
            return;
        }
        self.needs_key = false;
        self.bytes += unit.size;
        self.units.push_back(Arc::new(unit));
    }

    /// Removes what is older than the last key frame up to `oldest`, but not the units from number `kept` on. Removes the
    /// oldest, whatever they are, where the limit is exceeded: returns whether that was so.
    pub fn trim(&mut self, oldest: Time, kept: Option<u64>) -> bool {
        while let Some(next) = self.second_key()
            && self.units.get(next).is_some_and(|unit| unit.pts <= oldest)
            && kept.is_none_or(|kept| self.first + next as u64 <= kept)
        {
            self.remove(next);
        }
        let exceeded = self.bytes > self.limit;
        while self.bytes > self.limit {
            let until = self.second_key().unwrap_or(self.units.len());
            self.remove(until);
            self.needs_key |= self.units.is_empty();
        }
        exceeded
    }

    /// The index of the first key frame after the first unit.
    fn second_key(&self) -> Option<usize> {
        self.units.iter().skip(1).position(|unit| unit.is_key).map(|index| index + 1)
    }

    fn remove(&mut self, count: usize) {
        self.bytes -= self.units.drain(..count).map(|unit| unit.size).sum::<u64>();
        self.first += count as u64;
    }

    pub fn get(&self, number: u64) -> Option<Arc<Unit>> {
        let index = number.checked_sub(self.first)?;
        self.units.get(usize::try_from(index).ok()?).cloned()
    }

    /// The number of the first unit.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of the next unit.
    #[cfg(test)]
    fn next(&self) -> u64 {
        self.first + self.units.len() as u64
    }

    pub fn last(&self) -> Option<&Arc<Unit>> {
        self.units.back()
    }

    /// The number of the last key frame that is shown at `time` or before, else of the first one.
    pub fn key_before(&self, time: Time) -> u64 {
        let index = self.units.iter().rposition(|unit| unit.is_key && unit.pts <= time);
        self.first + index.unwrap_or(0) as u64
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// From the first unit to the last, nanoseconds.
    pub fn length(&self) -> Time {
        let ends = self.units.front().zip(self.units.back());
        ends.map_or(0, |(first, last)| last.pts.saturating_sub(first.pts).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::unit::tests::unit;
    use super::*;

    const MS: Time = 1_000_000;

    /// Units every 40 ms with a key frame in ten, of which the last two seconds are kept.
    fn filled(units: i64, limit: u64) -> Ring {
        let mut ring = Ring::new(limit);
        for n in 0..units {
            ring.push(unit(1, n * 40, n % 10 == 0));
            ring.trim((n * 40 - 2000) * MS, None);
        }
        ring
    }

    #[test]
    fn the_ring_begins_with_a_key_frame_at_most_one_gop_before_what_is_kept() {
        for units in 60..120 {
            let ring = filled(units, u64::MAX);
            let first = ring.get(ring.first()).unwrap();
            let oldest = ((units - 1) * 40 - 2000) * MS;
            assert!(first.is_key && first.pts <= oldest && first.pts > oldest - 400 * MS, "{units}: {}", first.pts);
            assert_eq!(ring.next(), units as u64);
            assert_eq!(ring.bytes(), (ring.next() - ring.first()) * 1000);
            assert_eq!(ring.length(), ring.last().unwrap().pts - first.pts);
        }
    }

    #[test]
    fn memory_is_bounded_whatever_is_asked_for() {
        let ring = filled(100, 25_000);
        assert!(ring.bytes() <= 25_000 && ring.bytes() > 15_000, "{}", ring.bytes());
        assert!(ring.get(ring.first()).unwrap().is_key);
        // A writer that is behind keeps nothing beyond the limit.
        let mut ring = Ring::new(25_000);
        for n in 0..100 {
            ring.push(unit(1, n * 40, n % 10 == 0));
            let exceeded = ring.trim(Time::MAX, Some(0));
            assert_eq!(exceeded, n >= 25 && (n - 25) % 10 == 0, "{n}");
            assert!(ring.bytes() <= 25_000);
        }
        // A stream that never has another key frame leaves nothing, until one comes.
        let mut ring = Ring::new(5000);
        for n in 0..20 {
            ring.push(unit(1, n * 40, n == 0));
            ring.trim(0, None);
        }
        assert_eq!((ring.bytes(), ring.first(), ring.next()), (0, 6, 6));
        ring.push(unit(1, 800, true));
        assert_eq!((ring.bytes(), ring.get(6).unwrap().pts), (1000, 800 * MS));
    }

    #[test]
    fn a_writer_keeps_what_it_has_not_written() {
        let mut ring = filled(50, u64::MAX);
        let first = ring.first();
        assert!(!ring.trim(Time::MAX, Some(first + 9)));
        assert_eq!(ring.first(), first);
        ring.trim(Time::MAX, Some(first + 10));
        assert_eq!(ring.first(), first + 10);
        ring.trim(Time::MAX, None);
        assert_eq!(ring.first(), 40, "the last key frame stays");
    }

    #[test]
    fn a_stream_begins_with_a_key_frame() {
        let mut ring = Ring::new(u64::MAX);
        for (stream, ms, is_key) in [(1, 0, false), (1, 40, true), (1, 80, false), (2, 900, false), (2, 940, true)] {
            ring.push(unit(stream, ms, is_key));
        }
        let times: Vec<_> = (0..ring.next()).map(|number| ring.get(number).unwrap().pts / MS).collect();
        assert_eq!(times, [40, 80, 940]);
        assert_eq!([0, 40, 100, 939, 940].map(|ms| ring.key_before(ms * MS)), [0, 0, 0, 0, 2]);
    }
}
