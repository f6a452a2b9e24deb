//! Counters and latencies.

use hdrhistogram::Histogram;
use std::time::Duration;

/// A duration in nanoseconds, as GStreamer counts time.
pub fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Durations, kept as a histogram of microseconds.
#[derive(Debug)]
pub struct Latencies(Histogram<u32>);

/// Percentiles of a [`Latencies`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Percentiles {
    pub p50: Duration,
    pub p95: Duration,
    pub p99: Duration,
}

impl Default for Latencies {
    /// From 1 µs to 100 s, two significant digits.
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, 100_000_000, 2).unwrap_or_else(|_| unreachable!("constant bounds")))
    }
}

impl Latencies {
    pub fn record(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Removes all durations.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// Adds all durations of `other`.
    pub fn add(&mut self, other: &Self) {
        // This can't fail, because both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of durations.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    pub fn percentiles(&self) -> Percentiles {
        let at = |q| Duration::from_micros(self.0.value_at_quantile(q));
        Percentiles { p50: at(0.50), p95: at(0.95), p99: at(0.99) }
    }
}

/// The totals of a service since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ServiceStats {
    pub batches: u64,
    /// Regions run; divided by `batches` this is the mean batch fill.
    pub slots: u64,
    /// Frames whose results were delivered.
    pub frames: u64,
    /// Batches that failed.
    pub failed: u64,
    /// Candidates that passed the thresholds, and the objects that remained after suppression.
    pub candidates: u64,
    pub objects: u64,
    /// From a frame's submission to its result.
    pub latency: Percentiles,
    /// The time of one batch on its lane.
    pub batch_time: Percentiles,
    /// The shortest time of a region in any batch, also in the full one that ran before the first frame.
    pub region_time: Duration,
    /// The time that all regions take in full batches: of each the shortest that was known when it ran. Small batches take
    /// longer, but they are small because the device has time for them.
    pub work: Duration,
}

impl ServiceStats {
    /// The totals before the first frame, after a full batch that took this long.
    pub fn warmed_up(batch_time: Duration, max_batch: usize) -> Self {
        Self { region_time: of_region(batch_time, max_batch), ..Self::default() }
    }

    /// Adds the work of a batch that took this long.
    pub fn add_work(&mut self, batch_time: Duration, batch: usize) {
        self.region_time = self.region_time.min(of_region(batch_time, batch));
        self.work += self.region_time * u32::try_from(batch).unwrap_or(u32::MAX);
    }

    /// The mean number of regions per batch.
    pub fn batch_fill(&self) -> f64 {
        if self.batches == 0 { 0.0 } else { self.slots as f64 / self.batches as f64 }
    }
}

/// The part of a batch's time that each of its regions takes.
fn of_region(batch_time: Duration, batch: usize) -> Duration {
    batch_time / u32::try_from(batch).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_what_full_batches_would_take() {
        let ms = Duration::from_millis;
        let mut stats = ServiceStats::warmed_up(ms(40), 4);
        stats.add_work(ms(30), 1);
        assert_eq!((stats.region_time, stats.work), (ms(10), ms(10)), "alone it takes longer");
        stats.add_work(ms(20), 4);
        assert_eq!((stats.region_time, stats.work), (ms(5), ms(30)), "what has run isn't counted again");
        stats.add_work(ms(40), 2);
        assert_eq!(stats.work, ms(40));
    }

    #[test]
    fn percentiles_within_one_per_cent() {
        let mut l = Latencies::default();
        for us in 1..=1000 {
            l.record(Duration::from_micros(us));
        }
        let p = l.percentiles();
        for (got, want) in [(p.p50, 500.0), (p.p95, 950.0), (p.p99, 990.0)] {
            let got = got.as_micros() as f64;
            assert!((got - want).abs() <= want / 100.0, "{got} instead of {want}");
        }
    }

    #[test]
    fn no_value_is_too_large() {
        let mut l = Latencies::default();
        l.record(Duration::MAX);
        assert!(l.percentiles().p50 > Duration::from_secs(90));
    }
}
