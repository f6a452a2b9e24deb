//! What the user says about a model's input, for the properties `normalization`, `resize` and `color`.

use super::super::{Normalization, Resize};
use super::HeadChoice;
use serde::Deserialize;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// How a frame is fitted into the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[cfg_attr(feature = "glib", derive(glib::Enum), enum_type(name = "GstTrtResize"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "their nicks' texts say what they are")]
pub enum ResizeChoice {
    #[default]
    #[cfg_attr(feature = "glib", enum_value(name = "As the model's family does", nick = "auto"))]
    Auto,
    #[cfg_attr(feature = "glib", enum_value(name = "Aspect ratio kept, in the middle", nick = "letterbox"))]
    Letterbox,
    #[cfg_attr(feature = "glib", enum_value(name = "The same, antialiased", nick = "letterbox-antialias"))]
    LetterboxAntialias,
    #[cfg_attr(feature = "glib", enum_value(name = "Cubic instead", nick = "letterbox-cubic"))]
    LetterboxCubic,
    #[cfg_attr(feature = "glib", enum_value(name = "Aspect ratio kept, at the top left", nick = "top-left"))]
    TopLeft,
    #[cfg_attr(feature = "glib", enum_value(name = "The same, antialiased", nick = "top-left-antialias"))]
    TopLeftAntialias,
    #[cfg_attr(feature = "glib", enum_value(name = "Cubic instead", nick = "top-left-cubic"))]
    TopLeftCubic,
    #[cfg_attr(feature = "glib", enum_value(name = "Stretched over the whole input", nick = "stretch"))]
    Stretch,
    #[cfg_attr(feature = "glib", enum_value(name = "The same, antialiased", nick = "stretch-antialias"))]
    StretchAntialias,
    #[cfg_attr(feature = "glib", enum_value(name = "Cubic instead", nick = "stretch-cubic"))]
    StretchCubic,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "Aspect ratio kept, the middle of the frame fills the input", nick = "crop")
    )]
    Crop,
    #[cfg_attr(feature = "glib", enum_value(name = "The same, antialiased", nick = "crop-antialias"))]
    CropAntialias,
    #[cfg_attr(feature = "glib", enum_value(name = "Cubic instead", nick = "crop-cubic"))]
    CropCubic,
    #[cfg_attr(
        feature = "glib",
        enum_value(
            name = "The middle 7/8 of that, antialiased: Resize(256), CenterCrop(224)",
            nick = "crop-inside-antialias"
        )
    )]
    CropInsideAntialias,
}

impl ResizeChoice {
    /// `None`: the family's.
    pub fn resize(self) -> Option<Resize> {
        Some(match self {
            Self::Auto => return None,
            Self::Letterbox => Resize::LETTERBOX,
            Self::LetterboxAntialias => Resize::LETTERBOX.antialiased(),
            Self::LetterboxCubic => Resize::LETTERBOX.cubic(),
            Self::TopLeft => Resize::TOP_LEFT,
            Self::TopLeftAntialias => Resize::TOP_LEFT.antialiased(),
            Self::TopLeftCubic => Resize::TOP_LEFT.cubic(),
            Self::Stretch => Resize::STRETCH,
            Self::StretchAntialias => Resize::STRETCH.antialiased(),
            Self::StretchCubic => Resize::STRETCH.cubic(),
            Self::Crop => Resize::CROP,
            Self::CropAntialias => Resize::CROP.antialiased(),
            Self::CropCubic => Resize::CROP.cubic(),
            Self::CropInsideAntialias => Resize::CROP_INSIDE.antialiased(),
        })
    }
}

/// The order of the input's channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[cfg_attr(feature = "glib", derive(glib::Enum), enum_type(name = "GstTrtColor"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "their nicks' texts say what they are")]
pub enum ColorChoice {
    #[default]
    #[cfg_attr(feature = "glib", enum_value(name = "As the model's family has them", nick = "auto"))]
    Auto,
    #[cfg_attr(feature = "glib", enum_value(name = "Red, green, blue", nick = "rgb"))]
    Rgb,
    #[cfg_attr(feature = "glib", enum_value(name = "Blue, green, red", nick = "bgr"))]
    Bgr,
}

/// How pixel values become the input's values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum NormalizationChoice {
    /// As the model's family does.
    #[default]
    Auto,
    /// 0–1.
    Unit,
    /// 0–255, as in the pixels.
    None,
    /// Mean 0 and standard deviation 1 over ImageNet.
    ImageNet,
    /// (pixel 0–255 − mean) / deviation for each channel, in the order of the input's channels.
    MeanDeviation([f32; 3], [f32; 3]),
}

/// No model divides by less.
const LEAST_DEVIATION: f32 = 1e-6;

impl NormalizationChoice {
    /// The values for an input with this order of channels; `None`: the family's.
    fn normalization(self, bgr: bool) -> Option<Normalization> {
        Some(match self {
            Self::Auto => return None,
            Self::Unit => Normalization::UNIT,
            Self::None => Normalization::NONE,
            Self::ImageNet if bgr => Normalization::IMAGENET.reversed(),
            Self::ImageNet => Normalization::IMAGENET,
            Self::MeanDeviation(mean, deviation) => {
                Normalization { mean, scale: deviation.map(|deviation| 1.0 / deviation) }
            }
        })
    }
}

impl FromStr for NormalizationChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` isn't auto, unit, none, imagenet, or the channels' means and standard deviations in pixel \
                 values of 0–255, MEAN,MEAN,MEAN/DEVIATION,DEVIATION,DEVIATION, for example \
                 123.675,116.28,103.53/58.395,57.12,57.375"
            )
        };
        let three = |text: &str| {
            let numbers: Result<Vec<f32>, _> = text.split(',').map(|number| number.trim().parse()).collect();
            let numbers: [f32; 3] = numbers.ok()?.try_into().ok()?;
            numbers.iter().all(|number| number.is_finite()).then_some(numbers)
        };
        Ok(match text.trim() {
            "auto" => Self::Auto,
            "unit" => Self::Unit,
            "none" => Self::None,
            "imagenet" => Self::ImageNet,
            text => {
                let (mean, deviation) = text.split_once('/').ok_or_else(wrong)?;
                let (mean, deviation) = (three(mean).ok_or_else(wrong)?, three(deviation).ok_or_else(wrong)?);
                if deviation.iter().any(|&deviation| deviation < LEAST_DEVIATION) {
                    return Err(wrong());
                }
                Self::MeanDeviation(mean, deviation)
            }
        })
    }
}

impl std::fmt::Display for NormalizationChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Unit => f.write_str("unit"),
            Self::None => f.write_str("none"),
            Self::ImageNet => f.write_str("imagenet"),
            Self::MeanDeviation([a, b, c], [d, e, g]) => write!(f, "{a},{b},{c}/{d},{e},{g}"),
        }
    }
}

// The numbers are finite.
impl Eq for NormalizationChoice {}

impl Hash for NormalizationChoice {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        if let Self::MeanDeviation(mean, deviation) = self {
            // Adding zero makes one value of both zeros, which are equal.
            mean.iter().chain(deviation).for_each(|number| (number + 0.0).to_bits().hash(state));
        }
    }
}

/// What the user says about a model. It takes precedence over the model's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ModelChoice {
    /// How the outputs are decoded.
    pub head: HeadChoice,
    /// How pixel values become the input's values.
    pub normalization: NormalizationChoice,
    /// How a frame is fitted into the input.
    pub resize: ResizeChoice,
    /// The order of the input's channels.
    pub color: ColorChoice,
}

impl ModelChoice {
    /// The order of channels and their normalisation, for a family that has these. A family's normalisation follows its
    /// channels when the user reverses them.
    pub(super) fn values(&self, bgr: bool, family: Normalization) -> (bool, Normalization) {
        let order = match self.color {
            ColorChoice::Auto => bgr,
            ColorChoice::Rgb => false,
            ColorChoice::Bgr => true,
        };
        let family = if order == bgr { family } else { family.reversed() };
        (order, self.normalization.normalization(order).unwrap_or(family))
    }
}

impl From<HeadChoice> for ModelChoice {
    fn from(head: HeadChoice) -> Self {
        Self { head, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normalisation_reads_back() {
        for text in ["auto", "unit", "none", "imagenet", "123.675,116.28,103.53/58.395,57.12,57.375"] {
            assert_eq!(text.parse::<NormalizationChoice>().unwrap().to_string(), text);
        }
        let own: NormalizationChoice = " 1, 2,3 / 4,5 ,8".parse().unwrap();
        assert_eq!(own.normalization(true).unwrap().scale, [0.25, 0.2, 0.125]);
        for wrong in ["", "255", "1,2,3", "1,2/1,2", "1,2,3/1,2,0", "1,2,3/1,2,-1", "nan,0,0/1,1,1", "1,2,3/1,1,inf"] {
            let error = wrong.parse::<NormalizationChoice>().unwrap_err();
            assert!(error.contains("imagenet") && error.contains("58.395"), "{error}");
        }
    }

    #[test]
    fn a_familys_normalisation_follows_its_channels() {
        let own = Normalization { mean: [1.0, 2.0, 3.0], scale: [4.0, 5.0, 6.0] };
        let with = |color, normalization| ModelChoice { color, normalization, ..ModelChoice::default() };
        let values = |choice: ModelChoice| choice.values(true, own);
        assert_eq!(values(with(ColorChoice::Auto, NormalizationChoice::Auto)), (true, own));
        assert_eq!(values(with(ColorChoice::Rgb, NormalizationChoice::Auto)), (false, own.reversed()));
        let imagenet = values(with(ColorChoice::Bgr, NormalizationChoice::ImageNet));
        assert_eq!(imagenet, (true, Normalization::IMAGENET.reversed()));
        // The user's own numbers are in the order that the user gives.
        let numbers = NormalizationChoice::MeanDeviation([7.0, 8.0, 9.0], [1.0; 3]);
        assert_eq!(values(with(ColorChoice::Rgb, numbers)).1.mean, [7.0, 8.0, 9.0]);
    }
}
