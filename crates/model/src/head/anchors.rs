//! The tensor layout that all YOLO heads before the end-to-end ones share: one column of channels per anchor.

use super::super::{Keypoint, Rect};
use super::scores::Scores;
use super::{DecodePlan, HeadError, Output, Outputs};

/// The order of the channel and anchor dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// `[channels, anchors]`, as Ultralytics exports.
    ChannelMajor,
    /// `[anchors, channels]`, after a transpose.
    AnchorMajor,
}

/// The tensor's index and channels: 4 box values (centre x, centre y, width, height in network pixels), then the class
/// scores 0–1, then the head's extra channels.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnchorTensor {
    /// Index of the output.
    pub(super) output: usize,
    pub(super) order: Order,
    pub(super) classes: usize,
    /// Channels after the class scores.
    pub(super) extra: usize,
}

impl AnchorTensor {
    pub(super) fn channels(&self) -> usize {
        4 + self.classes + self.extra
    }

    pub(super) fn channels_first(&self) -> bool {
        self.order == Order::ChannelMajor
    }

    pub(super) fn plan(&self, keypoints: Option<(usize, usize)>) -> Option<DecodePlan> {
        let channels_first = self.channels_first();
        Some(DecodePlan::Anchors { output: self.output, channels_first, classes: self.classes, keypoints })
    }

    /// # Errors
    /// The output is missing or has another shape.
    pub(super) fn view<'a>(&self, head: &str, outputs: &Outputs<'a>) -> Result<Anchors<'a>, HeadError> {
        let channels = self.channels();
        let output = output(head, outputs, self.output)?;
        let (found, count) = match (self.order, output.shape) {
            (Order::ChannelMajor, &[c, n]) | (Order::AnchorMajor, &[n, c]) => (c, n),
            _ => (0, 0),
        };
        if found != channels || output.data.len() != channels * count {
            let wanted = match self.order {
                Order::ChannelMajor => format!("[{channels}, N]"),
                Order::AnchorMajor => format!("[N, {channels}]"),
            };
            return Err(unexpected(head, self.output, &output, &wanted));
        }
        Ok(Anchors { data: output.data, order: self.order, channels, count, classes: self.classes })
    }
}

/// The output with this index.
///
/// # Errors
/// The model has fewer outputs.
pub(super) fn output<'a>(head: &str, outputs: &Outputs<'a>, index: usize) -> Result<Output<'a>, HeadError> {
    outputs.get(index).copied().ok_or_else(|| {
        HeadError::Shape(format!(
            "head {head}: output {index} is missing, the model returned {} outputs",
            outputs.len()
        ))
    })
}

/// The error for an output that differs from the recognised shape.
pub(super) fn unexpected(head: &str, index: usize, output: &Output<'_>, wanted: &str) -> HeadError {
    HeadError::Shape(format!(
        "head {head}: output {index} has shape {:?} with {} values for one image, expected {wanted}",
        output.shape,
        output.data.len()
    ))
}

/// One image's anchors, whose number of values has been checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anchors<'a> {
    data: &'a [f32],
    order: Order,
    channels: usize,
    count: usize,
    classes: usize,
}

impl<'a> Anchors<'a> {
    pub(super) fn scores(&self) -> Scores<'a> {
        match self.order {
            Order::ChannelMajor => {
                let (first, last) = (4 * self.count, (4 + self.classes) * self.count);
                Scores::ClassMajor { rows: &self.data[first..last], anchors: self.count }
            }
            Order::AnchorMajor => {
                Scores::AnchorMajor { values: self.data, channels: self.channels, first: 4, classes: self.classes }
            }
        }
    }

    pub(super) fn value(&self, channel: usize, anchor: usize) -> f32 {
        match self.order {
            Order::ChannelMajor => self.data[channel * self.count + anchor],
            Order::AnchorMajor => self.data[anchor * self.channels + channel],
        }
    }

    /// The anchor's box, or `None` if it isn't finite.
    pub(super) fn rect(&self, anchor: usize) -> Option<Rect> {
        let [cx, cy, w, h] = [0, 1, 2, 3].map(|c| self.value(c, anchor));
        let rect = Rect::from_centre(cx, cy, w, h);
        (rect.right().is_finite() && rect.bottom().is_finite()).then_some(rect)
    }

    /// `count` keypoints of `dims` values (x, y and, with 3, confidence) behind the class scores.
    pub(super) fn keypoints(&self, anchor: usize, count: usize, dims: usize) -> Vec<Keypoint> {
        let first = 4 + self.classes;
        (0..count)
            .map(|k| {
                let value = |i| self.value(first + k * dims + i, anchor);
                keypoint(value(0), value(1), if dims > 2 { value(2) } else { 1.0 })
            })
            .collect()
    }
}

/// A keypoint; one that isn't finite gets confidence 0 at the origin.
pub(super) fn keypoint(x: f32, y: f32, confidence: f32) -> Keypoint {
    if x.is_finite() && y.is_finite() && confidence.is_finite() {
        Keypoint { x, y, confidence }
    } else {
        Keypoint::default()
    }
}
