//! The source positions of bilinear resampling along one axis.

/// The parameters that determine an axis's taps.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Axis {
    /// Start and length of the region, in source pixels.
    pub start: f64,
    pub length: f64,
    /// Number of source pixels.
    pub source: usize,
    /// Number of target pixels.
    pub target: usize,
    /// Whether the region shows all of the source that it covers, and border beyond it, instead of nothing but itself.
    pub extended: bool,
}

impl Axis {
    /// Start and length; a value that isn't finite is 0.
    pub fn extent(&self) -> (f64, f64) {
        let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
        (finite(self.start), finite(self.length))
    }

    /// The first and the last source pixel that may be read.
    pub fn pixels(&self) -> (u32, u32) {
        let last = self.source.saturating_sub(1) as f64;
        if self.extended {
            return (0, last as u32);
        }
        let (start, length) = self.extent();
        let low = start.floor().clamp(0.0, last);
        let high = ((start + length).ceil() - 1.0).clamp(low, last);
        (low as u32, high as u32)
    }
}

/// For each target pixel, the first of the two adjacent source pixels it lies between and the weight of the second:
/// half-pixel centres, repeated edge pixels, no antialiasing. A region of whole pixels gives the same result as
/// resizing a crop of it.
#[derive(Debug, Default)]
pub struct Taps {
    axis: Axis,
    pub first: Vec<u32>,
    pub weight: Vec<f32>,
    /// All weights are 0, because every target pixel coincides with a source pixel, as when 1920 pixels become 640.
    /// Only then may the first tap be the source's last pixel.
    pub exact: bool,
    /// The share of each target pixel that the source covers, the rest being border; empty if none has border.
    pub cover: Vec<f32>,
}

impl Taps {
    /// One tap at each source pixel from `low` to `high`.
    pub fn every(&mut self, low: u32, high: u32) {
        self.axis = Axis::default();
        self.first.clear();
        self.first.extend(low..=high);
        self.weight.clear();
        self.cover.clear();
        self.exact = true;
    }

    /// Computes the taps, unless the axis equals that of the last call. `axis.source` must not be 0.
    pub fn update(&mut self, axis: Axis) {
        if self.axis == axis {
            return;
        }
        self.axis = axis;
        self.first.clear();
        self.weight.clear();
        self.cover.clear();

        let (start, length) = axis.extent();
        let (low, high) = axis.pixels();
        let (low, high) = (f64::from(low), f64::from(high));
        let scale = length / axis.target as f64;
        let positions = (0..axis.target).map(|target| start + (target as f64 + 0.5) * scale - 0.5);
        if axis.extended {
            let cover = |position: f64| (1.0 + position).min(axis.source as f64 - position).clamp(0.0, 1.0) as f32;
            self.cover.extend(positions.clone().map(cover));
        }
        let positions = positions.map(|position| position.clamp(low, high));
        self.exact = positions.clone().all(|position| position.fract() == 0.0);
        // The second tap must be in the region too, so the first is at most the pixel before the last, with all weight
        // on the second.
        let last_first = if self.exact { high } else { high - 1.0 };
        for position in positions {
            let first = position.floor().min(last_first);
            self.first.push(first as u32);
            self.weight.push((position - first) as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taps(start: f64, length: f64, source: usize, target: usize) -> Taps {
        let mut taps = Taps::default();
        taps.update(Axis { start, length, source, target, extended: false });
        taps
    }

    #[test]
    fn halving_averages_pairs() {
        let t = taps(0.0, 8.0, 8, 4);
        assert_eq!(t.first, [0, 2, 4, 6]);
        assert!(t.weight.iter().all(|&w| w == 0.5) && !t.exact);
    }

    #[test]
    fn thirds_take_the_middle_pixel() {
        let t = taps(0.0, 9.0, 9, 3);
        assert_eq!(t.first, [1, 4, 7]);
        assert!(t.exact);
    }

    #[test]
    fn doubling_repeats_the_edges() {
        let t = taps(0.0, 2.0, 2, 4);
        assert_eq!(t.first, [0, 0, 0, 0]);
        assert_eq!(t.weight, [0.0, 0.25, 0.75, 1.0]);
    }

    #[test]
    fn region_reads_nothing_outside_it() {
        let t = taps(10.0, 5.0, 100, 50);
        assert!(!t.exact && t.first.iter().all(|i| (10..14).contains(i)));
        assert!(t.weight.iter().all(|w| (0.0..=1.0).contains(w)));
    }

    #[test]
    fn single_pixel_is_repeated() {
        let t = taps(3.0, 1.0, 4, 3);
        assert!(t.exact);
        assert_eq!(t.first, [3, 3, 3]);
    }

    #[test]
    fn any_region_stays_in_the_source() {
        for (start, length) in
            [(-5.0, 3.0), (0.2, 0.3), (99.9, 50.0), (0.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)]
        {
            let t = taps(start, length, 100, 7);
            let reach = if t.exact { 0 } else { 1 };
            assert!(t.first.iter().all(|&i| i + reach < 100), "{start} {length}");
        }
    }

    #[test]
    fn a_crop_reads_around_its_region_and_is_covered_where_the_source_is() {
        let mut t = Taps::default();
        t.update(Axis { start: -1.75, length: 8.0, source: 4, target: 8, extended: true });
        // Positions -1.75, -0.75, 0.25, 1.25, 2.25, 3.25, 4.25, 5.25.
        assert_eq!(t.cover, [0.0, 0.25, 1.0, 1.0, 1.0, 0.75, 0.0, 0.0]);
        assert_eq!(t.first, [0, 0, 0, 1, 2, 2, 2, 2]);
        assert_eq!(t.weight[2..6], [0.25, 0.25, 0.25, 1.0]);
        t.update(Axis { start: 1.0, length: 2.0, source: 4, target: 4, extended: true });
        assert_eq!((t.first[0], t.weight[0], t.cover[0]), (0, 0.75, 1.0), "the pixel before the region");
        t.update(Axis { start: 1.0, length: 2.0, source: 4, target: 4, extended: false });
        assert!(t.cover.is_empty() && (t.first[0], t.weight[0]) == (1, 0.0));
    }

    #[test]
    fn is_kept_while_the_axis_is_the_same() {
        let mut t = taps(0.0, 8.0, 8, 4);
        t.first[0] = 3;
        t.update(Axis { start: 0.0, length: 8.0, source: 8, target: 4, extended: false });
        assert_eq!(t.first[0], 3);
        t.update(Axis { start: 0.0, length: 8.0, source: 8, target: 2, extended: false });
        assert_eq!(t.first, [1, 5]);
    }
}
