//! Decides which requests form the next batch, and when.
//!
//! The batcher is work-conserving: a free lane gets the queued requests, earliest deadline first, unless the device
//! can't start the batch yet; then waiting costs nothing, and the batch grows. Waiting longer than that is opt-in (a
//! request's deadline is later than its arrival) and happens only for a stream whose next frame is due before the
//! deadline.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Identifies a stream of a `Batcher`. Ids aren't reused, because lanes may still run frames of a stream that was
/// removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(u64);

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stream {}", self.0)
    }
}

/// What a free lane does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Take a batch.
    Launch,
    /// Check again at this time, or when something changes.
    WaitUntil(Instant),
    /// Nothing is queued.
    Idle,
}

/// The queued requests, and their streams.
#[derive(Debug)]
pub struct Batcher<T> {
    waiting: VecDeque<Entry<T>>,
    streams: BTreeMap<StreamId, StreamState>,
    /// The id of the newest stream.
    last_id: StreamId,
    /// The time at which the first of the sleeping threads wakes up on its own.
    alarm: Option<Instant>,
}

#[derive(Debug)]
struct Entry<T> {
    deadline: Instant,
    stream: StreamId,
    item: T,
}

#[derive(Debug)]
struct StreamState {
    /// Maximum number of frames in flight.
    limit: usize,
    in_flight: usize,
    last_arrival: Option<Instant>,
    /// Mean time between frames.
    period: Option<Duration>,
}

impl StreamState {
    /// When the next frame is due, and when it counts as late; `None` if no frame is expected.
    fn due(&self) -> Option<(Instant, Instant)> {
        if self.in_flight >= self.limit {
            return None;
        }
        let period = self.period?;
        let due = self.last_arrival? + period;
        Some((due, due + period / 4))
    }
}

impl<T> Default for Batcher<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), streams: BTreeMap::new(), last_id: StreamId(0), alarm: None }
    }
}

impl<T> Batcher<T> {
    /// Adds a stream with at most `limit` frames in flight.
    pub fn add_stream(&mut self, limit: usize) -> StreamId {
        self.last_id = StreamId(self.last_id.0 + 1);
        self.streams.insert(self.last_id, StreamState { limit, in_flight: 0, last_arrival: None, period: None });
        self.last_id
    }

    /// Removes a stream, and returns its queued items.
    pub fn remove_stream(&mut self, id: StreamId) -> Vec<T> {
        let taken = self.flush_stream(id);
        self.streams.remove(&id);
        taken
    }

    /// Removes a stream's queued items. The stream isn't waited for until it submits again.
    pub fn flush_stream(&mut self, id: StreamId) -> Vec<T> {
        self.rest_stream(id);
        let mut taken = Vec::new();
        for entry in std::mem::take(&mut self.waiting) {
            if entry.stream == id { taken.push(entry.item) } else { self.waiting.push_back(entry) }
        }
        taken
    }

    /// Marks a stream as paused or ended: it isn't waited for until it submits again.
    pub fn rest_stream(&mut self, id: StreamId) {
        if let Some(stream) = self.stream(id) {
            stream.last_arrival = None;
        }
    }

    /// Queues a frame's items.
    pub fn push(&mut self, id: StreamId, now: Instant, deadline: Instant, items: impl IntoIterator<Item = T>) {
        if let Some(stream) = self.stream(id) {
            stream.in_flight += 1;
            if let Some(last) = stream.last_arrival {
                let gap = now.saturating_duration_since(last);
                stream.period = Some(stream.period.map_or(gap, |p| (p * 7 + gap) / 8));
            }
            stream.last_arrival = Some(now);
        }
        let at = self.waiting.partition_point(|e| e.deadline <= deadline);
        for (k, item) in items.into_iter().enumerate() {
            self.waiting.insert(at + k, Entry { deadline, stream: id, item });
        }
    }

    /// Counts a frame of the stream as finished.
    pub fn finished(&mut self, id: StreamId) {
        if let Some(stream) = self.stream(id) {
            stream.in_flight = stream.in_flight.saturating_sub(1);
        }
    }

    /// True if nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The number of queued items.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// What a free lane with room for `max_batch` items does next. The device works on another batch until `busy`.
    pub fn next(&self, now: Instant, max_batch: usize, busy: Option<Instant>) -> Next {
        if self.waiting.len() >= max_batch {
            return Next::Launch;
        }
        if let Some(time) = busy.filter(|time| *time > now) {
            // Also if nothing is queued yet: a thread that checks again on its own needn't be woken for the first
            // frame.
            return Next::WaitUntil(time);
        }
        let Some(first) = self.waiting.front() else { return Next::Idle };
        if first.deadline <= now {
            return Next::Launch;
        }
        // A stream with a frame in this batch isn't waited for: that frame would wait for the stream's next one.
        let waits = |id| self.waiting.iter().any(|e| e.stream == id);
        let last_due = self
            .streams
            .iter()
            .filter(|(id, _)| !waits(**id))
            .filter_map(|(_, stream)| stream.due())
            .filter(|&(due, late)| due < first.deadline && late > now)
            .map(|(_, late)| late)
            .max();
        match last_due {
            Some(late) => Next::WaitUntil(late.min(first.deadline)),
            None => Next::Launch,
        }
    }

    /// True if a sleeping thread must be woken for `next`, because none wakes up on its own in time.
    pub fn needs_wake_up(&self, next: Next) -> bool {
        match next {
            Next::Launch => true,
            Next::WaitUntil(time) => self.alarm.is_none_or(|alarm| time < alarm),
            Next::Idle => false,
        }
    }

    /// Called when a thread is about to sleep until this time. Returns false if another thread wakes up earlier; this
    /// one may then sleep until it is woken.
    pub fn set_alarm(&mut self, time: Instant) -> bool {
        let sooner = self.alarm.is_none_or(|alarm| time < alarm);
        if sooner {
            self.alarm = Some(time);
        }
        sooner
    }

    /// Called when the thread that set the alarm is awake.
    pub fn clear_alarm(&mut self) {
        self.alarm = None;
    }

    /// Takes up to `max_batch` items, earliest deadline first.
    pub fn take(&mut self, max_batch: usize) -> impl Iterator<Item = T> + '_ {
        let n = max_batch.min(self.waiting.len());
        self.waiting.drain(..n).map(|e| e.item)
    }

    /// Takes all queued items.
    pub fn take_all(&mut self) -> Vec<T> {
        self.waiting.drain(..).map(|e| e.item).collect()
    }

    fn stream(&mut self, id: StreamId) -> Option<&mut StreamState> {
        self.streams.get_mut(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn launches_at_once_what_waits() {
        let (mut b, t) = (Batcher::default(), Instant::now());
        assert_eq!(b.next(t, 8, None), Next::Idle);
        let s = b.add_stream(4);
        b.push(s, t, t, ["a"]);
        assert_eq!(b.next(t, 8, None), Next::Launch);
        assert_eq!(b.take(8).collect::<Vec<_>>(), ["a"]);
        assert_eq!(b.next(t, 8, None), Next::Idle);
    }

    #[test]
    fn a_batch_that_is_not_full_grows_while_the_device_is_busy() {
        let (mut b, t) = (Batcher::default(), Instant::now());
        let until = Some(t + 3 * MS);
        assert_eq!(b.next(t, 2, until), Next::WaitUntil(t + 3 * MS), "it looks again by itself");
        let s = b.add_stream(4);
        b.push(s, t, t, ["a"]);
        assert_eq!(b.next(t, 2, until), Next::WaitUntil(t + 3 * MS));
        assert_eq!(b.next(t + 3 * MS, 2, until), Next::Launch);
        b.push(s, t, t, ["b"]);
        assert_eq!(b.next(t, 2, until), Next::Launch, "full");
    }

    #[test]
    fn earliest_deadline_first_and_items_of_a_frame_in_order() {
        let (mut b, t) = (Batcher::default(), Instant::now());
        let (slow, fast) = (b.add_stream(4), b.add_stream(4));
        b.push(slow, t, t + 9 * MS, ["late 1", "late 2"]);
        b.push(fast, t, t, ["early"]);
        b.push(slow, t, t + 9 * MS, ["late 3"]);
        assert_eq!(b.take(3).collect::<Vec<_>>(), ["early", "late 1", "late 2"]);
        assert_eq!(b.take(3).collect::<Vec<_>>(), ["late 3"]);
    }

    /// A stream with two frames 10 ms apart, so that its next is due at `t + 20 ms`; and another stream.
    fn two_streams(t: Instant) -> (Batcher<u32>, StreamId, StreamId) {
        let mut b = Batcher::default();
        let (x, y) = (b.add_stream(4), b.add_stream(4));
        for at in [t, t + 10 * MS] {
            b.push(x, at, at, [0]);
        }
        b.take_all();
        b.finished(x);
        b.finished(x);
        (b, x, y)
    }

    #[test]
    fn waits_for_a_stream_that_is_due_before_the_deadline() {
        let t = Instant::now();
        let (mut b, x, y) = two_streams(t);
        let now = t + 18 * MS;
        b.push(y, now, now + 5 * MS, [1]);
        assert_eq!(b.next(now, 8, None), Next::WaitUntil(t + 22500 * MS / 1000), "due at 20 ms, late from 22.5 ms");
        // The frame arrives: both go at once, because no other is expected.
        b.push(x, t + 20 * MS, t + 25 * MS, [2]);
        assert_eq!(b.next(t + 20 * MS, 8, None), Next::Launch);
        assert_eq!(b.next(t + 20 * MS, 2, None), Next::Launch);
    }

    #[test]
    fn never_waits_for_a_late_resting_full_or_removed_stream() {
        let t = Instant::now();
        let now = t + 18 * MS;
        let ask = |change: &dyn Fn(&mut Batcher<u32>, StreamId), at: Instant| {
            let (mut b, x, y) = two_streams(t);
            change(&mut b, x);
            b.push(y, at, at + 5 * MS, [1]);
            b.next(at, 8, None)
        };
        assert!(matches!(ask(&|_, _| {}, now), Next::WaitUntil(_)));
        assert_eq!(ask(&|_, _| {}, t + 23 * MS), Next::Launch, "late");
        assert_eq!(ask(&|_, _| {}, t + 12 * MS), Next::Launch, "due only after the deadline");
        assert_eq!(ask(&|b, x| b.rest_stream(x), now), Next::Launch, "paused or ended");
        assert_eq!(ask(&|b, x| drop(b.flush_stream(x)), now), Next::Launch, "flushing");
        assert_eq!(ask(&|b, x| drop(b.remove_stream(x)), now), Next::Launch, "removed");
        let full = |b: &mut Batcher<u32>, x| {
            for _ in 0..4 {
                b.push(x, t + 10 * MS, t + 10 * MS, []);
            }
        };
        assert_eq!(ask(&full, now), Next::Launch, "has as many in flight as it may");
    }

    #[test]
    fn never_waits_for_a_frame_of_a_stream_that_has_one_waiting() {
        let t = Instant::now();
        let (mut b, x, _) = two_streams(t);
        let now = t + 20 * MS;
        b.push(x, now, now + 50 * MS, [1]);
        assert_eq!(b.next(now, 8, None), Next::Launch, "its next is due at 30 ms, before the deadline");
    }

    /// Frames that a thread already waits for wake no thread; the last one does.
    #[test]
    fn a_thread_with_an_alarm_is_woken_only_for_what_is_sooner() {
        let t = Instant::now();
        let (mut b, x, y) = two_streams(t);
        let z = b.add_stream(4);
        let now = t + 18 * MS;
        assert!(!b.needs_wake_up(b.next(now, 8, None)), "nothing waits");
        b.push(y, now, now + 5 * MS, [1]);
        let Next::WaitUntil(late) = b.next(now, 8, None) else { panic!("x is due") };
        assert!(b.needs_wake_up(b.next(now, 8, None)) && b.set_alarm(late) && !b.set_alarm(late + MS));
        b.push(z, now + MS, now + 6 * MS, [2]);
        assert!(!b.needs_wake_up(b.next(now + MS, 8, None)), "x is waited for as before");
        assert!(b.needs_wake_up(b.next(now + MS, 2, None)), "a batch is full");
        b.push(z, now + MS, now + 2 * MS, [3]);
        assert!(b.needs_wake_up(b.next(now + MS, 8, None)) && b.set_alarm(now + 2 * MS), "an earlier deadline");
        b.push(x, t + 20 * MS, t + 25 * MS, [4]);
        assert!(b.needs_wake_up(b.next(t + 20 * MS, 8, None)), "no other is expected");
        b.clear_alarm();
        assert!(b.set_alarm(late));
    }

    #[test]
    fn a_deadline_is_never_passed_by_waiting() {
        let t = Instant::now();
        let (mut b, _, y) = two_streams(t);
        let now = t + 18 * MS;
        b.push(y, now, t + 21 * MS, [1]);
        assert_eq!(b.next(now, 8, None), Next::WaitUntil(t + 21 * MS));
        assert_eq!(b.next(t + 21 * MS, 8, None), Next::Launch);
    }

    #[test]
    fn flushing_takes_only_the_streams_own() {
        let (mut b, t) = (Batcher::default(), Instant::now());
        let (x, y) = (b.add_stream(4), b.add_stream(4));
        b.push(x, t, t, [1, 2]);
        b.push(y, t, t, [3]);
        assert_eq!(b.flush_stream(x), [1, 2]);
        assert_eq!(b.take_all(), [3]);
        assert!(b.remove_stream(x).is_empty());
    }

    /// A frame of a removed stream that a lane still runs doesn't count for another stream.
    #[test]
    fn a_late_result_of_a_removed_stream_is_not_the_next_ones() {
        let t = Instant::now();
        let (mut b, x, y) = two_streams(t);
        b.push(x, t + 20 * MS, t + 20 * MS, [1]);
        b.take_all();
        b.remove_stream(x);
        let z = b.add_stream(1);
        assert_ne!(z, x);
        for at in [t + 20 * MS, t + 30 * MS] {
            b.push(z, at, at, [2]);
        }
        b.take_all();
        b.finished(z);
        // It has its maximum of one in flight, so its next frame isn't waited for.
        b.finished(x);
        b.push(x, t + 35 * MS, t + 35 * MS, []);
        b.rest_stream(x);
        b.push(y, t + 38 * MS, t + 45 * MS, [3]);
        assert_eq!(b.next(t + 38 * MS, 8, None), Next::Launch);
    }
}
