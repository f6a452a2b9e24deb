//! How long to wait before something is tried again.

use std::time::Duration;

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
}

impl Attempts {
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { backoff: Backoff { first, longest }, failures: 0 }
    }

    /// The wait after one more failure.
    pub fn next_wait(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.backoff.wait(self.failures, gst::glib::random_double())
    }

    /// After a success.
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
        attempts.reset();
        assert!(attempts.next_wait() <= Duration::from_millis(100));
    }
}
