//! Class scores, and a distribution for each side of a box.

use super::super::super::error::Error;
use super::super::super::layout::{DistributionsArgs, FinishArgs, Level};
use super::super::failed;
use super::super::output::{DeviceOutput, element, find, matrix, unexpected};
use super::Decode;
use model::head::DecodeLevel;

pub(super) fn arguments(
    outputs: &[DeviceOutput],
    levels: &[DecodeLevel],
    (classes, multi_label): (usize, bool),
    bins: usize,
    offset: f32,
    (width, height): (f32, f32),
    finish: FinishArgs,
) -> Result<(Decode, FinishArgs), Error> {
    let out = finish.input;
    let mut args = DistributionsArgs {
        out,
        level_count: levels.len() as u32,
        classes: classes as u32,
        multi_label: u32::from(multi_label),
        bins: bins as u32,
        offset,
        width,
        height,
        ..DistributionsArgs::default()
    };
    if levels.len() > args.levels.len() {
        return Err(failed(format!(
            "the model has {} strides, the kernels support at most {}",
            levels.len(),
            args.levels.len()
        )));
    }
    let mut first = 0;
    for (place, level) in args.levels.iter_mut().zip(levels) {
        (*place, args.half) = distributions(level, outputs, classes, bins, first)?;
        first += level.cells;
    }
    let pair_classes = if multi_label { args.classes } else { 0 };
    Ok((Decode::Distributions(Box::new(args)), FinishArgs { pair_classes, ..finish }))
}

/// One level of distributions, given the index of its first anchor, and whether its tensors are F16.
fn distributions(
    level: &DecodeLevel,
    outputs: &[DeviceOutput],
    classes: usize,
    bins: usize,
    first: usize,
) -> Result<(Level, u32), Error> {
    let (scores, boxes) = (find(outputs, level.scores)?, find(outputs, level.boxes)?);
    let ((size, half), (_, boxes_half)) = (element(scores)?, element(boxes)?);
    if half != boxes_half {
        return Err(unexpected(boxes, "the element type of the scores"));
    }
    let together = level.scores == level.boxes;
    let (scores_row, boxes_row) = if together { (classes + 4 * bins, classes + 4 * bins) } else { (classes, 4 * bins) };
    for (tensor, index, row) in [(scores, level.scores, scores_row), (boxes, level.boxes, boxes_row)] {
        let (rows, columns) = matrix(outputs, index)?;
        if columns != row || level.first + level.cells > rows {
            return Err(unexpected(tensor, &format!("[{}, {row}]", level.first + level.cells)));
        }
    }
    let address = |tensor: &DeviceOutput, row: usize, column: usize| {
        tensor.address + ((level.first * row + column) * size) as u64
    };
    let slot = |tensor: &DeviceOutput| tensor.shape.iter().product::<usize>() as u64;
    let level = Level {
        scores: address(scores, scores_row, 0),
        boxes: address(boxes, boxes_row, if together { classes } else { 0 }),
        scores_slot: slot(scores),
        boxes_slot: slot(boxes),
        scores_row: scores_row as u32,
        boxes_row: boxes_row as u32,
        first: first as u32,
        anchors: level.cells as u32,
        columns: level.columns.max(1) as u32,
        stride: level.stride as f32,
    };
    Ok((level, half))
}
