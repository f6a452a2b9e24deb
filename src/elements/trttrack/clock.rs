//! The times of a stream's frames, and the interval between them.

use std::time::Duration;

/// The interval before it is known.
const COMMON: Duration = Duration::from_nanos(33_333_333);

/// How many intervals are measured where the caps don't tell. The unit of time must not drift under the trackers' motion
/// models.
const MEASURED: u32 = 8;

/// Tells frames' times and their usual interval.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Clock {
    /// From the caps' framerate.
    nominal: Option<Duration>,
    last: Option<Duration>,
    /// The sum of the intervals that were measured, and their number.
    sum: Duration,
    count: u32,
}

impl Clock {
    /// `None` where the rate isn't known.
    pub fn set_nominal(&mut self, interval: Option<Duration>) {
        self.nominal = interval.filter(|interval| !interval.is_zero());
    }

    /// Another stream begins, whose caps may be the same.
    pub fn reset(&mut self) {
        *self = Self { nominal: self.nominal, ..Self::default() };
    }

    /// The time of the next frame. One without a timestamp follows the last after an interval; time never goes back.
    pub fn tick(&mut self, timestamp: Option<Duration>) -> Duration {
        let Some(last) = self.last else {
            let first = timestamp.unwrap_or_default();
            self.last = Some(first);
            return first;
        };
        let time = timestamp.map_or_else(|| last.saturating_add(self.interval()), |time| time.max(last));
        let interval = time.saturating_sub(last);
        if timestamp.is_some() && self.count < MEASURED && !interval.is_zero() {
            self.sum = self.sum.saturating_add(interval);
            self.count += 1;
        }
        self.last = Some(time);
        time
    }

    /// Whether a timestamp is before the last one, or more than `longest` after it. Nothing is known of a frame without one.
    pub fn jumps_to(&self, timestamp: Option<Duration>, longest: Duration) -> bool {
        match (self.last, timestamp) {
            (Some(last), Some(time)) => time < last || time - last > longest,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// Between two frames; never zero.
    pub fn interval(&self) -> Duration {
        let measured = || self.sum.checked_div(self.count).filter(|interval| !interval.is_zero());
        self.nominal.or_else(measured).unwrap_or(COMMON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_rate_of_the_caps_counts_or_else_the_first_intervals() {
        let mut clock = Clock::default();
        clock.set_nominal(Some(ms(40)));
        assert_eq!((clock.tick(Some(ms(5))), clock.tick(None), clock.interval()), (ms(5), ms(45), ms(40)));
        clock.set_nominal(Some(Duration::ZERO));
        assert_eq!(clock.interval(), COMMON);
        for frame in 1..=8 {
            clock.tick(Some(ms(45 + 100 * frame)));
        }
        clock.tick(Some(ms(60_000)));
        assert_eq!(clock.interval(), ms(100), "a gap that comes later doesn't count");
    }

    #[test]
    fn time_never_goes_back() {
        let mut clock = Clock::default();
        assert_eq!([1000, 500, 1100].map(|time| clock.tick(Some(ms(time)))), [ms(1000), ms(1000), ms(1100)]);
        let jumps = |time| clock.jumps_to(time, ms(300));
        assert!(!jumps(Some(ms(1100))) && !jumps(Some(ms(1400))) && jumps(Some(ms(1401))));
        assert!(jumps(Some(ms(1099))) && jumps(None));
        clock.reset();
        assert!(!clock.jumps_to(Some(ms(7)), ms(0)), "the first");
        assert_eq!(clock.tick(Some(ms(3))), ms(3));
    }
}
