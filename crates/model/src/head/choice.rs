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
    #[cfg_attr(feature = "glib", enum_value(name = "NanoDet, NanoDet-Plus", nick = "nanodet"))]
    Nanodet,
    #[cfg_attr(feature = "glib", enum_value(name = "MoveNet for one person: [1, 1, 17, 3]", nick = "movenet"))]
    Movenet,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "MoveNet for up to six persons: [1, 6, 56]", nick = "movenet-multipose")
    )]
    MovenetMultipose,
}

/// Each head with its outputs and the models that have it.
const KNOWN: [(HeadChoice, &str, &str); 7] = [
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
        HeadChoice::Nanodet,
        "[B, N, nc+4*(reg_max+1)], or [B, n, nc] and [B, n, 4*(reg_max+1)] for each of 3 strides",
        "NanoDet, NanoDet-Plus",
    ),
    (HeadChoice::Movenet, "[1, 1, 17, 3], input [1, H, W, 3]", "MoveNet Lightning and Thunder"),
    (HeadChoice::MovenetMultipose, "[1, 6, 56], input [1, H, W, 3]", "MoveNet MultiPose"),
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
            Self::Nanodet => "nanodet",
            Self::Movenet => "movenet",
            Self::MovenetMultipose => "movenet-multipose",
        }
    }
}

/// One line per head: its name, its outputs and the models that have it.
pub(super) fn known() -> String {
    let mut text = String::new();
    for (head, outputs, models) in KNOWN {
        // Writing to a string can't fail.
        let _ = write!(text, "\n  {:<21} {outputs} ({models})", head.nick());
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
