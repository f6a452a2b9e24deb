//! Recognition of Ultralytics' exports of detectors, upright and oriented, and of pose models.

use super::super::{KeypointLayout, Labels, Resize};
use super::anchors::{AnchorTensor, Order};
use super::detr;
use super::end2end::EndToEnd;
use super::metadata::{Metadata, Writer};
use super::reading::Trust;
use super::recognise::{Found, InputStyle, ModelFacts, grid_cells};
use super::yolo::Yolo;
use super::yolo_obb::{YoloObb, YoloObbEndToEnd};
use super::yolo_pose::YoloPose;
use super::{BoxCoding, Head, HeadError};
use std::sync::Arc;

/// RGB, letterboxed with grey 114; values are 0–1 for float inputs and 0–255 for integers.
const STYLE: InputStyle =
    InputStyle { normalization: None, bgr: false, resize: Resize::LETTERBOX, pad: 114, default_size: None };

/// Strides of the models' grids: the usual three, and those with a fourth for large (P6) or small (P2) objects.
const STRIDES: [&[u32]; 3] = [&[8, 16, 32], &[8, 16, 32, 64], &[4, 8, 16, 32]];

/// Classes of the released models with oriented boxes.
const DOTA_CLASSES: usize = 15;
/// Keypoints, and values per keypoint, of the released pose models.
const COCO_KEYPOINTS: (usize, usize) = (17, 3);
/// Channels of a released detector: box, COCO's classes.
const COCO_CHANNELS: usize = 4 + 80;
/// Channels of a released pose model: box, one class, keypoints.
const POSE_CHANNELS: usize = 4 + 1 + 17 * 3;
/// Columns of an end-to-end pose model with the same keypoints.
const POSE_COLUMNS: usize = 6 + 17 * 3;
/// Rows of the released end-to-end models.
const END_TO_END_ROWS: usize = 300;
/// An oriented box has one value after its scores, or after its class.
const ANGLE: usize = 1;

/// The layout of the output.
enum Form {
    Anchors { order: Order, classes: usize },
    EndToEnd,
}

/// Number of keypoints, and values per keypoint.
type Keypoints = Option<(usize, usize)>;

/// # Errors
/// Metadata and shapes contradict each other, or no head supports the task.
pub(super) fn recognise(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    check_task(seen)?;
    let Some(shape) = seen.rows(0) else { return Ok(None) };
    if seen.model.outputs.len() > 1 && !seen.metadata.is_ultralytics() {
        return Ok(None);
    }
    if seen.metadata.task.as_deref() == Some("obb") {
        return oriented(seen, shape);
    }
    if is_rt_detr(seen, shape) {
        return detr::ultralytics(seen, Trust::Vouched);
    }
    let keypoints = keypoints(seen, shape);
    let extra = values(keypoints);
    let form = match seen.metadata.names {
        Some(_) => named(seen, shape, extra)?,
        None => unnamed(seen, shape, extra),
    };
    let Some(form) = form else { return Ok(None) };
    let trust = match &seen.metadata {
        Metadata { writer: Writer::Ultralytics, task: Some(_), .. } => Trust::Vouched,
        Metadata { names: Some(_), .. } => Trust::Plausible,
        // These are the released models' numbers of channels.
        _ if shape[1] == COCO_CHANNELS || shape[1] == POSE_CHANNELS => Trust::Plausible,
        _ => Trust::Open,
    };
    found(seen, &form, keypoints, trust).map(Some)
}

/// Whether the file says that it is an RT-DETR: by the name of its head, or before that was written by queries with scores
/// for all classes that it names.
fn is_rt_detr(seen: &ModelFacts<'_>, [_, rows, columns]: [usize; 3]) -> bool {
    let named = seen.model.metadata.get("head").is_some_and(|head| head.to_ascii_lowercase().contains("rtdetr"));
    let classes = seen.metadata.classes().filter(|&classes| classes != 2);
    let all_scores = rows == END_TO_END_ROWS && !is_grid(seen, rows) && classes == columns.checked_sub(4);
    named || (seen.metadata.is_ultralytics() && all_scores && seen.metadata.end_to_end != Some(true))
}

/// The head that the user chose, if the outputs fit it.
///
/// # Errors
/// Metadata and shapes contradict each other.
pub(super) fn chosen(seen: &ModelFacts<'_>, end_to_end: bool, pose: bool) -> Result<Option<Found>, HeadError> {
    check_task(seen)?;
    let Some([_, a, b]) = seen.rows(0) else { return Ok(None) };
    let names = seen.metadata.classes();
    // Number of values per row or anchor before the keypoints.
    let before = if end_to_end { 6 } else { 4 + names.unwrap_or(1) };
    let keypoints = match (pose, seen.metadata.kpt_shape) {
        (false, _) => None,
        (true, Some(keypoints)) => Some(keypoints),
        (true, None) => {
            let channels = if end_to_end || (b > 0 && b < a) { b } else { a };
            match keypoints_of(channels.saturating_sub(before)) {
                Some(keypoints) => Some(keypoints),
                None => return Ok(None),
            }
        }
    };
    let form = chosen_form(seen, end_to_end, names.or(pose.then_some(1)), values(keypoints));
    form.map(|form| found(seen, &form, keypoints, Trust::Plausible)).transpose()
}

/// The head of oriented boxes that the user chose, if the outputs fit it.
///
/// # Errors
/// Metadata and shapes contradict each other.
pub(super) fn chosen_oriented(seen: &ModelFacts<'_>, end_to_end: bool) -> Result<Option<Found>, HeadError> {
    check_task(seen)?;
    let form = chosen_form(seen, end_to_end, seen.metadata.classes(), ANGLE);
    form.map(|form| found_oriented(seen, &form, Trust::Plausible)).transpose()
}

/// The layout of a head that the user chose, with as many classes if that is known, and `extra` values after the scores or the
/// class.
fn chosen_form(seen: &ModelFacts<'_>, end_to_end: bool, classes: Option<usize>, extra: usize) -> Option<Form> {
    let [_, a, b] = seen.rows(0)?;
    let anchors = |order, classes| Some(Form::Anchors { order, classes });
    let before = 4 + extra;
    if end_to_end {
        (b == 6 + extra || b == 0).then_some(Form::EndToEnd)
    } else if let Some(classes) = classes {
        match before + classes {
            channels if a == channels || (a == 0 && b == 0) => anchors(Order::ChannelMajor, classes),
            channels if b == channels => anchors(Order::AnchorMajor, classes),
            _ => None,
        }
    } else if a > before && (b == 0 || (a < b && is_grid(seen, b))) {
        anchors(Order::ChannelMajor, a - before)
    } else if b > before && (a == 0 || (b < a && is_grid(seen, a))) {
        anchors(Order::AnchorMajor, b - before)
    } else {
        None
    }
}

fn check_task(seen: &ModelFacts<'_>) -> Result<(), HeadError> {
    match seen.metadata.task.as_deref() {
        None | Some("detect" | "obb" | "pose") => Ok(()),
        Some("classify") => Err(seen
            .unknown("a model for the task \"classify\", but its outputs aren't one row of scores, [batch, classes]")),
        Some(task) => Err(seen.unknown(&format!(
            "a model for the task {task:?}; detectors (detect, obb), pose models and classifiers (classify) are possible"
        ))),
    }
}

fn values(keypoints: Keypoints) -> usize {
    keypoints.map_or(0, |(count, dims)| count * dims)
}

/// Interprets `values` as a number of keypoints with x, y and confidence, or with x and y.
fn keypoints_of(values: usize) -> Keypoints {
    let dims = [3, 2].into_iter().find(|dims| values > 0 && values.is_multiple_of(*dims))?;
    Some((values / dims, dims))
}

fn found(seen: &ModelFacts<'_>, form: &Form, keypoints: Keypoints, trust: Trust) -> Result<Found, HeadError> {
    let spec = seen.spec(if keypoints.is_some() { "yolo-pose" } else { "yolo" }, &STYLE)?;
    Ok((head(seen, form, keypoints)?, spec, trust))
}

/// YOLO-OBB, whose task the file states.
///
/// # Errors
/// Metadata and shapes contradict each other.
fn oriented(seen: &ModelFacts<'_>, shape: [usize; 3]) -> Result<Option<Found>, HeadError> {
    let form = match seen.metadata.names {
        Some(_) => named(seen, shape, ANGLE)?,
        None => unnamed(seen, shape, ANGLE),
    };
    let trust = if seen.metadata.writer == Writer::Ultralytics { Trust::Vouched } else { Trust::Plausible };
    form.map(|form| found_oriented(seen, &form, trust)).transpose()
}

fn found_oriented(seen: &ModelFacts<'_>, form: &Form, trust: Trust) -> Result<Found, HeadError> {
    let spec = seen.spec("yolo-obb", &STYLE)?;
    let head: Arc<dyn Head> = match *form {
        Form::EndToEnd => {
            // Without names the file doesn't contain the number of classes; the released models have DOTA's.
            let (labels, counted) = (seen.labels(DOTA_CLASSES, false)?, seen.metadata.names.is_some());
            Arc::new(YoloObbEndToEnd { output: 0, labels, counted })
        }
        Form::Anchors { order, classes } => {
            let tensor = AnchorTensor { output: 0, order, classes, extra: ANGLE };
            Arc::new(YoloObb { tensor, labels: seen.labels(classes, false)? })
        }
    };
    Ok((head, spec, trust))
}

fn head(seen: &ModelFacts<'_>, form: &Form, keypoints: Keypoints) -> Result<Arc<dyn Head>, HeadError> {
    seen.countable(keypoints.map_or(0, |(count, _)| count), "keypoints")?;
    let named = |count: usize| match seen.metadata.kpt_names.clone().filter(|names| names.len() == count) {
        Some(names) => KeypointLayout::named(names),
        None => KeypointLayout::built_in(count),
    };
    let layout = keypoints.map(|(count, dims)| (named(count), dims));
    Ok(match *form {
        Form::EndToEnd => {
            // Without names the file doesn't contain the number of classes; the released models have COCO's.
            let labels = seen.labels(if layout.is_some() { 1 } else { Labels::coco80().len() }, layout.is_some())?;
            let name = if layout.is_some() { "yolo-pose-end-to-end" } else { "yolo-end-to-end" };
            let counted = seen.metadata.names.is_some();
            Arc::new(EndToEnd { name, output: 0, coding: BoxCoding::CORNERS, labels, counted, keypoints: layout })
        }
        Form::Anchors { order, classes } => {
            let tensor = AnchorTensor { output: 0, order, classes, extra: values(keypoints) };
            let labels = seen.labels(classes, layout.is_some())?;
            match layout {
                Some((keypoints, dims)) => Arc::new(YoloPose { tensor, dims, labels, keypoints }),
                None => Arc::new(Yolo { tensor, labels }),
            }
        }
    })
}

/// The keypoints and their values, for a pose model.
///
/// A file without metadata is considered a pose model if it has the released models' number of channels.
fn keypoints(seen: &ModelFacts<'_>, shape: [usize; 3]) -> Keypoints {
    match seen.metadata.task.as_deref() {
        Some("pose") => Some(seen.metadata.kpt_shape.unwrap_or(COCO_KEYPOINTS)),
        Some(_) => None,
        None => seen.metadata.kpt_shape.or_else(|| {
            let looks = shape[1] == POSE_CHANNELS || shape[2] == POSE_COLUMNS;
            (looks && seen.metadata.classes().is_none_or(|n| n == 1)).then_some(COCO_KEYPOINTS)
        }),
    }
}

/// The layout of a file that names its classes. Dynamic dimensions are 0. Ultralytics makes the last one dynamic even
/// if its value is fixed, so `[-1, 300, -1]` can be rows of an end-to-end model.
fn named(seen: &ModelFacts<'_>, [_, a, b]: [usize; 3], extra: usize) -> Result<Option<Form>, HeadError> {
    let classes = seen.metadata.classes().unwrap_or(0);
    let (channels, columns) = (4 + classes + extra, 6 + extra);
    let rows = || a == 0 || is_grid(seen, a);
    match seen.metadata.end_to_end {
        Some(true) if b == columns || b == 0 => return Ok(Some(Form::EndToEnd)),
        Some(true) => {
            let why = format!("an end-to-end model by its metadata, but its rows don't have {columns} columns");
            return Err(seen.unknown(&why));
        }
        _ if a == channels || (a == 0 && b == 0) => {
            return Ok(Some(Form::Anchors { order: Order::ChannelMajor, classes }));
        }
        _ if b == channels && rows() => return Ok(Some(Form::Anchors { order: Order::AnchorMajor, classes })),
        Some(false) => (),
        // These files predate the entry `end2end`. RT-DETR's rows have 4 + nc columns, the same number for two classes.
        None if a == END_TO_END_ROWS && b == columns && b == channels && extra == 0 => {
            return Err(seen.unknown(
                "an end-to-end YOLO model and an RT-DETR model with two classes look the same here; \
                 export again with a current Ultralytics release, which writes the metadata `end2end`, or set \
                 head=yolo-end-to-end or head=ultralytics-rt-detr",
            ));
        }
        None if a == END_TO_END_ROWS && (b == columns || b == 0) => return Ok(Some(Form::EndToEnd)),
        None => (),
    }
    if a < b && is_grid(seen, b) {
        let with = match extra {
            0 => "the box",
            ANGLE => "the box and the angle",
            _ => "the box and the keypoints",
        };
        return Err(seen.unknown(&format!(
            "the metadata names {classes} classes, which makes {channels} channels with {with}, but the output has {a}"
        )));
    }
    Ok(None)
}

/// The layout of a file without class names: only shapes that no other detector has are accepted. `[B, N, C]` isn't,
/// since YOLOv5 and YOLOX have it too, with another meaning of the channels; nor are rows of 6 unless their number is
/// that of the end-to-end models.
fn unnamed(seen: &ModelFacts<'_>, [_, a, b]: [usize; 3], extra: usize) -> Option<Form> {
    if a == END_TO_END_ROWS {
        (b == 6 + extra).then_some(Form::EndToEnd)
    } else if a > 4 + extra && ((b == 0 && a < END_TO_END_ROWS) || (a < b && is_grid(seen, b))) {
        Some(Form::Anchors { order: Order::ChannelMajor, classes: a - 4 - extra })
    } else {
        None
    }
}

/// Whether this is the number of anchors for the input's size; always true if the size is dynamic.
fn is_grid(seen: &ModelFacts<'_>, anchors: usize) -> bool {
    match seen.size("yolo", None) {
        Ok((width, height)) => STRIDES.iter().any(|strides| grid_cells(width, height, strides) == anchors),
        Err(_) => true,
    }
}
