//! Classifiers: one value per class for the whole picture, `[B, nc]`, as probabilities or as logits.
//!
//! Sources: `Classify` and `classify_transforms` of Ultralytics 8.4; `transforms/_presets.py` of torchvision 0.24, whose
//! classifiers, like those of timm and Hugging Face, are exported without softmax and without metadata.

use super::super::nms::rank;
use super::super::{Detection, Labels, Normalization, Params, Rect, Resize};
use super::anchors::{output, unexpected};
use super::exponential::exponential;
use super::reading::Trust;
use super::recognise::{Found, InputStyle, ModelFacts};
use super::sum::sum;
use super::{ClassPlan, DecodePlan, Head, HeadError, HeadKind, Outputs, Scale, ScoreScale};
use std::sync::Arc;

/// As torchvision evaluates its classifiers.
const STYLE: InputStyle = InputStyle {
    normalization: Some(Normalization::IMAGENET),
    bgr: false,
    resize: Resize::CROP_INSIDE.antialiased(),
    pad: 0,
    default_size: None,
};

/// Classes of ImageNet, with which most classifiers are trained; no embedding has as many values.
const IMAGENET_CLASSES: usize = 1000;

/// The classes of the whole picture.
#[derive(Debug)]
struct Classifier {
    name: &'static str,
    plan: ClassPlan,
    labels: Labels,
}

/// Recognises a classifier by its metadata, or by the shape of its only output.
///
/// # Errors
/// Metadata and shapes contradict each other.
pub(super) fn recognise(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    let Some(values) = seen.row() else { return Ok(None) };
    match seen.metadata.task.as_deref() {
        Some("classify") => {
            return found(seen, "classification", Scale::Probabilities.into(), Trust::Vouched).map(Some);
        }
        Some(_) => return Ok(None),
        None => {}
    }
    let is_named_logits = seen.output("logits").is_some();
    let certain = seen.metadata.classes() == Some(values) || values == IMAGENET_CLASSES || is_named_logits;
    let trust = if certain { Trust::Plausible } else { Trust::Open };
    // The values of the first run say which scale they have.
    found(seen, "classification", ScoreScale::default(), trust).map(Some)
}

/// The head that the user chose.
///
/// # Errors
/// The outputs aren't those of a classifier.
pub(super) fn chosen(seen: &ModelFacts<'_>, scale: Scale) -> Result<Option<Found>, HeadError> {
    let name = match scale {
        Scale::Probabilities => "classification-softmax",
        Scale::Logits => "classification-logits",
    };
    found(seen, name, scale.into(), Trust::Plausible).map(Some)
}

fn found(seen: &ModelFacts<'_>, name: &'static str, scale: ScoreScale, trust: Trust) -> Result<Found, HeadError> {
    let classes = classes(seen, name)?;
    let spec = match seen.metadata.is_ultralytics() {
        true => {
            let (width, height) = seen.size(name, None)?;
            // `classify_transforms` stretches a picture to a size that isn't square.
            let resize = if width == height { Resize::CROP } else { Resize::STRETCH };
            seen.spec(name, &InputStyle { normalization: None, resize: resize.antialiased(), ..STYLE })?
        }
        false => seen.spec(name, &STYLE)?,
    };
    let (width, height) = (spec.width as f32, spec.height as f32);
    let plan = ClassPlan { output: 0, classes, width, height, scale, certain: trust != Trust::Open };
    // The built-in names for 80 classes are those of detectors.
    let labels = seen.metadata.names.clone().unwrap_or_else(|| Labels::unnamed(classes));
    Ok((Arc::new(Classifier { name, plan, labels }), spec, trust))
}

/// The number of classes.
///
/// # Errors
/// The outputs aren't one row of scores, or the names don't fit them.
fn classes(seen: &ModelFacts<'_>, name: &str) -> Result<usize, HeadError> {
    let Some(values) = seen.row() else {
        return Err(seen.unknown(&format!(
            "head {name}: the model's only output has to be one row of scores for each picture, [batch, classes]; export it \
             without its other outputs"
        )));
    };
    let names = seen.metadata.classes();
    match (values, names) {
        (0, None) => Err(seen.unknown(&format!(
            "head {name}: the number of classes is dynamic and the file names none: export the model with a fixed number"
        ))),
        (0, Some(1)) | (1, _) => Err(seen.unknown(&format!(
            "head {name}: a classifier of one class, whose confidence is always 1: export the model with a score for each of \
             two classes or more"
        ))),
        (0, Some(names)) => Ok(names),
        (values, Some(names)) if names != values => Err(seen.unknown(&format!(
            "head {name}: the metadata names {names} classes, but the output has {values} values for each picture"
        ))),
        (values, _) => seen.countable(values, "classes").map(|()| values),
    }
}

impl Head for Classifier {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> HeadKind {
        HeadKind::Classification
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
        Some(DecodePlan::Classes(self.plan.clone()))
    }

    /// Each class that passes is one detection, whose box is the whole picture. A class whose value isn't finite is left
    /// out, also of the softmax. Nothing is found before the scale of the values is known.
    fn decode(&self, outputs: &Outputs<'_>, params: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError> {
        let output = output(self.name, outputs, self.plan.output)?;
        if output.data.len() != self.plan.classes {
            return Err(unexpected(self.name, self.plan.output, &output, &format!("[{}]", self.plan.classes)));
        }
        let Some(scale) = self.plan.scale.get() else { return Ok(()) };
        let finite = || output.data.iter().copied().filter(|value| value.is_finite());
        let (max, all) = match scale {
            Scale::Probabilities => (0.0, 1.0),
            Scale::Logits => {
                let max = finite().fold(f32::NEG_INFINITY, f32::max);
                let weight = |value: &f32| if value.is_finite() { exponential(value - max) } else { 0.0 };
                (max, sum(output.data.iter().map(weight)))
            }
        };
        let rect = Rect::new(0.0, 0.0, self.plan.width, self.plan.height);
        found.extend((0..).zip(output.data).filter_map(|(class_id, &value)| {
            let confidence = match scale {
                Scale::Probabilities => value,
                Scale::Logits => exponential(value - max) / all,
            };
            let passes = value.is_finite() && params.threshold(class_id).is_some_and(|least| confidence >= least);
            passes.then(|| Detection { rect, class_id, confidence, ..Detection::default() })
        }));
        rank(found, params.max_detections);
        Ok(())
    }
}
