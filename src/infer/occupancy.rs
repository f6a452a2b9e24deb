//! How long an engine's device is busy with batches that were launched.
//!
//! Lanes share one device. A batch that is launched behind another begins when that ends, more or less: until shortly before
//! it may as well grow. "Shortly" is a quarter of the time that such batches take of late, so that the device never waits
//! for the host; and no batch is held back longer than another one runs, however wrong that time is.

use std::time::{Duration, Instant};

/// Part of a batch's time after which the next may be launched.
const HOLD_BACK: (u32, u32) = (3, 4);
/// Part of the time by which what is usual moves with each batch.
const STEP: u32 = 8;

/// Batches that run, and how long those before them took.
#[derive(Debug)]
pub struct Occupancy {
    /// Usual time of a batch by its number of slots, from launch to results; zero: none has run yet.
    usual: Vec<Duration>,
    running: usize,
    /// When another may be launched behind the last.
    next: Option<Instant>,
}

impl Occupancy {
    pub fn new(max_batch: usize) -> Self {
        Self { usual: vec![Duration::ZERO; max_batch + 1], running: 0, next: None }
    }

    /// A batch is launched.
    pub fn launched(&mut self, now: Instant, slots: usize) {
        let (part, whole) = HOLD_BACK;
        self.running += 1;
        self.next = self.usual.get(slots).map(|usual| now + *usual * part / whole);
    }

    /// One has run, if it `took` so long; `None`: it failed.
    pub fn finished(&mut self, slots: usize, took: Option<Duration>) {
        self.running = self.running.saturating_sub(1);
        if let Some((usual, took)) = self.usual.get_mut(slots).zip(took) {
            *usual = if usual.is_zero() { took } else { (*usual * (STEP - 1) + took) / STEP };
        }
    }

    /// Until when a batch that is launched would only wait for the device; `None`: it wouldn't.
    pub fn busy(&self) -> Option<Instant> {
        self.next.filter(|_| self.running > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_batch_is_held_back_for_three_quarters_of_the_one_before() {
        let (mut device, t) = (Occupancy::new(4), Instant::now());
        assert_eq!(device.busy(), None, "nothing runs");
        device.launched(t, 2);
        assert_eq!(device.busy(), Some(t), "how long it takes isn't known");
        device.finished(2, Some(8 * MS));
        assert_eq!(device.busy(), None, "nothing runs");
        device.launched(t, 2);
        assert_eq!(device.busy(), Some(t + 6 * MS));
        device.launched(t + 6 * MS, 4);
        assert_eq!(device.busy(), Some(t + 6 * MS), "of the last one, nothing is known of its size");
        device.finished(2, Some(8 * MS));
        assert_eq!(device.busy(), Some(t + 6 * MS), "the other one still runs");
        device.finished(4, Some(10 * MS));
        assert_eq!(device.busy(), None);
    }

    #[test]
    fn what_is_usual_follows_what_batches_take() {
        let (mut device, t) = (Occupancy::new(1), Instant::now());
        for took in [4 * MS; 1].into_iter().chain([12 * MS; 40]) {
            device.launched(t, 1);
            device.finished(1, Some(took));
        }
        device.launched(t, 1);
        let held_back = device.busy().unwrap() - t;
        assert!(held_back.abs_diff(9 * MS) < MS / 10, "{held_back:?}");
        device.finished(1, None);
        device.launched(t, 1);
        assert_eq!(device.busy(), Some(t + held_back), "one that fails says nothing");
    }
}
