//! Staggers the opening of sources on a GPU.

use std::time::{Duration, Instant};

/// The interval between openings: a driver opens decoders one at a time, each in about 45 ms (on an H200), and the
/// frames that cameras send in the meantime wait for their decoders.
const OF_GPU: Duration = Duration::from_millis(50);

/// When the next source may be opened.
#[derive(Debug, Default)]
pub struct StartStagger {
    next: Option<Instant>,
}

impl StartStagger {
    /// Reserves the next time at which a source with a GPU decoder may be opened, and returns the time until then.
    pub fn reserve(&mut self, now: Instant) -> Duration {
        let due = self.next.filter(|due| *due > now).unwrap_or(now);
        self.next = Some(due + OF_GPU);
        due - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_opened_at_once_and_each_other_after_the_one_before() {
        let (mut stagger, now) = (StartStagger::default(), Instant::now());
        let waits = [stagger.reserve(now), stagger.reserve(now), stagger.reserve(now)];
        assert_eq!(waits, [Duration::ZERO, OF_GPU, 2 * OF_GPU]);
        assert_eq!(stagger.reserve(now + OF_GPU), 2 * OF_GPU, "reserved times aren't given away");
        assert_eq!(stagger.reserve(now + 10 * OF_GPU), Duration::ZERO, "long after");
    }
}
