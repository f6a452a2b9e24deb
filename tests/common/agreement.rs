//! Comparison of the objects that two engines found.

use model::{Detection, Keypoint};

/// An object with this confidence on one side must be on the other; likewise a keypoint must agree in position.
pub const SURE: f32 = 0.30;
/// The minimum confidence of the other side's object.
pub const SEEN: f32 = 0.25;
/// Required percentage of agreeing objects.
pub const AGREE: f32 = 99.0;
/// MoveNet's keypoints are cells of a heatmap with a quarter of the input's size; pixels.
pub const CELL: f32 = 4.0;
/// Minimum IoU of agreeing boxes.
pub const IOU: f32 = 0.95;
/// Tolerance in pixels of the network's input, as an alternative to the IoU.
const EDGE: f32 = 1.0;

/// How far corners of oriented boxes may be apart, as an alternative to that: a share of the box's size.
const TURN: f32 = 0.025;

/// How a model's objects are compared, in pixels of the network's input.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Minimum IoU if the model outputs boxes; otherwise the box encloses the keypoints and adds no information.
    pub iou: Option<f32>,
    pub keypoints: f32,
}

/// Totals over a number of frames.
#[derive(Debug, Default, PartialEq)]
pub struct Agreement {
    /// Confident objects of both sides, and how many of them the other side has.
    pub objects: usize,
    pub matched: usize,
    /// Keypoints of matched objects, including those of low confidence, and how many are within the tolerance.
    pub keypoints: usize,
    pub near: usize,
    /// One line for each unmatched object.
    pub unmatched: Vec<String>,
}

impl Agreement {
    /// Compares one frame in both directions; `sides` are the names of `a` and `b` in the report.
    pub fn add(&mut self, frame: &str, sides: [&str; 2], a: &[Detection], b: &[Detection], tolerance: Tolerance) {
        for (side, of, others) in [(sides[0], a, b), (sides[1], b, a)] {
            for object in of.iter().filter(|object| object.confidence >= SURE) {
                self.objects += 1;
                let seen = others.iter().filter(|other| other.confidence >= SEEN && other.class_id == object.class_id);
                match seen.clone().find(|other| is_match(object, other, tolerance)) {
                    Some(other) => {
                        self.matched += 1;
                        self.keypoints += object.keypoints.len();
                        let pairs = object.keypoints.iter().zip(&other.keypoints);
                        self.near += pairs.filter(|(a, b)| apart(a, b) <= tolerance.keypoints).count();
                    }
                    None => {
                        let nearest = seen.max_by(|a, b| object.rect.iou(&a.rect).total_cmp(&object.rect.iou(&b.rect)));
                        self.unmatched.push(format!("{frame}: {side} has {}", describe(object, nearest)));
                    }
                }
            }
        }
    }

    /// Matched objects as a percentage of all.
    pub fn percent(&self) -> f32 {
        100.0 * self.matched as f32 / self.objects.max(1) as f32
    }
}

fn is_match(a: &Detection, b: &Detection, tolerance: Tolerance) -> bool {
    let box_agrees = tolerance.iou.is_none_or(|iou| a.rect.iou(&b.rect) >= iou || edges_apart(a, b) <= EDGE);
    box_agrees && lies_alike(a, b) && keypoints_apart(a, b) <= tolerance.keypoints
}

/// Whether the corners of oriented boxes are near each other, in whichever order: half a turn more is the same box.
fn lies_alike(a: &Detection, b: &Detection) -> bool {
    let (one, other) = match (&a.oriented, &b.oriented) {
        (Some(one), Some(other)) => (one, other),
        (one, other) => return one.is_none() && other.is_none(),
    };
    let limit = (TURN * a.rect.w.max(a.rect.h)).max(EDGE);
    let apart = |[ax, ay]: [f32; 2], [bx, by]: [f32; 2]| (ax - bx).abs().max((ay - by).abs());
    let nearest = |corner| other.corners.iter().map(|end| apart(corner, *end)).fold(f32::INFINITY, f32::min);
    one.corners.into_iter().all(|corner| nearest(corner) <= limit)
}

/// The greatest distance of an edge.
fn edges_apart(a: &Detection, b: &Detection) -> f32 {
    let (a, b) = (&a.rect, &b.rect);
    let edges = [a.x - b.x, a.y - b.y, a.right() - b.right(), a.bottom() - b.bottom()];
    edges.into_iter().map(f32::abs).fold(0.0, f32::max)
}

/// The greatest distance of a keypoint that either side is confident of. A keypoint of low confidence on both sides is the
/// maximum of a flat heatmap: rounding moves it anywhere.
fn keypoints_apart(a: &Detection, b: &Detection) -> f32 {
    if a.keypoints.len() != b.keypoints.len() {
        return f32::INFINITY;
    }
    let pairs = a.keypoints.iter().zip(&b.keypoints);
    let sure = pairs.filter(|(a, b)| a.confidence.max(b.confidence) >= SURE);
    sure.map(|(a, b)| apart(a, b)).fold(0.0, f32::max)
}

/// The greater of the distances along both axes.
fn apart(a: &Keypoint, b: &Keypoint) -> f32 {
    (a.x - b.x).abs().max((a.y - b.y).abs())
}

fn describe(object: &Detection, nearest: Option<&Detection>) -> String {
    let rect = object.rect;
    let what = format!(
        "class {} {:.3} at {:.1},{:.1} {:.1}×{:.1}",
        object.class_id, object.confidence, rect.x, rect.y, rect.w, rect.h
    );
    match nearest {
        None => format!("{what}; the other side has nothing of the class"),
        Some(other) => format!(
            "{what}; the nearest has {:.3}, IoU {:.3}, edges {:.2} px, keypoints {:.2} px apart",
            other.confidence,
            rect.iou(&other.rect),
            edges_apart(object, other),
            keypoints_apart(object, other)
        ),
    }
}

/// The difference of two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Distance {
    /// The greatest difference, relative to the greatest value.
    pub of_greatest: f32,
    /// Number of values that differ by more than 1e-3 (relative for values above 1), and number of all values.
    pub beyond: usize,
    pub values: usize,
}

/// The greatest relative difference that counts as equal.
pub const RAW: f32 = 1e-3;

impl Distance {
    /// Compares one output of one image.
    pub fn of(a: &[f32], b: &[f32]) -> Self {
        assert_eq!(a.len(), b.len(), "outputs of different sizes");
        let greatest = a.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
        let mut distance = Self { values: a.len(), ..Self::default() };
        for (a, b) in a.iter().zip(b) {
            // NaN counts as the greatest possible difference.
            let apart = if b.is_finite() { (a - b).abs() } else { f32::INFINITY };
            distance.of_greatest = distance.of_greatest.max(apart / greatest);
            distance.beyond += usize::from(apart > RAW * a.abs().max(1.0));
        }
        distance
    }

    /// The worse of the two.
    pub fn add(&mut self, other: Self) {
        self.of_greatest = self.of_greatest.max(other.of_greatest);
        self.beyond += other.beyond;
        self.values += other.values;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Rect;

    const POSE: Tolerance = Tolerance { iou: Some(IOU), keypoints: 4.0 };
    const SIDES: [&str; 2] = ["a", "b"];

    fn person(x: f32, confidence: f32) -> Detection {
        let keypoint = |dx: f32, confidence| Keypoint { x: x + dx, y: 50.0, confidence };
        let keypoints = vec![keypoint(1.0, 0.9), keypoint(9.0, 0.1)];
        Detection { rect: Rect::new(x, 20.0, 10.0, 40.0), confidence, keypoints, ..Detection::default() }
    }

    fn compare(a: &[Detection], b: &[Detection], tolerance: Tolerance) -> Agreement {
        let mut agreement = Agreement::default();
        agreement.add("frame 0", SIDES, a, b, tolerance);
        agreement
    }

    #[test]
    fn the_same_objects_agree() {
        let all = [person(10.0, 0.9), person(100.0, 0.31), person(200.0, 0.29)];
        let agreement = compare(&all, &all, POSE);
        assert_eq!((agreement.objects, agreement.matched, agreement.percent()), (4, 4, 100.0));
        assert_eq!((agreement.keypoints, agreement.near), (8, 8));
        assert!(agreement.unmatched.is_empty());
    }

    #[test]
    fn a_sure_object_needs_a_seen_one() {
        assert_eq!(compare(&[person(10.0, 0.30)], &[person(10.0, 0.25)], POSE).percent(), 100.0);
        let agreement = compare(&[person(10.0, 0.30)], &[person(10.0, 0.24)], POSE);
        assert_eq!((agreement.objects, agreement.matched), (1, 0));
        let other = Detection { class_id: 1, ..person(10.0, 0.9) };
        let agreement = compare(&[person(10.0, 0.9)], &[other], POSE);
        assert_eq!((agreement.objects, agreement.matched), (2, 0), "{agreement:?}");
        assert!(agreement.unmatched[0].starts_with("frame 0: a has class 0 0.900 at 10.0,20.0"), "{agreement:?}");
        assert!(agreement.unmatched[1].starts_with("frame 0: b has class 1"), "{agreement:?}");
    }

    #[test]
    fn a_box_may_be_off_by_a_pixel_or_five_percent() {
        let moved = |by: f32| compare(&[person(10.0, 0.9)], &[person(10.0 + by, 0.9)], POSE).percent();
        assert_eq!((moved(1.0), moved(1.1)), (100.0, 0.0));
        let large = |by: f32| Detection { rect: Rect::new(by, 0.0, 400.0, 400.0), ..person(0.0, 0.9) };
        assert_eq!(compare(&[large(0.0)], &[large(8.0)], POSE).percent(), 100.0);
        assert_eq!(compare(&[large(0.0)], &[large(12.0)], POSE).percent(), 0.0);
        let no_boxes = Tolerance { iou: None, ..POSE };
        assert_eq!(compare(&[large(0.0)], &[large(12.0)], no_boxes).percent(), 100.0);
    }

    #[test]
    fn an_oriented_box_has_to_lie_alike() {
        let ship = |angle: f32| {
            let oriented = model::OrientedBox::new(50.0, 50.0, 80.0, 20.0, angle).unwrap();
            Detection { rect: oriented.enclosing(), oriented: Some(oriented), confidence: 0.9, ..Detection::default() }
        };
        let turned = |angle: f32| compare(&[ship(0.8)], &[ship(angle)], POSE).percent();
        assert_eq!((turned(0.82), turned(0.8 - std::f32::consts::PI)), (100.0, 100.0));
        // The upright boxes are nearly the same.
        assert_eq!((turned(0.9), turned(-0.8)), (0.0, 0.0));
        let upright = Detection { oriented: None, ..ship(0.8) };
        assert_eq!(compare(&[ship(0.8)], &[upright], POSE).percent(), 0.0);
    }

    #[test]
    fn keypoints_that_one_side_is_sure_of_have_to_be_in_place() {
        let moved = |index: usize, by: f32| {
            let mut other = person(10.0, 0.9);
            other.keypoints[index].y += by;
            compare(&[person(10.0, 0.9)], &[other], POSE)
        };
        assert_eq!((moved(0, 4.0).percent(), moved(0, 4.1).percent()), (100.0, 0.0));
        let unsure = moved(1, 90.0);
        assert_eq!((unsure.percent(), unsure.keypoints, unsure.near), (100.0, 4, 2));
        let mut fewer = person(10.0, 0.9);
        fewer.keypoints.pop();
        assert_eq!(compare(&[person(10.0, 0.9)], &[fewer], POSE).percent(), 0.0);
    }

    #[test]
    fn raw_outputs_are_measured() {
        let distance = Distance::of(&[500.0, -0.5, 0.0], &[500.4, -0.5, 0.002]);
        assert!((distance.of_greatest - 8e-4).abs() < 1e-5, "{distance:?}");
        assert_eq!((distance.beyond, distance.values), (1, 3));
        assert_eq!(Distance::of(&[1.0], &[f32::NAN]).of_greatest, f32::INFINITY);
        assert_eq!(Distance::of(&[0.0], &[0.0]), Distance { values: 1, ..Distance::default() });
    }
}
