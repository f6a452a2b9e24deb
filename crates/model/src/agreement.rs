//! How far two runs of a model over the same frames agree: an engine with its FP32 model.
//!
//! An object counts if its confidence is at least [`MARGIN`] above the threshold, on either side. It agrees if the other
//! side has an object of its class
//!
//! - whose confidence is above the threshold and differs by at most [`CONFIDENCE`],
//! - whose box has an IoU of at least [`IOU`] with its own, or whose edges are all within [`EDGE`] pixels of the
//!   network's input,
//! - whose keypoints, those that either side gives a confidence of [`SURE`], are within [`KEYPOINT`] such pixels,
//!
//! and that no other object has agreed with. The agreement is the share of the objects of both sides that agree, so that
//! what only the engine finds counts as much as what only the model does.

use crate::{Detection, Keypoint};
use std::collections::BTreeMap;

/// How far above the threshold an object's confidence is, if it must be on the other side too.
pub const MARGIN: f32 = 0.05;
/// The greatest difference of two confidences.
pub const CONFIDENCE: f32 = 0.1;
/// The smallest intersection over union.
pub const IOU: f32 = 0.9;
/// The greatest distance of an edge, which a small box's IoU is too strict for; pixels of the network's input.
pub const EDGE: f32 = 1.0;
/// A keypoint that neither side gives this confidence may be anywhere.
pub const SURE: f32 = 0.3;
/// The greatest distance of a keypoint on either axis; pixels of the network's input.
pub const KEYPOINT: f32 = 4.0;

/// Objects of one class or frame, or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Objects of both sides that count.
    pub objects: usize,
    /// Those of them that agree.
    pub agreeing: usize,
}

impl Counted {
    /// 0 to 1; 1 without objects.
    pub fn share(self) -> f64 {
        if self.objects == 0 { 1.0 } else { self.agreeing as f64 / self.objects as f64 }
    }

    fn add(&mut self, agrees: bool) {
        self.objects += 1;
        self.agreeing += usize::from(agrees);
    }
}

impl std::ops::AddAssign for Counted {
    fn add_assign(&mut self, other: Self) {
        self.objects += other.objects;
        self.agreeing += other.agreeing;
    }
}

/// A side of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The FP32 model.
    Reference,
    /// The engine.
    Engine,
}

/// An object that the other side lacks.
#[derive(Debug, Clone, PartialEq)]
pub struct Unmatched {
    /// The side that has it.
    pub side: Side,
    /// The object.
    pub object: Detection,
    /// The other side's object of its class that overlaps most, if one overlaps.
    pub nearest: Option<Detection>,
}

/// The comparison of one frame.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FrameAgreement {
    /// By class.
    pub classes: BTreeMap<u32, Counted>,
    /// The objects that don't agree.
    pub unmatched: Vec<Unmatched>,
}

impl FrameAgreement {
    /// Compares one frame's objects, whose boxes are fractions of the frame. `threshold` is the confidence that both
    /// sides were asked for, and `scale` the frame's width and height in pixels of the network's input.
    pub fn of(reference: &[Detection], engine: &[Detection], threshold: f32, scale: (f32, f32)) -> Self {
        // The closest pairs first, so that crowded objects aren't taken from each other.
        let mut pairs: Vec<(usize, usize, f32)> = Vec::new();
        for (first, a) in reference.iter().enumerate() {
            for (second, b) in engine.iter().enumerate().filter(|(_, b)| agrees(a, b, scale)) {
                pairs.push((first, second, a.rect.iou(&b.rect)));
            }
        }
        pairs.sort_by(|a, b| b.2.total_cmp(&a.2));
        let (mut of_reference, mut of_engine) = (vec![false; reference.len()], vec![false; engine.len()]);
        for (first, second, _) in pairs {
            if let (Some(a @ false), Some(b @ false)) = (of_reference.get_mut(first), of_engine.get_mut(second)) {
                (*a, *b) = (true, true);
            }
        }
        let mut frame = Self::default();
        let sides = [(Side::Reference, reference, of_reference, engine), (Side::Engine, engine, of_engine, reference)];
        for (side, objects, agreeing, others) in sides {
            let counting = objects.iter().zip(agreeing).filter(|(object, _)| object.confidence >= threshold + MARGIN);
            for (object, agrees) in counting {
                frame.classes.entry(object.class_id).or_default().add(agrees);
                if !agrees {
                    let same = others.iter().filter(|other| other.class_id == object.class_id);
                    let iou = |other: &&Detection| object.rect.iou(&other.rect);
                    let nearest = same.filter(|other| iou(other) > 0.0).max_by(|a, b| iou(a).total_cmp(&iou(b)));
                    frame.unmatched.push(Unmatched { side, object: object.clone(), nearest: nearest.cloned() });
                }
            }
        }
        frame
    }

    /// Over all classes.
    pub fn total(&self) -> Counted {
        self.classes.values().fold(Counted::default(), |mut total, class| {
            total += *class;
            total
        })
    }
}

fn agrees(a: &Detection, b: &Detection, scale: (f32, f32)) -> bool {
    a.class_id == b.class_id
        && (a.confidence - b.confidence).abs() <= CONFIDENCE
        && (a.rect.iou(&b.rect) >= IOU || edges_apart(a, b, scale) <= EDGE)
        && keypoints_apart(a, b, scale) <= KEYPOINT
}

/// The greatest distance of an edge.
fn edges_apart(a: &Detection, b: &Detection, scale: (f32, f32)) -> f32 {
    let (a, b) = (a.rect.scaled(scale.0, scale.1), b.rect.scaled(scale.0, scale.1));
    let edges = [a.x - b.x, a.y - b.y, a.right() - b.right(), a.bottom() - b.bottom()];
    greatest(edges)
}

/// The greatest distance of a keypoint that either side is sure of.
fn keypoints_apart(a: &Detection, b: &Detection, scale: (f32, f32)) -> f32 {
    if a.keypoints.len() != b.keypoints.len() {
        return f32::INFINITY;
    }
    let apart = |(a, b): (&Keypoint, &Keypoint)| [(a.x - b.x) * scale.0, (a.y - b.y) * scale.1];
    let sure = a.keypoints.iter().zip(&b.keypoints).filter(|(a, b)| a.confidence.max(b.confidence) >= SURE);
    greatest(sure.flat_map(apart))
}

/// The greatest absolute value; infinite if one isn't a number.
fn greatest(values: impl IntoIterator<Item = f32>) -> f32 {
    let size = |value: f32| if value.is_nan() { f32::INFINITY } else { value.abs() };
    values.into_iter().map(size).fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rect;

    /// A frame that is 100 × 100 pixels of the network's input.
    const SCALE: (f32, f32) = (100.0, 100.0);

    fn object(class_id: u32, confidence: f32, x: f32) -> Detection {
        Detection { rect: Rect::new(x, 0.2, 0.1, 0.4), class_id, confidence, ..Detection::default() }
    }

    fn compare(reference: &[Detection], engine: &[Detection]) -> FrameAgreement {
        FrameAgreement::of(reference, engine, 0.25, SCALE)
    }

    fn share(reference: &[Detection], engine: &[Detection]) -> (usize, usize) {
        let Counted { objects, agreeing } = compare(reference, engine).total();
        (agreeing, objects)
    }

    #[test]
    fn the_same_objects_agree_and_those_near_the_threshold_do_not_count() {
        let all = [object(0, 0.9, 0.1), object(1, 0.31, 0.5), object(0, 0.29, 0.8)];
        let frame = compare(&all, &all);
        let counted = |objects| Counted { objects, agreeing: objects };
        assert_eq!(frame.classes, BTreeMap::from([(0, counted(2)), (1, counted(2))]));
        assert!(frame.unmatched.is_empty());
        assert_eq!(share(&[object(0, 0.31, 0.1)], &[object(0, 0.26, 0.1)]), (1, 1), "it's seen by the other side");
        assert_eq!(share(&[object(0, 0.29, 0.1)], &[]), (0, 0));
        assert_eq!(share(&[], &[]), (0, 0));
        assert_eq!(Counted::default().share(), 1.0);
    }

    #[test]
    fn what_one_side_lacks_counts_against_it() {
        let (a, b) = (object(0, 0.9, 0.1), object(0, 0.9, 0.5));
        let frame = compare(std::slice::from_ref(&a), &[a.clone(), b.clone()]);
        assert_eq!(frame.total(), Counted { objects: 3, agreeing: 2 });
        assert_eq!(frame.unmatched, [Unmatched { side: Side::Engine, object: b.clone(), nearest: None }]);
        let frame = compare(&[a.clone(), b.clone()], std::slice::from_ref(&a));
        assert_eq!(frame.unmatched, [Unmatched { side: Side::Reference, object: b, nearest: None }]);
        assert_eq!(share(std::slice::from_ref(&a), &[Detection { class_id: 1, ..a.clone() }]), (0, 2), "another class");
    }

    #[test]
    fn confidence_box_and_keypoints_have_tolerances() {
        let a = object(0, 0.8, 0.1);
        let with = |change: fn(&mut Detection)| {
            let mut b = a.clone();
            change(&mut b);
            share(std::slice::from_ref(&a), &[b]).0
        };
        assert_eq!((with(|b| b.confidence = 0.71), with(|b| b.confidence = 0.69)), (2, 0));
        // A pixel is 0.01; an IoU of 0.9 allows half a pixel on a box of ten.
        assert_eq!((with(|b| b.rect.x += 0.0099), with(|b| b.rect.x += 0.011)), (2, 0));
        let large = |x| Detection { rect: Rect::new(x, 0.0, 0.8, 0.8), confidence: 0.9, ..Detection::default() };
        assert_eq!(share(&[large(0.0)], &[large(0.04)]), (2, 2));
        assert_eq!(share(&[large(0.0)], &[large(0.05)]), (0, 2));
        let pose = |y, confidence| {
            let keypoint = Keypoint { x: 0.5, y, confidence };
            Detection { keypoints: vec![keypoint], ..object(0, 0.9, 0.1) }
        };
        assert_eq!(share(&[pose(0.5, 0.9)], &[pose(0.539, 0.9)]), (2, 2));
        assert_eq!(share(&[pose(0.5, 0.9)], &[pose(0.541, 0.1)]), (0, 2));
        assert_eq!(share(&[pose(0.5, 0.2)], &[pose(0.9, 0.1)]), (2, 2), "neither is sure where it is");
        assert_eq!(share(&[pose(0.5, 0.9)], &[object(0, 0.9, 0.1)]), (0, 2));
    }

    /// Two objects are one on the other side: only one of them agrees.
    #[test]
    fn an_object_agrees_with_one_other() {
        let (a, b) = (object(0, 0.9, 0.1), object(0, 0.9, 0.105));
        assert_eq!(share(&[a.clone(), b.clone()], std::slice::from_ref(&b)), (2, 3));
        assert_eq!(share(&[a.clone(), b.clone()], &[b, a]), (4, 4));
    }

    #[test]
    fn no_number_agrees_with_nothing() {
        let broken = Detection { rect: Rect::new(f32::NAN, 0.0, 0.1, 0.1), ..object(0, 0.9, 0.1) };
        assert_eq!(share(&[object(0, 0.9, 0.1)], &[broken]), (0, 2));
    }
}
