//! The boxes and logits of a DETR's queries.

use super::super::super::error::Error;
use super::super::super::layout::{FinishArgs, QueriesArgs};
use super::super::output::{DeviceOutput, coding, element, find, matrix, unexpected};
use super::Decode;
use model::head::{QueryPlan, Selection};

pub(super) fn arguments(
    outputs: &[DeviceOutput],
    plan: &QueryPlan,
    finish: FinishArgs,
) -> Result<(Decode, FinishArgs), Error> {
    let (boxes, logits) = (find(outputs, plan.boxes)?, find(outputs, plan.logits)?);
    element(boxes)?;
    let (_, half) = element(logits)?;
    let (queries, four) = matrix(outputs, plan.boxes)?;
    if four != 4 {
        return Err(unexpected(boxes, "four columns"));
    }
    let fits = logits.shape == [queries, plan.columns] && (1..=plan.columns).contains(&plan.classes);
    if !fits {
        return Err(unexpected(logits, &format!("[{queries}, {}]", plan.columns)));
    }
    let args = QueriesArgs {
        out: finish.input,
        boxes: boxes.values(0, (4, 1)),
        logits: logits.address,
        slot_stride: logits.elements() as u64,
        half,
        queries: queries as u32,
        columns: plan.columns as u32,
        classes: plan.classes as u32,
        coding: coding(&plan.coding),
        per_query: u32::from(plan.selection == Selection::PerQuery),
    };
    let pair_classes = if plan.selection == Selection::AcrossClasses { args.classes } else { 0 };
    Ok((Decode::Queries(args), FinishArgs { pair_classes, ..finish }))
}
