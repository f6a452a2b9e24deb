//! Heatmaps: for each keypoint a map over the input, `[B, K, h, w]`, a quarter of its size; ViTPose, HRNet, SimpleBaseline.
//!
//! Sources: `MSRAHeatmap` and `UDPHeatmap` of mmpose (759b39c) with its `refinement.py`; `post_dark_udp` of easy_ViTPose
//! (4f2ba44), which ViTPose is released with and rtmlib (2f36e3b) has too. mmpose also scales a blurred map back to its former
//! maximum, which moves no peak: the logarithm's derivatives stay the same.

use super::super::{Keypoint, Resize};
use super::recognise::{Found, InputStyle, ModelFacts};
use super::top_down::{self, greatest, peak};
use super::{HeadChoice, HeadError, PeakMaps, PeakPlan, Refinement, simcc};

/// Pixels of the input per pixel of a map, in all released models.
const STRIDE: u32 = 4;

/// Recognises Hugging Face's and easy_ViTPose's exports of ViTPose by the names of their tensors.
///
/// # Errors
/// The output may be heatmaps of keypoints, and nothing says how they are read.
pub(super) fn recognise(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    let [output] = seen.model.outputs.as_slice() else { return Ok(None) };
    let Some((_, rows, columns)) = maps(seen).filter(|_| !seen.metadata.is_ultralytics()) else { return Ok(None) };
    let quarter = |side: Option<u32>, pixels: usize| {
        side.is_none_or(|side| pixels == 0 || (side.is_multiple_of(STRIDE) && (side / STRIDE) as usize == pixels))
    };
    if !quarter(seen.input.width, columns) || !quarter(seen.input.height, rows) {
        return Ok(None);
    }
    let input = seen.model.inputs.get(seen.image).map_or("", |input| &input.name);
    match (input, &*output.name) {
        ("pixel_values", "heatmaps") | ("input_0", "output_0") => chosen(seen, HeadChoice::HeatmapUdp),
        _ => Err(seen.unknown(
            "its output may be heatmaps of keypoints, and the file doesn't say how they are read: set head=heatmap-udp \
             (ViTPose, and HRNet trained with UDP), head=heatmap-dark (trained with DARK) or head=heatmap (HRNet, \
             SimpleBaseline and others of mmpose without either); it may also be the classes of pixels (semantic \
             segmentation), which no head here reads",
        )),
    }
}

/// # Errors
/// The input's size isn't known.
pub(super) fn chosen(seen: &ModelFacts<'_>, choice: HeadChoice) -> Result<Option<Found>, HeadError> {
    let Some((keypoints, rows, columns)) = maps(seen) else { return Ok(None) };
    let (refinement, resize) = match choice {
        HeadChoice::HeatmapUdp => (Refinement::DarkUdp, Resize::EXTENDED_UDP),
        HeadChoice::HeatmapDark => (Refinement::Dark, Resize::EXTENDED),
        _ => (Refinement::Quarter, Resize::EXTENDED),
    };
    let style = InputStyle { resize, ..simcc::STYLE };
    top_down::found(seen, choice, &style, |[width, height]| {
        let unit = |pixels: f32, places: usize| {
            let places = if places == 0 { pixels / STRIDE as f32 } else { places as f32 };
            // With UDP the first and the last place are the input's ends.
            pixels / if refinement == Refinement::DarkUdp { (places - 1.0).max(1.0) } else { places }
        };
        let maps = PeakMaps::Planes { output: 0, refinement };
        PeakPlan { keypoints, maps, unit: [unit(width, columns), unit(height, rows)] }
    })
}

/// Number of maps, their rows and columns (0: dynamic), if the model's only output is maps.
fn maps(seen: &ModelFacts<'_>) -> Option<(usize, usize, usize)> {
    let [output] = seen.model.outputs.as_slice() else { return None };
    let &[_, keypoints, rows, columns] = output.shape.as_slice() else { return None };
    let size = |n: i64| usize::try_from(n).unwrap_or(0);
    (keypoints > 0).then_some((size(keypoints), size(rows), size(columns)))
}

/// The keypoint of a map with this number of columns.
pub(super) fn decode(values: &[f32], columns: usize, refinement: Refinement, unit: [f32; 2]) -> Keypoint {
    let map = Map { values, columns, rows: values.len() / columns.max(1) };
    let (at, value) = greatest(values);
    let (x, y) = (at % columns.max(1), at / columns.max(1));
    let [dx, dy] = if value > 0.0 { map.refine(x as i64, y as i64, refinement) } else { [0.0; 2] };
    peak((x as f64 + dx) as f32, (y as f64 + dy) as f32, value, unit)
}

/// The right half of OpenCV's Gaussian kernel of 11 values, its middle included; the deviation is 2.
const KERNEL: [f32; 6] = [0.200_565_41, 0.176_998_36, 0.121_649_07, 0.065_114_06, 0.027_143_577, 0.008_812_229];
const REACH: i64 = 5;

struct Map<'a> {
    values: &'a [f32],
    columns: usize,
    rows: usize,
}

impl Map<'_> {
    fn at(&self, x: i64, y: i64) -> f32 {
        self.values.get(y as usize * self.columns + x as usize).copied().unwrap_or(0.0)
    }

    /// How far the peak is from the greatest value, which is at `x`, `y`.
    fn refine(&self, x: i64, y: i64, refinement: Refinement) -> [f64; 2] {
        let (columns, rows) = (self.columns as i64, self.rows as i64);
        match refinement {
            // A quarter towards the greater neighbour.
            Refinement::Quarter => {
                let quarter = |before: f32, after: f32| match after.partial_cmp(&before) {
                    Some(std::cmp::Ordering::Greater) => 0.25,
                    Some(std::cmp::Ordering::Less) => -0.25,
                    _ => 0.0,
                };
                let dx =
                    if 1 < x && x < columns - 1 && 0 < y { quarter(self.at(x - 1, y), self.at(x + 1, y)) } else { 0.0 };
                let dy =
                    if 1 < y && y < rows - 1 && 0 < x { quarter(self.at(x, y - 1), self.at(x, y + 1)) } else { 0.0 };
                [dx, dy]
            }
            Refinement::Dark if !(1 < x && x < columns - 2 && 1 < y && y < rows - 2) => [0.0; 2],
            // Where the logarithm of the blurred map, a parabola near the peak, has its maximum.
            Refinement::Dark => {
                let log = |dx: i64, dy: i64| logarithm(self.blurred(x + dx, y + dy, |_, _| None).max(1e-10));
                let slope = [0.5 * (log(1, 0) - log(-1, 0)), 0.5 * (log(0, 1) - log(0, -1))];
                let middle = log(0, 0);
                let bend = [
                    0.25 * (log(2, 0) - 2.0 * middle + log(-2, 0)),
                    0.25 * (log(1, 1) - log(1, -1) - log(-1, 1) + log(-1, -1)),
                    0.25 * (log(0, 2) - 2.0 * middle + log(0, -2)),
                ];
                newton_step(slope, bend)
            }
            Refinement::DarkUdp => {
                let log = |dx: i64, dy: i64| {
                    let (x, y) = ((x + dx).clamp(0, columns - 1), (y + dy).clamp(0, rows - 1));
                    logarithm(self.blurred(x, y, |at, size| Some(reflected(at, size))).clamp(1e-3, 50.0))
                };
                let (middle, right, left, lower, upper) = (log(0, 0), log(1, 0), log(-1, 0), log(0, 1), log(0, -1));
                let bend = [
                    right - 2.0 * middle + left + f64::from(f32::EPSILON),
                    0.5 * (log(1, 1) - right - lower + middle + middle - left - upper + log(-1, -1)),
                    lower - 2.0 * middle + upper + f64::from(f32::EPSILON),
                ];
                newton_step([0.5 * (right - left), 0.5 * (lower - upper)], bend)
            }
        }
    }

    /// The value at `x`, `y` of the map blurred by [`KERNEL`]. `outside` gives the row or column that stands for one outside
    /// the map; without it values are 0 there.
    fn blurred(&self, x: i64, y: i64, outside: impl Fn(i64, i64) -> Option<i64>) -> f32 {
        let place = |at: i64, size: usize| {
            let size = size as i64;
            if (0..size).contains(&at) { Some(at) } else { outside(at, size) }
        };
        let weight = |offset: i64| KERNEL[offset.unsigned_abs() as usize];
        let mut sum = 0.0;
        for dy in -REACH..=REACH {
            let Some(y) = place(y + dy, self.rows) else { continue };
            let mut row = 0.0;
            for dx in -REACH..=REACH {
                let Some(x) = place(x + dx, self.columns) else { continue };
                row += weight(dx) * self.at(x, y);
            }
            sum += weight(dy) * row;
        }
        sum
    }
}

/// Computed in double precision and rounded, as the GPU's kernels do: both round to the same number.
fn logarithm(value: f32) -> f64 {
    f64::from(f64::from(value).ln() as f32)
}

/// OpenCV's default border: mirrored at the outermost place, which isn't repeated.
fn reflected(at: i64, size: i64) -> i64 {
    let period = (2 * (size - 1)).max(1);
    let at = at.rem_euclid(period);
    at.min(period - at).min(size - 1)
}

/// The step to the extremum of a parabola with this slope and these second derivatives (xx, xy, yy); none if it has none.
fn newton_step([dx, dy]: [f64; 2], [xx, xy, yy]: [f64; 3]) -> [f64; 2] {
    let determinant = xx * yy - xy * xy;
    if determinant == 0.0 {
        return [0.0; 2];
    }
    [-(yy * dx - xy * dy) / determinant, -(xx * dy - xy * dx) / determinant]
}
