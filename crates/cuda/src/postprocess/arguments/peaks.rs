//! The maps of one person's keypoints. A kernel writes the keypoints themselves into scratch memory, from which the person and
//! the results are made.

use super::super::super::error::Error;
use super::super::super::layout::{FinishArgs, PeaksArgs, PersonArgs};
use super::super::output::{DeviceOutput, element, find, matrix, unexpected};
use super::Decode;
use model::head::{PeakMaps, PeakPlan, Refinement};

/// Values of a keypoint: x, y, confidence.
const DIMS: usize = 3;

/// Bytes of scratch memory for the keypoints of a slot.
pub(super) fn scratch(plan: &PeakPlan) -> usize {
    plan.keypoints * DIMS * size_of::<f32>()
}

/// `points` is the address of the scratch memory.
pub(super) fn arguments(
    outputs: &[DeviceOutput],
    plan: &PeakPlan,
    points: u64,
    finish: FinishArgs,
) -> Result<(Decode, FinishArgs), Error> {
    let keypoints = plan.keypoints;
    let [x_unit, y_unit] = plan.unit;
    let args = PeaksArgs { points, keypoints: keypoints as u32, x_unit, y_unit, ..PeaksArgs::default() };
    let args = match plan.maps {
        PeakMaps::Axes { x, y } => {
            let ((x_rows, columns), (y_rows, rows)) = (matrix(outputs, x)?, matrix(outputs, y)?);
            let (x, y) = (find(outputs, x)?, find(outputs, y)?);
            let ((_, half), (_, y_half)) = (element(x)?, element(y)?);
            for (output, found, places) in [(x, x_rows, columns), (y, y_rows, rows)] {
                if found != keypoints || places == 0 {
                    return Err(unexpected(output, &format!("[{keypoints}, places]")));
                }
            }
            if half != y_half {
                return Err(unexpected(y, "the element type of the other axis"));
            }
            let (x_slot, y_slot) = ((keypoints * columns) as u64, (keypoints * rows) as u64);
            let (columns, rows) = (columns as u32, rows as u32);
            PeaksArgs { x: x.address, y: y.address, x_slot, y_slot, columns, rows, maps: 0, half, ..args }
        }
        PeakMaps::Planes { output, refinement } => {
            let output = find(outputs, output)?;
            let (_, half) = element(output)?;
            let &[found, rows, columns] = output.shape.as_slice() else {
                return Err(unexpected(output, &format!("[{keypoints}, rows, columns]")));
            };
            if found != keypoints || rows * columns == 0 {
                return Err(unexpected(output, &format!("[{keypoints}, rows, columns]")));
            }
            let maps = match refinement {
                Refinement::Quarter => 1,
                Refinement::Dark => 2,
                Refinement::DarkUdp => 3,
            };
            let x_slot = (keypoints * rows * columns) as u64;
            PeaksArgs { x: output.address, x_slot, columns: columns as u32, rows: rows as u32, maps, half, ..args }
        }
    };
    let person = PersonArgs { out: finish.input, points, keypoints: keypoints as u32, reserved: 0 };
    let finish = FinishArgs {
        least: 1,
        dimensions: DIMS as u32,
        data: points,
        slot_stride: (keypoints * DIMS) as u64,
        keypoint_stride: DIMS as u32,
        value_stride: 1,
        ..finish
    };
    Ok((Decode::Peaks(Box::new((args, person))), finish))
}
