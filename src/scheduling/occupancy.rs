//! How long an engine's device is busy with batches that were launched.
//!
//! Lanes share one device. A batch that is launched behind another begins when that ends, more or less: until some time before
//! it may as well grow. That is half of the time that the other takes. The host is late to see a batch's end, by a tenth of its
//! time and more where times vary, and what it expects is late by as much; with a quarter the device waited for the host. No
//! batch is held back longer than another one runs, however wrong that time is.

use std::time::{Duration, Instant};

/// Part of its time before the end of a batch at which the next may be launched: so many.
const AHEAD: u32 = 2;
/// Part of the time by which what is usual moves with each batch.
const STEP: u32 = 8;

/// Batches that run, and how long those before them took.
#[derive(Debug)]
pub struct Occupancy {
    /// Usual time of a batch on the device by its number of slots; zero: none has run yet.
    usual: Vec<Duration>,
    running: usize,
    /// Slots of the batch that was launched last, and when it will have run.
    last: Option<(usize, Instant)>,
    /// When a batch has run last.
    ended: Option<Instant>,
}

impl Occupancy {
    pub fn new(max_batch: usize) -> Self {
        Self { usual: vec![Duration::ZERO; max_batch + 1], running: 0, last: None, ended: None }
    }

    fn usual(&self, slots: usize) -> Duration {
        self.usual.get(slots).copied().unwrap_or_default()
    }

    /// A batch is launched.
    pub fn launched(&mut self, now: Instant, slots: usize) {
        let before = self.last.filter(|_| self.running > 0).map(|(_, end)| end);
        let begins = before.map_or(now, |end| end.max(now));
        self.running += 1;
        self.last = Some((slots, begins + self.usual(slots)));
    }

    /// One that was launched at `start` has run.
    pub fn finished(&mut self, now: Instant, start: Instant, slots: usize) {
        // It began when the one before it had ended.
        let took = now.saturating_duration_since(self.ended.map_or(start, |ended| ended.max(start)));
        if let Some(usual) = self.usual.get_mut(slots) {
            *usual = if usual.is_zero() { took } else { (*usual * (STEP - 1) + took) / STEP };
        }
        self.running = self.running.saturating_sub(1);
        self.ended = Some(now);
        // The one behind it begins now.
        self.last = self.last.map(|(last, _)| (last, now + self.usual(last)));
    }

    /// Until when a batch that is launched would only wait for the device; `None`: it wouldn't.
    pub fn busy(&self) -> Option<Instant> {
        let (slots, end) = self.last.filter(|_| self.running > 0)?;
        end.checked_sub(self.usual(slots) / AHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_batch_is_held_back_for_half_of_the_one_before() {
        let (mut device, t) = (Occupancy::new(4), Instant::now());
        assert_eq!(device.busy(), None, "nothing runs");
        device.launched(t, 2);
        assert_eq!(device.busy(), Some(t), "how long it takes isn't known");
        device.finished(t + 8 * MS, t, 2);
        assert_eq!(device.busy(), None, "nothing runs");

        let t = t + 100 * MS;
        device.launched(t, 2);
        assert_eq!(device.busy(), Some(t + 4 * MS));
        device.launched(t + 4 * MS, 2);
        assert_eq!(device.busy(), Some(t + 12 * MS), "it begins when the one before ends, at 8 ms");
        device.finished(t + 9 * MS, t, 2);
        let usual = (7 * 8 * MS + 9 * MS) / 8;
        assert_eq!(device.busy(), Some(t + 9 * MS + usual - usual / 2), "that was at 9 ms");
    }

    #[test]
    fn what_is_usual_is_a_batchs_own_time() {
        let (mut device, mut now) = (Occupancy::new(1), Instant::now());
        device.launched(now, 1);
        let mut start = now;
        // Each is launched half a batch ahead, and takes one and a half from there.
        for _ in 0..40 {
            device.launched(now + 6 * MS, 1);
            device.finished(now + 12 * MS, start, 1);
            (start, now) = (now + 6 * MS, now + 12 * MS);
        }
        assert_eq!(device.busy(), Some(now + 6 * MS));
    }
}
