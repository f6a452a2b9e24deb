//! Detects whether upstream delivers frames at their own rate, with time to spare between them.
//!
//! If so, as with a camera's decoder, the upstream thread may do all the work on a frame: overlapping would gain
//! nothing, and waking other threads for each frame costs more than the work.

use std::time::{Duration, Instant};

/// The number of consecutive frames that must arrive at that rate.
const IN_A_ROW: u32 = 8;
/// Upstream's thread must have been away for at least this multiple of the time that a frame takes here.
const SPARE: u32 = 4;
/// A frame that arrives after this fraction of its period still counts as on time, because cameras and networks jitter.
const EARLIEST: (u32, u32) = (3, 4);

/// The arrivals and departures of one streaming thread.
#[derive(Debug, Default)]
pub struct Pace {
    last: Option<Last>,
    in_a_row: u32,
    /// True if the last frame's answer differs from the previous one.
    changed: bool,
}

#[derive(Debug)]
struct Last {
    arrived: Instant,
    taken: Instant,
    pts: Duration,
}

impl Pace {
    /// Records an arriving frame. Returns true if the upstream thread may do all the work on it, which `takes` this
    /// long: recent frames arrived no faster than their timestamps, and no frame would wait for the thread. `takes` is
    /// called only if they did.
    pub fn arrived(&mut self, now: Instant, pts: Option<Duration>, takes: impl FnOnce() -> Duration) -> bool {
        let last = self.last.take();
        let at_ease = last.as_ref().zip(pts).is_some_and(|(last, pts)| {
            let due = pts.saturating_sub(last.pts) * EARLIEST.0 / EARLIEST.1;
            let spare = now.saturating_duration_since(last.taken);
            !due.is_zero() && now.saturating_duration_since(last.arrived) >= due && spare >= SPARE * takes()
        });
        let before = self.in_a_row == IN_A_ROW;
        self.in_a_row = if at_ease { (self.in_a_row + 1).min(IN_A_ROW) } else { 0 };
        self.last = pts.map(|pts| Last { arrived: now, taken: now, pts });
        let at_once = self.in_a_row == IN_A_ROW;
        self.changed = at_once != before;
        at_once
    }

    /// True if the last answer differs from the previous frame's.
    pub fn has_changed(&self) -> bool {
        self.changed
    }

    /// Records that the last frame has been taken, and that its thread returns upstream.
    pub fn taken(&mut self, now: Instant) {
        if let Some(last) = &mut self.last {
            last.taken = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// The first of the frames for which there was time. Their timestamps are 40 ms apart, they arrive `apart`, and
    /// each is kept for `kept`.
    fn first_at_ease(apart: Duration, kept: Duration, takes: Duration) -> Option<u32> {
        let (mut pace, start) = (Pace::default(), Instant::now());
        (0..50).find(|&n| {
            let now = start + n * apart;
            let at_ease = pace.arrived(now, Some(n * 40 * MS), || takes);
            pace.taken(now + kept);
            at_ease
        })
    }

    #[test]
    fn frames_at_their_own_rate_leave_time() {
        assert_eq!(first_at_ease(40 * MS, 2 * MS, 2 * MS), Some(IN_A_ROW));
        assert_eq!(first_at_ease(32 * MS, 2 * MS, 2 * MS), Some(IN_A_ROW), "with some jitter");
    }

    #[test]
    fn neither_a_file_nor_slow_work_nor_a_slow_sink_do() {
        assert_eq!(first_at_ease(3 * MS, MS / 10, MS / 10), None, "as fast as it can be decoded");
        assert_eq!(first_at_ease(40 * MS, 15 * MS, 10 * MS), None, "the model takes long");
        assert_eq!(first_at_ease(40 * MS, 36 * MS, 2 * MS), None, "downstream holds frames");
    }

    #[test]
    fn one_frame_too_early_starts_anew() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut arrives = |at: Duration, pts: Option<u32>| {
            let at_ease = pace.arrived(start + at, pts.map(|pts| pts * MS), || 2 * MS);
            pace.taken(start + at + MS);
            at_ease
        };
        let all: Vec<_> = (0..12).map(|n| arrives(n * 40 * MS, Some(n * 40))).collect();
        assert_eq!(all.iter().filter(|at_ease| **at_ease).count(), 4);
        assert!(!arrives(445 * MS, Some(480)), "5 ms after the one before");
        assert!(!arrives(520 * MS, Some(520)));
        assert!(!arrives(560 * MS, None), "no timestamp");
        assert!(!arrives(600 * MS, Some(0)), "timestamps that go back");
    }
}
