//! Persons whose boxes and keypoints are separate outputs.

use super::super::super::error::Error;
use super::super::super::layout::{FinishArgs, ObjectsArgs, Values};
use super::super::output::{DeviceOutput, coding, element, find, matrix, unexpected};
use super::Decode;
use model::head::BoxCoding;

/// Values of a box: its corners and confidence.
const BOX: usize = 5;
/// Values of a keypoint.
const DIMS: usize = 3;

pub(super) fn arguments(
    outputs: &[DeviceOutput],
    (boxes, points): (usize, usize),
    keypoints: usize,
    finish: FinishArgs,
) -> Result<(Decode, FinishArgs), Error> {
    let (rows, columns) = matrix(outputs, boxes)?;
    let (boxes, points) = (find(outputs, boxes)?, find(outputs, points)?);
    if columns != BOX {
        return Err(unexpected(boxes, &format!("{BOX} columns")));
    }
    if points.shape != [rows, keypoints, DIMS] {
        return Err(unexpected(points, &format!("[{rows}, {keypoints}, {DIMS}]")));
    }
    element(boxes)?;
    let (_, half) = element(points)?;
    let args = ObjectsArgs {
        out: finish.input,
        boxes: boxes.values(0, (BOX, 1)),
        scores: boxes.values(4, (BOX, 1)),
        labels: Values::default(),
        coding: coding(&BoxCoding::CORNERS),
        rows: rows as u32,
    };
    let finish = FinishArgs {
        dimensions: DIMS as u32,
        data: points.address,
        slot_stride: points.elements() as u64,
        half,
        anchor_stride: (keypoints * DIMS) as u32,
        keypoint_stride: DIMS as u32,
        value_stride: 1,
        ..finish
    };
    Ok((Decode::Objects(args), finish))
}
