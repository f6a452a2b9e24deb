//! Hugging Face's `preprocessor_config.json`, which says how pictures become the input of a model of `transformers`.
//!
//! Source: `DetrImageProcessor`, `YolosImageProcessor`, `RTDetrImageProcessor` and their base class of transformers 5.23, which
//! resize with antialiasing, then rescale, then normalise. Defaults that differ between them aren't assumed.

use super::super::{Normalization, Resize};
use super::HeadError;
use super::literal::Literal;
use super::recognise::{InputStyle, ModelFacts};

/// PIL's number of its bilinear filter.
const BILINEAR: f64 = 2.0;
/// What pixels are multiplied by if the file doesn't say it.
const RESCALE: f64 = 1.0 / 255.0;
/// Steps that no head here does.
const OTHER_STEPS: [&str; 2] = ["do_center_crop", "do_flip_channel_order"];

/// The input of a family with what the file beside the model says; without a file the family's.
///
/// # Errors
/// The file can't be read, or says something that can't be done here and that the user hasn't said otherwise.
pub(super) fn style(seen: &ModelFacts<'_>, family: InputStyle) -> Result<InputStyle, HeadError> {
    let Some(text) = &seen.model.image_processor else { return Ok(family) };
    let wrong = |why: &str| seen.unknown(&format!("preprocessor_config.json beside the model: {why}"));
    let config = Literal::parse(text).filter(|config| matches!(config, Literal::Dict(_)));
    let config = config.ok_or_else(|| wrong("it isn't a JSON object. Correct the file, or remove it"))?;
    let normalization = match seen.normalization_is_chosen() {
        true => family.normalization,
        false => Some(normalization(&config).map_err(|why| wrong(&format!("{why}: set normalization")))?),
    };
    let resize = match seen.resize_is_chosen() {
        true => family.resize,
        false => {
            resize(&config).map_err(|why| wrong(&format!("{why}: set resize, for example resize=stretch-antialias")))?
        }
    };
    let default_size = size(&config).or(family.default_size);
    Ok(InputStyle { normalization, resize, default_size, ..family })
}

/// The value of a key that isn't `null`.
fn value<'a>(config: &'a Literal, key: &str) -> Option<&'a Literal> {
    config.get(key).filter(|value| **value != Literal::None)
}

/// # Errors
/// The key's value is neither true nor false.
fn flag(config: &Literal, key: &str) -> Result<Option<bool>, String> {
    match value(config, key) {
        None => Ok(None),
        Some(Literal::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(format!("{key} is neither true nor false")),
    }
}

/// `image_mean` or `image_std`: a number for each channel, or one for all.
fn channels(config: &Literal, key: &str) -> Option<[f64; 3]> {
    let number = |value: &Literal| match value {
        Literal::Number(number) if number.is_finite() => Some(*number),
        _ => None,
    };
    match value(config, key)? {
        Literal::List(values) => values.iter().map(number).collect::<Option<Vec<_>>>()?.try_into().ok(),
        all => number(all).map(|number| [number; 3]),
    }
}

/// The values of pixels: multiplied by `rescale_factor`, then standardised.
fn normalization(config: &Literal) -> Result<Normalization, String> {
    let rescale = match (flag(config, "do_rescale")?, value(config, "rescale_factor")) {
        (Some(false), _) => 1.0,
        (_, None) => RESCALE,
        (_, Some(Literal::Number(factor))) if factor.is_normal() && *factor > 0.0 => *factor,
        _ => return Err("rescale_factor isn't a number above 0".into()),
    };
    let (mean, deviation) = match flag(config, "do_normalize")? {
        // It is true for DETR and false for RT-DETR if it isn't said.
        None => return Err("it doesn't say do_normalize".into()),
        Some(false) => ([0.0; 3], [1.0; 3]),
        Some(true) => match (channels(config, "image_mean"), channels(config, "image_std")) {
            (Some(mean), Some(deviation)) if deviation.iter().all(|&value| value > 0.0) => (mean, deviation),
            _ => return Err("do_normalize without an image_mean and an image_std for three channels".into()),
        },
    };
    Ok(Normalization {
        mean: mean.map(|mean| (mean / rescale) as f32),
        scale: deviation.map(|deviation| (rescale / deviation) as f32),
    })
}

/// Width and height of `size`, if it fixes both.
fn size(config: &Literal) -> Option<(u32, u32)> {
    let side = |key: &str| value(config, "size")?.get(key)?.as_index().and_then(|side| u32::try_from(side).ok());
    Some((side("width")?, side("height")?))
}

fn resize(config: &Literal) -> Result<Resize, String> {
    if flag(config, "do_resize")? == Some(false) {
        return Err("do_resize is false, so that it doesn't say how a picture gets the input's size".into());
    }
    for step in OTHER_STEPS {
        if flag(config, step)? == Some(true) {
            return Err(format!("{step} isn't done here"));
        }
    }
    match value(config, "resample") {
        None => {}
        Some(&Literal::Number(filter)) if filter == BILINEAR => {}
        Some(_) => return Err("its resample isn't 2, bilinear, the only filter here".into()),
    }
    if size(config).is_none() {
        return Err(
            "its size keeps the aspect ratio (no height and width), so that every picture has another size, and the \
                    input here has one"
                .into(),
        );
    }
    if value(config, "pad_size").is_some_and(|pad| Some(pad) != value(config, "size")) {
        return Err("its pad_size isn't its size".into());
    }
    Ok(Resize::STRETCH.antialiased())
}
