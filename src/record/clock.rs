//! The timestamps of recorded frames, which always grow even if the camera's jump.

use std::time::Duration;

/// Gives frames timestamps that always grow: the camera's own, shifted where those jump.
#[derive(Debug, Default)]
pub struct Clock {
    last: Option<Last>,
    /// The offset from the camera's time to the recording's, nanoseconds.
    shift: i128,
}

/// The time and duration of a frame, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub time: u64,
    /// How long the previous frame was shown, as an estimate for this one.
    pub duration: u64,
}

#[derive(Debug)]
struct Last {
    time: u64,
    /// When the frame came.
    came: Duration,
}

impl Clock {
    /// Frames out of order are less than this apart; a larger step back is a new beginning of the clock.
    const DISORDER: i128 = 1_000_000_000;
    /// A larger step ahead isn't a valid time.
    const LEAP: i128 = 24 * 3600 * 1_000_000_000;

    /// The duration of the first frame, and the longest of others.
    const DURATION: u64 = 40_000_000;
    const LONGEST: u64 = 1_000_000_000;

    /// The stamp of a frame that comes at `now`, and whose running time is `running` nanoseconds if it has one.
    pub fn next(&mut self, running: Option<u64>, now: Duration) -> Stamp {
        let before = self.last.as_ref().map(|last| last.time);
        let time = self.time(running, now);
        let duration = before.map_or(Self::DURATION, |before| time.saturating_sub(before).min(Self::LONGEST));
        self.last = Some(Last { time, came: now });
        Stamp { time, duration }
    }

    fn time(&mut self, running: Option<u64>, now: Duration) -> u64 {
        let Some(last) = &self.last else {
            self.shift = -running.map_or(0, i128::from);
            return 0;
        };
        let before = i128::from(last.time);
        // The next time if the camera had no clock.
        let passed = before + now.saturating_sub(last.came).as_nanos().max(1) as i128;
        let time = match running.map(i128::from) {
            None => passed,
            Some(running) => {
                let time = running + self.shift;
                if time < before - Self::DISORDER || time > before + Self::LEAP {
                    self.shift = passed - running;
                    passed
                } else {
                    time.max(before + 1)
                }
            }
        };
        u64::try_from(time).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// The times, in milliseconds, of frames that come every 40 ms.
    fn times(running: &[Option<u64>]) -> Vec<u64> {
        let mut clock = Clock::default();
        let came = (0..).map(|n| Duration::from_millis(5000 + 40 * n));
        running.iter().zip(came).map(|(running, now)| clock.next(running.map(|ms| ms * MS), now).time / MS).collect()
    }

    #[test]
    fn the_cameras_own_time_counts_from_its_first_frame() {
        assert_eq!(times(&[Some(1000), Some(1033), Some(1500), Some(9000)]), [0, 33, 500, 8000]);
    }

    #[test]
    fn a_time_that_begins_anew_goes_on() {
        assert_eq!(times(&[Some(7000), Some(7100), Some(0), Some(100), Some(200)]), [0, 100, 140, 240, 340]);
        assert_eq!(times(&[Some(0), Some(40), Some(1 << 43), Some(80)]), [0, 40, 80, 120]);
    }

    #[test]
    fn frames_in_disorder_and_without_time_go_on() {
        assert_eq!(times(&[Some(0), Some(80), Some(40), Some(120)]), [0, 80, 80, 120]);
        assert_eq!(times(&[None, None, Some(9000), None]), [0, 40, 9000, 9040]);
        let mut clock = Clock::default();
        let same: Vec<_> = (0..4).map(|_| clock.next(Some(5), Duration::ZERO).time).collect();
        assert_eq!(same, [0, 1, 2, 3]);
    }

    #[test]
    fn no_time_is_too_large() {
        let mut clock = Clock::default();
        clock.next(Some(u64::MAX), Duration::MAX);
        assert_eq!(clock.next(Some(0), Duration::ZERO).time, 1);
        assert_eq!(clock.next(Some(u64::MAX), Duration::from_nanos(9)).time, 10);
    }

    #[test]
    fn a_frame_lasts_as_the_one_before() {
        let mut clock = Clock::default();
        let durations = [0, 33, 133, 9000].map(|ms| clock.next(Some(ms * MS), Duration::ZERO).duration / MS);
        assert_eq!(durations, [40, 33, 100, 1000]);
    }
}
