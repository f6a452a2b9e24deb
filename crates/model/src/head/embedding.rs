//! Embeddings: a vector for the whole picture, `[B, D]`, as models for re-identification and retrieval have. The shape is
//! also that of a classifier, so only the user can say that a model is one.

use super::super::{Detection, Labels, Normalization, Params, Rect, Resize};
use super::anchors::{output, unexpected};
use super::reading::Trust;
use super::recognise::{Found, InputStyle, ModelFacts};
use super::sum::sum;
use super::{DecodePlan, Head, HeadError, HeadKind, Outputs};
use std::sync::Arc;

const NAME: &str = "embedding";

/// As the models of Torchreid are evaluated.
const STYLE: InputStyle = InputStyle {
    normalization: Some(Normalization::IMAGENET),
    bgr: false,
    resize: Resize::STRETCH.antialiased(),
    pad: 0,
    default_size: None,
};

/// The direction of a vector.
#[derive(Debug)]
struct Embedding {
    size: usize,
    labels: Labels,
    /// The whole input, in network pixels.
    picture: Rect,
}

/// The head that the user chose.
///
/// # Errors
/// The outputs aren't one vector of a fixed size.
pub(super) fn chosen(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    let Some(size) = seen.row().filter(|&size| size > 1) else {
        return Err(seen.unknown(
            "head embedding: the model's only output has to be one vector for each picture, [batch, values], with a fixed \
             number of values; export it without its other outputs",
        ));
    };
    seen.countable(size, "values")?;
    let spec = seen.spec(NAME, &STYLE)?;
    let picture = Rect::new(0.0, 0.0, spec.width as f32, spec.height as f32);
    let head = Embedding { size, labels: Labels::default(), picture };
    Ok(Some((Arc::new(head), spec, Trust::Plausible)))
}

impl Head for Embedding {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> HeadKind {
        HeadKind::Embedding
    }

    fn classes(&self) -> usize {
        0
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn needs_nms(&self) -> bool {
        false
    }

    fn plan(&self) -> Option<DecodePlan> {
        Some(DecodePlan::Embedding { output: 0, size: self.size })
    }

    /// One detection with the vector, whose box is the whole picture; nothing for a vector without direction.
    fn decode(&self, outputs: &Outputs<'_>, _: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError> {
        let output = output(NAME, outputs, 0)?;
        if output.data.len() != self.size {
            return Err(unexpected(NAME, 0, &output, &format!("[{}]", self.size)));
        }
        let length = sum(output.data.iter().map(|value| value * value)).sqrt();
        if length.is_finite() && length > 0.0 {
            let embedding = output.data.iter().map(|value| value / length).collect();
            found.push(Detection { rect: self.picture, confidence: 1.0, embedding, ..Detection::default() });
        }
        Ok(())
    }
}
