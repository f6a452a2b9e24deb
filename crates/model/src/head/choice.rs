//! The heads by name, for the property `head`, the key `HEAD` and the error that no head fits.

use serde::Deserialize;
use std::fmt::Write;

/// The head by which a model's outputs are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[cfg_attr(feature = "glib", derive(glib::Enum), enum_type(name = "GstTrtHead"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "they are the names of the heads; what each reads is in their nicks' texts and in `KNOWN`"
)]
pub enum HeadChoice {
    #[default]
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "Determined by the file's metadata, shapes and outputs", nick = "auto")
    )]
    Auto,
    #[cfg_attr(feature = "glib", enum_value(name = "YOLOv8, 9, 11, 12: [B, 4+nc, N] or [B, N, 4+nc]", nick = "yolo"))]
    Yolo,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "YOLOv10, 26, exports with NMS inside: [B, M, 6]", nick = "yolo-end-to-end")
    )]
    YoloEndToEnd,
    #[cfg_attr(feature = "glib", enum_value(name = "YOLOv8-pose, YOLO11-pose: [B, 4+nc+K*D, N]", nick = "yolo-pose"))]
    YoloPose,
    #[cfg_attr(feature = "glib", enum_value(name = "YOLO26-pose: [B, M, 6+K*D]", nick = "yolo-pose-end-to-end"))]
    YoloPoseEndToEnd,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "YOLOv8-seg, YOLO11-seg: [B, 4+nc+32, N], prototypes [B, 32, h, w]", nick = "yolo-seg")
    )]
    YoloSeg,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "YOLO26-seg: [B, M, 6+32], prototypes [B, 32, h, w]", nick = "yolo-seg-end-to-end")
    )]
    YoloSegEndToEnd,
    #[cfg_attr(feature = "glib", enum_value(name = "NanoDet, NanoDet-Plus", nick = "nanodet"))]
    Nanodet,
    #[cfg_attr(feature = "glib", enum_value(name = "MoveNet for one person: [1, 1, 17, 3]", nick = "movenet"))]
    Movenet,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "MoveNet for up to six persons: [1, 6, 56]", nick = "movenet-multipose")
    )]
    MovenetMultipose,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "RT-DETR as Ultralytics exports it: [B, 300, 6]", nick = "ultralytics-rt-detr")
    )]
    UltralyticsRtDetr,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "RT-DETR v1 to v4: labels, boxes, scores; stretched", nick = "rt-detr")
    )]
    RtDetr,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "D-FINE, DEIM, DEIMv2 with HGNetv2: labels, boxes, scores; letterboxed", nick = "d-fine")
    )]
    DFine,
    #[cfg_attr(
        feature = "glib",
        enum_value(
            name = "DEIMv2 with DINOv3: labels, boxes, scores; letterboxed, ImageNet's mean and deviation",
            nick = "deimv2"
        )
    )]
    #[serde(rename = "deimv2")]
    DeimV2,
    #[cfg_attr(feature = "glib", enum_value(name = "RF-DETR: dets, labels, or with masks too", nick = "rf-detr"))]
    RfDetr,
    #[cfg_attr(
        feature = "glib",
        enum_value(
            name = "DETRs with focal loss: logits, pred_boxes; best pairs of query and class",
            nick = "detr-sigmoid"
        )
    )]
    DetrSigmoid,
    #[cfg_attr(
        feature = "glib",
        enum_value(
            name = "DETRs with cross entropy: logits, pred_boxes; best class of each query",
            nick = "detr-softmax"
        )
    )]
    DetrSoftmax,
    #[cfg_attr(
        feature = "glib",
        enum_value(
            name = "YOLOX as it exports by default, boxes relative to their cells: [B, N, 5+nc]",
            nick = "yolox"
        )
    )]
    Yolox,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "YOLOX with --decode_in_inference, boxes in pixels: [B, N, 5+nc]", nick = "yolox-decoded")
    )]
    YoloxDecoded,
    #[cfg_attr(feature = "glib", enum_value(name = "YOLOv5, YOLOv7: [B, N, 5+nc]", nick = "yolov5"))]
    Yolov5,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "PP-YOLOE exported without NMS: boxes [B, N, 4], scores [B, nc, N]", nick = "pp-yoloe")
    )]
    PpYoloe,
    #[cfg_attr(
        feature = "glib",
        enum_value(
            name = "PicoDet exported without postprocessing: [B, n, nc], [B, n, 32] for each of 4 strides",
            nick = "picodet"
        )
    )]
    Picodet,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "DAMO-YOLO: scores [B, N, nc], boxes [B, N, 4]", nick = "damo-yolo")
    )]
    DamoYolo,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "YOLOv8-OBB, YOLO11-OBB, boxes with a direction: [B, 4+nc+1, N]", nick = "yolo-obb")
    )]
    YoloObb,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "YOLO26-OBB, exports with NMS inside: [B, M, 7]", nick = "yolo-obb-end-to-end")
    )]
    YoloObbEndToEnd,
    #[cfg_attr(
        feature = "glib",
        enum_value(
            name = "Classifier with softmax (or sigmoid) in the model: [B, nc]",
            nick = "classification-softmax"
        )
    )]
    ClassificationSoftmax,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "Classifier without softmax: logits [B, nc]", nick = "classification-logits")
    )]
    ClassificationLogits,
    #[cfg_attr(feature = "glib", enum_value(name = "Embedding: a vector [B, D]", nick = "embedding"))]
    Embedding,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "RTMPose, RTMW, DWPose: simcc_x [B, K, 2*W], simcc_y [B, K, 2*H]", nick = "simcc")
    )]
    Simcc,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "RTMO, YOLOX-Pose: dets [B, N, 5], keypoints [B, N, K, 3]", nick = "rtmo")
    )]
    Rtmo,
    #[cfg_attr(
        feature = "glib",
        enum_value(
            name = "Heatmaps [B, K, H/4, W/4] as mmpose's HRNet and SimpleBaseline have them",
            nick = "heatmap"
        )
    )]
    Heatmap,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "The same of models that were trained with DARK", nick = "heatmap-dark")
    )]
    HeatmapDark,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "The same of models that were trained with UDP: ViTPose", nick = "heatmap-udp")
    )]
    HeatmapUdp,
}

/// Each head with its outputs and the models that have it.
const KNOWN: [(HeadChoice, &str, &str); 32] = [
    (
        HeadChoice::Yolo,
        "[B, 4+nc, N], or [B, N, 4+nc] with metadata `names`: centre and size in pixels, scores 0-1",
        "YOLOv8, 9, 11, 12",
    ),
    (
        HeadChoice::YoloEndToEnd,
        "[B, M, 6]: x1, y1, x2, y2 in pixels, score, class",
        "YOLOv10, 26, exports with nms=True",
    ),
    (HeadChoice::YoloPose, "[B, 4+nc+K*D, N]: as yolo, and K keypoints of D values", "YOLOv8-pose, YOLO11-pose"),
    (HeadChoice::YoloPoseEndToEnd, "[B, M, 6+K*D]: as yolo-end-to-end, and the keypoints", "YOLO26-pose"),
    (
        HeadChoice::YoloSeg,
        "[B, 4+nc+C, N]: as yolo, and C coefficients; prototypes [B, C, h, w]",
        "YOLOv8-seg, YOLO11-seg, YOLOE, FastSAM",
    ),
    (
        HeadChoice::YoloSegEndToEnd,
        "[B, M, 6+C]: as yolo-end-to-end, and C coefficients; prototypes [B, C, h, w]",
        "YOLO26-seg, exports with nms=True",
    ),
    (
        HeadChoice::Nanodet,
        "[B, N, nc+4*(reg_max+1)], or [B, n, nc] and [B, n, 4*(reg_max+1)] for each of 3 strides",
        "NanoDet, NanoDet-Plus",
    ),
    (HeadChoice::Movenet, "[1, 1, 17, 3], input [1, H, W, 3]", "MoveNet Lightning and Thunder"),
    (HeadChoice::MovenetMultipose, "[1, 6, 56], input [1, H, W, 3]", "MoveNet MultiPose"),
    (
        HeadChoice::UltralyticsRtDetr,
        "[B, M, 6]: centre and size 0-1, score, class; or [B, M, 4+nc]: centre and size 0-1, scores",
        "RT-DETR exported by Ultralytics",
    ),
    (
        HeadChoice::RtDetr,
        "`labels`, `boxes`, `scores`; inputs `images`, `orig_target_sizes`; stretched, 0-1",
        "RT-DETR v1 to v4",
    ),
    (HeadChoice::DFine, "the same outputs and inputs; letterboxed on black, 0-1", "D-FINE, DEIM, DEIMv2 with HGNetv2"),
    (
        HeadChoice::DeimV2,
        "the same outputs and inputs; letterboxed on black, ImageNet's mean and deviation",
        "DEIMv2 with DINOv3",
    ),
    (
        HeadChoice::RfDetr,
        "`dets`: centre and size 0-1, `labels`: logits, `masks` [B, N, h, w]: logits",
        "RF-DETR, RF-DETR-Seg",
    ),
    (
        HeadChoice::DetrSigmoid,
        "`logits` (`pred_logits`), `pred_boxes`: centre and size 0-1; sigmoid, best pairs of query and class",
        "Hugging Face's RT-DETR, D-FINE, Deformable and Conditional DETR",
    ),
    (
        HeadChoice::DetrSoftmax,
        "the same outputs; softmax with a last class for no object, best class of each query",
        "Hugging Face's DETR, YOLOS, Table Transformer",
    ),
    (
        HeadChoice::Yolox,
        "[B, N, 5+nc]: centre and size relative to the cell, objectness, scores; one anchor per cell",
        "YOLOX",
    ),
    (
        HeadChoice::YoloxDecoded,
        "[B, N, 5+nc]: centre and size in pixels, objectness, scores; one anchor per cell",
        "YOLOX with --decode_in_inference",
    ),
    (
        HeadChoice::Yolov5,
        "[B, N, 5+nc]: centre and size in pixels, objectness, scores; three anchors per cell",
        "YOLOv5, YOLOv7",
    ),
    (
        HeadChoice::PpYoloe,
        "boxes [B, N, 4] and scores [B, nc, N], or [B, N, 4+nc]: corners in pixels",
        "PP-YOLOE, PP-YOLOE+ exported without NMS",
    ),
    (
        HeadChoice::Picodet,
        "[B, n, nc] and [B, n, 4*(reg_max+1)] for each of 4 strides",
        "PicoDet exported without postprocessing",
    ),
    (HeadChoice::DamoYolo, "scores [B, N, nc], and boxes [B, N, 4]: corners in pixels", "DAMO-YOLO"),
    (HeadChoice::YoloObb, "[B, 4+nc+1, N]: as yolo, and an angle in radians", "YOLOv8-OBB, YOLO11-OBB"),
    (
        HeadChoice::YoloObbEndToEnd,
        "[B, M, 7]: centre and size in pixels, score, class, angle in radians",
        "YOLO26-OBB, YOLO-OBB exported with nms=True",
    ),
    (
        HeadChoice::ClassificationSoftmax,
        "[B, nc]: scores 0-1, after softmax or sigmoid",
        "YOLOv8-cls, YOLO11-cls, YOLO26-cls",
    ),
    (
        HeadChoice::ClassificationLogits,
        "[B, nc]: logits, of which the softmax is made",
        "classifiers of torchvision, timm and Hugging Face",
    ),
    (HeadChoice::Embedding, "[B, D]: a vector, whose length is made 1", "re-identification and retrieval"),
    (
        HeadChoice::Simcc,
        "`simcc_x` [B, K, 2*W], `simcc_y` [B, K, 2*H]: values of each half column and row; one person",
        "RTMPose, RTMW, DWPose",
    ),
    (
        HeadChoice::Rtmo,
        "`dets` [B, N, 5]: x1, y1, x2, y2 in pixels, score; `keypoints` [B, N, K, 3]",
        "RTMO, YOLOX-Pose",
    ),
    (HeadChoice::Heatmap, "heatmaps [B, K, H/4, W/4]; one person", "HRNet, SimpleBaseline and others of mmpose"),
    (HeadChoice::HeatmapDark, "the same; the peak by DARK", "such models trained with DARK"),
    (HeadChoice::HeatmapUdp, "the same; crop and peak by UDP", "ViTPose, and others trained with UDP"),
];

impl HeadChoice {
    /// The property's nick, and the value of `HEAD`: `yolo-pose`.
    pub fn nick(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Yolo => "yolo",
            Self::YoloEndToEnd => "yolo-end-to-end",
            Self::YoloPose => "yolo-pose",
            Self::YoloPoseEndToEnd => "yolo-pose-end-to-end",
            Self::YoloSeg => "yolo-seg",
            Self::YoloSegEndToEnd => "yolo-seg-end-to-end",
            Self::Nanodet => "nanodet",
            Self::Movenet => "movenet",
            Self::MovenetMultipose => "movenet-multipose",
            Self::UltralyticsRtDetr => "ultralytics-rt-detr",
            Self::RtDetr => "rt-detr",
            Self::DFine => "d-fine",
            Self::DeimV2 => "deimv2",
            Self::RfDetr => "rf-detr",
            Self::DetrSigmoid => "detr-sigmoid",
            Self::DetrSoftmax => "detr-softmax",
            Self::Yolox => "yolox",
            Self::YoloxDecoded => "yolox-decoded",
            Self::Yolov5 => "yolov5",
            Self::PpYoloe => "pp-yoloe",
            Self::Picodet => "picodet",
            Self::DamoYolo => "damo-yolo",
            Self::YoloObb => "yolo-obb",
            Self::YoloObbEndToEnd => "yolo-obb-end-to-end",
            Self::ClassificationSoftmax => "classification-softmax",
            Self::ClassificationLogits => "classification-logits",
            Self::Embedding => "embedding",
            Self::Simcc => "simcc",
            Self::Rtmo => "rtmo",
            Self::Heatmap => "heatmap",
            Self::HeatmapDark => "heatmap-dark",
            Self::HeatmapUdp => "heatmap-udp",
        }
    }
}

/// One line per head: its name, its outputs and the models that have it.
pub(super) fn known() -> String {
    let mut text = String::new();
    for (head, outputs, models) in KNOWN {
        // Writing to a string can't fail.
        let _ = write!(text, "\n  {:<22} {outputs} ({models})", head.nick());
    }
    text
}

/// Only the names: `yolo, yolo-end-to-end, …`.
pub(super) fn names() -> String {
    KNOWN.map(|(head, _, _)| head.nick()).join(", ")
}

#[cfg(all(test, feature = "glib"))]
mod tests {
    use super::*;

    #[test]
    fn a_head_has_one_name_everywhere() {
        let class = glib::EnumClass::new::<HeadChoice>();
        for value in class.values() {
            let from_nick: HeadChoice = serde_json::from_value(value.nick().into()).unwrap();
            assert_eq!(from_nick.nick(), value.nick());
            assert_eq!(from_nick as i32, value.value());
        }
        assert_eq!(class.values().len(), KNOWN.len() + 1);
        let lines = known();
        assert!(lines.lines().skip(1).all(|line| line.starts_with("  ")), "{lines}");
    }
}
