//! Recognition of detectors with an objectness, `[B, N, 5 + nc]`: YOLOX, and YOLOv5 and YOLOv7.
//!
//! Sources: `tools/export_onnx.py` and `demo/ONNXRuntime` of YOLOX (0cba8ac), `export.py` of YOLOv5 (0041a67) and YOLOv7
//! (045eea1).

use super::super::{InputSpec, Normalization, Resize};
use super::dense::Dense;
use super::reading::Trust;
use super::recognise::{Found, InputStyle, ModelFacts, grid_cells};
use super::{BoxCoding, Columns, DensePlan, GridLevel, HeadChoice, HeadError};
use std::sync::Arc;

/// BGR, 0–255, at the top left, the rest grey.
pub(super) const YOLOX_STYLE: InputStyle = InputStyle {
    normalization: Some(Normalization::NONE),
    bgr: true,
    resize: Resize::TOP_LEFT,
    pad: 114,
    default_size: None,
};

const YOLOV5_STYLE: InputStyle =
    InputStyle { normalization: None, bgr: false, resize: Resize::LETTERBOX, pad: 114, default_size: None };

/// Three levels, and four of the models for large objects (P6).
const STRIDES: [&[u32]; 2] = [&[8, 16, 32], &[8, 16, 32, 64]];
/// Anchors per cell of YOLOv5 and YOLOv7.
const YOLOV5_ANCHORS: usize = 3;

/// Recognises YOLOX by one anchor per cell and the exporter's name of the output, and YOLOv5 by three per cell.
///
/// # Errors
/// The input's size isn't known, or metadata and shapes contradict each other.
pub(super) fn recognise(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    let Some((rows, columns)) = rows(seen) else { return Ok(None) };
    let (Some(width), Some(height)) = (seen.input.width, seen.input.height) else { return Ok(None) };
    let names_fit = seen.metadata.classes().is_none_or(|names| columns == 5 + names);
    let cells = |strides: &&[u32]| grid_cells(width, height, strides);
    if !names_fit {
        Ok(None)
    } else if STRIDES.iter().any(|strides| rows == YOLOV5_ANCHORS * cells(strides)) {
        yolov5(seen)
    } else if rows == cells(&STRIDES[0]) && seen.output("output") == Some(0) && !seen.metadata.is_ultralytics() {
        yolox(seen, HeadChoice::Yolox)
    } else {
        Ok(None)
    }
}

/// The first output's rows and columns, if the others, if any, aren't tables: early exports of YOLOv5 add its raw outputs,
/// of five dimensions.
fn rows(seen: &ModelFacts<'_>) -> Option<(usize, usize)> {
    let [_, rows, columns] = seen.rows(0)?;
    let raw = seen.model.outputs.iter().skip(1).all(|output| output.shape.len() == 5);
    (raw && columns > 5).then_some((rows, columns))
}

/// # Errors
/// As for [`recognise`].
pub(super) fn yolov5(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    let found = objectness(seen, HeadChoice::Yolov5, &YOLOV5_STYLE, |_| Vec::new())?;
    let anchors = |spec: &InputSpec, strides: &[u32]| YOLOV5_ANCHORS * grid_cells(spec.width, spec.height, strides);
    let fits = |spec: &InputSpec| {
        rows(seen).is_some_and(|(rows, _)| rows == 0 || STRIDES.iter().any(|strides| rows == anchors(spec, strides)))
    };
    Ok(found.filter(|(_, spec, _)| fits(spec)))
}

/// YOLOX with boxes relative to their cells, or decoded.
///
/// # Errors
/// As for [`recognise`].
pub(super) fn yolox(seen: &ModelFacts<'_>, choice: HeadChoice) -> Result<Option<Found>, HeadError> {
    let decoded = choice == HeadChoice::YoloxDecoded;
    let grid = |spec: &InputSpec| if decoded { Vec::new() } else { GridLevel::of(spec, STRIDES[0]) };
    let found = objectness(seen, choice, &YOLOX_STYLE, grid)?;
    // Other numbers of anchors belong to other models.
    let cells = |spec: &InputSpec| grid_cells(spec.width, spec.height, STRIDES[0]);
    let fits = |spec: &InputSpec| rows(seen).is_some_and(|(rows, _)| rows == 0 || rows == cells(spec));
    Ok(found.filter(|(_, spec, _)| fits(spec)))
}

pub(super) fn objectness(
    seen: &ModelFacts<'_>,
    choice: HeadChoice,
    style: &InputStyle,
    grid: impl Fn(&InputSpec) -> Vec<GridLevel>,
) -> Result<Option<Found>, HeadError> {
    let open = || match (seen.rows(0), seen.metadata.classes()) {
        (Some([_, _, 0]), Some(names)) => Some(5 + names),
        _ => None,
    };
    let Some(columns) = rows(seen).map(|(_, columns)| columns).or_else(open) else { return Ok(None) };
    let classes = columns - 5;
    if seen.metadata.classes().is_some_and(|names| names != classes) {
        return Ok(None);
    }
    let spec = seen.spec(choice.nick(), style)?;
    let plan = DensePlan {
        classes,
        multi_label: false,
        boxes: Columns::of_rows(0, 0, columns),
        objectness: Some(Columns::of_rows(0, 4, columns)),
        scores: Columns::of_rows(0, 5, columns),
        coding: BoxCoding::CENTRE,
        grid: grid(&spec),
    };
    let labels = seen.labels(classes, false)?;
    let head = Dense { name: choice.nick(), plan, labels, suppress: true, masks: None };
    Ok(Some((Arc::new(head), spec, Trust::Plausible)))
}
