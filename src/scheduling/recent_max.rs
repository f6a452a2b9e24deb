//! A decaying maximum of recent times.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The fraction of the distance to a shorter time by which the maximum falls with each time: 1 / `DECAY`. Half of a
/// peak is forgotten after 177 frames, about six seconds of a camera.
const DECAY: u64 = 256;

/// A maximum that rises at once and falls slowly, so that one slow frame counts for a while but not forever.
///
/// Threads read it without the lock of the recording thread. If two threads record at once, one of the two times may be
/// lost.
#[derive(Debug, Default)]
pub struct RecentMax {
    nanoseconds: AtomicU64,
}

impl RecentMax {
    pub fn new(time: Duration) -> Self {
        Self { nanoseconds: AtomicU64::new(nanoseconds(time)) }
    }

    pub fn get(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }

    /// Records a measured time.
    pub fn record(&self, time: Duration) {
        let (before, time) = (self.nanoseconds.load(Ordering::Relaxed), nanoseconds(time));
        self.nanoseconds.store(time.max(before - before / DECAY + time / DECAY), Ordering::Relaxed);
    }

    /// Raises the maximum to a time that wasn't measured here.
    pub fn raise(&self, time: Duration) {
        self.nanoseconds.fetch_max(nanoseconds(time), Ordering::Relaxed);
    }

    pub fn reset(&self) {
        self.nanoseconds.store(0, Ordering::Relaxed);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    // Two of them may be added without overflow.
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_rises_at_once_and_sinks_slowly() {
        let max = RecentMax::new(2 * MS);
        max.record(10 * MS);
        assert_eq!(max.get(), 10 * MS);
        for _ in 0..177 {
            max.record(2 * MS);
        }
        assert!(max.get().abs_diff(6 * MS) < MS / 50, "half of the peak: {:?}", max.get());
        max.raise(7 * MS);
        max.raise(3 * MS);
        assert_eq!(max.get(), 7 * MS);
        for _ in 0..5000 {
            max.record(2 * MS);
        }
        assert!(max.get() < 2 * MS + MS / 100, "{:?}", max.get());
        max.reset();
        assert_eq!(max.get(), Duration::ZERO);
    }

    #[test]
    fn no_time_is_too_long() {
        let max = RecentMax::new(Duration::MAX);
        max.record(Duration::MAX);
        assert!(max.get() > 1000 * 3600 * Duration::from_secs(24));
    }
}
