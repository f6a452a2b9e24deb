//! Recognition of unsupported model families by their metadata and tensors, so that errors can name them.

use super::libreyolo::FAMILIES;
use super::recognise::ModelFacts;

/// An unsupported family, and why no head decodes it.
#[derive(Debug, PartialEq)]
pub(super) struct Family {
    /// Whether the file states its family; otherwise only its tensors look like it.
    pub(super) said: bool,
    /// For example `an RT-DETR model (metadata head RTDETRDecoder)`.
    pub(super) what: String,
    pub(super) why: String,
}

/// The family that the metadata states, if no head supports it.
pub(super) fn by_metadata(seen: &ModelFacts<'_>) -> Option<Family> {
    let entry = |key: &str| seen.model.metadata.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
    let version = entry("libreyolo_version")?;
    let (family, task) = (entry("model_family").unwrap_or("unknown"), entry("task").unwrap_or("detect"));
    Some(Family {
        said: true,
        what: format!("an export of LibreYOLO {version}, family {family}, task {task}"),
        why: format!("detectors of these families are: {FAMILIES}"),
    })
}

/// The unsupported family that the tensors look like.
pub(super) fn by_tensors(seen: &ModelFacts<'_>) -> Option<Family> {
    let outputs = &seen.model.outputs;
    let output = |name: &str| outputs.iter().any(|tensor| tensor.name == name);
    let family = |what: &str, why: &str| Some(Family { said: false, what: what.to_owned(), why: why.to_owned() });
    if output("dets") && output("labels") {
        return family(
            "a model of MMDetection",
            "its boxes have a fifth column for the score, and its labels are numbers",
        );
    }
    if outputs.len() > 1 && outputs.iter().any(|tensor| matches!(*tensor.shape, [_, 32, _, _])) {
        return family(
            "a segmentation model of YOLOv5 or YOLOv7",
            "its rows have an objectness and coefficients of masks",
        );
    }
    None
}

/// `1 class`, `3 classes`
fn classes(count: usize) -> String {
    if count == 1 { "1 class".into() } else { format!("{count} classes") }
}

/// The possible meanings of a single output's shape, one line each.
pub(super) fn candidates(seen: &ModelFacts<'_>) -> Vec<String> {
    let Some([_, a, b]) = seen.rows(0) else { return Vec::new() };
    let mut found = Vec::new();
    let keypoints = |values: usize| {
        let of = |dims: usize| {
            (values > 0 && values.is_multiple_of(dims)).then(|| format!("{} keypoints of {dims} values", values / dims))
        };
        [3, 2].into_iter().filter_map(of).collect::<Vec<_>>().join(", or ")
    };
    let mut pose = |head: &str, values: usize| {
        let text = keypoints(values);
        if !text.is_empty() {
            found.push(format!("{head}: one class, {text}"));
        }
    };
    let anchors_last = a > 0 && (b == 0 || a < b);
    let channels = if anchors_last { a } else { b };
    if anchors_last || b > 100 {
        pose("yolo-pose", channels.saturating_sub(5));
    } else {
        pose("yolo-pose-end-to-end", channels.saturating_sub(6));
    }
    if anchors_last && channels > 4 {
        found.push(format!("yolo: {}", classes(channels - 4)));
        if channels > 5 {
            found.push(format!("yolo-obb: {} and an angle", classes(channels - 5)));
        }
        if channels > 36 {
            found.push(format!(
                "a segmentation model without its prototypes (which no head here reads): {}, 32 coefficients of masks",
                classes(channels - 36)
            ));
        }
    } else if !anchors_last && channels == 6 {
        found.push("yolo-end-to-end: x1, y1, x2, y2 in pixels, score, class".into());
        found.push("ultralytics-rt-detr, RT-DETR as Ultralytics exports it: centre and size 0-1, score, class".into());
    } else if !anchors_last && channels > 4 {
        if channels == 7 {
            found.push("yolo-obb-end-to-end: centre and size in pixels, score, class, angle".into());
        }
        found.push(format!("yolo, transposed: {}", classes(channels - 4)));
        if channels > 5 {
            let of = classes(channels - 5);
            found.push(format!("yolov5 (YOLOv5, YOLOv7), yolox or yolox-decoded: an objectness and {of}"));
        }
        found.push(format!("pp-yoloe: corners and {}", classes(channels - 4)));
        if a <= 1000 {
            found.push(format!("ultralytics-rt-detr of an older export: {}", classes(channels - 4)));
        }
    }
    found
}
