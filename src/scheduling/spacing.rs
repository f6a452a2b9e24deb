//! Sources that are opened one after the other.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// From one source on a GPU to the next: a driver opens decoders one at a time, each in about 45 ms (on an H200), and what
/// cameras send meanwhile waits for theirs.
const OF_GPU: Duration = Duration::from_millis(50);

/// When the next source may be opened; shared by all cameras of a supervisor.
#[derive(Debug, Clone, Default)]
pub struct Spacing(Rc<Cell<Option<Instant>>>);

impl Spacing {
    /// Takes the next place in the row, for a source whose decoder is one of a GPU's; says how long it is until then.
    pub fn take(&self, now: Instant) -> Duration {
        let due = self.0.get().filter(|due| *due > now).unwrap_or(now);
        self.0.set(Some(due + OF_GPU));
        due - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_opened_at_once_and_each_other_after_the_one_before() {
        let (spacing, now) = (Spacing::default(), Instant::now());
        let other = spacing.clone();
        let waits = [spacing.take(now), other.take(now), spacing.take(now)];
        assert_eq!(waits, [Duration::ZERO, OF_GPU, 2 * OF_GPU]);
        assert_eq!(other.take(now + OF_GPU), 2 * OF_GPU, "places aren't given away");
        assert_eq!(spacing.take(now + 10 * OF_GPU), Duration::ZERO, "long after");
    }
}
