//! Estimates how long an engine's device is busy with launched batches.
//!
//! Lanes share one device, so a batch that is launched behind another one starts when that one ends. Until shortly
//! before, it may as well grow: it is held back for half of the time of the running batch. The host notices a batch's
//! end late, by a tenth of the batch's time or more if times vary, and its estimates are late by as much; with three
//! quarters instead of half, the device waited for the host. No batch is held back longer than the other one runs,
//! however wrong the estimate is.

use std::time::{Duration, Instant};

/// The next batch may be launched when this fraction of a batch's time is left: 1 / `AHEAD`.
const AHEAD: u32 = 2;
/// The usual time is an exponential mean of the recent batches, in which the newest has a weight of 1 / `STEP`.
const STEP: u32 = 8;

/// The running batches, and the times of earlier ones.
#[derive(Debug)]
pub struct Occupancy {
    /// A batch's usual time on the device by its number of slots; zero until one has run.
    usual: Vec<Duration>,
    running: usize,
    /// The slots of the last launched batch, and its estimated end.
    last: Option<(usize, Instant)>,
    /// When the last finished batch ended.
    ended: Option<Instant>,
}

impl Occupancy {
    pub fn new(max_batch: usize) -> Self {
        Self { usual: vec![Duration::ZERO; max_batch + 1], running: 0, last: None, ended: None }
    }

    fn usual(&self, slots: usize) -> Duration {
        self.usual.get(slots).copied().unwrap_or_default()
    }

    /// Records a launch.
    pub fn launched(&mut self, now: Instant, slots: usize) {
        let before = self.last.filter(|_| self.running > 0).map(|(_, end)| end);
        let begins = before.map_or(now, |end| end.max(now));
        self.running += 1;
        self.last = Some((slots, begins + self.usual(slots)));
    }

    /// Records the end of a batch that was launched at `start`.
    pub fn finished(&mut self, now: Instant, start: Instant, slots: usize) {
        // It didn't start before the previous one had ended.
        let took = now.saturating_duration_since(self.ended.map_or(start, |ended| ended.max(start)));
        if let Some(usual) = self.usual.get_mut(slots) {
            *usual = if usual.is_zero() { took } else { (*usual * (STEP - 1) + took) / STEP };
        }
        self.running = self.running.saturating_sub(1);
        self.ended = Some(now);
        // The batch behind it starts now.
        self.last = self.last.map(|(last, _)| (last, now + self.usual(last)));
    }

    /// Until when a launched batch would only wait for the device; `None` if the device is idle.
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
        // Each batch is launched half a batch ahead, and takes one and a half from there.
        for _ in 0..40 {
            device.launched(now + 6 * MS, 1);
            device.finished(now + 12 * MS, start, 1);
            (start, now) = (now + 6 * MS, now + 12 * MS);
        }
        assert_eq!(device.busy(), Some(now + 6 * MS));
    }
}
