//! How long a source may be silent, by its own frame rate.

use super::lifecycle::Patience;
use std::collections::VecDeque;
use std::time::Duration;

/// Predicts when a source's next picture comes, by the rate that the stream declares and by the intervals between its
/// last pictures.
#[derive(Debug, Default)]
pub struct FrameIntervals {
    /// The interval that the stream declares; the longest, if it declares several.
    told: Duration,
    /// When the last picture came, on the caller's clock.
    last: Option<Duration>,
    /// The measured intervals, oldest first.
    intervals: VecDeque<Duration>,
}

/// The number of intervals that are kept. Where pictures come in bursts, the pause between two bursts is among them.
const INTERVALS: usize = 8;
/// A source that slows down may take this many times its longest interval.
const TIMES: u32 = 3;
/// The longest declared interval that is believed.
const LONGEST_TOLD: Duration = Duration::from_secs(20 * 60);

impl FrameIntervals {
    /// Records the interval that the stream declares.
    pub fn tell(&mut self, interval: Duration) {
        self.told = self.told.max(interval.min(LONGEST_TOLD));
    }

    /// Records that a picture has come.
    pub fn picture(&mut self, now: Duration) {
        if let Some(last) = self.last.replace(now) {
            if self.intervals.len() >= INTERVALS {
                self.intervals.pop_front();
            }
            self.intervals.push_back(now.saturating_sub(last));
        }
    }

    /// The longest silence to accept. Until there are two pictures, it is the time that connecting may take: the rate
    /// that a stream declares is often that of another mode of the camera.
    pub fn longest_silence(&self, patience: &Patience) -> Duration {
        let least = match self.intervals.is_empty() {
            true => patience.connect.max(patience.silence),
            false => patience.silence,
        };
        let expected = self.intervals.iter().copied().max().unwrap_or_default().max(self.told);
        least.max(TIMES * expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// After pictures at these times, in milliseconds.
    fn after(times: &[u64]) -> FrameIntervals {
        let mut frame_intervals = FrameIntervals::default();
        times.iter().for_each(|time| frame_intervals.picture(Duration::from_millis(*time)));
        frame_intervals
    }

    fn longest(frame_intervals: &FrameIntervals) -> Duration {
        frame_intervals.longest_silence(&Patience::default())
    }

    #[test]
    fn a_fast_camera_is_missed_after_the_usual_time() {
        assert_eq!(longest(&after(&[0, 40, 80])), 5 * SECOND);
        let mut told = after(&[0, 40, 80]);
        told.tell(SECOND / 25);
        assert_eq!(longest(&told), 5 * SECOND);
        // A camera that was slow at night.
        let times: Vec<u64> = [0, 7000].into_iter().chain((1..=8).map(|n| 7000 + 40 * n)).collect();
        assert_eq!(longest(&after(&times)), 5 * SECOND);
    }

    #[test]
    fn a_slow_camera_is_waited_for_by_what_it_says_and_does() {
        assert_eq!(longest(&after(&[])), 10 * SECOND, "connecting");
        assert_eq!(longest(&after(&[0])), 10 * SECOND, "its rate isn't known");
        assert_eq!(longest(&after(&[0, 6700])), Duration::from_millis(20_100));
        // Two pictures every seven seconds.
        assert_eq!(longest(&after(&[0, 40, 7000, 7040, 14_000, 14_040])), Duration::from_millis(3 * 6960));
        let mut told = after(&[]);
        told.tell(SECOND / 25);
        assert_eq!(longest(&told), 10 * SECOND, "a rate that many say and don't keep");
        told.tell(30 * SECOND);
        assert_eq!(longest(&told), 90 * SECOND);
        told.tell(Duration::MAX);
        assert_eq!(longest(&told), 3 * LONGEST_TOLD);
    }

    #[test]
    fn one_that_slows_down_is_followed() {
        let mut frame_intervals = FrameIntervals::default();
        let (mut now, mut interval) = (Duration::ZERO, SECOND / 25);
        for _ in 0..12 {
            frame_intervals.picture(now);
            interval *= 2;
            assert!(interval <= longest(&frame_intervals), "{interval:?}");
            now += interval;
        }
        assert!(interval > 2 * 60 * SECOND);
    }
}
