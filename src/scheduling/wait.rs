//! Waiting for work on the device whose duration is known by now.
//!
//! A blocking wait of CUDA's costs two wake-ups of a thread of the driver and one of ours: more CPU time than all else that
//! a small batch takes on the host. So work is slept through for as long as it has taken of late, then looked after.

use crate::infer::Error;
use std::time::{Duration, Instant};

/// Naps after the first sleep, each half again as long as the one before: in all less than the time of the work once more, as
/// who naps doesn't see that the device has failed.
const NAPS: u32 = 7;
/// Part of the time that the first nap takes.
const NAP: u32 = 40;
const SHORTEST_NAP: Duration = Duration::from_micros(50);
/// Part of the time by which what is expected moves with each wait: outliers count no more than others.
const STEP: u32 = 256;
/// Images that share what naps cost.
const MANY: usize = 4;

/// How long one kind of work is slept through before it's looked after.
#[derive(Debug)]
pub struct Wait {
    /// Zero: not known yet.
    expected: Duration,
    /// Steps down when it was done by then, and up when not.
    steps: (u32, u32),
}

impl Wait {
    /// For batches of so many images. Of few a third takes longer than what is slept through, of many three quarters: there
    /// the next batch waits for what comes after this one, so that being late costs more than naps.
    pub fn new(images: usize) -> Self {
        Self { expected: Duration::ZERO, steps: if images < MANY { (1, 2) } else { (3, 1) } }
    }

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
        let (step, (down, up)) = (self.expected / STEP, self.steps);
        let mut nap = (self.expected / NAP).max(SHORTEST_NAP);
        sleep(self.expected);
        if done() {
            self.expected -= down * step;
            return true;
        }
        self.expected += up * step;
        (0..NAPS).any(|_| {
            sleep(nap);
            nap += nap / 2;
            done()
        })
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

    fn expecting(expected: Duration) -> [Wait; 2] {
        [1, 16].map(|images| Wait { expected, ..Wait::new(images) })
    }

    #[test]
    fn work_of_unknown_duration_is_blocked_for() {
        assert_eq!(wait(&mut Wait::new(1), MS), (false, 0, Duration::ZERO));
    }

    #[test]
    fn what_is_expected_follows_the_work() {
        for takes in [1, 3] {
            for mut of_two in expecting(2 * MS) {
                for _ in 0..400 {
                    wait(&mut of_two, takes * MS);
                }
                let difference = of_two.expected.abs_diff(takes * MS);
                assert!(difference < takes * MS / 50, "{takes} ms: {:?}", of_two.expected);
                let (done, asked, slept) = wait(&mut of_two, takes * MS);
                assert!(done && asked <= 2 && slept < takes * MS * 21 / 20, "{asked}, {slept:?}");
            }
        }
    }

    /// A third of few images' work is slept through wholly, three quarters of many's are looked after early.
    #[test]
    fn late_for_few_early_for_many() {
        for (mut of_two, expected) in expecting(2 * MS).into_iter().zip([60..=73, 20..=31]) {
            // Evenly spread over 1 to 3 ms.
            let takes = |n: u32| MS + 2 * MS * (n * 37 % 100) / 100;
            for n in 0..2000 {
                wait(&mut of_two, takes(n));
            }
            let at_once = (0..100).filter(|&n| wait(&mut of_two, takes(n)).1 == 1).count();
            assert!(expected.contains(&at_once), "{:?}: {at_once} %", of_two.steps);
        }
    }

    #[test]
    fn an_outlier_changes_little_and_is_blocked_for_at_last() {
        for mut of_two in expecting(2 * MS) {
            let (done, asked, slept) = wait(&mut of_two, 9 * MS);
            assert!(!done && asked == 1 + NAPS && slept < 4 * MS, "{asked}, {slept:?}");
            assert!(of_two.expected < 2 * MS + MS / 50);
        }
    }
}
