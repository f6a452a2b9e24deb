//! MoveNet's persons.

use super::super::super::error::Error;
use super::super::super::layout::{FinishArgs, PersonsArgs};
use super::super::output::{DeviceOutput, element, find, unexpected};
use super::Decode;

/// Values per MoveNet keypoint: y, x, score.
const PERSON_VALUES: u32 = 3;
/// Values per person in the output of MoveNet's multi-pose model.
const PERSON: u32 = 17 * PERSON_VALUES + 5;

pub(super) fn arguments(
    outputs: &[DeviceOutput],
    output: usize,
    many: bool,
    (width, height): (f32, f32),
    finish: FinishArgs,
) -> Result<(Decode, FinishArgs), Error> {
    let out = finish.input;
    let tensor = find(outputs, output)?;
    let (_, half) = element(tensor)?;
    let values = tensor.shape.iter().product::<usize>();
    let needed = if many { 6 * PERSON } else { 17 * PERSON_VALUES };
    if values != needed as usize {
        return Err(unexpected(tensor, &format!("{needed} values")));
    }
    let slot_stride = values as u64;
    let args = PersonsArgs { out, data: tensor.address, slot_stride, half, multi: u32::from(many), width, height };
    let finish = FinishArgs {
        least: u32::from(!many),
        dimensions: PERSON_VALUES,
        y_first: 1,
        data: tensor.address,
        slot_stride,
        half,
        anchor_stride: PERSON,
        keypoint_stride: PERSON_VALUES,
        value_stride: 1,
        x_unit: width,
        y_unit: height,
        ..finish
    };
    Ok((Decode::Persons(args), finish))
}
