//! Delays between retries.

use std::time::{Duration, Instant};

/// Delays that double with each consecutive failure. They are randomised, so that clients that lost the same switch or
/// server don't all reconnect at the same instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The delay after the first failure.
    pub first: Duration,
    pub longest: Duration,
}

impl Backoff {
    /// The delay after this many consecutive failures: `random`, 0 to 1, picks it from the upper half of the nominal
    /// delay. Spreading over half of the delay distributes clients evenly: with less they come back in waves.
    pub fn wait(&self, failures: u32, random: f64) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(16));
        doubled.min(self.longest).mul_f64(1.0 - 0.5 * random.clamp(0.0, 1.0))
    }
}

/// Counts attempts at one operation, and says how long to wait before the next one.
#[derive(Debug)]
pub struct Attempts {
    backoff: Backoff,
    failures: u32,
    /// When the last attempt began.
    last: Option<Instant>,
}

impl Attempts {
    /// The shortest time between the beginnings of two attempts, so that an operation that works for a moment and fails
    /// again isn't retried in a storm. An operation that has worked for this long counts as recovered.
    pub const APART: Duration = Duration::from_secs(1);

    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { backoff: Backoff { first, longest }, failures: 0, last: None }
    }

    /// Records that an attempt begins.
    pub fn begin(&mut self) {
        self.last = Some(Instant::now());
    }

    /// Records a failure, and returns the delay before the next attempt.
    pub fn next_wait(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let apart = self.last.map_or(Duration::ZERO, |last| Self::APART.saturating_sub(last.elapsed()));
        self.backoff.wait(self.failures, gst::glib::random_double()).max(apart)
    }

    /// Records a success, which resets the delay unless it came less than [`Self::APART`] after the attempt began.
    pub fn worked(&mut self) -> bool {
        let settled = self.last.is_none_or(|last| last.elapsed() >= Self::APART);
        if settled {
            self.reset();
        }
        settled
    }

    /// Resets the delay to the first.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(5) };
        let waits = [1, 2, 3, 4, 40, u32::MAX].map(|failures| backoff.wait(failures, 0.0).as_secs());
        assert_eq!(waits, [1, 2, 4, 5, 5, 5]);
        assert_eq!(backoff.wait(0, 0.0), backoff.first);
    }

    #[test]
    fn waits_are_spread_over_the_upper_half() {
        let backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(5) };
        assert_eq!(backoff.wait(1, 1.0), backoff.first / 2);
        assert_eq!(backoff.wait(1, 0.5), backoff.first * 3 / 4);
        assert_eq!(backoff.wait(1, 7.0), backoff.first / 2);
    }

    #[test]
    fn a_success_begins_anew() {
        let mut attempts = Attempts::new(Duration::from_millis(100), Duration::from_secs(5));
        for expected in [100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 5000.0, 5000.0] {
            let wait = attempts.next_wait().as_secs_f64() * 1e3;
            assert!((expected / 2.0..=expected).contains(&wait), "{wait} for {expected}");
        }
        assert!(attempts.worked());
        assert!(attempts.next_wait() <= Duration::from_millis(100));
    }

    #[test]
    fn what_fails_again_at_once_has_not_worked_and_is_not_tried_in_a_storm() {
        let mut attempts = Attempts::new(Duration::from_millis(1), Duration::from_secs(5));
        for _ in 0..20 {
            attempts.begin();
            assert!(!attempts.worked());
            let wait = attempts.next_wait();
            assert!(wait > Attempts::APART / 2, "{wait:?}");
        }
        let long_ago = Instant::now().checked_sub(2 * Attempts::APART);
        attempts.last = long_ago;
        assert!(attempts.worked());
        assert!(attempts.next_wait() <= Duration::from_millis(1), "one that has worked long is tried again soon");
    }
}
