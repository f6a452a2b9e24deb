//! Per anchor the values of a box, a score per class, and keypoints, in one tensor.

use super::super::super::error::Error;
use super::super::super::layout::{DenseArgs, FinishArgs};
use super::super::output::{DeviceOutput, coding, columns, element, find, keypoints_at};
use super::Decode;
use model::head::{BoxCoding, Columns};

pub(super) fn arguments(
    outputs: &[DeviceOutput],
    output: usize,
    channels_first: bool,
    (classes, keypoints): (usize, Option<(usize, usize)>),
    finish: FinishArgs,
) -> Result<(Decode, FinishArgs), Error> {
    let tensor = find(outputs, output)?;
    let (size, half) = element(tensor)?;
    let (count, dims) = keypoints.unwrap_or((0, 0));
    let channels = 4 + classes + count * dims;
    let part = |first: usize| columns(outputs, &Columns { output, channels_first, first, channels });
    let ((boxes, anchors), (scores, _)) = (part(0)?, part(4)?);
    // Elements from one channel to the next.
    let channel = scores.value_stride as usize;
    let finish = FinishArgs {
        dimensions: dims as u32,
        data: keypoints_at(tensor, (4 + classes) * channel * size, count),
        slot_stride: boxes.slot_stride,
        half,
        anchor_stride: boxes.row_stride,
        keypoint_stride: (dims * channel) as u32,
        value_stride: boxes.value_stride,
        ..finish
    };
    let args = DenseArgs {
        out: finish.input,
        scores,
        boxes,
        coding: coding(&BoxCoding::CENTRE),
        anchors: anchors as u32,
        classes: classes as u32,
        ..DenseArgs::default()
    };
    let decode = if channels_first { Decode::Columns } else { Decode::Rows };
    Ok((decode(Box::new(args)), finish))
}
