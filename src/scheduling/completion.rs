//! Decides when a lane checks whether its batch is done.
//!
//! A blocking wait in CUDA wakes a thread of the driver twice and ours once, which costs more CPU time than everything
//! else that a small batch needs on the host. So the lane sleeps for as long as such batches have recently taken, then
//! checks a few times, and blocks only for a batch that takes far longer.

use std::time::Duration;

/// The number of naps after the first sleep, each half again as long as the previous one. Together they are shorter
/// than the expected time, because a napping lane doesn't notice that the device has failed.
const NAPS: u32 = 7;
/// The first nap is this fraction of the expected time: 1 / `NAP`.
const NAP: u32 = 40;
const SHORTEST_NAP: Duration = Duration::from_micros(50);
/// The expected time moves by multiples of this fraction of it, 1 / `STEP`, so that outliers have no more weight than
/// others.
const STEP: u32 = 256;
/// From this number of images on, the cost of checking again is shared.
const MANY: usize = 4;

/// How long the lane sleeps through batches of one size before it checks.
#[derive(Debug)]
pub struct CompletionWait {
    /// Zero until known.
    expected: Duration,
    /// Steps down if the batch was done after the first sleep, and up if it wasn't.
    steps: (u32, u32),
}

impl CompletionWait {
    /// For batches of this many images. A third of small batches take longer than the first sleep, and three quarters of
    /// large ones: the work behind a batch delays the next one, so that with many images being late costs more than naps.
    pub fn new(images: usize) -> Self {
        Self { expected: Duration::ZERO, steps: if images < MANY { (1, 2) } else { (3, 1) } }
    }

    /// The sleeps, after each of which the lane checks; after the last one it blocks. There are none until the time of
    /// such a batch is known.
    pub fn sleeps(&self) -> impl Iterator<Item = Duration> + use<> {
        let first_nap = (self.expected / NAP).max(SHORTEST_NAP);
        let naps = std::iter::successors(Some(first_nap), |nap| Some(*nap + *nap / 2)).take(NAPS as usize);
        let known = !self.expected.is_zero();
        std::iter::once(self.expected).chain(naps).take(if known { 1 + NAPS as usize } else { 0 })
    }

    /// Records whether the batch was `done` after the first sleep.
    pub fn looked(&mut self, done: bool) {
        let (step, (down, up)) = (self.expected / STEP, self.steps);
        if done {
            self.expected -= down * step;
        } else {
            self.expected += up * step;
        }
    }

    /// Records the time of a batch that the lane blocked for.
    pub fn blocked(&mut self, took: Duration) {
        if self.expected.is_zero() {
            self.expected = took;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Waits for work of this duration. Returns whether it was done without blocking, the number of checks, and the
    /// time slept.
    fn wait(wait: &mut CompletionWait, takes: Duration) -> (bool, u32, Duration) {
        let (mut slept, mut looks) = (Duration::ZERO, 0);
        for sleep in wait.sleeps() {
            slept += sleep;
            looks += 1;
            let done = slept >= takes;
            if looks == 1 {
                wait.looked(done);
            }
            if done {
                return (true, looks, slept);
            }
        }
        wait.blocked(takes);
        (false, looks, slept)
    }

    fn expecting(expected: Duration) -> [CompletionWait; 2] {
        [1, 16].map(|images| CompletionWait { expected, ..CompletionWait::new(images) })
    }

    #[test]
    fn work_of_unknown_duration_is_blocked_for() {
        let mut unknown = CompletionWait::new(1);
        assert_eq!(wait(&mut unknown, MS), (false, 0, Duration::ZERO));
        assert_eq!(wait(&mut unknown, MS), (true, 1, MS), "it's known now");
    }

    #[test]
    fn the_expected_time_follows_the_work() {
        for takes in [1, 3] {
            for mut of_two in expecting(2 * MS) {
                for _ in 0..400 {
                    wait(&mut of_two, takes * MS);
                }
                let difference = of_two.expected.abs_diff(takes * MS);
                assert!(difference < takes * MS / 50, "{takes} ms: {:?}", of_two.expected);
                let (done, looks, slept) = wait(&mut of_two, takes * MS);
                assert!(done && looks <= 2 && slept < takes * MS * 21 / 20, "{looks}, {slept:?}");
            }
        }
    }

    /// The first sleep covers two thirds of small batches; in three quarters of the large ones the lane naps.
    #[test]
    fn late_for_few_images_early_for_many() {
        for (mut of_two, expected) in expecting(2 * MS).into_iter().zip([60..=73, 20..=31]) {
            // Evenly distributed over 1 to 3 ms.
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
            let (done, looks, slept) = wait(&mut of_two, 9 * MS);
            assert!(!done && looks == 1 + NAPS && slept < 4 * MS, "{looks}, {slept:?}");
            assert!(of_two.expected < 2 * MS + MS / 50);
        }
    }
}
