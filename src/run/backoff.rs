//! How long to wait before a camera is tried again.

use std::time::Duration;

/// Waits that double with each failure in a row, and are spread so that cameras behind one switch don't all come back in
/// the same instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(5) }
    }
}

impl Backoff {
    /// The wait after this many failures in a row: `random`, 0 to 1, picks it from the upper half of what they call for.
    pub fn wait(&self, failures: u32, random: f64) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(16));
        doubled.min(self.longest).mul_f64(1.0 - 0.5 * random.clamp(0.0, 1.0))
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
        let backoff = Backoff::default();
        assert_eq!(backoff.wait(1, 1.0), backoff.first / 2);
        assert_eq!(backoff.wait(1, 0.5), backoff.first * 3 / 4);
        assert_eq!(backoff.wait(1, 7.0), backoff.first / 2);
    }
}
