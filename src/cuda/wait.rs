//! Waiting for work on the device whose duration is known by now.
//!
//! A blocking wait of CUDA's costs two wake-ups of a thread of the driver and one of ours: more CPU time than all else that
//! a small batch takes on the host. So work is slept through for as long as it has taken of late, then looked after.

use crate::infer::Error;
use std::time::{Duration, Instant};

/// Naps after the first sleep, each twice as long as the one before: in all the time of the work once more.
const NAPS: u32 = 5;
const SHORTEST_NAP: Duration = Duration::from_micros(50);
/// Part of the time by which what is expected moves with each wait: outliers count no more than others.
const STEP: u32 = 256;

/// How long one kind of work is slept through: a third of it takes longer.
#[derive(Debug, Default)]
pub struct Wait {
    /// Zero: not known yet.
    expected: Duration,
}

impl Wait {
    /// Until the work is `done`; `block` waits for it, where it takes unusually long.
    ///
    /// # Errors
    /// What failed on the device.
    pub fn until(
        &mut self,
        done: impl FnMut() -> bool,
        block: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let start = Instant::now();
        if !self.sleep(std::thread::sleep, done) {
            block()?;
        }
        if self.expected.is_zero() {
            self.expected = start.elapsed();
        }
        Ok(())
    }

    /// Whether it's done after the sleep and a few naps.
    fn sleep(&mut self, mut sleep: impl FnMut(Duration), mut done: impl FnMut() -> bool) -> bool {
        if self.expected.is_zero() {
            return false;
        }
        let step = self.expected / STEP;
        let mut nap = (self.expected / (1 << NAPS)).max(SHORTEST_NAP);
        sleep(self.expected);
        if done() {
            self.expected -= step;
            return true;
        }
        self.expected += 2 * step;
        for _ in 0..NAPS {
            sleep(nap);
            if done() {
                return true;
            }
            nap *= 2;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const MS: Duration = Duration::from_millis(1);

    /// Waits for work that takes so long; whether it was done without blocking, after how many questions, and when.
    fn wait(wait: &mut Wait, takes: Duration) -> (bool, u32, Duration) {
        let (slept, asked) = (Cell::new(Duration::ZERO), Cell::new(0));
        let done = wait.sleep(
            |time| slept.set(slept.get() + time),
            || {
                asked.set(asked.get() + 1);
                slept.get() >= takes
            },
        );
        (done, asked.get(), slept.get())
    }

    #[test]
    fn work_of_unknown_duration_is_blocked_for() {
        assert_eq!(wait(&mut Wait::default(), MS), (false, 0, Duration::ZERO));
    }

    #[test]
    fn what_is_expected_follows_the_work() {
        for takes in [1, 3] {
            let mut of_two = Wait { expected: 2 * MS };
            for _ in 0..400 {
                wait(&mut of_two, takes * MS);
            }
            let difference = of_two.expected.abs_diff(takes * MS);
            assert!(difference < takes * MS / 50, "{takes} ms: {:?}", of_two.expected);
            let (done, asked, slept) = wait(&mut of_two, takes * MS);
            assert!(done && asked <= 2 && slept < takes * MS * 21 / 20, "{asked}, {slept:?}");
        }
    }

    #[test]
    fn an_outlier_changes_little_and_is_blocked_for_at_last() {
        let mut of_two = Wait { expected: 2 * MS };
        let (done, asked, slept) = wait(&mut of_two, 9 * MS);
        assert!(!done && asked == 1 + NAPS && slept < 4 * MS, "{asked}, {slept:?}");
        assert!(of_two.expected < 2 * MS + MS / 50);
    }
}
