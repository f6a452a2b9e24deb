//! RTMO and YOLOX-Pose as mmdeploy exports them: `dets` `[B, N, 5]` of x1, y1, x2, y2, score, and `keypoints` `[B, N, K, 3]` of
//! x, y, score, both in network pixels, after the export's own suppression.
//!
//! Sources: `rtmo_head.py` and `pose-detection_rtmo_onnxruntime_dynamic.py` of mmdeploy (3f8604b), `rtmo.py` of rtmlib
//! (2f36e3b) for the place of the picture, and mmpose's configurations (759b39c), whose models take BGR of 0–255.

use super::super::nms::rank;
use super::super::{Detection, KeypointLayout, Labels, Params, Rect};
use super::anchors::{keypoint, output, unexpected};
use super::reading::Trust;
use super::recognise::{Found, ModelFacts};
use super::yolox::YOLOX_STYLE;
use super::{DecodePlan, Head, HeadChoice, HeadError, HeadKind, Outputs};
use std::sync::Arc;

/// Values of a box: its corners and score.
const BOX: usize = 5;
/// Values of a keypoint.
const DIMS: usize = 3;

/// Persons, best first, at most `max_detections`.
#[derive(Debug)]
struct Rtmo {
    boxes: usize,
    points: usize,
    labels: Labels,
    keypoints: Arc<KeypointLayout>,
}

/// Recognises the outputs by their names and shapes.
///
/// # Errors
/// The input's size isn't known.
pub(super) fn recognise(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    let (Some(boxes), Some(points)) = (seen.output("dets"), seen.output("keypoints")) else { return Ok(None) };
    of_outputs(seen, boxes, points)
}

/// The outputs of these names, or else two in the exporter's order.
///
/// # Errors
/// As for [`recognise`].
pub(super) fn chosen(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    match recognise(seen)? {
        None if seen.model.outputs.len() == 2 => of_outputs(seen, 0, 1),
        found => Ok(found),
    }
}

fn of_outputs(seen: &ModelFacts<'_>, boxes: usize, points: usize) -> Result<Option<Found>, HeadError> {
    let count = match seen.model.outputs.get(points).map(|output| output.shape.as_slice()) {
        Some(&[_, _, count, 3]) => usize::try_from(count).unwrap_or(0),
        _ => 0,
    };
    if count == 0 || !matches!(seen.rows(boxes), Some([_, _, BOX])) {
        return Ok(None);
    }
    let spec = seen.spec(HeadChoice::Rtmo.nick(), &YOLOX_STYLE)?;
    let (labels, keypoints) = (seen.labels(1, true)?, seen.keypoint_layout(count)?);
    Ok(Some((Arc::new(Rtmo { boxes, points, labels, keypoints }), spec, Trust::Plausible)))
}

impl Head for Rtmo {
    fn name(&self) -> &'static str {
        HeadChoice::Rtmo.nick()
    }

    fn kind(&self) -> HeadKind {
        HeadKind::Pose
    }

    fn classes(&self) -> usize {
        1
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn keypoints(&self) -> Option<&Arc<KeypointLayout>> {
        Some(&self.keypoints)
    }

    fn needs_nms(&self) -> bool {
        false
    }

    fn plan(&self) -> Option<DecodePlan> {
        let &Self { boxes, points, .. } = self;
        Some(DecodePlan::Poses { boxes, points, keypoints: self.keypoints.names.len() })
    }

    fn decode(&self, outputs: &Outputs<'_>, params: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError> {
        let count = self.keypoints.names.len();
        let boxes = output(self.name(), outputs, self.boxes)?;
        let &[rows, BOX] = boxes.shape else { return Err(unexpected(self.name(), self.boxes, &boxes, "[N, 5]")) };
        let points = output(self.name(), outputs, self.points)?;
        let whole = boxes.data.len() == rows * BOX && points.data.len() == rows * count * DIMS;
        if !whole || points.shape != [rows, count, DIMS] {
            return Err(unexpected(self.name(), self.points, &points, &format!("[{rows}, {count}, {DIMS}]")));
        }
        let Some(threshold) = params.threshold(0) else { return Ok(()) };
        let rows = boxes.data.as_chunks::<BOX>().0.iter().zip(points.data.chunks_exact(count * DIMS));
        for (&[x1, y1, x2, y2, confidence], points) in rows {
            let finite = [x1, y1, x2, y2, confidence].iter().all(|value| value.is_finite());
            if finite && confidence >= threshold {
                let points = points.as_chunks::<DIMS>().0.iter();
                let keypoints = points.map(|&[x, y, confidence]| keypoint(x, y, confidence)).collect();
                let rect = Rect::from_corners(x1, y1, x2, y2);
                found.push(Detection { rect, confidence, keypoints, ..Detection::default() });
            }
        }
        rank(found, params.max_detections);
        Ok(())
    }
}
