//! How many cameras a host has room for.

use std::time::Duration;

/// The share of the time that models and decoders may be busy; what is left is for pictures that come together.
const BUDGET: f64 = 0.9;
/// Cameras are measured over this time, during which none starts or stops.
const WINDOW: Duration = Duration::from_secs(5);
/// Frames a second of a camera that hasn't played.
const EXPECTED_RATE: f64 = 30.0;
/// A host whose cameras lose a larger share of their frames is at its limit, whatever else was measured.
const LOST: f64 = 0.05;

/// Figures of a host's cameras, of which those that play count. Sums are since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Figures {
    pub playing: usize,
    /// The time that models take for the images so far, in full batches: of all devices together, divided by their number.
    pub work: Duration,
    /// The busiest decoder, 0–1; `None`: pictures aren't decoded by a device.
    pub decoders: Option<f64>,
    /// Frames that came out, and those that were left out.
    pub frames: u64,
    pub drops: u64,
}

/// The number of cameras that a host takes: what the operator says, or what it has measured.
///
/// A camera's share of the time that the host has is the measured share of all, divided by their number. Before any has
/// played it's what the models, timed when they were opened, would take for 30 frames a second.
#[derive(Debug)]
pub struct Capacity {
    limit: Option<usize>,
    /// The share of the host's time that a camera takes, 0–1; 0: none that could be measured.
    share: f64,
    /// The number of cameras that played when frames were lost.
    full: Option<usize>,
    measured: bool,
    since: Option<(Duration, Figures)>,
}

impl Capacity {
    /// `limit`: what the operator says. `image`: the time that all models take for a frame, divided by the number of devices.
    pub fn new(limit: Option<usize>, image: Duration) -> Self {
        let mut this = Self { limit, share: 0.0, full: None, measured: false, since: None };
        this.expect(image);
        this
    }

    /// The time that all models take for a frame, which is known better after some. It doesn't matter once cameras were measured.
    pub fn expect(&mut self, image: Duration) {
        if !self.measured {
            self.share = EXPECTED_RATE * image.as_secs_f64();
        }
    }

    /// Takes the figures at `now` on the caller's clock. Returns whether a measurement was completed.
    pub fn measure(&mut self, now: Duration, figures: Figures) -> bool {
        let Some((start, before)) = self.since else {
            self.since = Some((now, figures));
            return false;
        };
        // Sums are smaller after a camera or a model was closed.
        let counts = figures.frames.checked_sub(before.frames).zip(figures.drops.checked_sub(before.drops));
        let work = figures.work.checked_sub(before.work);
        let (Some((frames, drops)), Some(work)) = (counts, work) else {
            self.since = Some((now, figures));
            return false;
        };
        if figures.playing != before.playing || figures.playing == 0 {
            self.since = Some((now, figures));
            return false;
        }
        let time = now.saturating_sub(start);
        if time < WINDOW {
            return false;
        }
        self.since = Some((now, figures));
        let models = work.as_secs_f64() / time.as_secs_f64();
        self.share = models.max(figures.decoders.unwrap_or(0.0)) / figures.playing as f64;
        let lost = drops as f64 > LOST * (frames + drops) as f64;
        self.full = lost.then_some(figures.playing);
        self.measured = true;
        true
    }

    /// The most cameras; `None`: any number. A host takes one at least.
    pub fn cameras(&self) -> Option<usize> {
        if self.limit.is_some() {
            return self.limit;
        }
        let fitting = (self.share > 0.0).then(|| (BUDGET / self.share) as usize);
        let least = match (fitting, self.full) {
            (Some(fitting), Some(full)) => Some(fitting.min(full)),
            (fitting, full) => fitting.or(full),
        };
        least.map(|cameras| cameras.max(1))
    }

    /// How the number came about, for an operator.
    pub fn describe(&self) -> String {
        let percent = 100.0 * self.share;
        match (self.limit, self.full) {
            (Some(_), _) => "--max-cameras says so".to_owned(),
            (None, Some(full)) => format!("its {full} camera(s) lose frames"),
            (None, None) if self.measured => format!("a camera takes {percent:.2} % of its models' or decoders' time"),
            (None, None) => format!("with 30 frames/s a camera would take {percent:.2} % of its models' time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Five seconds with `playing` cameras whose images take `work` together.
    fn after(capacity: &mut Capacity, playing: usize, work: Duration, decoders: Option<f64>, drops: u64) {
        let before = Figures { playing, decoders, ..Figures::default() };
        capacity.since = None;
        assert!(!capacity.measure(SECOND, before));
        let now = Figures { work, frames: 1000, drops, ..before };
        assert!(!capacity.measure(5 * SECOND, now), "not long enough");
        assert!(capacity.measure(6 * SECOND, now));
    }

    #[test]
    fn a_camera_s_share_decides() {
        let mut capacity = Capacity::new(None, Duration::from_millis(2));
        assert_eq!(capacity.cameras(), Some(15), "30 frames of 2 ms are 6 % of a second");
        capacity.expect(Duration::from_millis(1));
        assert_eq!(capacity.cameras(), Some(30));
        after(&mut capacity, 4, SECOND, None, 0);
        capacity.expect(Duration::from_millis(2));
        assert_eq!(capacity.cameras(), Some(18), "4 cameras take 20 %, and there are 90");
        after(&mut capacity, 4, SECOND, Some(0.4), 0);
        assert_eq!(capacity.cameras(), Some(9), "decoders are busier");
        after(&mut capacity, 4, SECOND, Some(0.1), 0);
        assert_eq!(capacity.cameras(), Some(18));
        after(&mut capacity, 4, 5 * SECOND, None, 0);
        assert_eq!(capacity.cameras(), Some(3), "they are too many, and the host keeps them");
        after(&mut capacity, 1, 5 * SECOND, None, 0);
        assert_eq!(capacity.cameras(), Some(1), "one is better than none");
    }

    #[test]
    fn a_host_whose_cameras_lose_frames_is_at_its_limit() {
        let mut capacity = Capacity::new(None, Duration::ZERO);
        assert_eq!(capacity.cameras(), None, "there are no models");
        after(&mut capacity, 4, SECOND, None, 60);
        assert_eq!(capacity.cameras(), Some(4));
        assert!(capacity.describe().contains("lose frames"));
        after(&mut capacity, 4, SECOND, None, 50);
        assert_eq!(capacity.cameras(), Some(18));
        after(&mut capacity, 4, Duration::ZERO, None, 60);
        assert_eq!(capacity.cameras(), Some(4), "also without models");
        after(&mut capacity, 4, Duration::ZERO, None, 0);
        assert_eq!(capacity.cameras(), None);
    }

    #[test]
    fn what_the_operator_says_is_neither_raised_nor_lowered() {
        let mut capacity = Capacity::new(Some(6), SECOND);
        after(&mut capacity, 4, 5 * SECOND, Some(1.0), 900);
        assert_eq!(capacity.cameras(), Some(6));
    }

    #[test]
    fn cameras_that_come_go_or_stand_still_aren_t_measured() {
        let mut capacity = Capacity::new(None, Duration::from_millis(2));
        let figures =
            |playing, seconds: u32, frames| Figures { playing, work: SECOND * seconds, frames, ..Figures::default() };
        assert!(!capacity.measure(SECOND, figures(0, 0, 0)));
        assert!(!capacity.measure(9 * SECOND, figures(0, 0, 0)), "none plays");
        assert!(!capacity.measure(10 * SECOND, figures(4, 9, 500)), "they have just come");
        assert!(!capacity.measure(14 * SECOND, figures(5, 9, 500)), "one more");
        assert!(!capacity.measure(18 * SECOND, figures(5, 9, 900)), "too soon");
        assert!(!capacity.measure(19 * SECOND, figures(5, 1, 900)), "a model was opened again");
        assert!(!capacity.measure(24 * SECOND, figures(5, 2, 3)), "a camera was added again");
        assert_eq!(capacity.cameras(), Some(15));
        assert!(capacity.measure(29 * SECOND, figures(5, 3, 500)));
        assert_eq!(capacity.cameras(), Some(22));
    }
}
