//! Sizes of outputs that a file leaves open, learnt by running the model.

use super::tensor::Input;
use model::ModelInfo;
use ort::session::Session;

/// Fills in the sizes that the file leaves open besides the batch: those that the outputs have for an empty and for a white picture.
/// Where they differ they depend on what is in the picture, and stay open. Returns whether any is known now that wasn't.
///
/// Exporters that leave the batch open often lose the other sizes with it.
pub fn learn_outputs(session: &mut Session, info: &mut ModelInfo) -> bool {
    let is_open = |shape: &[i64]| shape.iter().skip(1).any(|size| *size < 0);
    if info.inputs.iter().any(|input| is_open(&input.shape))
        || !info.outputs.iter().any(|output| is_open(&output.shape))
    {
        return false;
    }
    let (Some(empty), Some(white)) = (shapes(session, info, 0.0), shapes(session, info, 1.0)) else { return false };
    let mut learnt = false;
    for (output, (a, b)) in info.outputs.iter_mut().zip(empty.iter().zip(&white)) {
        if output.shape.len() != a.len() || a.len() != b.len() {
            continue;
        }
        for (size, (a, b)) in output.shape.iter_mut().zip(a.iter().zip(b)).skip(1) {
            if *size < 0 && a == b && *a > 0 {
                (*size, learnt) = (*a, true);
            }
        }
    }
    learnt
}

/// The outputs' shapes for one image whose values are all `value`; `None` if it can't be run.
fn shapes(session: &mut Session, info: &ModelInfo, value: f32) -> Option<Vec<Vec<i64>>> {
    let sizes = |shape: &[i64]| shape.iter().map(|&size| usize::try_from(size).unwrap_or(1)).collect::<Vec<_>>();
    let inputs: Vec<_> = info.inputs.iter().map(|input| (input, sizes(&input.shape))).collect();
    let filled = inputs.iter().map(|(input, shape)| Input::repeated(input.element, &[value], shape.iter().product()));
    let filled: Vec<_> = filled.collect();
    let values = inputs.iter().zip(&filled).map(|((input, shape), data)| Ok((input.name.as_str(), data.value(shape)?)));
    let values = values.collect::<ort::Result<Vec<_>>>().ok()?;
    let outputs = session.run(values).ok()?;
    Some(outputs.iter().map(|(_, value)| value.shape().to_vec()).collect())
}
