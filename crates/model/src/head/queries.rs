//! DETRs that are exported without their postprocessing: boxes `[B, N, 4]` and logits `[B, N, columns]` of N queries, with
//! RF-DETR's segmentation models also masks `[B, N, height, width]`.
//!
//! Sources: `PostProcess` of Deformable DETR (arXiv 2010.04159), which RT-DETR, RF-DETR and D-FINE share, and that of DETR
//! (arXiv 2005.12872).

use super::super::nms::rank;
use super::super::{Detection, Labels, Params};
use super::anchors::{output, unexpected};
use super::exponential::exponential;
use super::{DecodePlan, Head, HeadError, HeadKind, MaskPlan, Outputs, QueryPlan, Selection};

/// NMS isn't needed; the results are sorted by confidence and limited to the number of queries and to
/// `max_detections`.
#[derive(Debug)]
pub(super) struct Queries {
    pub(super) name: &'static str,
    pub(super) plan: QueryPlan,
    pub(super) labels: Labels,
    pub(super) masks: Option<MaskPlan>,
}

impl Head for Queries {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> HeadKind {
        HeadKind::Detection
    }

    fn classes(&self) -> usize {
        self.plan.classes
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn needs_nms(&self) -> bool {
        false
    }

    fn plan(&self) -> Option<DecodePlan> {
        Some(DecodePlan::Queries(self.plan.clone()))
    }

    fn masks(&self) -> Option<MaskPlan> {
        self.masks
    }

    fn decode(&self, outputs: &Outputs<'_>, params: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError> {
        let plan = &self.plan;
        let boxes = output(self.name, outputs, plan.boxes)?;
        let &[count, 4] = boxes.shape else {
            return Err(unexpected(self.name, plan.boxes, &boxes, "[N, 4]"));
        };
        let logits = output(self.name, outputs, plan.logits)?;
        if logits.shape != [count, plan.columns] || logits.data.len() != count * plan.columns {
            return Err(unexpected(self.name, plan.logits, &logits, &format!("[{count}, {}]", plan.columns)));
        }
        let (corners, _) = boxes.data.as_chunks::<4>();
        let mut keep = |query: usize, class: usize, confidence: f32| {
            let passes = params.threshold(class as u32).is_some_and(|threshold| confidence >= threshold);
            if let (true, Some(&values)) = (passes, corners.get(query))
                && let Some(rect) = plan.coding.rect(values)
            {
                let (class_id, row) = (class as u32, self.masks.map_or(0, |_| query as u32));
                found.push(Detection { rect, class_id, confidence, row, ..Detection::default() });
            }
        };
        let rows = logits.data.chunks_exact(plan.columns.max(1)).enumerate();
        match plan.selection {
            Selection::AcrossClasses => {
                for (query, row) in rows {
                    for (class, &logit) in row.iter().take(plan.classes).enumerate() {
                        keep(query, class, sigmoid(logit));
                    }
                }
            }
            Selection::PerQuery => {
                for (query, row) in rows {
                    if let Some((class, confidence)) = best_by_softmax(row, plan.classes) {
                        keep(query, class, confidence);
                    }
                }
            }
        }
        rank(found, params.max_detections.min(count));
        Ok(())
    }
}

/// NaN for NaN, which passes no threshold.
pub(super) fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + exponential(-logit))
}

/// The best of the first `classes` of a row's logits, and its share of the softmax over the whole row.
fn best_by_softmax(row: &[f32], classes: usize) -> Option<(usize, f32)> {
    let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = row.iter().map(|logit| exponential(logit - greatest)).sum();
    let classes = row.iter().take(classes).enumerate();
    let (class, &best) = classes.reduce(|best, other| if other.1 > best.1 { other } else { best })?;
    Some((class, exponential(best - greatest) / sum))
}
