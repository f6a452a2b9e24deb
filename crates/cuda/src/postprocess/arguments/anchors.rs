//! Per anchor the values of a box, a score per class, and keypoints, in one tensor.

use super::super::super::error::Error;
use super::super::super::layout::{ColumnsArgs, FinishArgs, Level, RowsArgs};
use super::super::output::{DeviceOutput, element, find, keypoints_at, matrix, unexpected};
use super::Decode;
use bytemuck::Zeroable;

pub(super) fn arguments(
    outputs: &[DeviceOutput],
    output: usize,
    channels_first: bool,
    (classes, keypoints): (usize, Option<(usize, usize)>),
    finish: FinishArgs,
) -> Result<(Decode, FinishArgs), Error> {
    let out = finish.input;
    let tensor = find(outputs, output)?;
    let (size, half) = element(tensor)?;
    let (rows, columns) = matrix(outputs, output)?;
    let (count, dims) = keypoints.unwrap_or((0, 0));
    let channels = 4 + classes + count * dims;
    let (found, anchors) = if channels_first { (rows, columns) } else { (columns, rows) };
    if found != channels {
        return Err(unexpected(tensor, &format!("{channels} channels")));
    }
    let slot_stride = (channels * anchors) as u64;
    // Elements from one channel, and from one anchor, to the next.
    let (channel, anchor) = if channels_first { (anchors, 1) } else { (1, channels) };
    let finish = FinishArgs {
        dimensions: dims as u32,
        data: keypoints_at(tensor, (4 + classes) * channel * size, count),
        slot_stride,
        half,
        anchor_stride: anchor as u32,
        keypoint_stride: (dims * channel) as u32,
        value_stride: channel as u32,
        ..finish
    };
    if channels_first {
        let args = ColumnsArgs {
            out,
            data: tensor.address,
            slot_stride,
            half,
            anchors: anchors as u32,
            classes: classes as u32,
            reserved: 0,
        };
        return Ok((Decode::Columns(args), finish));
    }
    let level = Level {
        scores: tensor.address + 4 * size as u64,
        boxes: tensor.address,
        scores_slot: slot_stride,
        boxes_slot: slot_stride,
        scores_row: channels as u32,
        boxes_row: channels as u32,
        first: 0,
        anchors: anchors as u32,
        columns: 1,
        stride: 1.0,
    };
    let levels = [level, Level::zeroed(), Level::zeroed(), Level::zeroed()];
    let args = RowsArgs { out, levels, level_count: 1, half, classes: classes as u32, ..RowsArgs::default() };
    Ok((Decode::Rows(Box::new(args)), finish))
}
