//! Resampling by filters of several pixels, whose weights add up to 1, without rounding to 8 bits.
//!
//! - Antialiased: a triangle as wide as a step of the target over the source, but at least two source pixels wide. This is
//!   `resize` with `BILINEAR` of PIL, and with `antialias=True` of torchvision.
//! - Cubic: the convolution of four pixels of OpenCV's `INTER_CUBIC`, however much smaller the picture gets. A pixel beyond an
//!   edge is that of the edge.

use super::image::Image;
use super::resample::{Axis, Taps};
use super::rows::{self, Channels, Pixels};
use model::Interpolation;
use model::video::Conversion;

/// The slope of OpenCV's cubic convolution one pixel away.
const SLOPE: f64 = -0.75;

/// For each target pixel, the source pixels that it is made from.
#[derive(Debug, Default)]
struct Filter {
    axis: Axis,
    cubic: bool,
    /// The source pixels that are read, first and last.
    range: (u32, u32),
    /// For each target pixel, the first source pixel and the range of its weights.
    spans: Vec<(u32, std::ops::Range<usize>)>,
    weights: Vec<f32>,
    /// The most weights of a target pixel.
    widest: usize,
}

impl Filter {
    /// Computes the weights, unless the axis and the filter equal those of the last call.
    fn update(&mut self, axis: Axis, cubic: bool) {
        if (self.axis, self.cubic) == (axis, cubic) {
            return;
        }
        *self = Self { axis, cubic, range: axis.pixels(), ..Self::default() };
        let (start, length) = axis.extent();
        let scale = length / axis.target as f64;
        for target in 0..axis.target {
            // Of the target pixel's middle; source pixels begin at whole numbers.
            let centre = start + (target as f64 + 0.5) * scale;
            let begin = self.weights.len();
            let first = if cubic { self.convolution(centre) } else { self.triangle(centre, scale) };
            self.spans.push((first, begin..self.weights.len()));
            self.widest = self.widest.max(self.weights.len() - begin);
        }
    }

    /// Appends the weights of a triangle for steps of `scale` source pixels; returns the first source pixel.
    fn triangle(&mut self, centre: f64, scale: f64) -> u32 {
        let (low, high) = self.range;
        // The triangle's half width, in source pixels.
        let support = scale.max(1.0);
        let limit = |position: f64| position.clamp(f64::from(low), f64::from(high) + 1.0) as u32;
        let first = limit((centre - support + 0.5).floor()).min(high);
        let last = limit((centre + support + 0.5).floor()).max(first + 1);
        let weight = |pixel: u32| (1.0 - ((f64::from(pixel) + 0.5 - centre) / support).abs()).max(0.0);
        let sum: f64 = (first..last).map(weight).sum();
        // Where a degenerate region leaves no weight, one pixel stands for all.
        let whole = |pixel: u32| if sum > 0.0 { weight(pixel) / sum } else { f64::from(pixel == first) };
        self.weights.extend((first..last).map(|pixel| whole(pixel) as f32));
        first
    }

    /// Appends the weights of the four nearest pixels, those of pixels beyond an edge added to the edge's; returns the first
    /// source pixel.
    fn convolution(&mut self, centre: f64) -> u32 {
        let (low, high) = self.range;
        let whole = (centre - 0.5).floor();
        let x = centre - 0.5 - whole;
        let before = ((SLOPE * (x + 1.0) - 5.0 * SLOPE) * (x + 1.0) + 8.0 * SLOPE) * (x + 1.0) - 4.0 * SLOPE;
        let near = |x: f64| ((SLOPE + 2.0) * x - (SLOPE + 3.0)) * x * x + 1.0;
        let (left, right) = (near(x), near(1.0 - x));
        let weights = [before, left, right, 1.0 - before - left - right];
        let pixels = [-1.0, 0.0, 1.0, 2.0].map(|step| (whole + step).max(f64::from(low)).min(f64::from(high)) as u32);
        let [first, .., last] = pixels;
        for pixel in first..=last {
            let of_pixel = pixels.iter().zip(&weights).filter(|(at, _)| **at == pixel);
            self.weights.push(of_pixel.map(|(_, weight)| weight).sum::<f64>() as f32);
        }
        first
    }

    /// The first source pixel of a target pixel, and the weights from there on.
    fn taps(&self, target: usize) -> (u32, &[f32]) {
        let Some((first, range)) = self.spans.get(target) else { return (0, &[]) };
        (*first, self.weights.get(range.clone()).unwrap_or_default())
    }
}

/// Tables and rows that are kept between calls.
#[derive(Debug, Default)]
pub struct Filtered {
    columns: Filter,
    lines: Filter,
    /// All source columns that are read.
    every: Taps,
    /// A source row.
    source: Channels<f32>,
    /// The last source rows at target width; row `y` is at `y` modulo their number.
    rows: Vec<Row>,
    /// One target row, before normalisation.
    sum: Channels<f32>,
}

/// A source row, resampled to the target's columns.
#[derive(Debug, Default)]
struct Row {
    y: Option<u32>,
    rgb: Channels<f32>,
}

impl Filtered {
    /// Prepares for a picture, with a triangle unless the interpolation is cubic.
    pub fn start(&mut self, columns: Axis, lines: Axis, interpolation: Interpolation, pixels: &mut Pixels) {
        let cubic = interpolation == Interpolation::Cubic;
        self.columns.update(columns, cubic);
        self.lines.update(lines, cubic);
        let (low, high) = self.columns.range;
        self.every.every(low, high);
        pixels.reset(self.every.first.len());
        self.rows.resize_with(self.lines.widest.max(1), Row::default);
        self.rows.iter_mut().for_each(|row| row.y = None);
    }

    /// The target row `y`, R, G, B from 0 to 255.
    pub fn line(
        &mut self,
        image: &Image<'_>,
        conversion: Option<&Conversion>,
        y: usize,
        pixels: &mut Pixels,
    ) -> &Channels<f32> {
        let Self { columns, lines, every, source, rows, sum } = self;
        let width = columns.spans.len();
        sum.iter_mut().for_each(|channel| {
            channel.clear();
            channel.resize(width, 0.0);
        });
        let (first, weights) = lines.taps(y);
        for (source_y, &weight) in (first..).zip(weights) {
            let slot = source_y as usize % rows.len().max(1);
            let Some(row) = rows.get_mut(slot) else { break };
            if row.y != Some(source_y) {
                row.y = Some(source_y);
                pixels.gather(image, source_y as usize, every);
                rows::to_rgb(conversion, &pixels.first, source);
                for (out, values) in row.rgb.iter_mut().zip(source.iter()) {
                    out.resize(width, 0.0);
                    filter(values, columns, out);
                }
            }
            for (sum, row) in sum.iter_mut().zip(&row.rgb) {
                rows::add_scaled(row, weight, sum);
            }
        }
        if lines.cubic {
            // The convolution has negative weights, and pixels are rounded to their range.
            sum.iter_mut().flatten().for_each(|value| *value = value.clamp(0.0, 255.0));
        }
        sum
    }
}

/// Resamples a row, whose first value is that of the first column that is read.
fn filter(values: &[f32], columns: &Filter, out: &mut [f32]) {
    for (target, out) in out.iter_mut().enumerate() {
        let (first, weights) = columns.taps(target);
        let at = first.saturating_sub(columns.range.0) as usize;
        let values = values.get(at..at + weights.len()).unwrap_or_default();
        *out = values.iter().zip(weights).map(|(value, weight)| value * weight).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter_of(start: f64, length: f64, source: usize, target: usize) -> Filter {
        filtered(false, start, length, source, target)
    }

    fn filtered(cubic: bool, start: f64, length: f64, source: usize, target: usize) -> Filter {
        let mut filter = Filter::default();
        filter.update(Axis { start, length, source, target, extended: false }, cubic);
        filter
    }

    #[test]
    fn weights_add_up_to_one_inside_the_region() {
        for (start, length, source, target) in
            [(0.0, 100.0, 100, 7), (10.0, 5.0, 100, 50), (0.25, 30.5, 31, 9), (-5.0, 3.0, 100, 7), (99.9, 50.0, 100, 3)]
        {
            for cubic in [false, true] {
                let filter = filtered(cubic, start, length, source, target);
                for target in 0..target {
                    let (first, weights) = filter.taps(target);
                    assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{start} {length}: {weights:?}");
                    assert!(!weights.is_empty() && first as usize + weights.len() <= source);
                }
            }
        }
    }

    /// Values of OpenCV 4.12: `resize` of an impulse at each of 8 pixels with `INTER_CUBIC`, to 4 and to 16.
    #[test]
    fn cubic_weights_are_those_of_opencv() {
        for (target, at, first, wanted) in [
            (4, 0, 0, &[0.5, 0.59375, -0.09375][..]),
            (4, 1, 1, &[-0.09375, 0.59375, 0.59375, -0.09375]),
            (4, 3, 5, &[-0.09375, 0.59375, 0.5]),
            (16, 0, 0, &[1.1054688, -0.10546875]),
            (16, 1, 0, &[0.7734375, 0.26171875, -0.03515625]),
            (16, 3, 0, &[-0.10546875, 0.87890625, 0.26171875, -0.03515625]),
        ] {
            let filter = filtered(true, 0.0, 8.0, 8, target);
            let (found, weights) = filter.taps(at);
            let near = weights.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(found == first && weights.len() == wanted.len() && near, "{target} {at}: {found} {weights:?}");
        }
    }

    #[test]
    fn the_other_filter_has_other_weights() {
        let axis = Axis { start: 0.0, length: 8.0, source: 8, target: 4, extended: false };
        let mut filter = Filter::default();
        filter.update(axis, false);
        filter.update(axis, true);
        assert_eq!(filter.taps(1).1, [-0.09375, 0.59375, 0.59375, -0.09375]);
    }

    /// Values of Pillow 13.0: `Image.resize((4, 1), BILINEAR)` of an impulse at each of 12 pixels.
    #[test]
    fn a_third_is_a_triangle_of_six_pixels() {
        let filter = filter_of(0.0, 12.0, 12, 4);
        let (first, weights) = filter.taps(1);
        assert_eq!(first, 2);
        let wanted = [1.0, 2.0, 3.0, 2.0, 1.0, 0.0].map(|w| w / 9.0);
        assert!(weights.len() == 6 && weights.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6), "{weights:?}");
        // The edge's triangle is cut, and its weights are greater.
        let (first, weights) = filter.taps(0);
        assert_eq!(first, 0);
        let wanted = [2.0, 3.0, 2.0, 1.0, 0.0].map(|w| w / 8.0);
        assert!(weights.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6), "{weights:?}");
    }

    #[test]
    fn an_enlarged_picture_is_interpolated_as_without() {
        let filter = filter_of(0.0, 2.0, 2, 4);
        let (_, weights) = filter.taps(1);
        assert_eq!(weights, [0.75, 0.25]);
    }
}
