//! Non-maximum suppression.

use super::{Detection, Params, Rect, oriented};

/// The most candidates that are considered, in order of confidence; the same as Ultralytics' `max_nms`. Together with
/// `max_detections` it limits the work when a threshold lets everything pass.
const MAX_CANDIDATES: usize = 30_000;

/// Keeps the most confident of overlapping boxes, sorted by confidence and limited to `max_detections`.
///
/// The suppression is greedy, within each class or across all classes as `params` says. Boxes of equal confidence keep
/// their order. A box is dropped if its intersection over union with a box already kept is *above* `params.iou`.
///
/// Oriented boxes are compared by ProbIoU, and a box is dropped if it is like any better one, kept or not, as Ultralytics does.
pub fn nms(found: &mut Vec<Detection>, params: &Params) {
    rank(found, MAX_CANDIDATES);
    if found.iter().any(|d| d.oriented.is_some()) {
        found.retain(|d| d.oriented.is_some());
        let boxes = found.iter().filter_map(|d| Some((d.oriented.as_ref()?, d.class_id)));
        let mut kept = oriented::kept(boxes, params).into_iter();
        found.retain(|_| kept.next().unwrap_or(false));
        return;
    }
    let mut kept = Kept::with_capacity(params.max_detections.min(found.len()));
    found.retain(|d| {
        let class_id = if params.class_agnostic { 0 } else { d.class_id };
        kept.x1.len() < params.max_detections && kept.admit(&d.rect, class_id, params.iou)
    });
}

/// Sorts stably by descending confidence, and drops all but the first `most`.
pub(super) fn rank(found: &mut Vec<Detection>, most: usize) {
    found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    found.truncate(most);
}

/// The boxes kept so far, with one array per field so that the comparison with all of them vectorises.
struct Kept {
    x1: Vec<f32>,
    y1: Vec<f32>,
    x2: Vec<f32>,
    y2: Vec<f32>,
    class_id: Vec<u32>,
}

impl Kept {
    fn with_capacity(n: usize) -> Self {
        let floats = || Vec::with_capacity(n);
        Self { x1: floats(), y1: floats(), x2: floats(), y2: floats(), class_id: Vec::with_capacity(n) }
    }

    /// Adds the box unless it overlaps a kept box of its class.
    fn admit(&mut self, rect: &Rect, class_id: u32, iou: f32) -> bool {
        let corners = [rect.x, rect.y, rect.right(), rect.bottom()];
        if overlaps([&self.x1, &self.y1, &self.x2, &self.y2], &self.class_id, corners, class_id, iou) {
            return false;
        }
        self.x1.push(corners[0]);
        self.y1.push(corners[1]);
        self.x2.push(corners[2]);
        self.y2.push(corners[3]);
        self.class_id.push(class_id);
        true
    }
}

/// Whether any of `boxes` (x1, y1, x2, y2, one array each) that has `class_id` overlaps `with` by more than `iou`.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn overlaps(boxes: [&[f32]; 4], classes: &[u32], with: [f32; 4], class_id: u32, iou: f32) -> bool {
    /// Number of boxes that are compared between two checks of the result.
    const STEP: usize = 32;
    let area = |x1: f32, y1: f32, x2: f32, y2: f32| (x2 - x1).max(0.0) * (y2 - y1).max(0.0);
    let with_area = area(with[0], with[1], with[2], with[3]);
    let chunks = boxes[0].chunks(STEP).zip(boxes[1].chunks(STEP)).zip(boxes[2].chunks(STEP)).zip(boxes[3].chunks(STEP));
    for ((((x1, y1), x2), y2), class) in chunks.zip(classes.chunks(STEP)) {
        let mut any = false;
        for ((((&x1, &y1), &x2), &y2), &class) in x1.iter().zip(y1).zip(x2).zip(y2).zip(class) {
            let shared = area(x1.max(with[0]), y1.max(with[1]), x2.min(with[2]), y2.min(with[3]));
            let union = area(x1, y1, x2, y2) + with_area - shared;
            any |= (class == class_id) & (shared > iou * union);
        }
        if any {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn detection(x: f32, confidence: f32, class_id: u32) -> Detection {
        Detection { rect: Rect::new(x, 0.0, 10.0, 10.0), class_id, confidence, ..Detection::default() }
    }

    fn ids(found: &[Detection]) -> Vec<(f32, u32)> {
        found.iter().map(|d| (d.rect.x, d.class_id)).collect()
    }

    #[test]
    fn suppresses_within_a_class_only() {
        let all = vec![detection(0.0, 0.5, 0), detection(1.0, 0.9, 0), detection(1.0, 0.8, 1), detection(30.0, 0.3, 0)];
        let mut found = all.clone();
        nms(&mut found, &Params::default());
        assert_eq!(ids(&found), [(1.0, 0), (1.0, 1), (30.0, 0)]);
        let mut found = all;
        nms(&mut found, &Params { class_agnostic: true, ..Params::default() });
        assert_eq!(ids(&found), [(1.0, 0), (30.0, 0)]);
    }

    #[test]
    fn the_threshold_itself_is_kept() {
        // The boxes have two of three parts in common.
        let mut found = vec![detection(0.0, 0.9, 0), detection(5.0, 0.8, 0)];
        nms(&mut found, &Params { iou: 1.0 / 3.0, ..Params::default() });
        assert_eq!(found.len(), 2);
        nms(&mut found, &Params { iou: 0.333, ..Params::default() });
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn keeps_the_most_confident_and_the_order_of_equals() {
        let mut found: Vec<_> = (0..9).map(|i| detection(20.0 * i as f32, [0.5, 0.9, 0.5][i % 3], 0)).collect();
        nms(&mut found, &Params { max_detections: 5, ..Params::default() });
        let xs: Vec<_> = found.iter().map(|d| d.rect.x / 20.0).collect();
        assert_eq!(xs, [1.0, 4.0, 7.0, 0.0, 2.0]);
        nms(&mut found, &Params { max_detections: 0, ..Params::default() });
        assert!(found.is_empty());
    }

    #[test]
    fn odd_values_do_not_panic() {
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -1.0, f32::MAX];
        let mut found = Vec::new();
        for &a in &odd {
            for &b in &odd {
                let rect = Rect::new(a, b, b, a);
                found.push(Detection { rect, confidence: a, class_id: 0, ..Detection::default() });
            }
        }
        nms(&mut found, &Params::default());
        nms(&mut found, &Params { iou: f32::NAN, ..Params::default() });
    }

    prop_compose! {
        fn any_detection()(x in 0f32..100.0, y in 0f32..100.0, w in 0f32..40.0, h in 0f32..40.0,
                           confidence in 0f32..1.0, class_id in 0u32..3) -> Detection {
            Detection { rect: Rect::new(x, y, w, h), class_id, confidence, ..Detection::default() }
        }
    }

    proptest! {
        #[test]
        fn invariants(all in prop::collection::vec(any_detection(), 0..120), iou in 0f32..1.0,
                      class_agnostic: bool, max_detections in 0usize..60) {
            let params = Params { iou, class_agnostic, max_detections, ..Params::default() };
            let mut found = all.clone();
            nms(&mut found, &params);
            prop_assert!(found.len() <= max_detections);
            prop_assert!(found.iter().all(|d| all.contains(d)));
            prop_assert!(found.windows(2).all(|p| p[0].confidence >= p[1].confidence));
            let rivals = |a: &Detection, b: &Detection| class_agnostic || a.class_id == b.class_id;
            for (i, a) in found.iter().enumerate() {
                for b in &found[..i] {
                    prop_assert!(!rivals(a, b) || a.rect.iou(&b.rect) <= iou + 1e-4);
                }
            }
            // Every dropped box overlaps a kept box of at least its confidence, or the limit was reached.
            for d in all.iter().filter(|d| !found.contains(d)) {
                let beaten = found.iter()
                    .any(|k| rivals(k, d) && k.confidence >= d.confidence && k.rect.iou(&d.rect) > iou - 1e-4);
                prop_assert!(beaten || found.len() == max_detections);
            }
            let mut again = found.clone();
            nms(&mut again, &params);
            prop_assert_eq!(again, found);
        }
    }
}
