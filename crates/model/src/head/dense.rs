//! Dense detectors whose boxes and scores are columns of any outputs: YOLOX, YOLOv5, PP-YOLOE, DAMO-YOLO, LibreYOLO's
//! exports, and YOLO with masks.

use super::super::nms::rank;
use super::super::{Detection, Labels, Params, Rect};
use super::anchors::unexpected;
use super::exponential::exponential;
use super::scores::Scores;
use super::{Columns, DecodePlan, DensePlan, Head, HeadError, HeadKind, MaskPlan, Outputs};

/// Anchors, as [`DensePlan`] describes them.
#[derive(Debug)]
pub(super) struct Dense {
    pub(super) name: &'static str,
    pub(super) plan: DensePlan,
    pub(super) labels: Labels,
    /// Whether NMS is needed. Otherwise the results are sorted by confidence and limited to `max_detections`.
    pub(super) suppress: bool,
    pub(super) masks: Option<MaskPlan>,
}

/// Columns of one image's output.
#[derive(Debug, Clone, Copy)]
pub(super) struct ColumnsView<'a> {
    data: &'a [f32],
    columns: Columns,
    pub(super) anchors: usize,
}

impl Columns {
    /// Columns of an output `[anchors, channels]`.
    pub(super) fn of_rows(output: usize, first: usize, channels: usize) -> Self {
        Self { output, channels_first: false, first, channels }
    }

    /// Columns of an output `[channels, anchors]`.
    pub(super) fn of_channels(output: usize, first: usize, channels: usize) -> Self {
        Self { output, channels_first: true, first, channels }
    }

    /// `None` if the output is missing or has another shape.
    pub(super) fn view<'a>(&self, outputs: &Outputs<'a>) -> Option<ColumnsView<'a>> {
        let output = outputs.get(self.output)?;
        let &[a, b] = output.shape else { return None };
        let (channels, anchors) = if self.channels_first { (a, b) } else { (b, a) };
        let fits = channels == self.channels && output.data.len() == channels * anchors;
        fits.then_some(ColumnsView { data: output.data, columns: *self, anchors })
    }
}

impl<'a> ColumnsView<'a> {
    /// NaN if there is no such value.
    pub(super) fn value(&self, column: usize, anchor: usize) -> f32 {
        let Columns { channels_first, first, channels, .. } = self.columns;
        let channel = first + column;
        let at = if channels_first { channel * self.anchors + anchor } else { anchor * channels + channel };
        self.data.get(at).copied().unwrap_or(f32::NAN)
    }

    pub(super) fn four(&self, anchor: usize) -> [f32; 4] {
        [0, 1, 2, 3].map(|column| self.value(column, anchor))
    }

    fn scores(&self, classes: usize) -> Scores<'a> {
        let Columns { channels_first, first, channels, .. } = self.columns;
        if channels_first {
            let rows = self.data.get(first * self.anchors..(first + classes) * self.anchors).unwrap_or_default();
            Scores::ClassMajor { rows, anchors: self.anchors }
        } else {
            Scores::AnchorMajor { values: self.data, channels, first, classes }
        }
    }
}

impl Dense {
    fn view<'a>(&self, columns: &Columns, outputs: &Outputs<'a>) -> Result<ColumnsView<'a>, HeadError> {
        let output = super::anchors::output(self.name, outputs, columns.output)?;
        columns.view(outputs).ok_or_else(|| {
            let channels = columns.channels;
            let wanted = if columns.channels_first { format!("[{channels}, N]") } else { format!("[N, {channels}]") };
            unexpected(self.name, columns.output, &output, &wanted)
        })
    }

    /// The box of an anchor, in network pixels; `None` if it isn't finite.
    fn rect(&self, boxes: &ColumnsView<'_>, anchor: usize) -> Option<Rect> {
        let values = boxes.four(anchor);
        if self.plan.grid.is_empty() {
            return self.plan.coding.rect(values);
        }
        let mut cell = anchor;
        for level in &self.plan.grid {
            if cell < level.cells {
                let stride = level.stride as f32;
                let [x, y, w, h] = values;
                let (column, row) = ((cell % level.columns) as f32, (cell / level.columns) as f32);
                let values =
                    [(x + column) * stride, (y + row) * stride, exponential(w) * stride, exponential(h) * stride];
                return self.plan.coding.rect(values);
            }
            cell -= level.cells;
        }
        None
    }
}

impl Head for Dense {
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
        self.suppress
    }

    fn plan(&self) -> Option<DecodePlan> {
        Some(DecodePlan::Dense(self.plan.clone()))
    }

    fn masks(&self) -> Option<MaskPlan> {
        self.masks
    }

    fn decode(&self, outputs: &Outputs<'_>, params: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError> {
        let plan = &self.plan;
        let (boxes, scores) = (self.view(&plan.boxes, outputs)?, self.view(&plan.scores, outputs)?);
        let objectness = plan.objectness.map(|columns| self.view(&columns, outputs)).transpose()?;
        let anchors = boxes.anchors;
        let cells = if plan.grid.is_empty() { anchors } else { plan.grid.iter().map(|level| level.cells).sum() };
        let others = [Some(scores.anchors), objectness.map(|view| view.anchors), Some(cells)];
        if let Some(other) = others.into_iter().flatten().find(|&other| other != anchors) {
            return Err(HeadError::Shape(format!(
                "head {}: {anchors} boxes, but {other} scores or cells of the grid",
                self.name
            )));
        }
        let row = |anchor: usize| self.masks.map_or(0, |_| anchor as u32);
        scores.scores(plan.classes).for_each_label(params, plan.multi_label, |anchor, class_id, score| {
            // The objectness is at most 1, so that no anchor passes whose score alone doesn't.
            let confidence = score * objectness.map_or(1.0, |view| view.value(0, anchor));
            let passes = params.threshold(class_id).is_some_and(|threshold| confidence >= threshold);
            if let (true, Some(rect)) = (passes, self.rect(&boxes, anchor)) {
                found.push(Detection { rect, class_id, confidence, row: row(anchor), ..Detection::default() });
            }
        });
        if !self.suppress {
            rank(found, params.max_detections);
        }
        Ok(())
    }
}
