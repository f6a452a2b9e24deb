//! Boxes with a direction. Their corners are decoded into the workspace, from where the last kernel takes them as keypoints.

use super::super::super::error::Error;
use super::super::super::layout::{FinishArgs, OrientedArgs};
use super::super::output::{DeviceOutput, element, find, matrix, unexpected};
use super::super::{CORNER_VALUES, CORNERS};
use super::Decode;
use model::head::OrientedForm;

/// The number of anchors or rows.
pub(super) fn anchors(outputs: &[DeviceOutput], output: usize, form: OrientedForm) -> Result<usize, Error> {
    let (rows, columns) = matrix(outputs, output)?;
    Ok(if matches!(form, OrientedForm::Anchors { channels_first: true, .. }) { columns } else { rows })
}

pub(super) fn arguments(
    outputs: &[DeviceOutput],
    output: usize,
    form: OrientedForm,
    corners: u64,
    finish: FinishArgs,
) -> Result<(Decode, FinishArgs), Error> {
    let tensor = find(outputs, output)?;
    let (_, half) = element(tensor)?;
    let (rows, columns) = matrix(outputs, output)?;
    let (values, classes, channels_first) = match form {
        OrientedForm::Anchors { channels_first, classes } => (4 + classes + 1, classes, channels_first),
        OrientedForm::Rows => (7, 0, false),
    };
    let (found, anchors) = if channels_first { (rows, columns) } else { (columns, rows) };
    if found != values {
        return Err(unexpected(tensor, &format!("{values} values of each box")));
    }
    let (value_stride, anchor_stride) = if channels_first { (anchors, 1) } else { (1, values) };
    let args = OrientedArgs {
        out: finish.input,
        data: tensor.address,
        slot_stride: (values * anchors) as u64,
        corners,
        half,
        anchors: anchors as u32,
        value_stride: value_stride as u32,
        anchor_stride: anchor_stride as u32,
        classes: classes as u32,
        reserved: 0,
    };
    let all = (CORNERS * CORNER_VALUES) as u32;
    let finish = FinishArgs {
        dimensions: CORNER_VALUES as u32,
        data: corners,
        slot_stride: u64::from(finish.input.capacity) * u64::from(all),
        anchor_stride: all,
        keypoint_stride: CORNER_VALUES as u32,
        value_stride: 1,
        ..finish
    };
    Ok((Decode::Oriented(args), finish))
}
