//! Turns a model's outputs into objects of the frame's record.

use super::attributes::Attributes;
use super::opened::Opened;
use super::regions::{Region, is_wanted};
use super::settings::Resolved;
use crate::infer::Output;
use crate::meta::{Attach, Inference, KeypointSet, ModelRun, Object, Record, attach_poses};
use model::{Detection, head::HeadKind};

/// Records that the model didn't run, and why.
pub fn add_skipped(record: &mut Record, model: &Opened, why: Inference) {
    record.models.push(ModelRun { model_id: model.id, inference: why });
}

/// Adds the objects that the model found in each region.
pub fn add_outputs(record: &mut Record, model: &Opened, settings: &Resolved, regions: &[Region], outputs: Vec<Output>) {
    record.models.push(ModelRun { model_id: model.id, inference: Inference::Done });
    for (region, output) in regions.iter().zip(outputs) {
        match (model.kind, region.object) {
            (HeadKind::Pose | HeadKind::TopDownPose, None) => {
                let poses = output.detections.into_iter().map(|d| object(model, d, None)).collect();
                attach_poses(record, poses, settings.attach);
            }
            (HeadKind::Detection | HeadKind::Pose, parent) => {
                record.extend(output.detections.into_iter().map(|detection| object(model, detection, parent)));
            }
            (HeadKind::Classification | HeadKind::Embedding, None) => {
                Attributes::of(model, output.detections).add_to_frame(record);
            }
            (HeadKind::Classification | HeadKind::Embedding, Some(id)) => {
                let attributes = Attributes::of(model, output.detections);
                if let Some(track) = region.track {
                    model.tracks.keep(track, &attributes);
                }
                if let Some(object) = record.position(id).and_then(|index| record.objects.get_mut(index)) {
                    attributes.add_to_object(object);
                }
            }
            (HeadKind::TopDownPose, Some(id)) => {
                for detection in output.detections.into_iter().take(1) {
                    add_top_down(record, model, settings.attach, id, detection);
                }
            }
        }
    }
}

/// Adds to tracked objects that the model didn't run on in this frame what it said of them before. `ran_on` are the regions
/// that it ran on.
pub fn add_kept(record: &mut Record, model: &Opened, settings: &Resolved, ran_on: &[Region]) {
    if !settings.by_object || model.tracks.is_empty() {
        return;
    }
    for object in record.objects.iter_mut().filter(|object| is_wanted(settings, &object.label)) {
        let ran = ran_on.iter().any(|region| region.object == Some(object.id));
        let kept = object.track_id.filter(|_| !ran).and_then(|track| model.tracks.of(track));
        if let Some(kept) = kept {
            kept.add_to_object(object);
        }
    }
}

/// Adds the keypoints found in the box of a person that was detected earlier.
fn add_top_down(record: &mut Record, model: &Opened, attach: Attach, id: u32, detection: Detection) {
    let pose = object(model, detection, Some(id));
    let person = record.objects.iter_mut().find(|o| o.id == id && o.keypoints.is_none());
    match person {
        Some(person) if attach == Attach::Match => person.keypoints = pose.keypoints,
        _ => {
            record.push(pose);
        }
    }
}

fn object(model: &Opened, detection: Detection, parent: Option<u32>) -> Object {
    let Detection { rect, oriented, class_id, confidence, keypoints, mask, .. } = detection;
    let keypoints = model.keypoints.as_ref().map(|layout| KeypointSet {
        source: model.id,
        layout: layout.clone(),
        points: keypoints,
    });
    let (label, source) = (model.label(class_id), model.id);
    let class_id = Some(class_id);
    Object { rect, oriented, class_id, label, confidence, source, parent, keypoints, mask, ..Object::default() }
}
