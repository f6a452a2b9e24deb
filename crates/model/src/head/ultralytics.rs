//! Recognition of Ultralytics' exports of detectors, upright and oriented, of pose models and of segmentation models.

use super::super::{InputSpec, Labels, Resize};
use super::anchors::{AnchorTensor, Order};
use super::dense::Dense;
use super::detr;
use super::end2end::EndToEnd;
use super::metadata::{Metadata, Writer};
use super::reading::Trust;
use super::recognise::{Found, InputStyle, ModelFacts, grid_cells};
use super::yolo::Yolo;
use super::yolo_obb::{YoloObb, YoloObbEndToEnd};
use super::yolo_pose::YoloPose;
use super::{BoxCoding, Columns, DensePlan, Head, HeadError, MaskPlan, MaskSource};
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

/// The layout of the output.
enum Form {
    Anchors { order: Order, classes: usize },
    EndToEnd,
}

/// What a model finds besides boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Detect,
    Pose,
    Segment,
    /// Boxes with an angle.
    Oriented,
}

/// The values of a row or anchor behind those of a detector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extra {
    Nothing,
    /// Number of keypoints, and values per keypoint.
    Keypoints(usize, usize),
    /// Number of coefficients of masks, whose prototypes are the second output.
    Coefficients(usize),
    /// The angle of an oriented box.
    Angle,
}

impl Extra {
    fn values(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Keypoints(count, dims) => count * dims,
            Self::Coefficients(count) => count,
            Self::Angle => 1,
        }
    }
}

/// # Errors
/// Metadata and shapes contradict each other, or no head supports the task.
pub(super) fn recognise(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    check_task(seen)?;
    let Some(shape) = seen.rows(0) else { return Ok(None) };
    let extra = extra(seen, shape)?;
    let outputs = if matches!(extra, Extra::Coefficients(_)) { 2 } else { 1 };
    if seen.model.outputs.len() > outputs && !seen.metadata.is_ultralytics() {
        return Ok(None);
    }
    if extra != Extra::Angle && is_rt_detr(seen, shape) {
        return detr::ultralytics(seen, Trust::Vouched);
    }
    let form = match seen.metadata.names {
        Some(_) => named(seen, shape, extra)?,
        None => unnamed(seen, shape, extra.values()),
    };
    let Some(form) = form else { return Ok(None) };
    let trust = match &seen.metadata {
        Metadata { writer: Writer::Ultralytics, task: Some(_), .. } => Trust::Vouched,
        Metadata { names: Some(_), .. } => Trust::Plausible,
        // No other model has these outputs, or the file states the task.
        _ if matches!(extra, Extra::Coefficients(_) | Extra::Angle) => Trust::Plausible,
        // These are the released models' numbers of channels.
        _ if shape[1] == COCO_CHANNELS || shape[1] == POSE_CHANNELS => Trust::Plausible,
        _ => Trust::Open,
    };
    found(seen, &form, extra, trust).map(Some)
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
pub(super) fn chosen(seen: &ModelFacts<'_>, end_to_end: bool, task: Task) -> Result<Option<Found>, HeadError> {
    check_task(seen)?;
    let Some([_, a, b]) = seen.rows(0) else { return Ok(None) };
    let names = seen.metadata.classes();
    // Number of values per row or anchor before the keypoints.
    let before = if end_to_end { 6 } else { 4 + names.unwrap_or(1) };
    let extra = match (task, seen.metadata.kpt_shape) {
        (Task::Detect, _) => Extra::Nothing,
        (Task::Oriented, _) => Extra::Angle,
        (Task::Pose, Some((count, dims))) => Extra::Keypoints(count, dims),
        (Task::Pose, None) => {
            let channels = if end_to_end || (b > 0 && b < a) { b } else { a };
            match keypoints_of(channels.saturating_sub(before)) {
                Some((count, dims)) => Extra::Keypoints(count, dims),
                None => return Ok(None),
            }
        }
        (Task::Segment, _) => match prototypes(seen) {
            Some(count) => Extra::Coefficients(count),
            None => return Ok(None),
        },
    };
    let values = extra.values();
    let anchors = |order, classes| Some(Form::Anchors { order, classes });
    let form = if end_to_end {
        (b == 6 + values || b == 0).then_some(Form::EndToEnd)
    } else if let Some(classes) = names.or((task == Task::Pose).then_some(1)) {
        match 4 + classes + values {
            channels if a == channels || (a == 0 && b == 0) => anchors(Order::ChannelMajor, classes),
            channels if b == channels => anchors(Order::AnchorMajor, classes),
            _ => None,
        }
    } else if a > 4 + values && (b == 0 || (a < b && is_grid(seen, b))) {
        anchors(Order::ChannelMajor, a - 4 - values)
    } else if b > 4 + values && (a == 0 || (b < a && is_grid(seen, a))) {
        anchors(Order::AnchorMajor, b - 4 - values)
    } else {
        None
    };
    form.map(|form| found(seen, &form, extra, Trust::Plausible)).transpose()
}

fn check_task(seen: &ModelFacts<'_>) -> Result<(), HeadError> {
    match seen.metadata.task.as_deref() {
        None | Some("detect" | "obb" | "pose" | "segment") => Ok(()),
        Some("classify") => Err(seen
            .unknown("a model for the task \"classify\", but its outputs aren't one row of scores, [batch, classes]")),
        Some(task) => {
            Err(seen
                .unknown(&format!("a model for the task {task:?}; detect, segment, obb, pose, classify are possible")))
        }
    }
}

/// Interprets `values` as a number of keypoints with x, y and confidence, or with x and y.
fn keypoints_of(values: usize) -> Option<(usize, usize)> {
    let dims = [3, 2].into_iter().find(|dims| values > 0 && values.is_multiple_of(*dims))?;
    Some((values / dims, dims))
}

/// Number of prototypes of masks, if the second output has them.
fn prototypes(seen: &ModelFacts<'_>) -> Option<usize> {
    match *seen.model.outputs.get(1)?.shape {
        [_, count, _, _] => usize::try_from(count).ok().filter(|&count| count > 0),
        _ => None,
    }
}

fn found(seen: &ModelFacts<'_>, form: &Form, extra: Extra, trust: Trust) -> Result<Found, HeadError> {
    let name = match (extra, form) {
        (Extra::Nothing, Form::Anchors { .. }) => "yolo",
        (Extra::Nothing, Form::EndToEnd) => "yolo-end-to-end",
        (Extra::Keypoints(..), Form::Anchors { .. }) => "yolo-pose",
        (Extra::Keypoints(..), Form::EndToEnd) => "yolo-pose-end-to-end",
        (Extra::Coefficients(_), Form::Anchors { .. }) => "yolo-seg",
        (Extra::Coefficients(_), Form::EndToEnd) => "yolo-seg-end-to-end",
        (Extra::Angle, Form::Anchors { .. }) => "yolo-obb",
        (Extra::Angle, Form::EndToEnd) => "yolo-obb-end-to-end",
    };
    let spec = seen.spec(name, &STYLE)?;
    let head = head(seen, name, form, extra, &spec)?;
    Ok((head, spec, trust))
}

fn head(
    seen: &ModelFacts<'_>,
    name: &'static str,
    form: &Form,
    extra: Extra,
    spec: &InputSpec,
) -> Result<Arc<dyn Head>, HeadError> {
    let layout = match extra {
        Extra::Keypoints(count, dims) => Some((seen.keypoint_layout(count)?, dims)),
        Extra::Nothing | Extra::Coefficients(_) | Extra::Angle => None,
    };
    let masks = |coefficients: Columns| match extra {
        Extra::Coefficients(count) => {
            Some(MaskPlan::new(MaskSource::Prototypes { coefficients, count, prototypes: 1 }, spec))
        }
        Extra::Nothing | Extra::Keypoints(..) | Extra::Angle => None,
    };
    Ok(match *form {
        Form::EndToEnd => {
            // Without names the file doesn't contain the number of classes; the released models have these.
            let classes = match extra {
                Extra::Nothing | Extra::Coefficients(_) => Labels::coco80().len(),
                Extra::Keypoints(..) => 1,
                Extra::Angle => DOTA_CLASSES,
            };
            let labels = seen.labels(classes, layout.is_some())?;
            let counted = seen.metadata.names.is_some();
            if extra == Extra::Angle {
                return Ok(Arc::new(YoloObbEndToEnd { output: 0, labels, counted }));
            }
            let masks = masks(Columns::of_rows(0, 6, 6 + extra.values()));
            let coding = BoxCoding::CORNERS;
            Arc::new(EndToEnd { name, output: 0, coding, labels, counted, keypoints: layout, masks })
        }
        Form::Anchors { order, classes } => {
            let labels = seen.labels(classes, layout.is_some())?;
            let channels = 4 + classes + extra.values();
            let columns = |first: usize| match order {
                Order::ChannelMajor => Columns::of_channels(0, first, channels),
                Order::AnchorMajor => Columns::of_rows(0, first, channels),
            };
            let tensor = AnchorTensor { output: 0, order, classes, extra: extra.values() };
            match (layout, masks(columns(4 + classes))) {
                (Some((keypoints, dims)), _) => Arc::new(YoloPose { tensor, dims, labels, keypoints }),
                (None, None) if extra == Extra::Angle => Arc::new(YoloObb { tensor, labels }),
                (None, None) => Arc::new(Yolo { tensor, labels }),
                (None, masks) => {
                    let (boxes, scores) = (columns(0), columns(4));
                    let (coding, grid) = (BoxCoding::CENTRE, Vec::new());
                    let plan = DensePlan { classes, multi_label: false, boxes, scores, objectness: None, coding, grid };
                    Arc::new(Dense { name, plan, labels, suppress: true, masks })
                }
            }
        }
    })
}

/// The values behind those of a detector, by the task that the file states, or by its shapes.
///
/// A file without metadata is considered a pose model if it has the released models' number of channels, and a segmentation
/// model if its second output has prototypes of masks.
///
/// # Errors
/// A segmentation model without prototypes.
fn extra(seen: &ModelFacts<'_>, shape: [usize; 3]) -> Result<Extra, HeadError> {
    let keypoints = |keypoints: Option<(usize, usize)>| {
        keypoints.map_or(Extra::Nothing, |(count, dims)| Extra::Keypoints(count, dims))
    };
    Ok(match seen.metadata.task.as_deref() {
        Some("pose") => keypoints(Some(seen.metadata.kpt_shape.unwrap_or(COCO_KEYPOINTS))),
        Some("segment") => match prototypes(seen) {
            Some(count) => Extra::Coefficients(count),
            None => {
                return Err(seen.unknown(
                    "a segmentation model by its metadata, but its second output isn't [B, C, h, w], the prototypes of \
                     masks",
                ));
            }
        },
        Some("obb") => Extra::Angle,
        Some(_) => Extra::Nothing,
        None => match prototypes(seen) {
            Some(count) if seen.model.outputs.len() == 2 => Extra::Coefficients(count),
            _ => keypoints(seen.metadata.kpt_shape.or_else(|| {
                let looks = shape[1] == POSE_CHANNELS || shape[2] == POSE_COLUMNS;
                (looks && seen.metadata.classes().is_none_or(|n| n == 1)).then_some(COCO_KEYPOINTS)
            })),
        },
    })
}

/// The layout of a file that names its classes. Dynamic dimensions are 0. Ultralytics makes the last one dynamic even
/// if its value is fixed, so `[-1, 300, -1]` can be rows of an end-to-end model.
fn named(seen: &ModelFacts<'_>, [_, a, b]: [usize; 3], extra: Extra) -> Result<Option<Form>, HeadError> {
    let classes = seen.metadata.classes().unwrap_or(0);
    let (channels, columns) = (4 + classes + extra.values(), 6 + extra.values());
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
        None if a == END_TO_END_ROWS && b == columns && b == channels && extra == Extra::Nothing => {
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
            Extra::Nothing => "the box",
            Extra::Keypoints(..) => "the box and the keypoints",
            Extra::Coefficients(_) => "the box and the coefficients of masks",
            Extra::Angle => "the box and the angle",
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
