//! Models whose outputs are final objects, in three tensors: `labels` `[B, N]`, `boxes` `[B, N, 4]`, `scores` `[B, N]`.

use super::super::nms::rank;
use super::super::{Detection, Labels, Params};
use super::anchors::{output, unexpected};
use super::{BoxCoding, DecodePlan, Head, HeadError, HeadKind, Outputs};

/// Class number, box and confidence 0–1 of each object. NMS isn't needed; the results are sorted by confidence and
/// limited to `max_detections`.
#[derive(Debug)]
pub(super) struct Split {
    pub(super) name: &'static str,
    /// Indices of the outputs.
    pub(super) labels_at: usize,
    pub(super) boxes_at: usize,
    pub(super) scores_at: usize,
    pub(super) coding: BoxCoding,
    pub(super) labels: Labels,
    /// Whether the file specifies the number of classes.
    pub(super) counted: bool,
}

impl Head for Split {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> HeadKind {
        HeadKind::Detection
    }

    fn classes(&self) -> usize {
        self.labels.len()
    }

    fn class_count(&self) -> Option<usize> {
        self.counted.then(|| self.classes())
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn needs_nms(&self) -> bool {
        false
    }

    fn plan(&self) -> Option<DecodePlan> {
        let &Self { labels_at: labels, boxes_at: boxes, scores_at: scores, coding, .. } = self;
        Some(DecodePlan::Split { labels, boxes, scores, coding })
    }

    fn decode(&self, outputs: &Outputs<'_>, params: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError> {
        let boxes = output(self.name, outputs, self.boxes_at)?;
        let &[count, 4] = boxes.shape else {
            return Err(unexpected(self.name, self.boxes_at, &boxes, "[N, 4]"));
        };
        let list = |index| {
            let values = output(self.name, outputs, index)?;
            // A last dimension of 1 is that of exports that keep it.
            let fits = matches!(*values.shape, [n] | [n, 1] if n == count) && values.data.len() == count;
            if fits { Ok(values.data) } else { Err(unexpected(self.name, index, &values, &format!("[{count}]"))) }
        };
        let (classes, scores) = (list(self.labels_at)?, list(self.scores_at)?);
        let (corners, _) = boxes.data.as_chunks::<4>();
        found.extend(corners.iter().zip(classes).zip(scores).filter_map(|((&values, &class), &confidence)| {
            if !confidence.is_finite() || !class.is_finite() || class < 0.0 {
                return None;
            }
            let class_id = class.round() as u32;
            let passes = params.threshold(class_id).is_some_and(|threshold| confidence >= threshold);
            let rect = passes.then(|| self.coding.rect(values))??;
            Some(Detection { rect, class_id, confidence, ..Detection::default() })
        }));
        rank(found, params.max_detections);
        Ok(())
    }
}
