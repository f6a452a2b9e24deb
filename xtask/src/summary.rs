//! Totals over the JSON Lines of a run.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

#[derive(Deserialize)]
struct Frame {
    #[serde(default)]
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    label: String,
    #[serde(default)]
    keypoints: Vec<Keypoint>,
}

#[derive(Deserialize)]
struct Keypoint {
    confidence: f64,
}

#[derive(Default, Debug, PartialEq)]
pub struct Summary {
    pub frames: usize,
    /// Number of objects in all frames, by label.
    pub objects: BTreeMap<String, usize>,
    /// Number of objects with keypoints in all frames.
    pub poses: usize,
    /// The frame with the most poses, counted from 0; of several, the one with the highest sum of keypoint confidences.
    pub most_poses: usize,
}

impl Summary {
    /// Reads JSON Lines as trtpublish writes them, one line per frame.
    pub fn of(text: &str) -> Result<Self> {
        let mut summary = Self::default();
        let mut most = (0, 0.0);
        for (index, line) in text.lines().enumerate() {
            let frame: Frame = serde_json::from_str(line).with_context(|| format!("line {}", index + 1))?;
            let poses = frame.objects.iter().filter(|object| !object.keypoints.is_empty()).count();
            let sure =
                frame.objects.iter().flat_map(|object| &object.keypoints).map(|keypoint| keypoint.confidence).sum();
            if (poses, sure) > most {
                (most, summary.most_poses) = ((poses, sure), index);
            }
            summary.poses += poses;
            summary.frames += 1;
            for object in frame.objects {
                *summary.objects.entry(object.label).or_default() += 1;
            }
        }
        Ok(summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_and_poses_are_counted() {
        let text = r#"{"frame":0,"objects":[{"label":"car"},{"label":"person","keypoints":[{"confidence":0.5}]}]}
{"frame":1,"objects":[]}
{"frame":2,"objects":[{"label":"person","keypoints":[{"confidence":0.9}]}]}
{"frame":3,"objects":[{"label":"person","keypoints":[{"confidence":0.7}]}]}
"#;
        let objects = BTreeMap::from([("car".into(), 1), ("person".into(), 3)]);
        assert_eq!(Summary::of(text).unwrap(), Summary { frames: 4, objects, poses: 3, most_poses: 2 });
        assert!(Summary::of("{\"objects\":").is_err());
    }
}
