//! The layout of the values that a head decodes, as plain data, for decoding on the device.

use super::super::{InputSpec, Rect};
use std::sync::{Arc, OnceLock};

/// The layout of one head's outputs. Shapes exclude the batch dimension; `output` is the output's index.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum DecodePlan {
    /// Per anchor 4 box values (centre, size), `classes` scores, then `keypoints` (count, values of each), in network
    /// pixels: `[channels, anchors]`, or `[anchors, channels]`.
    Anchors { output: usize, channels_first: bool, classes: usize, keypoints: Option<(usize, usize)> },
    /// Rows of a box, confidence, class and `keypoints`, the keypoints in network pixels.
    Objects { output: usize, coding: BoxCoding, keypoints: Option<(usize, usize)> },
    /// Boxes with a direction.
    Oriented { output: usize, form: OrientedForm },
    /// Objects whose class numbers `[N]`, boxes `[N, 4]` and confidences `[N]` are separate outputs.
    Split { labels: usize, boxes: usize, scores: usize, coding: BoxCoding },
    /// Queries with a box and a logit per class.
    Queries(QueryPlan),
    /// Anchors whose boxes and scores are any columns of any outputs.
    Dense(DensePlan),
    /// Class scores, and a distribution of `bins` values for each side of a box.
    Distributions {
        /// Number of classes.
        classes: usize,
        /// Whether an anchor is an object of each class that passes its threshold, instead of its best class alone.
        multi_label: bool,
        /// Bins of the distribution of each side.
        bins: usize,
        /// Position of an anchor's point in its cell, in strides.
        offset: f32,
        /// Size of the network's input in pixels.
        width: f32,
        /// The input's height, pixels.
        height: f32,
        /// The levels, the finest first.
        levels: Vec<DecodeLevel>,
    },
    /// Persons whose boxes x1, y1, x2, y2, score `[N, 5]` and keypoints x, y, score `[N, keypoints, 3]` are separate outputs,
    /// in network pixels.
    Poses { boxes: usize, points: usize, keypoints: usize },
    /// Keypoints of one person.
    Peaks(PeakPlan),
    /// MoveNet: 17 keypoints of y, x, score, 0–1 over an input of this size; for one person, or for six persons, each
    /// followed by y1, x1, y2, x2, score.
    Persons { output: usize, many: bool, width: f32, height: f32 },
    /// One value per class for the whole picture.
    Classes(ClassPlan),
    /// A vector of `size` values for the whole picture; its length is made 1.
    Embedding { output: usize, size: usize },
}

/// The values of a classifier: `[classes]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassPlan {
    /// Index of the output.
    pub output: usize,
    /// Number of values.
    pub classes: usize,
    /// Size of the network's input in pixels, which is the box of each class.
    pub width: f32,
    /// The input's height, pixels.
    pub height: f32,
    /// How they become confidences.
    pub scale: ScoreScale,
    /// Whether only a classifier can have this output, so that values other than probabilities are logits.
    pub certain: bool,
}

/// How a classifier's values become confidences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// They are confidences of 0–1.
    Probabilities,
    /// Their softmax is.
    Logits,
}

/// The [`Scale`] of a model: known from its file or the user, or else once [`Reading::examine`](super::Reading::examine) has seen
/// its outputs. All copies know it then.
#[derive(Debug, Clone, Default)]
pub struct ScoreScale(Arc<OnceLock<Scale>>);

impl ScoreScale {
    /// `None`: not known yet, and nothing can be decoded.
    pub fn get(&self) -> Option<Scale> {
        self.0.get().copied()
    }

    /// Makes it known; the first value stays.
    pub(super) fn settle(&self, scale: Scale) {
        self.0.get_or_init(|| scale);
    }
}

impl From<Scale> for ScoreScale {
    fn from(scale: Scale) -> Self {
        let known = Self::default();
        known.settle(scale);
        known
    }
}

impl PartialEq for ScoreScale {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

/// Where the values of oriented boxes are: centre and size in network pixels, and the angle in radians, clockwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum OrientedForm {
    /// Per anchor centre and size, `classes` scores, and the angle: `[channels, anchors]`, or `[anchors, channels]`.
    /// Suppression follows.
    Anchors { channels_first: bool, classes: usize },
    /// Rows of centre, size, confidence, class and angle.
    Rows,
}

/// One stride's anchors, row by row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodeLevel {
    /// The stride in network pixels.
    pub stride: u32,
    /// Cells per row, and in total.
    pub columns: usize,
    /// Number of cells.
    pub cells: usize,
    /// Outputs with the scores and the distributions: `[cells, classes]` and `[cells, 4 · bins]`; the same output if
    /// its rows contain both, scores first.
    pub scores: usize,
    /// Index of the output with the boxes.
    pub boxes: usize,
    /// The level's first row in its output.
    pub first: usize,
}

/// What the four values of a box are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoxForm {
    /// x1, y1, x2, y2.
    Corners,
    /// Centre x, centre y, width, height.
    Centre,
}

/// How the four values of a box become network pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxCoding {
    /// What the values are.
    pub form: BoxForm,
    /// Network pixels per unit, horizontally and vertically: 1 for pixels, the input's size for fractions of it.
    pub unit: [f32; 2],
}

impl BoxCoding {
    /// x1, y1, x2, y2 in network pixels.
    pub const CORNERS: Self = Self { form: BoxForm::Corners, unit: [1.0; 2] };
    /// Centre and size in network pixels.
    pub const CENTRE: Self = Self { form: BoxForm::Centre, unit: [1.0; 2] };

    /// Centre and size as fractions of this input.
    pub fn fractions(input: &InputSpec) -> Self {
        Self { form: BoxForm::Centre, unit: [input.width as f32, input.height as f32] }
    }

    /// Whether the values are pixels.
    pub fn is_pixels(&self) -> bool {
        self.unit == [1.0; 2]
    }

    /// The box of these values, in network pixels; `None` if it isn't finite.
    pub fn rect(&self, [a, b, c, d]: [f32; 4]) -> Option<Rect> {
        let [x, y] = self.unit;
        let (a, b, c, d) = (a * x, b * y, c * x, d * y);
        let rect = match self.form {
            BoxForm::Corners => Rect::from_corners(a, b, c, d),
            BoxForm::Centre => Rect::from_centre(a, b, c, d),
        };
        let finite = [rect.x, rect.y, rect.right(), rect.bottom()].iter().all(|value| value.is_finite());
        finite.then_some(rect)
    }
}

/// The queries of a DETR: `[N, 4]` boxes, and `[N, columns]` logits.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryPlan {
    /// Index of the output with the boxes.
    pub boxes: usize,
    /// Index of the output with the logits.
    pub logits: usize,
    /// Logits per query.
    pub columns: usize,
    /// The first columns are those of the classes; the others, if any, stand for "no object".
    pub classes: usize,
    /// How objects are chosen.
    pub selection: Selection,
    /// How a box becomes network pixels.
    pub coding: BoxCoding,
}

/// How objects are chosen from the logits of queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// A score is the sigmoid of a logit. Of all pairs of a query and a class, the best as many as there are queries are
    /// objects, so that a query can be several objects of different classes.
    AcrossClasses,
    /// Scores are the softmax of all of a query's logits, those of "no object" included. A query is one object, of its
    /// best class.
    PerQuery,
}

/// Anchors of a dense detector. The confidence of a class is its score, times the objectness if there is one. Suppression
/// follows.
#[derive(Debug, Clone, PartialEq)]
pub struct DensePlan {
    /// Number of classes.
    pub classes: usize,
    /// Whether an anchor is an object of each class that passes its threshold, instead of its best class alone.
    pub multi_label: bool,
    /// Four columns.
    pub boxes: Columns,
    /// As many columns as there are classes, each a score of 0–1.
    pub scores: Columns,
    /// One column, 0–1.
    pub objectness: Option<Columns>,
    /// How a box becomes network pixels.
    pub coding: BoxCoding,
    /// Not empty: a box is relative to its cell, as in YOLOX. Its centre is `(value + cell) · stride`, its size
    /// `exp(value) · stride`. Cells come row by row, the levels as listed, and their number is that of the anchors.
    pub grid: Vec<GridLevel>,
}

/// Keypoints of one person, each where its maps are greatest.
#[derive(Debug, Clone, PartialEq)]
pub struct PeakPlan {
    /// Number of keypoints.
    pub keypoints: usize,
    /// What the keypoints are read from.
    pub maps: PeakMaps,
    /// Network pixels per place of a map, horizontally and vertically. The first place is at 0.
    pub unit: [f32; 2],
}

/// What keypoints are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeakMaps {
    /// A row for each axis, `[keypoints, places]` in two outputs; the confidence is the smaller of the greatest values.
    Axes {
        /// Index of the output along x.
        x: usize,
        /// Index of the output along y.
        y: usize,
    },
    /// A map, `[keypoints, rows, columns]`.
    Planes {
        /// Index of the output.
        output: usize,
        /// How the peak between places is found.
        refinement: Refinement,
    },
}

/// How the peak of a heatmap is found between its places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refinement {
    /// A quarter of a place from the greatest value towards its greater neighbour.
    Quarter,
    /// Distribution-aware decoding (DARK, arXiv 1910.06278).
    Dark,
    /// The same as in unbiased data processing (UDP, arXiv 1911.07524).
    DarkUdp,
}

/// Adjacent columns of an output of one row per anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    /// Index of the output.
    pub output: usize,
    /// Whether the output is `[channels, anchors]` instead of `[anchors, channels]`.
    pub channels_first: bool,
    /// Index of the first column.
    pub first: usize,
    /// Channels of the output.
    pub channels: usize,
}

/// The cells of one stride over the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GridLevel {
    /// The stride in network pixels.
    pub stride: u32,
    /// Cells per row.
    pub columns: usize,
    /// Number of cells.
    pub cells: usize,
}

impl GridLevel {
    /// The levels of these strides over an input.
    pub fn of(input: &InputSpec, strides: &[u32]) -> Vec<Self> {
        let level = |&stride: &u32| {
            let columns = input.width.div_ceil(stride) as usize;
            Self { stride, columns, cells: columns * input.height.div_ceil(stride) as usize }
        };
        strides.iter().map(level).collect()
    }
}

impl DecodePlan {
    /// Number of keypoints per object.
    pub fn keypoints(&self) -> usize {
        match self {
            Self::Anchors { keypoints, .. } | Self::Objects { keypoints, .. } => {
                keypoints.map_or(0, |(count, _)| count)
            }
            Self::Distributions { .. }
            | Self::Oriented { .. }
            | Self::Split { .. }
            | Self::Queries(_)
            | Self::Dense(_)
            | Self::Classes(_)
            | Self::Embedding { .. } => 0,
            &Self::Poses { keypoints, .. } => keypoints,
            Self::Peaks(plan) => plan.keypoints,
            Self::Persons { .. } => 17,
        }
    }
}
