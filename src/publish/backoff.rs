//! How long to wait before the next attempt.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waits that double from the first to the longest, each made up to a quarter shorter by chance, so that many who lost the
/// same server don't come back all at once.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    attempts: u32,
    chance: RandomState,
}

impl Backoff {
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, attempts: 0, chance: RandomState::new() }
    }

    /// The wait after one more failure.
    pub fn next_wait(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1u32.checked_shl(self.attempts).unwrap_or(u32::MAX));
        self.attempts = self.attempts.saturating_add(1);
        let chance = (self.chance.hash_one(self.attempts) % 1024) as f64 / 1024.0;
        doubled.min(self.longest).mul_f64(1.0 - chance / 4.0)
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        for expected in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let wait = backoff.next_wait().as_secs_f64() * 1e3;
            assert!((0.75 * f64::from(expected)..=f64::from(expected)).contains(&wait), "{wait} for {expected}");
        }
        (0..100).for_each(|_| assert!(backoff.next_wait() <= Duration::from_secs(5)));
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }

    #[test]
    fn two_of_them_differ() {
        let waits = || {
            let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1));
            (0..8).map(|_| backoff.next_wait()).collect::<Vec<_>>()
        };
        assert_ne!(waits(), waits());
    }
}
