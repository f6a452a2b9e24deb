//! LibreYOLO's exports, whose metadata name the family (`model_family`). Their tensors and inputs are partly other than
//! those of the families' own exporters: boxes are corners, and pictures are resized in its own way.
//!
//! Its exporter leaves most dimensions of the outputs open. Then the number of classes is that of the metadata's names.
//!
//! Source: `export/onnx.py`, `backends/base.py` and `preprocess/` of LibreYOLO 1.6.

use super::super::{Normalization, Resize};
use super::recognise::{Found, InputStyle, ModelFacts};
use super::yolox::YOLOX_STYLE;
use super::{Columns, HeadChoice, HeadError, corners, detr, yolox};

/// Stretched without antialiasing, 0–1.
const STRETCHED: InputStyle =
    InputStyle { normalization: None, bgr: false, resize: Resize::STRETCH, pad: 0, default_size: None };
const ANTIALIASED: InputStyle = InputStyle { resize: Resize::STRETCH.antialiased(), ..STRETCHED };
const IMAGENET: Option<Normalization> = Some(Normalization::IMAGENET);
const STANDARDISED: InputStyle = InputStyle { normalization: IMAGENET, ..STRETCHED };

/// The families that are read, for errors.
pub(super) const FAMILIES: &str =
    "yolox, yolo9, rtdetr, rtdetrv2, rtdetrv4, dfine, deim, deimv2, rfdetr, ppyoloe, picodet";

/// The head of an export; `None` if its family isn't read, or its tensors don't fit.
///
/// # Errors
/// The metadata contradict the tensors.
pub(super) fn recognise(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    let entry = |key: &str| seen.model.metadata.get(key).map_or("", |value| value.trim());
    if entry("libreyolo_version").is_empty() || !matches!(entry("task"), "" | "detect") {
        return Ok(None);
    }
    // `before`: the number of columns before the scores.
    let columns = |fixed: usize, before: usize| match fixed {
        0 => seen.metadata.classes().map(|classes| before + classes),
        fixed => (fixed > before).then_some(fixed),
    };
    let logits = |style| detr::logits(seen, HeadChoice::DetrSigmoid, Some(style));
    match entry("model_family") {
        "yolox" => {
            let style = InputStyle { resize: Resize::TOP_LEFT.antialiased(), ..YOLOX_STYLE };
            yolox::objectness(seen, HeadChoice::YoloxDecoded, &style, |_| Vec::new())
        }
        "yolo9" => {
            let Some(channels) = seen.rows(0).and_then(|[_, channels, _]| columns(channels, 4)) else {
                return Ok(None);
            };
            let fit = Resize { round_down: true, ..Resize::LETTERBOX };
            let resize = if entry("letterbox_pad") == "center" { fit } else { Resize::TOP_LEFT };
            let (boxes, scores) = (Columns::of_channels(0, 0, channels), Columns::of_channels(0, 4, channels));
            let plan = corners::plan(channels - 4, boxes, scores);
            corners::found(seen, "libreyolo-yolo9", &InputStyle { resize, pad: 114, ..STRETCHED }, plan)
        }
        "rtdetr" | "rtdetrv2" => logits(STRETCHED),
        "dfine" | "deim" | "rtdetrv4" => logits(ANTIALIASED),
        // The sizes with a DINOv3 backbone.
        "deimv2" if matches!(entry("size"), "s" | "m" | "l" | "x") => {
            logits(InputStyle { normalization: IMAGENET, ..ANTIALIASED })
        }
        "deimv2" => logits(ANTIALIASED),
        "rfdetr" => detr::rf_detr(seen),
        "ppyoloe" => {
            let (Some(boxes), Some(scores)) = (seen.output("boxes"), seen.output("scores")) else { return Ok(None) };
            let (Some([_, _, 0 | 4]), Some([_, _, classes])) = (seen.rows(boxes), seen.rows(scores)) else {
                return Ok(None);
            };
            let Some(classes) = columns(classes, 0) else { return Ok(None) };
            let plan = corners::plan(classes, Columns::of_rows(boxes, 0, 4), Columns::of_rows(scores, 0, classes));
            corners::found(seen, HeadChoice::PpYoloe.nick(), &STANDARDISED, plan)
        }
        "picodet" => {
            let Some(columns) = seen.rows(0).and_then(|[_, _, last]| columns(last, 4)) else { return Ok(None) };
            let (boxes, scores) = (Columns::of_rows(0, 0, columns), Columns::of_rows(0, 4, columns));
            corners::found(seen, "libreyolo-picodet", &STANDARDISED, corners::plan(columns - 4, boxes, scores))
        }
        _ => Ok(None),
    }
}
