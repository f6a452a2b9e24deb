//! The comparison of an engine with its FP32 model over all frames.

use super::{Request, Seen};
use crate::error::Error;
use model::agreement::{Counted, FrameAgreement, Side, Unmatched};
use model::{Detection, Labels};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tensorrt::{ClassAgreement, Verification};

/// Number of frames that are named as the worst.
const WORST: usize = 5;
/// Number of objects that are described of each.
const DESCRIBED: usize = 3;

/// What was compared so far.
pub struct Comparison {
    source: PathBuf,
    confidence: f32,
    required: f64,
    labels: Labels,
    frames: Vec<Frame>,
}

struct Frame {
    name: String,
    agreement: FrameAgreement,
    /// Why the engine has no objects.
    failed: Option<String>,
}

impl Comparison {
    pub(super) fn new(request: &Request, labels: Labels) -> Self {
        let Request { source, confidence, required, .. } = request.clone();
        let source = source.canonicalize().unwrap_or(source);
        Self { source, confidence, required, labels, frames: Vec::new() }
    }

    pub(super) fn add(&mut self, reference: &Seen, engine: &[Detection], failed: Option<&Error>) {
        let agreement = FrameAgreement::of(&reference.detections, engine, self.confidence, reference.scale);
        self.frames.push(Frame { name: reference.name.clone(), agreement, failed: failed.map(ToString::to_string) });
    }

    /// The share of all objects that agree.
    pub fn share(&self) -> f64 {
        self.total().share()
    }

    fn total(&self) -> Counted {
        self.frames.iter().fold(Counted::default(), |mut total, frame| {
            total += frame.agreement.total();
            total
        })
    }

    /// The result, as the engine's record keeps it.
    pub fn result(&self) -> Verification {
        let mut classes: BTreeMap<u32, Counted> = BTreeMap::new();
        for (class, counted) in self.frames.iter().flat_map(|frame| &frame.agreement.classes) {
            *classes.entry(*class).or_default() += *counted;
        }
        let mut classes: Vec<_> = classes.into_iter().collect();
        classes.sort_by(|a, b| a.1.share().total_cmp(&b.1.share()).then(b.1.objects.cmp(&a.1.objects)));
        let class = |(class, counted): (u32, Counted)| ClassAgreement {
            class: self.labels.get(class).to_string(),
            objects: counted.objects,
            agreement: counted.share(),
        };
        let mut worst: Vec<&Frame> = self.frames.iter().filter(|frame| !frame.agreement.unmatched.is_empty()).collect();
        worst.sort_by(|a, b| {
            let total = |frame: &Frame| frame.agreement.total();
            total(a).share().total_cmp(&total(b).share()).then(total(b).objects.cmp(&total(a).objects))
        });
        let total = self.total();
        Verification {
            source: self.source.clone(),
            frames: self.frames.len(),
            confidence: self.confidence,
            objects: total.objects,
            agreement: total.share(),
            required: self.required,
            classes: classes.into_iter().map(class).collect(),
            worst: worst.into_iter().take(WORST).map(|frame| self.describe(frame)).collect(),
        }
    }

    fn describe(&self, frame: &Frame) -> String {
        let Counted { objects, agreeing } = frame.agreement.total();
        let mut text = format!("{}: {agreeing} of {objects} agree", frame.name);
        if let Some(failed) = &frame.failed {
            text.push_str(&format!("; {failed}"));
        }
        for unmatched in frame.agreement.unmatched.iter().take(DESCRIBED) {
            text.push_str(&format!("; {}", self.describe_object(unmatched)));
        }
        if let more @ 1.. = frame.agreement.unmatched.len().saturating_sub(DESCRIBED) {
            text.push_str(&format!("; and {more} more"));
        }
        text
    }

    fn describe_object(&self, unmatched: &Unmatched) -> String {
        let Unmatched { side, object, nearest } = unmatched;
        let (this, other) = match side {
            Side::Reference => ("FP32", "the engine"),
            Side::Engine => ("the engine", "FP32"),
        };
        let percent = |value: f32| (100.0 * value).round();
        let (rect, class) = (object.rect, self.labels.get(object.class_id));
        let place = format!("at {} %, {} %", percent(rect.x + rect.w / 2.0), percent(rect.y + rect.h / 2.0));
        let has = format!("{this} has {class} {:.2} {place}", object.confidence);
        match nearest {
            None => format!("{has}, {other} nothing there"),
            Some(nearest) => {
                let iou = object.rect.iou(&nearest.rect);
                format!("{has}, {other} {:.2} with IoU {iou:.2}", nearest.confidence)
            }
        }
    }
}
