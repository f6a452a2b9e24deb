//! Recognition of unsupported model families by their metadata and tensors, so that errors can name them.

use super::recognise::{ModelFacts, grid_cells};

/// An unsupported family, and why no head decodes it.
#[derive(Debug, PartialEq)]
pub(super) struct Family {
    /// Whether the file states its family; otherwise only its tensors look like it.
    pub(super) said: bool,
    /// For example `an RT-DETR model (metadata head RTDETRDecoder)`.
    pub(super) what: String,
    pub(super) why: &'static str,
}

const CORNERS: &str =
    "its boxes are corners, and its input is made in its family's own way, which the file doesn't say";
const DETR: &str = "its boxes are centre and size as fractions of a picture that is stretched";

/// The family that the metadata states, if no head supports it.
pub(super) fn by_metadata(seen: &ModelFacts<'_>) -> Option<Family> {
    let entry = |key: &str| seen.model.metadata.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
    if let Some(version) = entry("libreyolo_version") {
        let family = entry("model_family").unwrap_or("unknown");
        return Some(Family {
            said: true,
            what: format!("an export of LibreYOLO {version}, family {family}"),
            why: CORNERS,
        });
    }
    let head = entry("head").filter(|head| head.to_ascii_lowercase().contains("rtdetr"))?;
    Some(Family { said: true, what: format!("an RT-DETR model (metadata head {head})"), why: DETR })
}

/// The unsupported family that the tensors look like.
pub(super) fn by_tensors(seen: &ModelFacts<'_>) -> Option<Family> {
    let (inputs, outputs) = (&seen.model.inputs, &seen.model.outputs);
    let input = |name: &str| inputs.iter().any(|tensor| tensor.name == name);
    let output = |name: &str| outputs.iter().any(|tensor| tensor.name == name);
    let family = |what: &str, why| Some(Family { said: false, what: what.to_owned(), why });
    if input("orig_target_sizes") {
        return family("an RT-DETR, D-FINE or DEIM model", "it needs each picture's size as a second input");
    }
    if input("scale_factor") || input("im_shape") {
        return family("a PaddleDetection model", "it needs each picture's scale as a second input");
    }
    if output("simcc_x") && output("simcc_y") {
        return family("an RTMPose model", "its keypoints are distributions over columns and rows");
    }
    if output("dets") && output("keypoints") {
        return family("an RTMO model", "its keypoints are a separate output");
    }
    if output("dets") && output("labels") {
        return family("an RF-DETR model, or one of MMDetection", "its boxes and classes are two outputs");
    }
    if output("pred_boxes") && (output("logits") || output("pred_logits")) {
        return family("a DETR", "its scores are logits, and its boxes fractions");
    }
    if outputs.len() > 1 && outputs.iter().any(|tensor| matches!(*tensor.shape, [_, 32, _, _])) {
        return family(
            "a YOLO segmentation model (task segment)",
            "its channels after the scores are coefficients of masks",
        );
    }
    let [_, rows, columns] = seen.rows(0)?;
    if let (Some(width), Some(height)) = (seen.input.width, seen.input.height)
        && columns > 5
    {
        let cells = grid_cells(width, height, &[8, 16, 32]);
        if rows == 3 * cells || rows == 3 * grid_cells(width, height, &[8, 16, 32, 64]) {
            return family(
                "a YOLOv5 or YOLOv7 model",
                "its channels are box, objectness and scores; `yolo export` of a yolov5…u.pt gives what is read here",
            );
        }
        if rows == cells && seen.metadata.classes().is_none_or(|classes| columns == 5 + classes) {
            return family(
                "a YOLOX model",
                "its channels are box, objectness and scores, and its boxes offsets in their cells",
            );
        }
    }
    if seen.metadata.classes().is_some_and(|classes| columns == 4 + classes) && (1..=1000).contains(&rows) {
        return family("an RT-DETR model", DETR);
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
            found.push(format!(
                "oriented boxes (task obb, which no head here reads): {} and an angle",
                classes(channels - 5)
            ));
        }
        if channels > 36 {
            found.push(format!(
                "a segmentation model (which no head here reads): {}, 32 coefficients of masks",
                classes(channels - 36)
            ));
        }
    } else if !anchors_last && channels == 6 {
        found.push("yolo-end-to-end: x1, y1, x2, y2 in pixels, score, class".into());
        found.push(
            "RT-DETR as Ultralytics exports it (which no head here reads): centre and size 0-1, score, class".into(),
        );
    } else if !anchors_last && channels == 7 {
        found.push("oriented boxes, end to end (which no head here reads)".into());
    } else if !anchors_last && channels > 4 {
        found.push(format!("yolo, transposed: {}", classes(channels - 4)));
    }
    found
}
