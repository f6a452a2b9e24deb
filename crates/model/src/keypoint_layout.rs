//! Names of keypoints, and the limbs that join them.

use std::sync::{Arc, LazyLock};

/// The generated name of a keypoint without a name.
pub(super) fn unnamed_keypoint(k: usize) -> String {
    format!("keypoint {k}")
}

/// Names of a pose model's keypoints, in order, and the pairs that form the skeleton's limbs.
#[derive(Debug, Clone, PartialEq)]
pub struct KeypointLayout {
    /// The layout's name, for example `coco-17`.
    pub name: &'static str,
    /// The names of the keypoints, in their order.
    pub names: Vec<Arc<str>>,
    /// Pairs of indices into `names`.
    pub limbs: Vec<(usize, usize)>,
}

impl KeypointLayout {
    /// The 17 keypoints of a person in COCO, and the 19 limbs of its skeleton.
    pub fn coco17() -> Arc<Self> {
        static LAYOUT: LazyLock<Arc<KeypointLayout>> =
            LazyLock::new(|| KeypointLayout::of("coco-17", &COCO_17, COCO_17_LIMBS.to_vec()));
        LAYOUT.clone()
    }

    /// The layout of this many keypoints: COCO's 17 of a person, the 21 of a hand, Halpe's 26, the 133 of
    /// COCO-WholeBody; otherwise `keypoint 0`, `keypoint 1`, … without limbs.
    pub fn built_in(keypoints: usize) -> Arc<Self> {
        let known = known().iter().find(|layout| layout.names.len() == keypoints);
        known.cloned().unwrap_or_else(|| Self::named((0..keypoints).map(|k| unnamed_keypoint(k).into()).collect()))
    }

    /// The layout for these names: those of a known layout get its limbs, others none.
    pub fn named(names: Vec<Arc<str>>) -> Arc<Self> {
        let known = known().iter().find(|layout| layout.names == names);
        known.cloned().unwrap_or_else(|| Arc::new(Self { name: "custom", names, limbs: Vec::new() }))
    }

    fn of<S: AsRef<str>>(name: &'static str, names: &[S], limbs: Vec<(usize, usize)>) -> Arc<Self> {
        Arc::new(Self { name, names: names.iter().map(|name| name.as_ref().into()).collect(), limbs })
    }
}

/// No two have the same number of keypoints.
fn known() -> &'static [Arc<KeypointLayout>; 4] {
    static LAYOUTS: LazyLock<[Arc<KeypointLayout>; 4]> =
        LazyLock::new(|| [KeypointLayout::coco17(), hand21(), halpe26(), coco_whole_body133()]);
    &LAYOUTS
}

/// Source: COCO-WholeBody's annotations of hands, as in mmpose's `coco_wholebody_hand.py`.
fn hand21() -> Arc<KeypointLayout> {
    let names: Vec<String> = hand("", "wrist").collect();
    KeypointLayout::of("hand-21", &names, hand_limbs(0).collect())
}

/// Source: Halpe-FullBody's 26 keypoints, as in mmpose's `halpe26.py`.
fn halpe26() -> Arc<KeypointLayout> {
    #[rustfmt::skip]
    const MORE: [&str; 9] = [
        "head", "neck", "hip", "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel", "right_heel",
    ];
    #[rustfmt::skip]
    const LIMBS: [(usize, usize); 27] = [
        (15, 13), (13, 11), (11, 19), (16, 14), (14, 12), (12, 19), (17, 18), (18, 19), (18, 5), (5, 7), (7, 9), (18, 6),
        (6, 8), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6), (15, 20), (15, 22), (15, 24), (16, 21),
        (16, 23), (16, 25),
    ];
    KeypointLayout::of("halpe-26", &[&COCO_17[..], &MORE].concat(), LIMBS.to_vec())
}

/// Source: COCO-WholeBody's annotations, as in mmpose's `coco_wholebody.py`: body, feet, face, left hand, right hand.
fn coco_whole_body133() -> Arc<KeypointLayout> {
    const FEET: [&str; 6] =
        ["left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"];
    const FEET_LIMBS: [(usize, usize); 6] = [(15, 17), (15, 18), (15, 19), (16, 20), (16, 21), (16, 22)];
    const FACE: usize = 68;
    let body = COCO_17.into_iter().chain(FEET).map(str::to_owned);
    let face = (0..FACE).map(|k| format!("face-{k}"));
    let names: Vec<String> =
        body.chain(face).chain(hand("left_", "hand_root")).chain(hand("right_", "hand_root")).collect();
    let left = COCO_17.len() + FEET.len() + FACE;
    let limbs = COCO_17_LIMBS.into_iter().chain(FEET_LIMBS).chain(hand_limbs(left)).chain(hand_limbs(left + HAND));
    KeypointLayout::of("coco-wholebody-133", &names, limbs.collect())
}

/// Keypoints of a hand: its root, and four of each finger.
const HAND: usize = 21;

/// The names of a hand's keypoints.
fn hand(side: &str, root: &str) -> impl Iterator<Item = String> {
    const FINGERS: [&str; 5] = ["thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger"];
    let fingers = FINGERS.into_iter().flat_map(|finger| (1..=4).map(move |joint| format!("{finger}{joint}")));
    std::iter::once(root.to_owned()).chain(fingers).map(move |name| format!("{side}{name}"))
}

/// The limbs of the hand whose root is keypoint `first`: from the root along each finger.
fn hand_limbs(first: usize) -> impl Iterator<Item = (usize, usize)> {
    (1..HAND).map(move |k| (if k % 4 == 1 { first } else { first + k - 1 }, first + k))
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
    fn a_number_of_keypoints_has_its_published_names_and_limbs() {
        for (count, name, limbs, at) in [
            (17, "coco-17", 19, (10, "right_wrist")),
            (21, "hand-21", 20, (20, "pinky_finger4")),
            (26, "halpe-26", 27, (19, "hip")),
            (133, "coco-wholebody-133", 65, (112, "right_hand_root")),
            (14, "custom", 0, (13, "keypoint 13")),
        ] {
            let layout = KeypointLayout::built_in(count);
            assert_eq!((layout.name, layout.names.len(), layout.limbs.len()), (name, count, limbs));
            assert_eq!(&*layout.names[at.0], at.1, "{name}");
            assert!(layout.limbs.iter().all(|&(a, b)| a != b && a < count && b < count), "{name}");
            assert_eq!(KeypointLayout::named(layout.names.clone()), layout, "found again by its names");
        }
        let whole = KeypointLayout::built_in(133);
        let joined: Vec<_> = whole.limbs.iter().map(|&(a, b)| [&*whole.names[a], &*whole.names[b]]).collect();
        for limb in
            [["left_ankle", "left_heel"], ["left_hand_root", "left_ring_finger1"], ["right_thumb3", "right_thumb4"]]
        {
            assert!(joined.contains(&limb), "{limb:?}");
        }
    }

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
