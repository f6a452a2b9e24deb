//! Verification of a recognised head by the outputs of a run on an empty picture.
//!
//! Shapes alone don't distinguish heads: `[1, 20, 8400]` may be 16 classes, one class and 5 keypoints, or 15 classes
//! and an angle. Values do: scores are 0 to 1, boxes are in pixels, and in an empty picture hardly any anchor has an
//! object.

use super::super::Params;
use super::queries::sigmoid;
use super::{
    BoxCoding, BoxForm, ClassPlan, DecodeLevel, DecodePlan, DensePlan, Head, HeadError, OrientedForm, Output, Outputs,
    PeakMaps, PeakPlan, QueryPlan, Scale, Selection,
};
use crate::confidence;

/// How certain the head is before the model has been run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The exporter's metadata states it, or no other model has these shapes.
    Vouched,
    /// Names or shapes fit this head, or the user chose it.
    Plausible,
    /// Several heads have these shapes, so the values must decide.
    Open,
}

/// How a model's outputs are interpreted, and the alternatives.
#[derive(Debug, Clone)]
pub struct Reading {
    /// How certain the head is.
    pub trust: Trust,
    /// The text added to errors: the model's tensors, the alternatives, and how to choose one.
    pub(super) otherwise: String,
}

/// The conclusion from the values.
#[derive(Debug, PartialEq)]
enum Evidence {
    /// There is too little evidence.
    Nothing,
    Fits,
    Contradicts(String),
}

/// The score from which an anchor counts as an object in an empty picture.
const OBJECT: f32 = 0.25;
/// The minimum number of boxes for a conclusion.
const LEAST_BOXES: usize = 8;
const TURNED: &str = "the right and lower edges of most boxes are left of and above their others";
/// In strides; the centre of a box that is relative to its cell is hardly ever farther from it.
const FAR_FROM_CELL: f32 = 8.0;
/// A query's box may exceed the picture, but not often by its size.
const FRACTIONS_AT_MOST: f32 = 2.0;
/// No model turns a box farther than this, in radians; YOLO26's angles aren't limited.
const TURNS: f32 = 4.0 * std::f32::consts::PI;
/// Scores of an empty picture are hardly ever above this.
const SCORE: f32 = 0.01;
/// If all coordinates are at most this, they are fractions: an input has hundreds of pixels.
const FRACTION: f32 = 1.01;

impl Reading {
    /// Why the head isn't certain, and the alternatives; `None` if the file states it.
    pub fn doubt(&self) -> Option<&str> {
        (self.trust != Trust::Vouched).then_some(self.otherwise.as_str())
    }

    /// The error for outputs that contradict the head while frames are processed; `what` is the contradiction.
    pub fn at_run_time(&self, name: &str, what: &str) -> String {
        format!("its outputs aren't those of a {name} head: {what}, and confidences are 0-1\n{}", self.otherwise)
    }

    /// Checks the outputs for one empty picture, which have these names: that they are numbers, that the head can decode them,
    /// masks included, and that its plan fits their values.
    ///
    /// # Errors
    /// They are not those of the head.
    pub fn examine<'a>(
        &self,
        head: &dyn Head,
        outputs: &Outputs<'_>,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), HeadError> {
        self.check_numbers(outputs, names)?;
        head.decode(outputs, &Params::default(), &mut Vec::new())?;
        if let Some(masks) = head.masks() {
            masks.add(head.name(), outputs, &mut [])?;
        }
        head.plan().map_or(Ok(()), |plan| self.check(head.name(), &plan, outputs))
    }

    /// Checks that the outputs for one empty picture, which have these names, are numbers.
    ///
    /// # Errors
    /// An output has a NaN: the weights are damaged, or a value exceeds the range of FP16.
    fn check_numbers<'a>(
        &self,
        outputs: &Outputs<'_>,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), HeadError> {
        match outputs.iter().zip(names).find(|(output, _)| output.data.iter().any(|value| value.is_nan())) {
            None => Ok(()),
            Some((_, name)) => Err(HeadError::Unknown(format!(
                "its output {name} has values that aren't numbers (NaN), already for an empty picture: its weights are \
                 damaged, or FP16 can't hold its values (`gst-trt build --verify CLIP --mixed` finds where)"
            ))),
        }
    }

    /// Checks the outputs for one empty picture against the head's plan.
    ///
    /// # Errors
    /// The outputs contradict the head `name`, or don't confirm it although nothing else does.
    pub(super) fn check(&self, name: &str, plan: &DecodePlan, outputs: &Outputs<'_>) -> Result<(), HeadError> {
        let wrong = |what: &str| Err(HeadError::Unknown(format!("{what}\n{}", self.otherwise)));
        match look(plan, outputs, self.trust != Trust::Vouched) {
            Evidence::Contradicts(why) => wrong(&format!("its outputs aren't those of a {name} head: {why}")),
            Evidence::Nothing if self.trust == Trust::Open => wrong(&format!(
                "whether it has a {name} head can't be told: the file doesn't say it, several models have this shape, and \
                 its outputs for an empty picture are empty"
            )),
            Evidence::Nothing | Evidence::Fits => Ok(()),
        }
    }
}

/// `strict`: only the values can confirm the head.
fn look(plan: &DecodePlan, outputs: &Outputs<'_>, strict: bool) -> Evidence {
    let evidence = match plan {
        &DecodePlan::Anchors { output, channels_first, classes, keypoints } => {
            outputs.get(output).and_then(|output| Table::new(output, channels_first)).map(|table| {
                let last = 4 + classes + keypoints.map_or(0, |(count, dims)| count * dims);
                if table.channels == last { anchors(&table, classes, keypoints, strict) } else { Evidence::Nothing }
            })
        }
        &DecodePlan::Objects { output, coding, keypoints } => outputs
            .get(output)
            .and_then(|output| Table::new(output, false))
            .filter(|table| table.channels >= 6)
            .map(|table| objects(&table, coding, keypoints, strict)),
        &DecodePlan::Oriented { output, form } => outputs.get(output).and_then(|output| oriented(output, form, strict)),
        &DecodePlan::Split { labels, boxes, scores, coding } => [labels, boxes, scores]
            .iter()
            .all(|&index| index < outputs.len())
            .then(|| split(outputs, [labels, boxes, scores], coding)),
        DecodePlan::Queries(plan) => queries(plan, outputs),
        DecodePlan::Dense(plan) => dense(plan, outputs, strict),
        DecodePlan::Distributions { classes, levels, .. } => Some(distributions(outputs, *classes, levels)),
        &DecodePlan::Poses { boxes, points, .. } => match (outputs.get(boxes), outputs.get(points)) {
            (Some(boxes), Some(points)) => Some(poses(boxes, points)),
            _ => None,
        },
        DecodePlan::Peaks(plan) => peaks(plan, outputs),
        &DecodePlan::Persons { output, many, .. } => outputs.get(output).map(|output| persons(output, many)),
        DecodePlan::Classes(plan) => outputs.get(plan.output).map(|output| classes(plan, output)),
        // Any values are an embedding.
        DecodePlan::Embedding { .. } => Some(Evidence::Fits),
    };
    evidence.unwrap_or(Evidence::Nothing)
}

/// A two-dimensional output.
struct Table<'a> {
    data: &'a [f32],
    channels: usize,
    anchors: usize,
    channels_first: bool,
}

impl<'a> Table<'a> {
    /// `None` if it has another number of dimensions.
    fn new(output: &Output<'a>, channels_first: bool) -> Option<Self> {
        let &[a, b] = output.shape else { return None };
        let (channels, anchors) = if channels_first { (a, b) } else { (b, a) };
        (output.data.len() == a * b).then_some(Self { data: output.data, channels, anchors, channels_first })
    }

    /// NaN if there is no such value.
    fn value(&self, channel: usize, anchor: usize) -> f32 {
        let at = if self.channels_first { channel * self.anchors + anchor } else { anchor * self.channels + channel };
        self.data.get(at).copied().unwrap_or(f32::NAN)
    }

    /// The first four values; `None` if all are 0 or one isn't finite.
    fn corners(&self, anchor: usize) -> Option<[f32; 4]> {
        let values = [0, 1, 2, 3].map(|channel| self.value(channel, anchor));
        (values.iter().all(|v| v.is_finite()) && values != [0.0; 4]).then_some(values)
    }

    /// The first value of a channel that can't be a confidence.
    fn no_confidence(&self, channel: usize) -> Option<f32> {
        (0..self.anchors).map(|anchor| self.value(channel, anchor)).find(|&value| no_confidence(value))
    }
}

/// Values that aren't finite are ignored: FP16 overflows to them.
fn no_confidence(value: f32) -> bool {
    value.is_finite() && !confidence::is_one(value)
}

fn score(class: usize, value: f32) -> Evidence {
    let logit = if value < 0.0 { ", unlike logits and coordinates" } else { "" };
    Evidence::Contradicts(format!(
        "class {class} has a score of {value} for an empty picture, and scores are 0-1{logit}"
    ))
}

const FRACTIONS: &str = "the boxes' coordinates are all between 0 and 1, where pixels are due";

fn anchors(table: &Table<'_>, classes: usize, keypoints: Option<(usize, usize)>, strict: bool) -> Evidence {
    let boxes: Vec<(usize, [f32; 4])> =
        (0..table.anchors).filter_map(|anchor| table.corners(anchor).map(|values| (anchor, values))).collect();
    for class in 0..classes {
        if let Some(value) = table.no_confidence(4 + class) {
            return score(class, value);
        }
        let objects = boxes.iter().filter(|(anchor, _)| table.value(4 + class, *anchor) >= OBJECT).count();
        if strict && boxes.len() >= LEAST_BOXES && 2 * objects > boxes.len() {
            return Evidence::Contradicts(format!(
                "class {class} is found in {objects} of {} places of an empty picture",
                boxes.len()
            ));
        }
    }
    let (count, dims) = keypoints.unwrap_or_default();
    for k in 0..count {
        let at = 4 + classes + k * dims;
        if let Some(value) = (dims > 2).then(|| table.no_confidence(at + 2)).flatten() {
            return Evidence::Contradicts(format!("keypoint {k} has a confidence of {value}, and those are 0-1"));
        }
    }
    if boxes.is_empty() {
        return Evidence::Nothing;
    }
    if boxes.iter().all(|(_, values)| values.iter().all(|v| v.abs() <= FRACTION)) {
        return Evidence::Contradicts(FRACTIONS.into());
    }
    if !strict || boxes.len() < LEAST_BOXES || 2 * boxes.len() < table.anchors {
        return Evidence::Fits;
    }
    let share = |what: fn(&[f32; 4]) -> bool| boxes.iter().filter(|(_, values)| what(values)).count();
    if 2 * share(|[_, _, w, h]| *w < 0.0 || *h < 0.0) > boxes.len() {
        return Evidence::Contradicts("most of its boxes have a negative size".into());
    }
    if share(|[x, y, w, h]| w > x && h > y) == boxes.len() {
        return Evidence::Contradicts("its boxes are corners x1, y1, x2, y2, where centre and size are due".into());
    }
    let inside = |k: usize, anchor: usize| {
        [0, 1].into_iter().all(|i| table.value(4 + classes + k * dims + i, anchor).abs() <= FRACTION)
    };
    if count > 0 && boxes.iter().all(|(anchor, _)| (0..count).all(|k| inside(k, *anchor))) {
        return Evidence::Contradicts("its keypoints all lie within one pixel".into());
    }
    Evidence::Fits
}

fn objects(table: &Table<'_>, coding: BoxCoding, keypoints: Option<(usize, usize)>, strict: bool) -> Evidence {
    if let Some(value) = table.no_confidence(4) {
        return Evidence::Contradicts(format!("a row has a score of {value}, and scores are 0-1"));
    }
    let (count, dims) = keypoints.unwrap_or_default();
    for k in (0..count).filter(|_| dims > 2) {
        if let Some(value) = table.no_confidence(6 + k * dims + 2) {
            return Evidence::Contradicts(format!("keypoint {k} has a confidence of {value}, and those are 0-1"));
        }
    }
    let rows: Vec<(usize, [f32; 4])> =
        (0..table.anchors).filter_map(|row| table.corners(row).map(|values| (row, values))).collect();
    if rows.is_empty() {
        return Evidence::Nothing;
    }
    let odd = rows.iter().map(|(row, _)| table.value(5, *row)).find(|class| (class - class.round()).abs() > 0.01);
    if let Some(class) = odd {
        return Evidence::Contradicts(format!("a row has the class {class}, and classes are whole numbers"));
    }
    let values: Vec<[f32; 4]> = rows.iter().map(|(_, values)| *values).collect();
    if let Some(why) = other_unit(&values, coding) {
        return Evidence::Contradicts(why);
    }
    let turned = rows.iter().filter(|(_, [x1, y1, x2, y2])| x2 < x1 || y2 < y1).count();
    if strict && coding.form == BoxForm::Corners && 2 * turned > rows.len() {
        return Evidence::Contradicts(TURNED.into());
    }
    Evidence::Fits
}

/// Boxes with a direction are checked as others are, and their angles too.
fn oriented(output: &Output<'_>, form: OrientedForm, strict: bool) -> Option<Evidence> {
    let (channels_first, angle) = match form {
        OrientedForm::Anchors { channels_first, classes } => (channels_first, 4 + classes),
        OrientedForm::Rows => (false, 6),
    };
    let table = Table::new(output, channels_first).filter(|table| table.channels == angle + 1)?;
    let evidence = match form {
        OrientedForm::Anchors { classes, .. } => anchors(&table, classes, None, strict),
        OrientedForm::Rows => objects(&table, BoxCoding::CENTRE, None, strict),
    };
    let angles = (0..table.anchors).map(|anchor| table.value(angle, anchor)).filter(|value| value.is_finite());
    if evidence != Evidence::Fits {
        return Some(evidence);
    }
    if let Some(value) = angles.clone().find(|value| value.abs() > TURNS) {
        return Some(Evidence::Contradicts(format!("a box has an angle of {value}, and those are radians")));
    }
    // In an empty picture a class has scores next to 0 everywhere, but no direction is so exact unless all boxes have it.
    let (least, most) = angles.fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), value| (a.min(value), b.max(value)));
    if strict && least >= 0.0 && most > least && most < SCORE {
        return Some(Evidence::Contradicts(format!(
            "all its angles are between {least} and {most}, as the scores of a class are"
        )));
    }
    Some(Evidence::Fits)
}

/// Why the values of boxes can't have this unit.
fn other_unit(boxes: &[[f32; 4]], coding: BoxCoding) -> Option<String> {
    let within = |limit: f32| boxes.iter().flatten().filter(|value| value.abs() <= limit).count();
    let all = 4 * boxes.len();
    if coding.is_pixels() {
        (all > 0 && within(FRACTION) == all)
            .then(|| format!("{FRACTIONS}; for RT-DETR as Ultralytics exports it, set head=ultralytics-rt-detr"))
    } else {
        (2 * within(FRACTIONS_AT_MOST) < all)
            .then(|| "most of the boxes' coordinates are pixels, where 0-1 is due".into())
    }
}

fn split(outputs: &Outputs<'_>, [labels, boxes, scores]: [usize; 3], coding: BoxCoding) -> Evidence {
    let data = |index: usize| outputs.get(index).map_or(&[][..], |output| output.data);
    if let Some(value) = data(scores).iter().find(|&&value| no_confidence(value)) {
        return Evidence::Contradicts(format!("an object has a score of {value}, and scores are 0-1"));
    }
    if let Some(class) = data(labels).iter().find(|class| (*class - class.round()).abs() > 0.01 || **class < 0.0) {
        return Evidence::Contradicts(format!(
            "an object has the class {class}, and classes are whole numbers from 0 on"
        ));
    }
    let (boxes, _) = data(boxes).as_chunks::<4>();
    let boxes: Vec<_> = boxes.iter().copied().filter(|b| b.iter().all(|v| v.is_finite()) && *b != [0.0; 4]).collect();
    if boxes.is_empty() {
        return Evidence::Nothing;
    }
    if let Some(why) = other_unit(&boxes, coding) {
        return Evidence::Contradicts(why);
    }
    let turned = boxes.iter().filter(|[x1, y1, x2, y2]| x2 < x1 || y2 < y1).count();
    if 2 * turned > boxes.len() {
        return Evidence::Contradicts(TURNED.into());
    }
    Evidence::Fits
}

fn queries(plan: &QueryPlan, outputs: &Outputs<'_>) -> Option<Evidence> {
    let (boxes, logits) = (outputs.get(plan.boxes)?, outputs.get(plan.logits)?);
    let (boxes, _) = boxes.data.as_chunks::<4>();
    let finite: Vec<_> = boxes.iter().copied().filter(|values| values.iter().all(|value| value.is_finite())).collect();
    if finite.is_empty() || logits.data.is_empty() {
        return None;
    }
    if let Some(why) = other_unit(&finite, plan.coding) {
        return Some(Evidence::Contradicts(why));
    }
    if logits.data.iter().all(|&value| confidence::is_one(value)) {
        let why = "the scores of an empty picture are all between 0 and 1, where logits are due";
        return Some(Evidence::Contradicts(why.into()));
    }
    if plan.selection == Selection::PerQuery {
        return Some(Evidence::Fits);
    }
    // A column for "no object" is that of almost every query.
    for class in 0..plan.classes {
        let found = logits
            .data
            .chunks_exact(plan.columns.max(1))
            .filter(|row| row.get(class).is_some_and(|&logit| sigmoid(logit) >= OBJECT));
        let found = found.count();
        if finite.len() >= LEAST_BOXES && 2 * found > finite.len() {
            return Some(Evidence::Contradicts(format!(
                "class {class} is found in {found} of {} queries of an empty picture",
                finite.len()
            )));
        }
    }
    Some(Evidence::Fits)
}

fn dense(plan: &DensePlan, outputs: &Outputs<'_>, strict: bool) -> Option<Evidence> {
    let (boxes, scores) = (plan.boxes.view(outputs)?, plan.scores.view(outputs)?);
    let objectness = plan.objectness.map(|columns| columns.view(outputs));
    let objectness = match objectness {
        Some(view) => Some(view?),
        None => None,
    };
    let values: Vec<(usize, [f32; 4])> = (0..boxes.anchors)
        .map(|anchor| (anchor, boxes.four(anchor)))
        .filter(|(_, values)| values.iter().all(|value| value.is_finite()) && *values != [0.0; 4])
        .collect();
    if let Some(view) = objectness
        && let Some(value) = (0..view.anchors).map(|anchor| view.value(0, anchor)).find(|&value| no_confidence(value))
    {
        return Some(Evidence::Contradicts(format!("an anchor has an objectness of {value}, and that is 0-1")));
    }
    for class in 0..plan.classes {
        let score_at = |anchor: usize| scores.value(class, anchor);
        if let Some(value) = (0..scores.anchors).map(score_at).find(|&value| no_confidence(value)) {
            return Some(score(class, value));
        }
        let confidence = |anchor: usize| score_at(anchor) * objectness.map_or(1.0, |view| view.value(0, anchor));
        let found = values.iter().filter(|(anchor, _)| confidence(*anchor) >= OBJECT).count();
        if strict && values.len() >= LEAST_BOXES && 2 * found > values.len() {
            let all = values.len();
            let why = format!("class {class} is found in {found} of {all} places of an empty picture");
            return Some(Evidence::Contradicts(why));
        }
    }
    if values.is_empty() {
        return None;
    }
    let boxes: Vec<[f32; 4]> = values.into_iter().map(|(_, values)| values).collect();
    Some(box_form(plan, &boxes, strict).map_or(Evidence::Fits, Evidence::Contradicts))
}

/// Why the boxes of an empty picture can't be of this form.
fn box_form(plan: &DensePlan, boxes: &[[f32; 4]], strict: bool) -> Option<String> {
    let share = |what: fn(&[f32; 4]) -> bool| boxes.iter().filter(|values| what(values)).count();
    let most = |what: fn(&[f32; 4]) -> bool| 2 * share(what) > boxes.len();
    if !plan.grid.is_empty() {
        // Centres are offsets of a few strides, and sizes are logarithms: e¹⁰ strides is far beyond any input.
        let pixels = most(|[x, y, w, h]| x.abs().max(y.abs()) > FAR_FROM_CELL || w.max(*h) > 10.0);
        return pixels.then(|| {
            "the boxes are in pixels, where they should be relative to their cells: set head=yolox-decoded".into()
        });
    }
    if let Some(why) = other_unit(boxes, plan.coding) {
        let relative = plan.objectness.is_some();
        let why =
            if relative { format!("{FRACTIONS}; if they are relative to their cells, set head=yolox") } else { why };
        return Some(why);
    }
    if !strict || boxes.len() < LEAST_BOXES {
        return None;
    }
    match plan.coding.form {
        // Centres in pixels are all over the input.
        BoxForm::Centre if plan.objectness.is_some() && most(|[x, y, _, _]| x.abs().max(y.abs()) <= FAR_FROM_CELL) => {
            Some(
                "most of its boxes lie in the top left corner; if they are relative to their cells, set head=yolox"
                    .into(),
            )
        }
        BoxForm::Centre if most(|[_, _, w, h]| *w < 0.0 || *h < 0.0) => {
            Some("most of its boxes have a negative size; if they are relative to their cells, set head=yolox".into())
        }
        BoxForm::Centre if plan.coding.is_pixels() && share(|[x, y, w, h]| w > x && h > y) == boxes.len() => {
            Some("its boxes are corners x1, y1, x2, y2, where centre and size are due".into())
        }
        BoxForm::Corners if most(|[x1, y1, x2, y2]| x2 < x1 || y2 < y1) => Some(TURNED.into()),
        _ => None,
    }
}

fn distributions(outputs: &Outputs<'_>, classes: usize, levels: &[DecodeLevel]) -> Evidence {
    let mut seen = Evidence::Nothing;
    for level in levels {
        let Some(table) = outputs.get(level.scores).and_then(|output| Table::new(output, false)) else { continue };
        for class in 0..classes {
            let values = (level.first..level.first + level.cells).map(|cell| table.value(class, cell));
            if let Some(value) = values.into_iter().find(|&value| no_confidence(value)) {
                return score(class, value);
            }
        }
        seen = Evidence::Fits;
    }
    seen
}

fn poses(boxes: &Output<'_>, points: &Output<'_>) -> Evidence {
    let (rows, _) = boxes.data.as_chunks::<5>();
    let (points, _) = points.data.as_chunks::<3>();
    let scores = rows.iter().map(|row| row[4]).chain(points.iter().map(|point| point[2]));
    if let Some(value) = scores.into_iter().find(|&value| no_confidence(value)) {
        return Evidence::Contradicts(format!("a keypoint or a person has a score of {value}, and scores are 0-1"));
    }
    let corners: Vec<_> = rows
        .iter()
        .filter_map(|&[x1, y1, x2, y2, _]| Some([x1, y1, x2, y2]).filter(|b| b.iter().all(|v| v.is_finite())))
        .filter(|corners| *corners != [0.0; 4])
        .collect();
    if !corners.is_empty() && corners.iter().flatten().all(|value| value.abs() <= FRACTION) {
        return Evidence::Contradicts(FRACTIONS.into());
    }
    let turned = corners.iter().filter(|[x1, y1, x2, y2]| x2 < x1 || y2 < y1).count();
    if 2 * turned > corners.len() { Evidence::Contradicts(TURNED.into()) } else { Evidence::Fits }
}

/// Heatmaps are trained on peaks of 1; logits of classes are often far beyond. The values of SimCC have no such bound.
fn peaks(plan: &PeakPlan, outputs: &Outputs<'_>) -> Option<Evidence> {
    const GREATEST: f32 = 4.0;
    let PeakMaps::Planes { output, .. } = plan.maps else { return Some(Evidence::Fits) };
    let values = outputs.get(output)?.data.iter().copied();
    Some(match values.filter(|value| value.is_finite()).find(|&value| value > GREATEST) {
        Some(value) => Evidence::Contradicts(format!(
            "a map of an empty picture has a value of {value}, and the peaks of heatmaps are about 1 at most"
        )),
        None => Evidence::Fits,
    })
}

fn persons(output: &Output<'_>, many: bool) -> Evidence {
    const VALUES: usize = 17 * 3;
    let person = if many { VALUES + 5 } else { VALUES };
    for values in output.data.chunks_exact(person) {
        let scores = values.iter().take(VALUES).skip(2).step_by(3);
        let own = many.then(|| values.last()).flatten();
        if let Some(value) = scores.chain(own).find(|&&value| no_confidence(value)) {
            return Evidence::Contradicts(format!("a keypoint or a person has a score of {value}, and scores are 0-1"));
        }
    }
    Evidence::Fits
}

/// How far the sum of probabilities may be from 1; FP16 rounds each of a thousand.
const SUM_SLACK: f32 = 0.01;

/// Checks the values of a classifier, and settles what they are if that isn't known.
fn classes(plan: &ClassPlan, output: &Output<'_>) -> Evidence {
    let finite = || output.data.iter().copied().filter(|value| value.is_finite());
    let sum: f32 = finite().sum();
    let (all_are_scores, add_up) = (finite().all(confidence::is_one), (sum - 1.0).abs() <= SUM_SLACK);
    let contradicts = |why: &str| Evidence::Contradicts(why.to_owned());
    match plan.scale.get() {
        _ if finite().next().is_none() => Evidence::Nothing,
        Some(Scale::Probabilities) => match finite().find(|&value| !confidence::is_one(value)) {
            Some(value) => contradicts(&format!(
                "a class has a score of {value} for an empty picture, and scores are 0-1; if these are logits, set \
                 head=classification-logits"
            )),
            None => Evidence::Fits,
        },
        Some(Scale::Logits) if all_are_scores && add_up => contradicts(
            "the values of an empty picture are probabilities, 0-1 with the sum 1, where logits are due: set \
             head=classification-softmax",
        ),
        Some(Scale::Logits) => Evidence::Fits,
        None if all_are_scores && add_up => {
            plan.scale.settle(Scale::Probabilities);
            Evidence::Fits
        }
        None if all_are_scores => contradicts(&format!(
            "the values of an empty picture are 0-1, but their sum is {sum}: set head=classification-softmax if they are the \
             confidences of classes that don't exclude each other, head=classification-logits if they are logits, or \
             head=embedding"
        )),
        None if plan.certain => {
            plan.scale.settle(Scale::Logits);
            Evidence::Fits
        }
        None => contradicts(
            "the values of an empty picture aren't probabilities, and the file names no classes: set \
             head=classification-logits if they are the logits of a classifier, head=embedding if they are a vector that \
             describes the picture",
        ),
    }
}

#[cfg(test)]
mod tests;
