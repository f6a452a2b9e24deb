//! Recognition of DETRs: RT-DETR v1 to v4, D-FINE, DEIM, DEIMv2, RF-DETR, Hugging Face's exports, and RT-DETR as Ultralytics
//! exports it.
//!
//! Sources: `tools/export_onnx.py` and the inference scripts of RT-DETR (rtdetrv2_pytorch, 08b7ea7), D-FINE (61d64bb) and
//! DEIMv2 (884b7e5); `PostProcess` of rfdetr 1.11; `RTDETRDecoder` and `RTDETRPredictor` of Ultralytics 8.4. These scripts
//! resize with PIL, which antialiases; RF-DETR and Ultralytics resize without it.

use super::super::{Labels, Normalization, Resize};
use super::dense::Dense;
use super::end2end::EndToEnd;
use super::queries::Queries;
use super::reading::Trust;
use super::recognise::{Found, InputStyle, ModelFacts};
use super::split::Split;
use super::{
    BoxCoding, Columns, DensePlan, HeadChoice, HeadError, MaskPlan, MaskSource, QueryPlan, Selection, image_processor,
};
use std::sync::Arc;

const STRETCHED: InputStyle =
    InputStyle { normalization: None, bgr: false, resize: Resize::STRETCH.antialiased(), pad: 0, default_size: None };

/// D-FINE's `resize_with_aspect_ratio` rounds down and pastes the picture on black.
const LETTERBOXED: InputStyle =
    InputStyle { resize: Resize { round_down: true, ..Resize::LETTERBOX }.antialiased(), ..STRETCHED };

const IMAGENET: Option<Normalization> = Some(Normalization::IMAGENET);

/// No released model has more queries.
const MOST_QUERIES: usize = 1000;

/// Columns of RF-DETR's logits with COCO's weights: the categories' numbers, 1 to 90 with gaps.
const COCO_COLUMNS: usize = 91;

/// Recognises the outputs by their names.
///
/// # Errors
/// Several families have these outputs, and neither the file nor the user says which.
pub(super) fn recognise(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    if seen.split_outputs().is_some() {
        // With resizing and normalisation known, nothing is left that the families differ in.
        if seen.input_is_chosen() {
            return rt_detr(seen, HeadChoice::RtDetr);
        }
        return Err(seen.unknown(
            "its outputs are those of RT-DETR, D-FINE, DEIM and DEIMv2, whose inputs differ, and the file doesn't say which \
             it is: set head=rt-detr (stretched, values 0-1), head=d-fine (D-FINE, DEIM, and DEIMv2 with HGNetv2: \
             letterboxed on black, 0-1) or head=deimv2 (DEIMv2 with DINOv3: letterboxed on black, ImageNet's mean and \
             deviation), or both resize and normalization",
        ));
    }
    if seen.query_outputs(&["dets"], &["labels"]).is_some() {
        return rf_detr(seen);
    }
    if seen.query_outputs(&["pred_boxes"], &["logits", "pred_logits"]).is_some() {
        return Err(seen.unknown(
            "its outputs are the logits and boxes of a DETR, and the file doesn't say how its logits are scaled: set \
             head=detr-sigmoid (RT-DETR, D-FINE, Deformable and Conditional DETR) or head=detr-softmax (DETR, YOLOS, Table \
             Transformer), and, unless its preprocessor_config.json is beside it, normalization and resize as that file says",
        ));
    }
    Ok(None)
}

/// `labels`, `boxes`, `scores` of this family.
///
/// # Errors
/// The input's size isn't known.
pub(super) fn rt_detr(seen: &ModelFacts<'_>, family: HeadChoice) -> Result<Option<Found>, HeadError> {
    let Some([labels_at, boxes_at, scores_at]) = seen.split_outputs() else { return Ok(None) };
    let name = family.nick();
    let style = match family {
        HeadChoice::DFine => LETTERBOXED,
        HeadChoice::DeimV2 => InputStyle { normalization: IMAGENET, ..LETTERBOXED },
        _ => STRETCHED,
    };
    let spec = seen.spec(name, &style)?;
    let coding = BoxCoding::CORNERS;
    // Without names the file doesn't contain the number of classes; the released models have COCO's.
    let labels = seen.labels(Labels::coco80().len(), false)?;
    let counted = seen.metadata.names.is_some();
    let head = Split { name, labels_at, boxes_at, scores_at, coding, labels, counted };
    Ok(Some((Arc::new(head), spec, Trust::Plausible)))
}

/// `dets`, `labels`, and `masks` of segmentation models. A fine-tuned model has one more column than classes, the last, for
/// "no object"; COCO's weights have none for it, and COCO's category numbers, which have gaps.
///
/// # Errors
/// The input's size isn't known, or the number of names doesn't fit.
pub(super) fn rf_detr(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    const NAME: &str = "rf-detr";
    let Some((boxes, logits, columns)) = seen.query_outputs(&["dets"], &["labels"]) else { return Ok(None) };
    if seen.output("keypoints").is_some() {
        return Err(seen.unknown("it is an RF-DETR with keypoints, which no head here reads"));
    }
    let spec = seen.spec(NAME, &InputStyle { resize: Resize::STRETCH, normalization: IMAGENET, ..STRETCHED })?;
    let names = seen.metadata.names.clone();
    let (classes, labels) = match names {
        Some(names) if names.len() == columns || names.len() + 1 == columns => (names.len(), names),
        // LibreYOLO names COCO's 80 classes without gaps.
        Some(names) if columns == COCO_COLUMNS && names == Labels::coco80() => (columns, Labels::coco91()),
        Some(names) => {
            return Err(seen.unknown(&format!(
                "the metadata names {} classes, but the output labels has {columns} columns",
                names.len()
            )));
        }
        None if columns == COCO_COLUMNS => (columns, Labels::coco91()),
        None => (columns - 1, Labels::built_in(columns - 1, false)),
    };
    let masks = seen.output("masks").map(|output| MaskPlan::new(MaskSource::Queries { output }, &spec));
    let plan = QueryPlan {
        boxes,
        logits,
        columns,
        classes,
        selection: Selection::AcrossClasses,
        coding: BoxCoding::fractions(&spec),
    };
    Ok(Some((Arc::new(Queries { name: NAME, plan, labels, masks }), spec, Trust::Plausible)))
}

/// `logits` or `pred_logits`, `pred_boxes`. The input is of this style, or else as the file of Hugging Face beside the model says.
///
/// # Errors
/// The input's size isn't known, that file says what can't be done, or the number of names doesn't fit.
pub(super) fn logits(
    seen: &ModelFacts<'_>,
    family: HeadChoice,
    style: Option<InputStyle>,
) -> Result<Option<Found>, HeadError> {
    let found = seen.query_outputs(&["pred_boxes"], &["logits", "pred_logits"]);
    let Some((boxes, logits, columns)) = found else { return Ok(None) };
    let softmax = family == HeadChoice::DetrSoftmax;
    let (selection, normalization) =
        if softmax { (Selection::PerQuery, IMAGENET) } else { (Selection::AcrossClasses, None) };
    let style = style.map_or_else(|| image_processor::style(seen, InputStyle { normalization, ..STRETCHED }), Ok)?;
    let spec = seen.spec(family.nick(), &style)?;
    // Only with softmax is there a column for "no object".
    let classes = if softmax { columns - 1 } else { columns };
    if let Some(names) = seen.metadata.classes().filter(|&names| names != classes) {
        return Err(seen.unknown(&format!("the metadata names {names} classes, but the logits are those of {classes}")));
    }
    let labels = match classes {
        COCO_COLUMNS if seen.metadata.names.is_none() => Labels::coco91(),
        _ => seen.labels(classes, false)?,
    };
    let plan = QueryPlan { boxes, logits, columns, classes, selection, coding: BoxCoding::fractions(&spec) };
    Ok(Some((Arc::new(Queries { name: family.nick(), plan, labels, masks: None }), spec, Trust::Plausible)))
}

/// RT-DETR as Ultralytics exports it: rows of centre and size as fractions, score and class; before that, the scores of all
/// classes, of which a query has the best.
///
/// # Errors
/// The input's size isn't known, or metadata and shapes contradict each other.
pub(super) fn ultralytics(seen: &ModelFacts<'_>, trust: Trust) -> Result<Option<Found>, HeadError> {
    const NAME: &str = "ultralytics-rt-detr";
    let Some([_, rows, columns]) = seen.rows(0) else { return Ok(None) };
    let spec = seen.spec(NAME, &InputStyle { resize: Resize::STRETCH, pad: 114, ..STRETCHED })?;
    let coding = BoxCoding::fractions(&spec);
    let names = seen.metadata.classes();
    // Dynamic dimensions are 0; Ultralytics makes the last one dynamic even if its value is fixed.
    if columns == 6 || columns == 0 {
        let labels = seen.labels(Labels::coco80().len(), false)?;
        let counted = seen.metadata.names.is_some();
        let head = EndToEnd { name: NAME, output: 0, coding, labels, counted, keypoints: None, masks: None };
        return Ok(Some((Arc::new(head), spec, trust)));
    }
    let classes = columns.saturating_sub(4);
    // Other detectors have as many rows, or columns, as grids have cells.
    if classes == 0 || rows > MOST_QUERIES || (classes > MOST_QUERIES && names.is_none()) {
        return Ok(None);
    }
    if let Some(names) = names.filter(|&names| names != classes) {
        return Err(seen.unknown(&format!("the metadata names {names} classes, but the rows are those of {classes}")));
    }
    let plan = DensePlan {
        classes,
        multi_label: false,
        boxes: Columns::of_rows(0, 0, columns),
        scores: Columns::of_rows(0, 4, columns),
        objectness: None,
        coding,
        grid: Vec::new(),
    };
    let head = Dense { name: NAME, plan, labels: seen.labels(classes, false)?, suppress: false, masks: None };
    Ok(Some((Arc::new(head), spec, trust)))
}

impl ModelFacts<'_> {
    /// Indices of `labels`, `boxes` and `scores`, if their shapes are those of a list of objects.
    fn split_outputs(&self) -> Option<[usize; 3]> {
        let [labels, boxes, scores] = ["labels", "boxes", "scores"].map(|name| self.output(name));
        let found = [labels?, boxes?, scores?];
        let dimensions = found.map(|index| self.model.outputs.get(index).map_or(0, |output| output.shape.len()));
        let fits = matches!(dimensions, [2 | 3, 3, 2 | 3]) && matches!(self.rows(found[1]), Some([_, _, 0 | 4]));
        fits.then_some(found)
    }

    /// Indices of the boxes and the logits, and the number of logits, if there are outputs of these names and shapes.
    fn query_outputs(&self, boxes: &[&str], logits: &[&str]) -> Option<(usize, usize, usize)> {
        let find = |names: &[&str]| names.iter().find_map(|name| self.output(name));
        let (boxes, logits) = (find(boxes)?, find(logits)?);
        match (self.rows(boxes)?, self.rows(logits)?) {
            ([_, a, 0 | 4], [_, b, columns]) if (a == b || a == 0 || b == 0) && columns > 1 => {
                Some((boxes, logits, columns))
            }
            _ => None,
        }
    }
}
