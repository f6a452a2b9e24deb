//! SimCC: for each keypoint a row of values along x and one along y, `simcc_x` `[B, K, W · split]` and `simcc_y`
//! `[B, K, H · split]`; RTMPose, RTMW, DWPose.
//!
//! Sources: `SimCCLabel.decode` and `get_simcc_maximum` of mmpose (759b39c), the configurations of its RTMPose, and
//! `pose-detection_simcc_onnxruntime_dynamic.py` of mmdeploy (3f8604b). The confidence is the smaller of both rows' greatest
//! values, as there; rtmlib (2f36e3b) takes their mean, and gives the models BGR, which were trained on RGB.

use super::super::{Keypoint, Normalization, Resize};
use super::recognise::{Found, InputStyle, ModelFacts};
use super::top_down::{self, greatest, peak};
use super::{HeadChoice, HeadError, PeakMaps, PeakPlan};

/// The crop is filled up with black.
pub(super) const STYLE: InputStyle = InputStyle {
    normalization: Some(Normalization::IMAGENET),
    bgr: false,
    resize: Resize::EXTENDED,
    pad: 0,
    default_size: None,
};

/// Places per pixel of the released models, where the file doesn't say how many places there are.
const SPLIT: f32 = 2.0;

/// Recognises the outputs by their names.
///
/// # Errors
/// The model is one with a third axis, or as for [`chosen`].
pub(super) fn recognise(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    if seen.output("simcc_z").is_some() {
        return Err(seen.unknown("its keypoints have three coordinates (simcc_z), which no head here reads"));
    }
    match (seen.output("simcc_x"), seen.output("simcc_y")) {
        (Some(x), Some(y)) => of_outputs(seen, x, y),
        _ => Ok(None),
    }
}

/// The outputs of these names, or else two in the exporter's order.
///
/// # Errors
/// The input's size isn't known, or the rows are those of another input.
pub(super) fn chosen(seen: &ModelFacts<'_>) -> Result<Option<Found>, HeadError> {
    match recognise(seen)? {
        None if seen.model.outputs.len() == 2 => of_outputs(seen, 0, 1),
        found => Ok(found),
    }
}

fn of_outputs(seen: &ModelFacts<'_>, x: usize, y: usize) -> Result<Option<Found>, HeadError> {
    let (Some([_, keypoints, columns]), Some([_, also, rows])) = (seen.rows(x), seen.rows(y)) else { return Ok(None) };
    if keypoints == 0 || keypoints != also {
        return Ok(None);
    }
    let (width, height) = seen.size(HeadChoice::Simcc.nick(), None)?;
    let split = |places: usize, pixels: u32| if places == 0 { SPLIT } else { places as f32 / pixels as f32 };
    let (x_split, y_split) = (split(columns, width), split(rows, height));
    if x_split != y_split {
        return Err(seen.unknown(&format!(
            "simcc_x has {columns} places for {width} pixels and simcc_y {rows} for {height}, where both should have the same \
             number for each pixel (2 in the released models)"
        )));
    }
    let unit = [1.0 / x_split, 1.0 / y_split];
    let plan = |_| PeakPlan { keypoints, maps: PeakMaps::Axes { x, y }, unit };
    top_down::found(seen, HeadChoice::Simcc, &STYLE, plan)
}

/// The keypoint of two rows.
pub(super) fn decode(x: &[f32], y: &[f32], unit: [f32; 2]) -> Keypoint {
    let ((x, x_value), (y, y_value)) = (greatest(x), greatest(y));
    peak(x as f32, y as f32, x_value.min(y_value), unit)
}
