//! Associates poses with the persons that they belong to.

use super::{Object, Record};
use gst::glib;

/// The label of the objects that a pose can belong to.
const PERSON: &str = "person";
/// Minimum overlap of the boxes of a person and of its pose, as intersection over union.
const SAME_PERSON_IOU: f32 = 0.5;

/// How to report a pose whose person was detected before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstTrtAttach")]
pub enum Attach {
    /// Its keypoints are added to that person.
    #[enum_value(name = "Add its keypoints to the person detected before", nick = "match")]
    Match,
    /// It becomes a separate object.
    #[enum_value(name = "Add it as a separate object", nick = "new")]
    New,
}

/// Adds one-stage poses (each an [`Object`] with keypoints) to a frame's objects.
///
/// With [`Attach::Match`] a pose's keypoints are added to the object labelled `person`, without keypoints, whose box
/// overlaps most with it, from an IoU of 0.5: the best pair first, one pose per person. That object keeps its box,
/// confidence and source. Every other pose becomes a separate object with the next id.
pub fn attach_poses(record: &mut Record, poses: Vec<Object>, attach: Attach) {
    let mut poses: Vec<Option<Object>> = poses.into_iter().map(Some).collect();
    if attach == Attach::Match {
        for (person, pose) in matches(&record.objects, &poses) {
            if let (Some(person), Some(slot)) = (record.objects.get_mut(person), poses.get_mut(pose))
                && person.keypoints.is_none()
                && let Some(pose) = slot.take_if(|pose| pose.keypoints.is_some())
            {
                person.keypoints = pose.keypoints;
            }
        }
    }
    record.extend(poses.into_iter().flatten());
}

/// Pairs (object, pose) that may be one person, best first. Each may be in several pairs.
fn matches(objects: &[Object], poses: &[Option<Object>]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (person, object) in objects.iter().enumerate() {
        if object.keypoints.is_some() || &*object.label != PERSON {
            continue;
        }
        for (pose, found) in poses.iter().enumerate() {
            let iou = found.as_ref().map_or(0.0, |found| object.rect.iou(&found.rect));
            if iou >= SAME_PERSON_IOU {
                pairs.push((iou, person, pose));
            }
        }
    }
    // The sort is stable: of equal pairs the one with the earlier object is first, so that results are deterministic.
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    pairs.into_iter().map(|(_, person, pose)| (person, pose)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::KeypointSet;
    use model::{Keypoint, KeypointLayout, Rect};
    use std::sync::Arc;

    fn object(id: u32, label: &str, rect: Rect) -> Object {
        Object {
            id,
            rect,
            class_id: Some(0),
            label: label.into(),
            confidence: 0.5,
            source: "det".into(),
            ..Object::default()
        }
    }

    /// A pose that is recognised by the x of its only keypoint.
    fn pose(mark: f32, rect: Rect) -> Object {
        let layout = KeypointLayout { name: "one", names: vec!["nose".into()], limbs: vec![] };
        let points = vec![Keypoint { x: mark, y: 0.0, confidence: 1.0 }];
        let keypoints = Some(KeypointSet { source: "pose".into(), layout: Arc::new(layout), points });
        Object { keypoints, source: "pose".into(), ..object(0, "person", rect) }
    }

    fn marks(record: &Record) -> Vec<Option<f32>> {
        record.objects.iter().map(|o| o.keypoints.as_ref().map(|k| k.points[0].x)).collect()
    }

    fn ids(record: &Record) -> Vec<u32> {
        record.objects.iter().map(|o| o.id).collect()
    }

    /// Two overlapping persons side by side, and a dog at the first person's position.
    fn street() -> Record {
        Record {
            objects: vec![
                object(0, "dog", Rect::new(0.0, 0.0, 0.4, 1.0)),
                object(1, "person", Rect::new(0.0, 0.0, 0.4, 1.0)),
                object(2, "person", Rect::new(0.1, 0.0, 0.4, 1.0)),
            ],
            models: vec![],
            ..Record::default()
        }
    }

    #[test]
    fn each_person_gets_the_pose_that_fits_best() {
        let mut record = street();
        // Both overlap both persons by 0.5 and more; the second pose is exactly the second person.
        let poses = vec![pose(0.1, Rect::new(0.05, 0.0, 0.4, 1.0)), pose(0.2, Rect::new(0.1, 0.0, 0.4, 1.0))];
        attach_poses(&mut record, poses, Attach::Match);
        assert_eq!(marks(&record), [None, Some(0.1), Some(0.2)]);
        assert_eq!(ids(&record), [0, 1, 2]);
        assert_eq!(&*record.objects[1].source, "det");
        assert_eq!(record.objects[1].rect, street().objects[1].rect);
    }

    #[test]
    fn one_pose_a_person_and_the_rest_are_new() {
        let mut record = street();
        let near = Rect::new(0.1, 0.0, 0.4, 1.0);
        attach_poses(&mut record, vec![pose(0.1, near), pose(0.2, near), pose(0.3, near)], Attach::Match);
        assert_eq!(marks(&record), [None, Some(0.2), Some(0.1), Some(0.3)]);
        assert_eq!(ids(&record), [0, 1, 2, 3]);
        assert_eq!(&*record.objects[3].source, "pose");
    }

    #[test]
    fn too_little_overlap_makes_a_new_object() {
        let person = Rect::new(0.0, 0.0, 0.4, 0.8);
        // Half the height: IoU 0.5 matches; a bit less doesn't.
        for (height, expected) in [(0.4, vec![Some(0.7)]), (0.39, vec![None, Some(0.7)])] {
            let mut record = Record { objects: vec![object(0, "person", person)], models: vec![], ..Record::default() };
            attach_poses(&mut record, vec![pose(0.7, Rect::new(0.0, 0.0, 0.4, height))], Attach::Match);
            assert_eq!(marks(&record), expected, "{height}");
        }
    }

    #[test]
    fn a_second_pose_model_does_not_overwrite_the_first() {
        let mut record = street();
        let at = street().objects[2].rect;
        attach_poses(&mut record, vec![pose(0.1, at)], Attach::Match);
        record.objects.remove(1);
        attach_poses(&mut record, vec![pose(0.2, at)], Attach::Match);
        assert_eq!(marks(&record), [None, Some(0.1), Some(0.2)]);
        assert_eq!(ids(&record), [0, 2, 3]);
    }

    #[test]
    fn new_leaves_persons_alone() {
        let mut record = street();
        attach_poses(&mut record, vec![pose(0.1, street().objects[1].rect)], Attach::New);
        assert_eq!(marks(&record), [None, None, None, Some(0.1)]);
    }
}
