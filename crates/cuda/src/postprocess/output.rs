//! A model's outputs in device memory.

use super::super::error::Error;
use super::failed;
use model::ElementType;

/// One of a model's outputs in device memory.
#[derive(Debug, Clone)]
pub struct DeviceOutput {
    /// Where the tensor starts.
    pub address: u64,
    /// F32 or F16.
    pub element: ElementType,
    /// Without the batch dimension.
    pub shape: Vec<usize>,
}

/// Address of an output's keypoints; 0 if there are none, because the address would lie beyond the output.
pub(super) fn keypoints_at(output: &DeviceOutput, offset: usize, count: usize) -> u64 {
    if count == 0 { 0 } else { output.address + offset as u64 }
}

pub(super) fn find(outputs: &[DeviceOutput], index: usize) -> Result<&DeviceOutput, Error> {
    outputs.get(index).ok_or_else(|| failed(format!("output {index} is missing, the model has {}", outputs.len())))
}

pub(super) fn matrix(outputs: &[DeviceOutput], index: usize) -> Result<(usize, usize), Error> {
    let output = find(outputs, index)?;
    match *output.shape {
        [rows, columns] => Ok((rows, columns)),
        _ => Err(unexpected(output, "two dimensions")),
    }
}

/// Bytes per element, and whether it is F16.
pub(super) fn element(output: &DeviceOutput) -> Result<(usize, u32), Error> {
    match output.element {
        ElementType::F32 => Ok((4, 0)),
        ElementType::F16 => Ok((2, 1)),
        _ => Err(unexpected(output, "F32 or F16")),
    }
}

pub(super) fn unexpected(output: &DeviceOutput, wanted: &str) -> Error {
    failed(format!("a model output is {:?} of {:?}, expected {wanted}", output.shape, output.element))
}
