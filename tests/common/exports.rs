//! The narrow exports of tests/reference/exports: networks with seeded weights in the form of each family's export.

use super::find;
use model::head::{HeadChoice, ModelChoice, NormalizationChoice};
use std::path::{Path, PathBuf};

pub fn path(name: &str) -> PathBuf {
    find::root().join("tests/reference/exports").join(format!("{name}.onnx"))
}

/// A model that is run on whole frames.
#[derive(Debug, Clone, Copy)]
pub struct Export {
    pub name: &'static str,
    /// What has to be said about it.
    pub choice: ModelChoice,
}

impl Export {
    /// The element for it, with its properties.
    pub fn element(&self) -> String {
        self.element_for(&path(self.name))
    }

    /// The same for another file of the same form.
    pub fn element_for(&self, file: &Path) -> String {
        let element = if self.name.starts_with("yolo-pose") { "trtpose" } else { "trtdetect" };
        let ModelChoice { head, normalization, .. } = self.choice;
        format!("{element} model={} head={} normalization={normalization}", file.display(), head.nick())
    }
}

/// The exports that find objects in frames, all but those of top-down pose models.
pub fn detectors() -> Vec<Export> {
    let of_itself = [
        "rf-detr",
        "yolox",
        "yolo-obb",
        "yolo-obb-end-to-end",
        "yolo-seg",
        "yolo-seg-end-to-end",
        "rf-detr-seg",
        "yolo-world",
        "yolo-end-to-end",
        "yolo-pose",
        "yolo-pose-end-to-end",
        "ultralytics-rt-detr",
        "ultralytics-rt-detr-scores",
        "yolov5",
        "yolov7",
        "picodet",
        "libreyolo-yolox",
        "libreyolo-yolo9",
        "libreyolo-yolo9-centre",
        "libreyolo-rtdetr",
        "libreyolo-dfine",
        "libreyolo-deimv2",
        "libreyolo-rfdetr",
        "libreyolo-ppyoloe",
        "libreyolo-picodet",
    ];
    let by_head = [
        ("rt-detr", HeadChoice::RtDetr),
        ("d-fine", HeadChoice::DFine),
        ("deimv2", HeadChoice::DeimV2),
        ("detr-sigmoid", HeadChoice::DetrSigmoid),
        ("detr-softmax", HeadChoice::DetrSoftmax),
        ("yolox-decoded", HeadChoice::YoloxDecoded),
        ("damo-yolo", HeadChoice::DamoYolo),
    ];
    let by_input = [
        ("pp-yoloe", HeadChoice::Auto, NormalizationChoice::ImageNet),
        ("pp-yoloe-plus", HeadChoice::PpYoloe, NormalizationChoice::Unit),
    ];
    let export = |name, head, normalization| Export {
        name,
        choice: ModelChoice { head, normalization, ..ModelChoice::default() },
    };
    let of_itself = of_itself.map(|name| export(name, HeadChoice::Auto, NormalizationChoice::Auto));
    let by_head = by_head.map(|(name, head)| export(name, head, NormalizationChoice::Auto));
    let by_input = by_input.map(|(name, head, normalization)| export(name, head, normalization));
    [&of_itself[..], &by_head, &by_input].concat()
}
