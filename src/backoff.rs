//! How long to wait before something is tried again.

use std::time::{Duration, Instant};

/// Waits that double with each failure in a row, and are spread so that many that lost the same switch or server don't all
/// come back in the same instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    pub longest: Duration,
}

impl Backoff {
    /// The wait after this many failures in a row: `random`, 0 to 1, picks it from the upper half of what they call for.
    /// Half of the wait is what spreads clients evenly: with less of it they come in waves.
    pub fn wait(&self, failures: u32, random: f64) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(16));
        doubled.min(self.longest).mul_f64(1.0 - 0.5 * random.clamp(0.0, 1.0))
    }
}

/// Attempts in a row at one thing.
#[derive(Debug)]
pub struct Attempts {
    backoff: Backoff,
    failures: u32,
    /// When the last one began.
    last: Option<Instant>,
}

impl Attempts {
    /// No attempt begins sooner than this after the one before, so that what works for a moment and fails again isn't tried
    /// in a storm. What has worked for as long counts as working again.
    pub const APART: Duration = Duration::from_secs(1);

    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { backoff: Backoff { first, longest }, failures: 0, last: None }
    }

    /// An attempt begins.
    pub fn begin(&mut self) {
        self.last = Some(Instant::now());
    }

    /// The wait after one more failure.
    pub fn next_wait(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let apart = self.last.map_or(Duration::ZERO, |last| Self::APART.saturating_sub(last.elapsed()));
        self.backoff.wait(self.failures, gst::glib::random_double()).max(apart)
    }

    /// Something got through: the next failure is the first again, if it didn't come at once.
    pub fn worked(&mut self) -> bool {
        let settled = self.last.is_none_or(|last| last.elapsed() >= Self::APART);
        if settled {
            self.reset();
        }
        settled
    }

    /// The next failure is the first again.
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
