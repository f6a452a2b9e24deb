//! Keypoints of the only person in the input, each at the peak of its maps.

use super::super::{Detection, Keypoint, KeypointLayout, Labels, Params, Rect};
use super::anchors::{keypoint, output, unexpected};
use super::reading::Trust;
use super::recognise::{Found, InputStyle, ModelFacts};
use super::{DecodePlan, Head, HeadChoice, HeadError, HeadKind, Outputs, PeakMaps, PeakPlan, heatmap, simcc};
use std::sync::Arc;

/// Keypoints with at least this confidence count for the person's box. MoveNet's tutorial locates the person with the same
/// threshold.
const VISIBLE: f32 = 0.2;

/// The person with these keypoints, of which there is at least one. Its confidence is the mean of all, its box that around
/// those with a confidence of 0.2 or more; `None` with fewer than two of these, or below the threshold.
pub(super) fn person(keypoints: Vec<Keypoint>, params: &Params) -> Option<Detection> {
    let confidence = keypoints.iter().map(|k| k.confidence).sum::<f32>() / keypoints.len() as f32;
    let mut visible = keypoints.iter().filter(|k| k.confidence >= VISIBLE);
    let first = visible.next()?;
    let (mut x1, mut y1, mut x2, mut y2) = (first.x, first.y, first.x, first.y);
    for k in visible {
        (x1, y1, x2, y2) = (x1.min(k.x), y1.min(k.y), x2.max(k.x), y2.max(k.y));
    }
    let rect = Rect::from_corners(x1, y1, x2, y2);
    let passes = rect.area() > 0.0 && params.threshold(0).is_some_and(|threshold| confidence >= threshold);
    passes.then_some(Detection { rect, confidence, keypoints, ..Detection::default() })
}

/// A keypoint where a model's maps have their peak, `x` and `y` in places of the maps. The published decoders put one whose
/// peak isn't above 0 at -1, -1, and don't bound confidences, which may exceed 1 a little; here they are 0–1.
pub(super) fn peak(x: f32, y: f32, value: f32, [x_unit, y_unit]: [f32; 2]) -> Keypoint {
    let (x, y) = if value > 0.0 { (x, y) } else { (-1.0, -1.0) };
    let Keypoint { x, y, confidence } = keypoint(x * x_unit, y * y_unit, value);
    Keypoint { x, y, confidence: confidence.clamp(0.0, 1.0) }
}

/// The first of the greatest values; values that aren't numbers are left out.
pub(super) fn greatest(values: &[f32]) -> (usize, f32) {
    let better = |best: (usize, f32), next: (usize, f32)| if next.1 > best.1 { next } else { best };
    values.iter().copied().enumerate().fold((0, f32::NEG_INFINITY), better)
}

#[derive(Debug)]
struct TopDown {
    name: &'static str,
    plan: PeakPlan,
    labels: Labels,
    keypoints: Arc<KeypointLayout>,
}

/// The head with this plan.
///
/// # Errors
/// The outputs have more keypoints than any model's, or the input's size isn't known.
pub(super) fn found(
    seen: &ModelFacts<'_>,
    choice: HeadChoice,
    style: &InputStyle,
    plan: impl FnOnce([f32; 2]) -> PeakPlan,
) -> Result<Option<Found>, HeadError> {
    let name = choice.nick();
    let spec = seen.spec(name, style)?;
    let plan = plan([spec.width as f32, spec.height as f32]);
    let keypoints = seen.keypoint_layout(plan.keypoints)?;
    let head = TopDown { name, plan, labels: seen.labels(1, true)?, keypoints };
    Ok(Some((Arc::new(head), spec, Trust::Plausible)))
}

impl Head for TopDown {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> HeadKind {
        HeadKind::TopDownPose
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
        Some(DecodePlan::Peaks(self.plan.clone()))
    }

    fn decode(&self, outputs: &Outputs<'_>, params: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError> {
        let count = self.plan.keypoints;
        let keypoints = match self.plan.maps {
            PeakMaps::Axes { x, y } => {
                let rows = |index: usize| {
                    let output = output(self.name, outputs, index)?;
                    match *output.shape {
                        [found, length] if found == count && length > 0 && output.data.len() == found * length => {
                            Ok(output.data.chunks_exact(length))
                        }
                        _ => Err(unexpected(self.name, index, &output, &format!("[{count}, places]"))),
                    }
                };
                rows(x)?.zip(rows(y)?).map(|(x, y)| simcc::decode(x, y, self.plan.unit)).collect()
            }
            PeakMaps::Planes { output: index, refinement } => {
                let output = output(self.name, outputs, index)?;
                let &[found, rows, columns] = output.shape else {
                    return Err(unexpected(self.name, index, &output, &format!("[{count}, rows, columns]")));
                };
                let pixels = rows * columns;
                if found != count || pixels == 0 || output.data.len() != count * pixels {
                    return Err(unexpected(self.name, index, &output, &format!("[{count}, rows, columns]")));
                }
                let maps = output.data.chunks_exact(pixels);
                maps.map(|values| heatmap::decode(values, columns, refinement, self.plan.unit)).collect()
            }
        };
        found.extend(person(keypoints, params));
        Ok(())
    }
}
