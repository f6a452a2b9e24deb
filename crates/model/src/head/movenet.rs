//! MoveNet: keypoints of one person, `[1, 1, 17, 3]`, or of up to six, `[1, 6, 56]`.
//!
//! Sources: the model cards of MoveNet SinglePose and MultiPose on TensorFlow Hub. Input: RGB 0–255 as int32,
//! `[1, height, width, 3]`, resized with its aspect ratio and padded with black. Output coordinates are 0–1 over that
//! input, y before x.

use super::super::nms::rank;
use super::super::{Detection, InputSpec, KeypointLayout, Labels, Layout, Normalization, Params, Rect, Resize};
use super::anchors::{keypoint, output, unexpected};
use super::reading::Trust;
use super::recognise::{Found, InputStyle, ModelFacts};
use super::top_down::person;
use super::{DecodePlan, Head, HeadError, HeadKind, Outputs};
use std::sync::Arc;

const KEYPOINTS: usize = 17;
/// Values per keypoint: y, x, score.
const DIMS: usize = 3;
/// Values per person of the multi-pose model: the keypoints, then y min, x min, y max, x max, score.
const PERSON: usize = KEYPOINTS * DIMS + 5;
const STYLE: InputStyle = InputStyle {
    normalization: Some(Normalization::NONE),
    bgr: false,
    resize: Resize::LETTERBOX,
    pad: 0,
    // The multi-pose model accepts any multiple of 32; its card recommends 256 for the longer side.
    default_size: Some((256, 256)),
};

/// The common part of both models.
#[derive(Debug)]
struct MoveNet {
    output: usize,
    labels: Labels,
    keypoints: Arc<KeypointLayout>,
    /// Size of the input in pixels.
    width: f32,
    height: f32,
}

impl MoveNet {
    fn new(output: usize, spec: &InputSpec) -> Self {
        Self {
            output,
            labels: Labels::built_in(1, true),
            keypoints: KeypointLayout::coco17(),
            width: spec.width as f32,
            height: spec.height as f32,
        }
    }

    fn plan(&self, many: bool) -> Option<DecodePlan> {
        Some(DecodePlan::Persons { output: self.output, many, width: self.width, height: self.height })
    }

    fn points(&self, values: &[f32]) -> Vec<super::super::Keypoint> {
        let (points, _) = values.as_chunks::<DIMS>();
        points.iter().map(|&[y, x, score]| keypoint(x * self.width, y * self.height, score)).collect()
    }
}

/// The single-pose models, Lightning and Thunder, for one person in the input.
///
/// They return neither a score nor a box for the person: see [`person`].
#[derive(Debug)]
struct SinglePose(MoveNet);

/// The multi-pose model: up to six persons, each with a box and a score.
#[derive(Debug)]
struct MultiPose(MoveNet);

/// Recognises both models by their NHWC input, which no other head with these outputs has. They have no metadata.
///
/// # Errors
/// The input isn't one that MoveNet can have.
pub(super) fn recognise(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    if seen.input.layout != Some(Layout::Nhwc) || seen.metadata.is_ultralytics() {
        return Ok(None);
    }
    let found = single(seen)?;
    if found.is_some() { Ok(found) } else { multi(seen) }
}

/// # Errors
/// As for [`recognise`].
pub(super) fn single(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    let [output] = seen.model.outputs.as_slice() else { return Ok(None) };
    if !matches!(*output.shape, [_, 1, 17, 3]) {
        return Ok(None);
    }
    let spec = seen.spec("movenet", &InputStyle { default_size: None, ..STYLE })?;
    Ok(Some((Arc::new(SinglePose(MoveNet::new(0, &spec))), spec, Trust::Vouched)))
}

/// # Errors
/// As for [`recognise`].
pub(super) fn multi(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    let [output] = seen.model.outputs.as_slice() else { return Ok(None) };
    if !matches!(*output.shape, [_, 6, 56]) {
        return Ok(None);
    }
    let spec = seen.spec("movenet-multipose", &STYLE)?;
    Ok(Some((Arc::new(MultiPose(MoveNet::new(0, &spec))), spec, Trust::Vouched)))
}

impl Head for SinglePose {
    fn name(&self) -> &'static str {
        "movenet"
    }

    fn kind(&self) -> HeadKind {
        HeadKind::TopDownPose
    }

    fn classes(&self) -> usize {
        1
    }

    fn labels(&self) -> &Labels {
        &self.0.labels
    }

    fn keypoints(&self) -> Option<&Arc<KeypointLayout>> {
        Some(&self.0.keypoints)
    }

    fn needs_nms(&self) -> bool {
        false
    }

    fn plan(&self) -> Option<DecodePlan> {
        self.0.plan(false)
    }

    fn decode(&self, outputs: &Outputs<'_>, params: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError> {
        let output = output(self.name(), outputs, self.0.output)?;
        if output.data.len() != KEYPOINTS * DIMS {
            return Err(unexpected(self.name(), self.0.output, &output, "[1, 17, 3]"));
        }
        found.extend(person(self.0.points(output.data), params));
        Ok(())
    }
}

impl Head for MultiPose {
    fn name(&self) -> &'static str {
        "movenet-multipose"
    }

    fn kind(&self) -> HeadKind {
        HeadKind::Pose
    }

    fn classes(&self) -> usize {
        1
    }

    fn labels(&self) -> &Labels {
        &self.0.labels
    }

    fn keypoints(&self) -> Option<&Arc<KeypointLayout>> {
        Some(&self.0.keypoints)
    }

    fn needs_nms(&self) -> bool {
        false
    }

    fn plan(&self) -> Option<DecodePlan> {
        self.0.plan(true)
    }

    fn decode(&self, outputs: &Outputs<'_>, params: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError> {
        let output = output(self.name(), outputs, self.0.output)?;
        if !matches!(*output.shape, [persons, PERSON] if output.data.len() == persons * PERSON) {
            return Err(unexpected(self.name(), self.0.output, &output, "[6, 56]"));
        }
        let Some(threshold) = params.threshold(0) else { return Ok(()) };
        let (w, h) = (self.0.width, self.0.height);
        for person in output.data.as_chunks::<PERSON>().0 {
            let Some((points, &[y1, x1, y2, x2, confidence])) = person.split_last_chunk() else { continue };
            let finite = [x1, y1, x2, y2, confidence].iter().all(|v| v.is_finite());
            if finite && confidence >= threshold {
                let rect = Rect::from_corners(x1 * w, y1 * h, x2 * w, y2 * h);
                found.push(Detection { rect, confidence, keypoints: self.0.points(points), ..Detection::default() });
            }
        }
        rank(found, params.max_detections);
        Ok(())
    }
}
