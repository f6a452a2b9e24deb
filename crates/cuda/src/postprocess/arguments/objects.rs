//! Final objects: a box, a confidence and a class number each, in one tensor or in three.

use super::super::super::error::Error;
use super::super::super::layout::{FinishArgs, ObjectsArgs};
use super::super::output::{DeviceOutput, coding, element, find, keypoints_at, matrix, unexpected};
use super::Decode;
use model::head::BoxCoding;

/// Rows of the four values of a box, confidence, class, and keypoints.
pub(super) fn rows(
    outputs: &[DeviceOutput],
    output: usize,
    boxes: &BoxCoding,
    keypoints: Option<(usize, usize)>,
    finish: FinishArgs,
) -> Result<(Decode, FinishArgs), Error> {
    let tensor = find(outputs, output)?;
    let (size, half) = element(tensor)?;
    let (rows, columns) = matrix(outputs, output)?;
    let (count, dims) = keypoints.unwrap_or((0, 0));
    // The coefficients of masks may follow.
    if columns < 6 + count * dims {
        return Err(unexpected(tensor, &format!("{} columns or more", 6 + count * dims)));
    }
    let strides = (columns, 1);
    let args = ObjectsArgs {
        out: finish.input,
        boxes: tensor.values(0, strides),
        scores: tensor.values(4, strides),
        labels: tensor.values(5, strides),
        coding: coding(boxes),
        rows: rows as u32,
    };
    let finish = FinishArgs {
        dimensions: dims as u32,
        data: keypoints_at(tensor, 6 * size, count),
        slot_stride: tensor.elements() as u64,
        half,
        anchor_stride: columns as u32,
        keypoint_stride: dims as u32,
        value_stride: 1,
        ..finish
    };
    Ok((Decode::Objects(args), finish))
}

/// Class numbers `[N]`, boxes `[N, 4]` and confidences `[N]`, at these outputs.
pub(super) fn split(
    outputs: &[DeviceOutput],
    [labels, boxes, scores]: [usize; 3],
    coded: &BoxCoding,
    finish: FinishArgs,
) -> Result<(Decode, FinishArgs), Error> {
    let (rows, four) = matrix(outputs, boxes)?;
    let (labels, boxes, scores) = (find(outputs, labels)?, find(outputs, boxes)?, find(outputs, scores)?);
    element(scores)?;
    element(boxes)?;
    if four != 4 {
        return Err(unexpected(boxes, "four columns"));
    }
    for list in [labels, scores] {
        // A last dimension of 1 is that of exports that keep it.
        if !matches!(*list.shape, [count] | [count, 1] if count == rows) {
            return Err(unexpected(list, &format!("{rows} values")));
        }
    }
    let args = ObjectsArgs {
        out: finish.input,
        boxes: boxes.values(0, (4, 1)),
        scores: scores.values(0, (1, 1)),
        labels: labels.values(0, (1, 1)),
        coding: coding(coded),
        rows: rows as u32,
    };
    Ok((Decode::Objects(args), finish))
}
