//! Final objects, one a row.

use super::super::super::error::Error;
use super::super::super::layout::{FinishArgs, ObjectsArgs};
use super::super::output::{DeviceOutput, element, find, keypoints_at, matrix, unexpected};
use super::Decode;

pub(super) fn arguments(
    outputs: &[DeviceOutput],
    output: usize,
    keypoints: Option<(usize, usize)>,
    finish: FinishArgs,
) -> Result<(Decode, FinishArgs), Error> {
    let out = finish.input;
    let tensor = find(outputs, output)?;
    let (size, half) = element(tensor)?;
    let (rows, columns) = matrix(outputs, output)?;
    let (count, dims) = keypoints.unwrap_or((0, 0));
    // The coefficients of masks may follow.
    if columns < 6 + count * dims {
        return Err(unexpected(tensor, &format!("{} columns or more", 6 + count * dims)));
    }
    let slot_stride = (rows * columns) as u64;
    let args = ObjectsArgs {
        out,
        data: tensor.address,
        slot_stride,
        half,
        rows: rows as u32,
        columns: columns as u32,
        reserved: 0,
    };
    let finish = FinishArgs {
        dimensions: dims as u32,
        data: keypoints_at(tensor, 6 * size, count),
        slot_stride,
        half,
        anchor_stride: columns as u32,
        keypoint_stride: dims as u32,
        value_stride: 1,
        ..finish
    };
    Ok((Decode::Objects(args), finish))
}
