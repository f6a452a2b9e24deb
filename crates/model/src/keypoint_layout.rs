//! Names of keypoints, and the limbs that join them.

use std::sync::{Arc, LazyLock};

/// The generated name of a keypoint without a name.
pub(super) fn unnamed_keypoint(k: usize) -> String {
    format!("keypoint {k}")
}

/// Names of a pose model's keypoints, in order, and the pairs that form the skeleton's limbs.
#[derive(Debug, Clone, PartialEq)]
pub struct KeypointLayout {
    /// The layout's name, for example `coco17`.
    pub name: &'static str,
    /// The names of the keypoints, in their order.
    pub names: Vec<Arc<str>>,
    /// Pairs of indices into `names`.
    pub limbs: Vec<(usize, usize)>,
}

impl KeypointLayout {
    /// The 17 keypoints of a person in COCO, and the 19 limbs of its skeleton.
    pub fn coco17() -> Arc<Self> {
        static LAYOUT: LazyLock<Arc<KeypointLayout>> = LazyLock::new(|| {
            Arc::new(KeypointLayout {
                name: "coco-17",
                names: COCO_17.iter().map(|&n| n.into()).collect(),
                limbs: COCO_17_LIMBS.to_vec(),
            })
        });
        LAYOUT.clone()
    }

    /// COCO's layout for 17 keypoints, otherwise `keypoint 0`, `keypoint 1`, … without limbs.
    pub fn built_in(keypoints: usize) -> Arc<Self> {
        if keypoints == COCO_17.len() {
            return Self::coco17();
        }
        Self::named((0..keypoints).map(|k| unnamed_keypoint(k).into()).collect())
    }

    /// The layout for these names: COCO's names get its limbs, others none.
    pub fn named(names: Vec<Arc<str>>) -> Arc<Self> {
        if names.iter().map(|name| &**name).eq(COCO_17) {
            return Self::coco17();
        }
        Arc::new(Self { name: "custom", names, limbs: Vec::new() })
    }
}

/// Source: COCO 2017 `person_keypoints` annotations, category `person`.
#[rustfmt::skip]
const COCO_17: [&str; 17] = [
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee",
    "left_ankle", "right_ankle",
];

/// The `skeleton` of the same annotations, counted from 0.
#[rustfmt::skip]
const COCO_17_LIMBS: [(usize, usize); 19] = [
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
    (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limbs_join_keypoints() {
        let layout = KeypointLayout::coco17();
        assert_eq!((layout.names.len(), layout.limbs.len()), (17, 19));
        assert!(layout.limbs.iter().all(|&(a, b)| a != b && a < 17 && b < 17));
        let side = |i: usize| layout.names[i].split('_').next().map(str::to_owned);
        let across = layout.limbs.iter().filter(|&&(a, b)| a > 4 && b > 4 && side(a) != side(b)).count();
        assert_eq!(across, 2, "only the shoulders and the hips are joined across");
        assert_eq!(KeypointLayout::built_in(5).names.len(), 5);
        assert_eq!(KeypointLayout::built_in(17).name, "coco-17");
    }
}
