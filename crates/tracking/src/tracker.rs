//! The trait that all trackers implement.

use crate::byte::Byte;
use crate::oc_sort::OcSort;
use crate::settings::{Algorithm, Settings, SettingsError};
use crate::track::{Observation, Track};
use std::fmt::Debug;
use std::time::Duration;

/// Gives the objects of one stream ids that stay. Each frame of the stream is shown to it once, in order.
pub trait Tracker: Debug + Send {
    /// A frame that a model saw, with what it found. Times may start anywhere and frames may be missing, because motion
    /// is extrapolated by the time that has passed; a time before the last one counts as the same.
    ///
    /// Returns the tracks of the frame: those observed in it, and those confirmed before that weren't. The result is
    /// valid until the next call.
    fn update(&mut self, time: Duration, observations: &[Observation]) -> &[Track];

    /// A frame that no model saw. Returns where confirmed objects are expected.
    fn predict(&mut self, time: Duration) -> &[Track];

    /// Forgets all objects, as at the start of another stream. Ids go on.
    fn reset(&mut self);

    /// The settings.
    fn settings(&self) -> &Settings;

    /// The settings, which [`set`](fn@set) changes.
    #[doc(hidden)]
    fn settings_mut(&mut self) -> &mut Settings;
}

/// A tracker.
///
/// # Errors
/// A setting isn't in its range.
pub fn new(settings: Settings) -> Result<Box<dyn Tracker>, SettingsError> {
    settings.check()?;
    Ok(match settings.algorithm {
        Algorithm::ByteTrack | Algorithm::BotSort => Box::new(Byte::new(settings)),
        Algorithm::OcSort => Box::new(OcSort::new(settings)),
    })
}

/// Changes the settings from the next frame on. Tracks stay, unless the algorithm is another.
///
/// # Errors
/// A setting isn't in its range; the old ones stay.
pub fn set(tracker: &mut Box<dyn Tracker>, settings: Settings) -> Result<(), SettingsError> {
    if settings.algorithm == tracker.settings().algorithm {
        settings.check()?;
        *tracker.settings_mut() = settings;
    } else {
        *tracker = new(settings)?;
    }
    Ok(())
}
