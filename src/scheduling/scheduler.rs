//! Decides what a service's lanes run next, when, and which thread is woken for it.

use super::batcher::{Batcher, Next, StreamId};
use super::occupancy::Occupancy;
use std::time::Instant;

/// How long a thread without work sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sleep {
    /// Until this time, unless woken earlier; once awake, the thread calls [`Scheduler::awake`].
    Until(Instant),
    /// Until it's woken.
    UntilWoken,
}

/// The queued items, the occupancy of the device, and the free lanes. `L` is a lane, `T` an item that fills one slot.
#[derive(Debug)]
pub struct Scheduler<L, T> {
    /// The batch sizes that lanes run without empty slots, in ascending order.
    sizes: Vec<usize>,
    batcher: Batcher<T>,
    device: Occupancy,
    free: Vec<L>,
}

impl<L, T> Scheduler<L, T> {
    /// For lanes that run batches of these sizes, in ascending order.
    pub fn new(sizes: Vec<usize>, lanes: impl IntoIterator<Item = L>) -> Self {
        let device = Occupancy::new(largest(&sizes));
        Self { sizes, batcher: Batcher::default(), device, free: lanes.into_iter().collect() }
    }

    /// Adds a stream with at most `limit` frames in flight.
    pub fn add_stream(&mut self, limit: usize) -> StreamId {
        self.batcher.add_stream(limit)
    }

    /// Removes a stream, and returns its queued items.
    pub fn remove_stream(&mut self, stream: StreamId) -> Vec<T> {
        self.batcher.remove_stream(stream)
    }

    /// Removes a stream's queued items. The stream isn't waited for until it submits again.
    pub fn flush_stream(&mut self, stream: StreamId) -> Vec<T> {
        self.batcher.flush_stream(stream)
    }

    /// Marks a stream as paused or ended: it isn't waited for until it submits again.
    pub fn rest_stream(&mut self, stream: StreamId) {
        self.batcher.rest_stream(stream);
    }

    /// Queues a frame's items, which may wait for others until `deadline`.
    pub fn submit(&mut self, stream: StreamId, now: Instant, deadline: Instant, items: impl IntoIterator<Item = T>) {
        self.batcher.push(stream, now, deadline, items);
    }

    /// True if a lane's thread must be woken for the last submission. Without a free lane none is: a thread that frees
    /// a lane looks for work itself.
    pub fn submission_wakes(&self, now: Instant) -> bool {
        !self.free.is_empty() && self.batcher.needs_wake_up(self.next(now, self.device.busy()))
    }

    /// True while anything is queued. A thread that has just taken a batch, or has run one that it submitted itself,
    /// then wakes another thread.
    pub fn work_is_left(&self) -> bool {
        !self.batcher.is_empty()
    }

    /// True if a full batch is queued, so that upstream can be woken once for two frames.
    pub fn full_batch_waits(&self) -> bool {
        self.batcher.len() >= largest(&self.sizes)
    }

    /// Takes a batch for a lane's thread.
    ///
    /// # Errors
    /// No batch is to run now, or no lane is free: returns how long the thread sleeps.
    pub fn look(&mut self, now: Instant) -> Result<(L, impl Iterator<Item = T>), Sleep> {
        let busy = self.device.busy();
        match self.next(now, busy) {
            Next::Launch => match self.free.pop() {
                Some(lane) => Ok(self.launch(lane, now, busy)),
                None => Err(Sleep::UntilWoken),
            },
            Next::WaitUntil(time) if self.batcher.set_alarm(time) => Err(Sleep::Until(time)),
            Next::WaitUntil(_) | Next::Idle => Err(Sleep::UntilWoken),
        }
    }

    /// Takes a batch if a lane is free, for a thread that has just submitted a frame and has time to run it. The batch
    /// shares the device with a running one rather than wait for its end.
    pub fn take_at_once(&mut self, now: Instant) -> Option<(L, impl Iterator<Item = T>)> {
        match self.next(now, None) {
            Next::Launch => self.free.pop().map(|lane| self.launch(lane, now, None)),
            Next::WaitUntil(_) | Next::Idle => None,
        }
    }

    /// Called when the thread that slept until a given time is awake.
    pub fn awake(&mut self) {
        self.batcher.clear_alarm();
    }

    /// Counts a frame of the stream as finished or discarded.
    pub fn frame_done(&mut self, stream: StreamId) {
        self.batcher.finished(stream);
    }

    /// Returns a lane that has run a batch of this many slots.
    pub fn finish(&mut self, lane: L, start: Instant, end: Instant, slots: usize) {
        self.free.push(lane);
        self.device.finished(end, start, slots);
    }

    /// Takes all queued items, for a device that has failed.
    pub fn take_all(&mut self) -> Vec<T> {
        self.batcher.take_all()
    }

    /// Takes the free lanes.
    pub fn take_lanes(&mut self) -> Vec<L> {
        std::mem::take(&mut self.free)
    }

    fn next(&self, now: Instant, busy: Option<Instant>) -> Next {
        self.batcher.next(now, largest(&self.sizes), busy)
    }

    fn launch(&mut self, lane: L, now: Instant, busy: Option<Instant>) -> (L, impl Iterator<Item = T>) {
        let waiting = self.batcher.len();
        // Behind another batch, frames that would leave slots empty go with the next batch.
        let slots = if busy.is_some() { without_empty_slots(&self.sizes, waiting) } else { largest(&self.sizes) };
        let slots = slots.min(waiting);
        self.device.launched(now, slots);
        (lane, self.batcher.take(slots))
    }
}

fn largest(sizes: &[usize]) -> usize {
    sizes.last().copied().unwrap_or(1)
}

/// The largest batch size that this many queued items fill.
fn without_empty_slots(sizes: &[usize], waiting: usize) -> usize {
    sizes.iter().rev().copied().find(|size| *size <= waiting).unwrap_or(waiting)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MS: Duration = Duration::from_millis(1);

    /// Two lanes that have run a batch of one in 8 ms, and a stream.
    fn scheduler(now: Instant) -> (Scheduler<u8, u32>, StreamId) {
        let mut scheduler = Scheduler::new(vec![1, 2, 4], [0, 1]);
        let stream = scheduler.add_stream(8);
        scheduler.submit(stream, now, now, [0]);
        let (lane, items) = scheduler.take_at_once(now).unwrap();
        drop(items);
        scheduler.finish(lane, now, now + 8 * MS, 1);
        scheduler.frame_done(stream);
        (scheduler, stream)
    }

    fn look(scheduler: &mut Scheduler<u8, u32>, now: Instant) -> Result<Vec<u32>, Sleep> {
        scheduler.look(now).map(|(_, items)| items.collect())
    }

    #[test]
    fn behind_another_batch_frames_are_gathered_for_half_of_its_time_and_fill_a_size() {
        let t = Instant::now();
        let (mut s, stream) = scheduler(t);
        let t = t + 100 * MS;
        assert_eq!(look(&mut s, t), Err(Sleep::UntilWoken), "nothing waits");
        s.submit(stream, t, t, [1]);
        assert!(s.submission_wakes(t));
        assert_eq!(look(&mut s, t), Ok(vec![1]), "the device is idle");
        assert_eq!(look(&mut s, t), Err(Sleep::Until(t + 4 * MS)), "it looks again by itself");
        s.submit(stream, t + MS, t + MS, [2, 3, 4]);
        assert!(!s.submission_wakes(t + MS), "a thread wakes up by itself");
        s.awake();
        assert_eq!(look(&mut s, t + 4 * MS), Ok(vec![2, 3]), "three would leave a slot empty");
        assert!(s.work_is_left());
        s.submit(stream, t + 5 * MS, t + 5 * MS, [5, 6, 7]);
        assert!(s.full_batch_waits());
        assert!(!s.submission_wakes(t + 5 * MS), "no lane is free");
        assert_eq!(look(&mut s, t + 5 * MS), Err(Sleep::UntilWoken));
    }

    #[test]
    fn a_full_batch_is_launched_behind_another_one() {
        let t = Instant::now();
        let (mut s, stream) = scheduler(t);
        let t = t + 100 * MS;
        s.submit(stream, t, t, [1]);
        assert!(look(&mut s, t).is_ok());
        s.submit(stream, t, t, [2, 3, 4, 5, 6]);
        assert!(s.submission_wakes(t));
        assert_eq!(look(&mut s, t), Ok(vec![2, 3, 4, 5]));
    }

    #[test]
    fn a_thread_with_the_time_shares_the_device_and_leaves_no_frame_waiting() {
        let t = Instant::now();
        let (mut s, stream) = scheduler(t);
        let t = t + 100 * MS;
        s.submit(stream, t, t, [1]);
        assert!(look(&mut s, t).is_ok());
        s.submit(stream, t, t, [2, 3, 4]);
        let taken = s.take_at_once(t).map(|(_, items)| items.collect::<Vec<_>>());
        assert_eq!(taken, Some(vec![2, 3, 4]));
        s.submit(stream, t, t, [5]);
        assert!(s.take_at_once(t).is_none(), "no lane is free");
    }

    #[test]
    fn the_largest_batch_without_an_empty_slot() {
        let sizes = [1, 2, 4, 8];
        assert_eq!([1, 2, 3, 7, 8, 9].map(|waiting| without_empty_slots(&sizes, waiting)), [1, 2, 2, 4, 8, 8]);
        assert_eq!(without_empty_slots(&[4], 3), 3, "the model knows no smaller one");
    }
}
