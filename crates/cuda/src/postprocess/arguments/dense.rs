//! Anchors whose boxes, scores and objectness are columns of any outputs.

use super::super::super::error::Error;
use super::super::super::layout::{CellLevel, DenseArgs, FinishArgs, Values};
use super::super::failed;
use super::super::output::{DeviceOutput, coding, columns};
use super::Decode;
use model::head::{DensePlan, GridLevel};

pub(super) fn arguments(
    outputs: &[DeviceOutput],
    plan: &DensePlan,
    finish: FinishArgs,
) -> Result<(Decode, FinishArgs), Error> {
    let (boxes, anchors) = columns(outputs, &plan.boxes)?;
    let (scores, scored) = columns(outputs, &plan.scores)?;
    let (objectness, judged) = match &plan.objectness {
        Some(objectness) => columns(outputs, objectness)?,
        None => (Values::default(), anchors),
    };
    if (scored, judged) != (anchors, anchors) {
        return Err(failed(format!(
            "the model has {anchors} boxes, {scored} rows of scores and {judged} objectnesses"
        )));
    }
    let mut args = DenseArgs {
        out: finish.input,
        scores,
        boxes,
        objectness,
        level_count: plan.grid.len() as u32,
        coding: coding(&plan.coding),
        anchors: anchors as u32,
        classes: plan.classes as u32,
        multi_label: u32::from(plan.multi_label),
        ..DenseArgs::default()
    };
    place(&mut args.levels, &plan.grid, anchors)?;
    let decode = if plan.scores.channels_first { Decode::Columns } else { Decode::Rows };
    let pair_classes = if plan.multi_label { args.classes } else { 0 };
    Ok((decode(Box::new(args)), FinishArgs { pair_classes, ..finish }))
}

/// The grid's levels, whose cells are the anchors, if boxes are relative to cells.
fn place(places: &mut [CellLevel], grid: &[GridLevel], anchors: usize) -> Result<(), Error> {
    if grid.len() > places.len() {
        return Err(failed(format!(
            "the model has {} strides, the kernels support at most {}",
            grid.len(),
            places.len()
        )));
    }
    let mut first = 0;
    for (place, level) in places.iter_mut().zip(grid) {
        let (columns, stride) = (level.columns.max(1) as u32, level.stride as f32);
        *place = CellLevel { first: first as u32, columns, stride, reserved: 0 };
        first += level.cells;
    }
    if !grid.is_empty() && first != anchors {
        return Err(failed(format!("the model has {anchors} boxes, but its input {first} cells")));
    }
    Ok(())
}
