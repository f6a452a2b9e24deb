//! Recognition of dense detectors whose boxes are corners in pixels: PP-YOLOE and others of PaddleDetection exported without
//! NMS, and DAMO-YOLO. Their suppression takes each class of an anchor that passes the threshold.
//!
//! Sources: `ppyoloe_head.py` and `pico_head.py` of PaddleDetection (005e0ff), `tools/converter.py` and `tools/demo.py` of
//! DAMO-YOLO (1c56caa).

use super::super::{Normalization, Resize};
use super::dense::Dense;
use super::reading::Trust;
use super::recognise::{Found, InputStyle, ModelFacts, grid_cells};
use super::{BoxCoding, Columns, DensePlan, HeadChoice, HeadError};
use std::sync::Arc;

/// PaddleDetection stretches, with `interp: 2`.
const PADDLE_STYLE: InputStyle =
    InputStyle { normalization: None, bgr: false, resize: Resize::STRETCH.cubic(), pad: 0, default_size: None };

/// 0–255, at the top left, the rest black. DAMO-YOLO's Nano models stretch instead.
const DAMO_STYLE: InputStyle = InputStyle {
    normalization: Some(Normalization::NONE),
    bgr: false,
    resize: Resize::TOP_LEFT,
    pad: 0,
    default_size: None,
};

/// Recognises PaddleDetection by its second inputs.
///
/// # Errors
/// The model has its own NMS, or whether its pixels are 0–1 or standardised can't be told.
pub(super) fn recognise(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    if seen.side_input("scale_factor").is_none() && seen.side_input("im_shape").is_none() {
        return Ok(None);
    }
    if seen.model.outputs.iter().any(|output| matches!(*output.shape, [_, 6 | 7])) {
        return Err(seen.unknown(
            "it is a model of PaddleDetection with its own NMS, whose number of rows depends on the picture: export it \
             without, by `-o exclude_nms=True` (PP-YOLOE), `-o export.nms=False` or `-o export.benchmark=True` (PicoDet)",
        ));
    }
    pp_yoloe(seen)
}

/// Boxes `[B, N, 4]` and scores `[B, nc, N]`, or both in `[B, N, 4 + nc]`.
///
/// # Errors
/// The normalisation isn't known.
pub(super) fn pp_yoloe(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    let Some(plan) = two_outputs(seen, true).or_else(|| one_output(seen)) else { return Ok(None) };
    if !seen.normalization_is_chosen() {
        return Err(seen.unknown(
            "PaddleDetection's models take pixels of 0-1 (PP-YOLOE+) or with ImageNet's mean and deviation (PP-YOLOE, \
             PicoDet), and the file doesn't say which: set normalization=unit or normalization=imagenet, as `norm_type`, \
             `mean` and `std` in its infer_cfg.yml say",
        ));
    }
    found(seen, HeadChoice::PpYoloe.nick(), &PADDLE_STYLE, plan)
}

/// Scores `[B, N, nc]` and boxes `[B, N, 4]`.
///
/// # Errors
/// The input's size isn't known.
pub(super) fn damo_yolo(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    let Some(plan) = two_outputs(seen, false) else { return Ok(None) };
    found(seen, HeadChoice::DamoYolo.nick(), &DAMO_STYLE, plan)
}

/// The head and input of these columns.
///
/// # Errors
/// The input's size isn't known, or the number of names doesn't fit.
pub(super) fn found(
    seen: &ModelFacts<'_>,
    name: &'static str,
    style: &InputStyle,
    plan: DensePlan,
) -> Result<Option<Found>, HeadError> {
    if let Some(names) = seen.metadata.classes().filter(|&names| names != plan.classes) {
        let classes = plan.classes;
        return Err(seen.unknown(&format!("the metadata names {names} classes, but there are scores for {classes}")));
    }
    let spec = seen.spec(name, style)?;
    let labels = seen.labels(plan.classes, false)?;
    Ok(Some((Arc::new(Dense { name, plan, labels, suppress: true, masks: None }), spec, Trust::Plausible)))
}

/// Boxes and scores in two outputs: `[B, N, 4]`, and `[B, nc, N]` or else `[B, N, nc]`.
fn two_outputs(seen: &ModelFacts<'_>, channels_first: bool) -> Option<DensePlan> {
    if seen.model.outputs.len() != 2 {
        return None;
    }
    let pair = |boxes: usize, scores: usize| {
        let [_, anchors, 4] = seen.rows(boxes)? else { return None };
        let [_, a, b] = seen.rows(scores)?;
        let (classes, others) = if channels_first { (a, b) } else { (b, a) };
        let fits = classes > 0 && (anchors == others || anchors == 0 || others == 0) && many(seen, anchors.max(others));
        let scores = match channels_first {
            true => Columns::of_channels(scores, 0, classes),
            false => Columns::of_rows(scores, 0, classes),
        };
        fits.then(|| plan(classes, Columns::of_rows(boxes, 0, 4), scores))
    };
    // With four classes both outputs may have the same shape; the order is that of the family's exporter.
    if channels_first { pair(0, 1).or_else(|| pair(1, 0)) } else { pair(1, 0).or_else(|| pair(0, 1)) }
}

/// Boxes and scores in the rows of one output.
fn one_output(seen: &ModelFacts<'_>) -> Option<DensePlan> {
    let [_, rows, columns] = seen.rows(0)?;
    let fits = seen.model.outputs.len() == 1 && columns > 4 && many(seen, rows);
    fits.then(|| plan(columns - 4, Columns::of_rows(0, 0, columns), Columns::of_rows(0, 4, columns)))
}

/// An object of each class that passes.
pub(super) fn plan(classes: usize, boxes: Columns, scores: Columns) -> DensePlan {
    let (coding, grid) = (BoxCoding::CORNERS, Vec::new());
    DensePlan { classes, multi_label: true, boxes, scores, objectness: None, coding, grid }
}

/// Whether this is the number of cells of the input's grids, with three or four strides, if both are known.
fn many(seen: &ModelFacts<'_>, anchors: usize) -> bool {
    let (Some(width), Some(height)) = (seen.input.width, seen.input.height) else { return true };
    anchors == 0
        || [&[8, 16, 32][..], &[8, 16, 32, 64]].iter().any(|strides| grid_cells(width, height, strides) == anchors)
}
