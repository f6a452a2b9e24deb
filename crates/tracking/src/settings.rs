//! What a tracker is told.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A published tracking algorithm.
///
/// - ByteTrack, <https://arxiv.org/abs/2110.06864>: observations of low confidence continue tracks, but start none.
/// - OC-SORT, <https://arxiv.org/abs/2203.14360>: motion is corrected by observations after a gap, and the direction of
///   motion takes part in the assignment. Its option BYTE, for observations of low confidence, is on.
/// - BoT-SORT, <https://arxiv.org/abs/2206.14651>, without camera motion compensation, which needs pixels. With
///   embeddings it is what the paper calls BoT-SORT-ReID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "glib", derive(glib::Enum), enum_type(name = "GstTrtTrackAlgorithm"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(description = "The tracking algorithm."))]
#[serde(rename_all = "kebab-case")]
// A variant's documentation would make the schema something else than a list of names.
#[expect(missing_docs, reason = "the type's documentation has them")]
pub enum Algorithm {
    #[default]
    #[serde(rename = "bytetrack")]
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "ByteTrack: objects of low confidence continue tracks, but start none", nick = "bytetrack")
    )]
    ByteTrack,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "OC-SORT: motion is corrected by what is found after a gap", nick = "oc-sort")
    )]
    OcSort,
    #[cfg_attr(feature = "glib", enum_value(name = "BoT-SORT, without camera motion compensation", nick = "bot-sort"))]
    BotSort,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::ByteTrack, Self::OcSort, Self::BotSort];

    /// The name in properties and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ByteTrack => "bytetrack",
            Self::OcSort => "oc-sort",
            Self::BotSort => "bot-sort",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = SettingsError;

    fn from_str(name: &str) -> Result<Self, SettingsError> {
        let found = Self::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        found.ok_or_else(|| SettingsError::UnknownAlgorithm { name: name.into() })
    }
}

/// The settings of a tracker.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// For how many frames a track is kept without an observation. Frames that no model saw count too.
    pub max_age: u32,
    /// In how many consecutive frames that a model saw an object must be observed before its track is confirmed. The
    /// objects of the first frame are confirmed at once, as in the published algorithms.
    pub min_hits: u32,
    /// The least overlap (intersection over union) of an observation and the box that is expected. ByteTrack and BoT-SORT
    /// multiply the overlap by the observation's confidence first.
    pub iou: f32,
    /// Observations of at least this confidence are assigned first, and start tracks.
    pub high_confidence: f32,
    /// Observations from this confidence up to `high_confidence` are assigned to tracks that had none; those below are
    /// ignored.
    pub low_confidence: f32,
    /// Whether an observation may continue the track of another class.
    pub class_agnostic: bool,
    /// The nominal time between two frames, which is the unit of time of the motion models and of `max_age`.
    pub frame_interval: Duration,
    /// How embeddings are used, if observations have any.
    pub appearance: Appearance,
}

/// The settings for embeddings of what objects look like.
#[derive(Debug, Clone, PartialEq)]
pub struct Appearance {
    /// The greatest cosine distance (1 − cosine, 0–2) of two embeddings of the same object.
    pub distance: f32,
    /// For how long after its last observation an object is recognised by its embedding.
    pub max_age: Duration,
}

impl Default for Appearance {
    fn default() -> Self {
        Self { distance: 0.25, max_age: Duration::from_secs(60) }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::default(),
            max_age: 30,
            min_hits: 2,
            iou: 0.2,
            high_confidence: 0.5,
            low_confidence: 0.1,
            class_agnostic: false,
            frame_interval: Duration::from_nanos(33_333_333),
            appearance: Appearance::default(),
        }
    }
}

impl Settings {
    /// Checks that each value is in its range.
    ///
    /// # Errors
    /// The first value that isn't.
    pub fn check(&self) -> Result<(), SettingsError> {
        let fraction = |name, value: f32| match value {
            0.0..=1.0 => Ok(()),
            _ => Err(SettingsError::OutOfRange { name, value, least: 0.0, greatest: 1.0 }),
        };
        fraction("iou", self.iou)?;
        fraction("high-confidence", self.high_confidence)?;
        fraction("low-confidence", self.low_confidence)?;
        if !(0.0..=2.0).contains(&self.appearance.distance) {
            let value = self.appearance.distance;
            return Err(SettingsError::OutOfRange { name: "reid-distance", value, least: 0.0, greatest: 2.0 });
        }
        if self.low_confidence > self.high_confidence {
            return Err(SettingsError::ConfidencesReversed { low: self.low_confidence, high: self.high_confidence });
        }
        if self.min_hits == 0 {
            return Err(SettingsError::NoHits);
        }
        if self.frame_interval.is_zero() {
            return Err(SettingsError::NoFrameInterval);
        }
        Ok(())
    }
}

/// Why settings are rejected.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// A value outside its range.
    #[error("{name} is {value}: give a number from {least} to {greatest}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f32,
        /// The least that it can be.
        least: f32,
        /// The greatest.
        greatest: f32,
    },
    /// No observation could be of low confidence.
    #[error("low-confidence {low} is above high-confidence {high}: lower it, or raise the other")]
    ConfidencesReversed {
        /// The lower limit.
        low: f32,
        /// The upper.
        high: f32,
    },
    /// A track needs at least the observation that starts it.
    #[error("min-hits is 0: give at least 1, which confirms a track at its first observation")]
    NoHits,
    /// Motion has no unit of time.
    #[error("the frame interval is 0: give the time between two frames, such as 1/30 s")]
    NoFrameInterval,
    /// There is no such algorithm.
    #[error("there is no tracking algorithm {name:?}: give bytetrack, oc-sort or bot-sort")]
    UnknownAlgorithm {
        /// The name that was given.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
            assert_eq!(serde_json::to_string(&algorithm).unwrap(), format!("\"{algorithm}\""));
        }
        let error = "sort".parse::<Algorithm>().unwrap_err().to_string();
        assert_eq!(error, "there is no tracking algorithm \"sort\": give bytetrack, oc-sort or bot-sort");
    }

    #[test]
    fn values_out_of_range_are_named() {
        assert_eq!(Settings::default().check(), Ok(()));
        let rejected = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check().unwrap_err().to_string()
        };
        assert_eq!(rejected(|s| s.iou = f32::NAN), "iou is NaN: give a number from 0 to 1");
        assert_eq!(rejected(|s| s.high_confidence = 1.5), "high-confidence is 1.5: give a number from 0 to 1");
        assert_eq!(rejected(|s| s.appearance.distance = 3.0), "reid-distance is 3: give a number from 0 to 2");
        assert!(rejected(|s| s.low_confidence = 0.6).starts_with("low-confidence 0.6 is above high-confidence 0.5"));
        assert!(rejected(|s| s.min_hits = 0).starts_with("min-hits is 0"));
        assert!(rejected(|s| s.frame_interval = Duration::ZERO).starts_with("the frame interval is 0"));
    }
}
