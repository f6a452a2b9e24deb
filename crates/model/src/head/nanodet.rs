//! NanoDet, NanoDet-Plus and PicoDet: class scores and, for each side of the box, a distribution of its distance.
//!
//! Source: the configurations and heads of the NanoDet repository (v0.4 and v1.0), after "Generalized Focal Loss"
//! (arXiv 2006.04388). Scores are 0–1 in exported files. The distance from the anchor's point to a side is the mean of
//! `reg_max + 1` bins 0, 1, … under their softmax, in strides.
//!
//! - v0.x: `[B, n, nc]` and `[B, n, 4·(reg_max+1)]` for each of the strides 8, 16 and 32, or all of them in one
//!   `[B, N, nc + 4·(reg_max+1)]`. An anchor's point is the middle of its cell; frames are letterboxed.
//! - PicoDet, exported without postprocessing (PaddleDetection's `pico_head.py`, 0868540): as v0.x, for the strides 8, 16,
//!   32 and 64; frames are stretched, cubic, and an anchor is an object of each class that passes.
//! - Plus: one `[B, N, nc + 4·(reg_max+1)]` for the strides 8, 16, 32 and 64. An anchor's point is the corner of its
//!   cell; frames are stretched.

use super::super::{Detection, Labels, Normalization, Params, Rect, Resize};
use super::anchors::{output, unexpected};
use super::exponential::exponential;
use super::reading::Trust;
use super::recognise::{Found, InputStyle, ModelFacts, grid_cells};
use super::scores::Scores;
use super::{DecodeLevel, DecodePlan, Head, HeadError, HeadKind, Output, Outputs};
use std::sync::Arc;

const STRIDES: [u32; 4] = [8, 16, 32, 64];
/// Channels of the distributions for the published `reg_max`: 7, and 10 in NanoDet-g.
const BOX_CHANNELS: [usize; 2] = [4 * 8, 4 * 11];

/// The mean and standard deviation that all published configurations share, in BGR order.
const STYLE: InputStyle = InputStyle {
    normalization: Some(Normalization {
        mean: [103.53, 116.28, 123.675],
        scale: [1.0 / 57.375, 1.0 / 57.12, 1.0 / 58.395],
    }),
    bgr: true,
    resize: Resize::LETTERBOX,
    pad: 0,
    default_size: None,
};

/// What distinguishes the families.
#[derive(Debug, Clone, Copy)]
struct Family {
    name: &'static str,
    strides: &'static [u32],
    /// Position of an anchor's point in its cell, in strides.
    offset: f32,
    /// Whether an anchor is an object of each class that passes, instead of its best class alone.
    multi_label: bool,
    style: InputStyle,
}

const NANODET: Family =
    Family { name: "nanodet", strides: &[8, 16, 32], offset: 0.5, multi_label: false, style: STYLE };
const PLUS: Family =
    Family { strides: &STRIDES, offset: 0.0, style: InputStyle { resize: Resize::STRETCH, ..STYLE }, ..NANODET };
const PICODET: Family = Family {
    name: "picodet",
    strides: &STRIDES,
    offset: 0.5,
    multi_label: true,
    style: InputStyle {
        normalization: Some(Normalization::IMAGENET),
        bgr: false,
        resize: Resize::STRETCH.cubic(),
        pad: 0,
        default_size: None,
    },
};

#[derive(Debug)]
struct NanoDet {
    name: &'static str,
    labels: Labels,
    classes: usize,
    multi_label: bool,
    /// Equals `4·(reg_max + 1)`.
    box_channels: usize,
    /// Position of an anchor's point in its cell, in strides.
    offset: f32,
    /// Size of the input in pixels.
    width: f32,
    height: f32,
    levels: Vec<Level>,
}

/// One stride's anchors, row by row.
#[derive(Debug)]
struct Level {
    stride: u32,
    columns: usize,
    cells: usize,
    source: LevelSource,
}

/// The location of a level's values.
#[derive(Debug, Clone, Copy)]
enum LevelSource {
    /// Indices of the outputs with the scores and the distributions.
    Pair { scores: usize, boxes: usize },
    /// Rows of one output for all levels, starting with row `first`; scores come first in a row.
    Rows { output: usize, first: usize },
}

/// # Errors
/// The outputs are NanoDet's but the input isn't, or classes and distributions can't be distinguished.
pub(super) fn recognise(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    let (Some(width), Some(height)) = (seen.input.width, seen.input.height) else { return Ok(None) };
    if seen.metadata.is_ultralytics() {
        return Ok(None);
    }
    match seen.model.outputs.as_slice() {
        [_] => concatenated(seen, width, height),
        outputs if outputs.len() == 2 * NANODET.strides.len() => pairs(seen, width, height, &NANODET),
        outputs if outputs.len() == 2 * PICODET.strides.len() => pairs(seen, width, height, &PICODET),
        _ => Ok(None),
    }
}

/// # Errors
/// As for [`recognise`].
pub(super) fn picodet(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    match (seen.input.width, seen.input.height) {
        (Some(width), Some(height)) if seen.model.outputs.len() == 2 * PICODET.strides.len() => {
            pairs(seen, width, height, &PICODET)
        }
        _ => Ok(None),
    }
}

/// All levels in one output. Other detectors have the shape `[1, N, C]` too, so either the fourth stride or a published
/// number of channels (80 classes) must identify the model.
fn concatenated(seen: &ModelFacts<'_>, width: u32, height: u32) -> Result<Option<Found>, HeadError> {
    let Some([_, rows, channels]) = seen.rows(0) else { return Ok(None) };
    let is = |strides: &[u32]| rows == grid_cells(width, height, strides);
    let plus = is(&STRIDES);
    let published = BOX_CHANNELS.iter().copied().find(|&b| channels == b + seen.metadata.classes().unwrap_or(80));
    let box_channels = match published {
        Some(box_channels) if plus || is(&STRIDES[..3]) => box_channels,
        None if plus && channels > BOX_CHANNELS[0] && seen.metadata.names.is_none() => BOX_CHANNELS[0],
        _ => return Ok(None),
    };
    let mut first = 0;
    let source = |_: usize, cells: usize| {
        first += cells;
        Some(LevelSource::Rows { output: 0, first: first - cells })
    };
    let family = if plus { &PLUS } else { &NANODET };
    build(seen, channels - box_channels, box_channels, family, source)
}

/// Two outputs for each stride, in any order.
fn pairs(seen: &ModelFacts<'_>, width: u32, height: u32, family: &Family) -> Result<Option<Found>, HeadError> {
    let mut levels = Vec::new();
    for stride in family.strides {
        let cells = grid_cells(width, height, &[*stride]);
        let of_level = |&i: &usize| matches!(seen.rows(i), Some([_, n, _]) if n == cells);
        match (0..2 * family.strides.len()).filter(of_level).collect::<Vec<_>>().as_slice() {
            &[a, b] => levels.push((a, b)),
            _ => return Ok(None),
        }
    }
    let channels = |i: usize| seen.rows(i).map_or(0, |shape| shape[2]);
    let Some(&(a, b)) = levels.first() else { return Ok(None) };
    let (a, b) = (channels(a), channels(b));
    // The file doesn't state which output is which: class names decide, or else the published sizes of distributions.
    let fits = |classes: usize, boxes: usize| match seen.metadata.classes() {
        Some(names) => classes == names && boxes > 0 && boxes.is_multiple_of(4),
        None => BOX_CHANNELS.contains(&boxes),
    };
    let (classes, box_channels) = match (fits(a, b), fits(b, a)) {
        (true, false) => (a, b),
        (false, true) => (b, a),
        (false, false) => return Ok(None),
        (true, true) => {
            return Err(seen.unknown(&format!(
                "these look like the outputs of {}, but whether {a} or {b} is the number of classes is ambiguous; \
             add the class names to the file as ONNX metadata `names`",
                family.name
            )));
        }
    };
    let source = |level: usize, _: usize| {
        let &(x, y) = levels.get(level)?;
        let (scores, boxes) = if channels(x) == classes { (x, y) } else { (y, x) };
        (channels(scores) == classes && channels(boxes) == box_channels).then_some(LevelSource::Pair { scores, boxes })
    };
    build(seen, classes, box_channels, family, source)
}

fn build(
    seen: &ModelFacts<'_>,
    classes: usize,
    box_channels: usize,
    family: &Family,
    mut source: impl FnMut(usize, usize) -> Option<LevelSource>,
) -> Result<Option<Found>, HeadError> {
    let spec = seen.spec(family.name, &family.style)?;
    let mut levels = Vec::with_capacity(family.strides.len());
    for (i, &stride) in family.strides.iter().enumerate() {
        let cells = grid_cells(spec.width, spec.height, &[stride]);
        let Some(source) = source(i, cells) else { return Ok(None) };
        levels.push(Level { stride, columns: spec.width.div_ceil(stride) as usize, cells, source });
    }
    let head = NanoDet {
        name: family.name,
        labels: seen.labels(classes, false)?,
        classes,
        multi_label: family.multi_label,
        box_channels,
        offset: family.offset,
        width: spec.width as f32,
        height: spec.height as f32,
        levels,
    };
    Ok(Some((Arc::new(head), spec, Trust::Plausible)))
}

/// One level's scores and the rows with its distributions.
struct View<'a> {
    scores: Scores<'a>,
    boxes: &'a [f32],
    /// Values from one row to the next, and the offset of the distributions in a row.
    row: usize,
    first: usize,
}

impl NanoDet {
    fn view<'a>(&self, level: &Level, outputs: &Outputs<'a>) -> Result<View<'a>, HeadError> {
        let (classes, box_channels) = (self.classes, self.box_channels);
        match level.source {
            LevelSource::Pair { scores, boxes } => {
                let values = self.values(outputs, scores, level.cells, classes)?.data;
                let boxes = self.values(outputs, boxes, level.cells, box_channels)?.data;
                let scores = Scores::AnchorMajor { values, channels: classes, first: 0, classes };
                Ok(View { scores, boxes, row: box_channels, first: 0 })
            }
            LevelSource::Rows { output, first } => {
                let channels = classes + box_channels;
                let rows = self.levels.iter().map(|l| l.cells).sum();
                let output = self.values(outputs, output, rows, channels)?;
                let values = &output.data[first * channels..(first + level.cells) * channels];
                let scores = Scores::AnchorMajor { values, channels, first: 0, classes };
                Ok(View { scores, boxes: values, row: channels, first: classes })
            }
        }
    }

    /// Returns an output after checking its shape and number of values.
    fn values<'a>(
        &self,
        outputs: &Outputs<'a>,
        index: usize,
        rows: usize,
        channels: usize,
    ) -> Result<Output<'a>, HeadError> {
        let output = output(self.name(), outputs, index)?;
        if output.shape != [rows, channels] || output.data.len() != rows * channels {
            return Err(unexpected(self.name(), index, &output, &format!("[{rows}, {channels}]")));
        }
        Ok(output)
    }
}

impl Head for NanoDet {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> HeadKind {
        HeadKind::Detection
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn needs_nms(&self) -> bool {
        true
    }

    fn plan(&self) -> Option<DecodePlan> {
        let level = |level: &Level| {
            let (scores, boxes, first) = match level.source {
                LevelSource::Pair { scores, boxes } => (scores, boxes, 0),
                LevelSource::Rows { output, first } => (output, output, first),
            };
            DecodeLevel { stride: level.stride, columns: level.columns, cells: level.cells, scores, boxes, first }
        };
        Some(DecodePlan::Distributions {
            classes: self.classes,
            multi_label: self.multi_label,
            bins: self.box_channels / 4,
            offset: self.offset,
            width: self.width,
            height: self.height,
            levels: self.levels.iter().map(level).collect(),
        })
    }

    fn decode(&self, outputs: &Outputs<'_>, params: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError> {
        for level in &self.levels {
            let view = self.view(level, outputs)?;
            view.scores.for_each_label(params, self.multi_label, |anchor, class_id, confidence| {
                let from = anchor * view.row + view.first;
                let Some(sides) = view.boxes.get(from..from + self.box_channels) else { return };
                let stride = level.stride as f32;
                let x = ((anchor % level.columns) as f32 + self.offset) * stride;
                let y = ((anchor / level.columns) as f32 + self.offset) * stride;
                let mut distances = [0.0; 4];
                for (distance, bins) in distances.iter_mut().zip(sides.chunks_exact(self.box_channels / 4)) {
                    *distance = expectation(bins) * stride;
                }
                let [left, top, right, bottom] = distances;
                if distances.iter().all(|d| d.is_finite()) {
                    // The box is clipped to the input, as in the reference.
                    let rect = Rect::from_corners(
                        (x - left).clamp(0.0, self.width),
                        (y - top).clamp(0.0, self.height),
                        (x + right).clamp(0.0, self.width),
                        (y + bottom).clamp(0.0, self.height),
                    );
                    found.push(Detection { rect, class_id, confidence, ..Detection::default() });
                }
            });
        }
        Ok(())
    }
}

/// The mean bin under the bins' softmax; NaN if a bin isn't finite.
fn expectation(bins: &[f32]) -> f32 {
    let greatest = bins.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut sum, mut weighted) = (0.0, 0.0);
    for (i, &bin) in bins.iter().enumerate() {
        let weight = exponential(bin - greatest);
        sum += weight;
        weighted += weight * i as f32;
    }
    weighted / sum
}
