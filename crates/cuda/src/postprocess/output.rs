//! A model's outputs in device memory.

use super::super::error::Error;
use super::super::layout::{Coding, Values, element_code};
use super::failed;
use model::ElementType;
use model::head::{BoxCoding, BoxForm, Columns};

/// One of a model's outputs in device memory.
#[derive(Debug, Clone)]
pub struct DeviceOutput {
    /// Where the tensor starts.
    pub address: u64,
    /// F32 or F16; class numbers may be of any type.
    pub element: ElementType,
    /// Without the batch dimension.
    pub shape: Vec<usize>,
}

impl DeviceOutput {
    /// The values from element `first` of each image on, where `strides` lead to the next row and to the next value.
    pub(super) fn values(&self, first: usize, (row, value): (usize, usize)) -> Values {
        Values {
            data: self.address + (first * self.element.size()) as u64,
            slot_stride: self.elements() as u64,
            row_stride: row as u32,
            value_stride: value as u32,
            element: element_code(self.element),
            reserved: 0,
        }
    }

    /// Elements per image.
    pub(super) fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Columns of an output, and the number of its anchors.
pub(super) fn columns(outputs: &[DeviceOutput], columns: &Columns) -> Result<(Values, usize), Error> {
    let Columns { output, channels_first, first, channels } = *columns;
    let tensor = find(outputs, output)?;
    element(tensor)?;
    let (rows, columns) = matrix(outputs, output)?;
    let (found, anchors) = if channels_first { (rows, columns) } else { (columns, rows) };
    if found != channels {
        return Err(unexpected(tensor, &format!("{channels} channels")));
    }
    // Elements from one channel, and from one anchor, to the next.
    let (channel, anchor) = if channels_first { (anchors, 1) } else { (1, channels) };
    Ok((tensor.values(first * channel, (anchor, channel)), anchors))
}

/// A box's coding as the kernels take it.
pub(super) fn coding(coding: &BoxCoding) -> Coding {
    Coding { centre: u32::from(coding.form == BoxForm::Centre), unit: coding.unit }
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
