//! Confidences are 0 to 1; values outside that range show that a model's outputs were misinterpreted.

use super::Detection;

/// Tolerance for rounding and quantisation.
const SLACK: f32 = 0.01;

/// Whether a value can be a confidence.
pub fn is_one(value: f32) -> bool {
    (-SLACK..=1.0 + SLACK).contains(&value)
}

/// Checks the confidences of objects and keypoints, and clamps rounding errors to 0–1.
///
/// # Errors
/// Names a value that can't be a confidence; none of the objects is reliable then.
pub fn check(found: &mut [Detection]) -> Result<(), String> {
    for detection in found {
        let class = detection.class_id;
        if !is_one(detection.confidence) {
            return Err(format!("class {class} has a confidence of {}", detection.confidence));
        }
        detection.confidence = detection.confidence.clamp(0.0, 1.0);
        for (k, keypoint) in detection.keypoints.iter_mut().enumerate() {
            if !is_one(keypoint.confidence) {
                return Err(format!("keypoint {k} of class {class} has a confidence of {}", keypoint.confidence));
            }
            keypoint.confidence = keypoint.confidence.clamp(0.0, 1.0);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Keypoint;
    use super::*;

    fn one(confidence: f32, keypoint: f32) -> Vec<Detection> {
        let keypoints = vec![Keypoint { x: 1.0, y: 2.0, confidence: keypoint }];
        vec![Detection { confidence, class_id: 7, keypoints, ..Detection::default() }]
    }

    #[test]
    fn rounding_is_brought_back_and_what_is_no_confidence_refused() {
        let mut found = one(1.004, -0.001);
        check(&mut found).unwrap();
        assert_eq!((found[0].confidence, found[0].keypoints[0].confidence), (1.0, 0.0));
        for (confidence, keypoint, words) in [
            (662.0, 0.5, "class 7 has a confidence of 662"),
            (1.2, 0.5, "1.2"),
            (-3.5, 0.5, "-3.5"),
            (f32::NAN, 0.5, "NaN"),
            (0.9, 320.0, "keypoint 0 of class 7 has a confidence of 320"),
        ] {
            let error = check(&mut one(confidence, keypoint)).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(check(&mut []), Ok(()));
    }
}
