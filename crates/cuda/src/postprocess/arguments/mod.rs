//! The arguments of the kernels, made from a [`DecodePlan`].

mod anchors;
mod distributions;
mod objects;
mod oriented;
mod persons;

use super::super::error::Error;
use super::super::layout::{Candidates, ColumnsArgs, FinishArgs, ObjectsArgs, OrientedArgs, PersonsArgs, RowsArgs};
use super::failed;
use super::output::{DeviceOutput, matrix};
use model::head::{BoxCoding, DecodePlan};

/// The kernel that finds candidates, with its arguments.
#[derive(Debug, Clone)]
pub(super) enum Decode {
    Columns(ColumnsArgs),
    Rows(Box<RowsArgs>),
    Objects(ObjectsArgs),
    Persons(PersonsArgs),
    Oriented(OrientedArgs),
}

/// Whether a kernel decodes this layout.
pub fn decodes(plan: &DecodePlan) -> bool {
    match plan {
        DecodePlan::Anchors { .. }
        | DecodePlan::Distributions { .. }
        | DecodePlan::Oriented { .. }
        | DecodePlan::Persons { .. } => true,
        DecodePlan::Objects { coding, .. } => *coding == BoxCoding::CORNERS,
        DecodePlan::Split { .. } | DecodePlan::Queries(_) | DecodePlan::Dense(_) => false,
    }
}

/// The most candidates that an image can have.
pub(super) fn capacity(plan: &DecodePlan, outputs: &[DeviceOutput]) -> Result<usize, Error> {
    Ok(match plan {
        &DecodePlan::Anchors { output, channels_first: true, .. } => matrix(outputs, output)?.1,
        &DecodePlan::Anchors { output, .. } | &DecodePlan::Objects { output, .. } => matrix(outputs, output)?.0,
        DecodePlan::Distributions { levels, .. } => levels.iter().map(|level| level.cells).sum(),
        DecodePlan::Persons { many, .. } => {
            if *many {
                6
            } else {
                1
            }
        }
        &DecodePlan::Oriented { output, form } => oriented::anchors(outputs, output, form)?,
        DecodePlan::Split { .. } | DecodePlan::Queries(_) | DecodePlan::Dense(_) => return Err(undecoded(plan)),
    })
}

fn undecoded(plan: &DecodePlan) -> Error {
    failed(format!("no kernel decodes {plan:?}"))
}

/// The arguments of the decoding kernel, and those arguments of the last kernel that depend on the plan. The corners of
/// oriented boxes are written to the address `corners`.
pub(super) fn arguments(
    plan: &DecodePlan,
    outputs: &[DeviceOutput],
    out: Candidates,
    corners: u64,
) -> Result<(Decode, FinishArgs), Error> {
    let finish = FinishArgs { input: out, x_unit: 1.0, y_unit: 1.0, ..FinishArgs::default() };
    match plan {
        &DecodePlan::Anchors { output, channels_first, classes, keypoints } => {
            anchors::arguments(outputs, output, channels_first, (classes, keypoints), finish)
        }
        &DecodePlan::Objects { output, keypoints, coding } if coding == BoxCoding::CORNERS => {
            objects::arguments(outputs, output, keypoints, finish)
        }
        DecodePlan::Distributions { classes, bins, offset, width, height, levels } => {
            distributions::arguments(outputs, levels, (*classes, *bins), *offset, (*width, *height), finish)
        }
        &DecodePlan::Persons { output, many, width, height } => {
            persons::arguments(outputs, output, many, (width, height), finish)
        }
        &DecodePlan::Oriented { output, form } => oriented::arguments(outputs, output, form, corners, finish),
        DecodePlan::Objects { .. } | DecodePlan::Split { .. } | DecodePlan::Queries(_) | DecodePlan::Dense(_) => {
            Err(undecoded(plan))
        }
    }
}
