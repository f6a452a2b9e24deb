//! A classifier's scores, and the vector of a model for embeddings.

use super::super::super::error::Error;
use super::super::super::layout::{ClassesArgs, EmbeddingArgs, FinishArgs};
use super::super::output::{DeviceOutput, element, find, unexpected};
use super::Decode;
use model::head::ClassPlan;

pub(super) fn arguments(
    outputs: &[DeviceOutput],
    plan: &ClassPlan,
    finish: FinishArgs,
) -> Result<(Decode, FinishArgs), Error> {
    let &ClassPlan { output, classes, width, height, .. } = plan;
    let (data, half) = row(outputs, output, classes)?;
    let args = ClassesArgs { out: finish.input, data, classes: classes as u32, half, width, height };
    Ok((Decode::Classes(args), finish))
}

pub(super) fn vector(
    outputs: &[DeviceOutput],
    output: usize,
    size: usize,
    finish: FinishArgs,
) -> Result<(Decode, FinishArgs), Error> {
    let (data, half) = row(outputs, output, size)?;
    let args = EmbeddingArgs { data, size: size as u32, half, ..EmbeddingArgs::default() };
    Ok((Decode::Embedding(args), finish))
}

/// The address of an output with this many values for each image, and whether they are F16.
fn row(outputs: &[DeviceOutput], output: usize, values: usize) -> Result<(u64, u32), Error> {
    let tensor = find(outputs, output)?;
    if tensor.shape.iter().product::<usize>() != values {
        return Err(unexpected(tensor, &format!("{values} values")));
    }
    Ok((tensor.address, element(tensor)?.1))
}
