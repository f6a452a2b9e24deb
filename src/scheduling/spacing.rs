//! Sources on a GPU are opened one after the other.

use std::time::{Duration, Instant};

/// From one source on a GPU to the next: a driver opens decoders one at a time, each in about 45 ms (on an H200), and what
/// cameras send meanwhile waits for their decoders.
const OF_GPU: Duration = Duration::from_millis(50);

/// When the next source may be opened.
#[derive(Debug, Default)]
pub struct Spacing {
    next: Option<Instant>,
}

impl Spacing {
    /// Reserves the next time at which a source with a decoder on a GPU may be opened, and returns how long it is until then.
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
        let (mut spacing, now) = (Spacing::default(), Instant::now());
        let waits = [spacing.reserve(now), spacing.reserve(now), spacing.reserve(now)];
        assert_eq!(waits, [Duration::ZERO, OF_GPU, 2 * OF_GPU]);
        assert_eq!(spacing.reserve(now + OF_GPU), 2 * OF_GPU, "reserved times aren't given away");
        assert_eq!(spacing.reserve(now + 10 * OF_GPU), Duration::ZERO, "long after");
    }
}
