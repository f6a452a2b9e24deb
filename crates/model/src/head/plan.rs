//! The layout of the values that a head decodes, as plain data, for decoding on the device.

/// The layout of one head's outputs. Shapes exclude the batch dimension; `output` is the output's index.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum DecodePlan {
    /// Per anchor 4 box values (centre, size), `classes` scores, then `keypoints` (count, values of each), in network
    /// pixels: `[channels, anchors]`, or `[anchors, channels]`.
    Anchors { output: usize, channels_first: bool, classes: usize, keypoints: Option<(usize, usize)> },
    /// Rows of x1, y1, x2, y2, confidence, class and `keypoints`, in network pixels.
    Objects { output: usize, keypoints: Option<(usize, usize)> },
    /// Class scores, and a distribution of `bins` values for each side of a box.
    Distributions {
        /// Number of classes.
        classes: usize,
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
    /// MoveNet: 17 keypoints of y, x, score, 0–1 over an input of this size; for one person, or for six persons, each
    /// followed by y1, x1, y2, x2, score.
    Persons { output: usize, many: bool, width: f32, height: f32 },
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

impl DecodePlan {
    /// Number of keypoints per object.
    pub fn keypoints(&self) -> usize {
        match self {
            Self::Anchors { keypoints, .. } | Self::Objects { keypoints, .. } => {
                keypoints.map_or(0, |(count, _)| count)
            }
            Self::Distributions { .. } => 0,
            Self::Persons { .. } => 17,
        }
    }
}
