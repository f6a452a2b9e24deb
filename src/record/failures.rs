//! Failures of something that is retried: when the next attempt is due, and what of it is said.

use std::time::{Duration, Instant};

/// The failures of one output.
#[derive(Debug, Default)]
pub struct Failures {
    /// After a failure, until something is written: the delay before the next attempt.
    pause: Option<Duration>,
    not_before: Option<Instant>,
    /// When a failure was last reported, and whether its end is to be reported.
    said: Option<Instant>,
    is_said: bool,
}

impl Failures {
    /// The delay before the first retry; it doubles each time, up to the longest.
    const RETRY: Duration = Duration::from_secs(5);
    const LONGEST_RETRY: Duration = Duration::from_secs(40);
    /// The shortest time between two reports of failures, for attempts that alternately work and fail.
    const SAY: Duration = Duration::from_secs(60);

    /// Whether the next attempt isn't due yet.
    pub fn is_paused(&self, now: Instant) -> bool {
        self.not_before.is_some_and(|time| now < time)
    }

    /// When the next attempt is due, if there was a failure.
    pub fn due(&self) -> Option<Instant> {
        self.pause.and(self.not_before)
    }

    /// Records a failure. Returns whether it's to be reported.
    pub fn failed(&mut self, now: Instant) -> bool {
        let is_first = self.pause.is_none();
        let pause = self.pause.map_or(Self::RETRY, |pause| (2 * pause).min(Self::LONGEST_RETRY));
        self.pause = Some(pause);
        self.not_before = Some(now + pause);
        let is_news = is_first && self.said.is_none_or(|said| now - said >= Self::SAY);
        if is_news {
            (self.said, self.is_said) = (Some(now), true);
        }
        is_news
    }

    /// Records a success. Returns whether it's to be reported, as the end of a failure that was.
    pub fn worked(&mut self) -> bool {
        self.pause.take().is_some() && std::mem::take(&mut self.is_said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_report_of_a_failure_and_of_its_end() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert!(!failures.is_paused(start) && failures.due().is_none() && !failures.worked());
        assert!(failures.failed(start));
        assert!(failures.is_paused(start + 4 * second) && !failures.is_paused(start + 5 * second));
        assert_eq!(failures.due(), Some(start + 5 * second));
        assert!(!failures.failed(start + 5 * second), "again");
        assert!(failures.is_paused(start + 14 * second) && !failures.is_paused(start + 15 * second));
        assert!(failures.worked() && !failures.worked());
        // Works and fails in turn.
        assert!(!failures.failed(start + 20 * second) && !failures.worked());
        assert!(failures.failed(start + 61 * second) && failures.worked());
    }
}
