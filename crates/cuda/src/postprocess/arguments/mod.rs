//! The arguments of the kernels, made from a [`DecodePlan`].

mod anchors;
mod classes;
mod dense;
mod distributions;
mod objects;
mod oriented;
mod peaks;
mod persons;
mod poses;
mod queries;

use super::super::error::Error;
use super::super::layout::{
    Candidates, ClassesArgs, DenseArgs, DistributionsArgs, EmbeddingArgs, FinishArgs, ObjectsArgs, OrientedArgs,
    PeaksArgs, PersonArgs, PersonsArgs, QueriesArgs,
};
use super::output::{DeviceOutput, columns, matrix};
use super::{CORNER_VALUES, CORNERS, failed};
use model::head::{DecodePlan, Selection};

/// The kernel that finds candidates, with its arguments.
#[derive(Debug, Clone)]
pub(super) enum Decode {
    Columns(Box<DenseArgs>),
    Rows(Box<DenseArgs>),
    Distributions(Box<DistributionsArgs>),
    Objects(ObjectsArgs),
    Queries(QueriesArgs),
    Persons(PersonsArgs),
    Oriented(OrientedArgs),
    Classes(ClassesArgs),
    /// Writes the results itself.
    Embedding(EmbeddingArgs),
    /// The keypoints first, then their person.
    Peaks(Box<(PeaksArgs, PersonArgs)>),
}

/// The most candidates and boxes that an image can have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capacity {
    /// Candidates that can pass.
    pub candidates: usize,
    /// Fewer where a candidate is a pair of a box and a class.
    pub boxes: usize,
    /// The most candidates that the head keeps, whatever `max_detections` is.
    pub kept: usize,
}

impl Capacity {
    fn of(boxes: usize) -> Self {
        Self { candidates: boxes, boxes, kept: usize::MAX }
    }

    fn of_labels(boxes: usize, classes: usize, multi_label: bool) -> Self {
        Self { candidates: if multi_label { boxes * classes } else { boxes }, ..Self::of(boxes) }
    }
}

/// The most candidates that an image can have.
pub(super) fn capacity(plan: &DecodePlan, outputs: &[DeviceOutput]) -> Result<Capacity, Error> {
    let capacity = match plan {
        &DecodePlan::Anchors { output, channels_first: true, .. } => Capacity::of(matrix(outputs, output)?.1),
        &DecodePlan::Anchors { output, .. } | &DecodePlan::Objects { output, .. } => {
            Capacity::of(matrix(outputs, output)?.0)
        }
        &DecodePlan::Split { boxes, .. } => Capacity::of(matrix(outputs, boxes)?.0),
        DecodePlan::Queries(plan) => {
            let queries = matrix(outputs, plan.boxes)?.0;
            let pairs = match plan.selection {
                Selection::AcrossClasses => queries * plan.classes,
                Selection::PerQuery => queries,
            };
            Capacity { candidates: pairs, boxes: queries, kept: queries }
        }
        DecodePlan::Dense(plan) => {
            Capacity::of_labels(columns(outputs, &plan.boxes)?.1, plan.classes, plan.multi_label)
        }
        DecodePlan::Distributions { levels, classes, multi_label, .. } => {
            Capacity::of_labels(levels.iter().map(|level| level.cells).sum(), *classes, *multi_label)
        }
        &DecodePlan::Oriented { output, form } => Capacity::of(oriented::anchors(outputs, output, form)?),
        &DecodePlan::Poses { boxes, .. } => Capacity::of(matrix(outputs, boxes)?.0),
        DecodePlan::Peaks(_) => Capacity::of(1),
        DecodePlan::Persons { many: true, .. } => Capacity::of(6),
        DecodePlan::Persons { .. } => Capacity::of(1),
        DecodePlan::Classes(plan) => Capacity::of(plan.classes),
        DecodePlan::Embedding { .. } => Capacity::of(1),
    };
    // Candidates are numbered with 32 bits.
    if u32::try_from(capacity.candidates).is_err() {
        return Err(failed(format!("the model's outputs have {} candidates an image", capacity.candidates)));
    }
    Ok(capacity)
}

/// Bytes of memory that the kernels of this plan share, for each slot of this many boxes.
pub(super) fn scratch(plan: &DecodePlan, boxes: usize) -> usize {
    match plan {
        DecodePlan::Oriented { .. } => boxes * CORNERS * CORNER_VALUES * size_of::<f32>(),
        DecodePlan::Peaks(plan) => peaks::scratch(plan),
        _ => 0,
    }
}

/// The arguments of the decoding kernel, and those arguments of the last kernel that depend on the plan. `shared` is the
/// address of the memory that [`scratch`] sizes.
pub(super) fn arguments(
    plan: &DecodePlan,
    outputs: &[DeviceOutput],
    out: Candidates,
    shared: u64,
) -> Result<(Decode, FinishArgs), Error> {
    let finish = FinishArgs { input: out, x_unit: 1.0, y_unit: 1.0, ..FinishArgs::default() };
    match plan {
        &DecodePlan::Anchors { output, channels_first, classes, keypoints } => {
            anchors::arguments(outputs, output, channels_first, (classes, keypoints), finish)
        }
        &DecodePlan::Objects { output, keypoints, ref coding } => {
            objects::rows(outputs, output, coding, keypoints, finish)
        }
        &DecodePlan::Split { labels, boxes, scores, ref coding } => {
            objects::split(outputs, [labels, boxes, scores], coding, finish)
        }
        DecodePlan::Queries(plan) => queries::arguments(outputs, plan, finish),
        DecodePlan::Dense(plan) => dense::arguments(outputs, plan, finish),
        DecodePlan::Distributions { classes, multi_label, bins, offset, width, height, levels } => {
            let (labels, size) = ((*classes, *multi_label), (*width, *height));
            distributions::arguments(outputs, levels, labels, *bins, *offset, size, finish)
        }
        &DecodePlan::Persons { output, many, width, height } => {
            persons::arguments(outputs, output, many, (width, height), finish)
        }
        &DecodePlan::Oriented { output, form } => oriented::arguments(outputs, output, form, shared, finish),
        &DecodePlan::Poses { boxes, points, keypoints } => {
            poses::arguments(outputs, (boxes, points), keypoints, finish)
        }
        DecodePlan::Peaks(plan) => peaks::arguments(outputs, plan, shared, finish),
        DecodePlan::Classes(plan) => classes::arguments(outputs, plan, finish),
        &DecodePlan::Embedding { output, size } => classes::vector(outputs, output, size, finish),
    }
}
