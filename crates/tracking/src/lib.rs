//! From the boxes of a model to objects with ids.

#![warn(missing_docs)]

mod appearance;
mod assignment;
mod byte;
mod kalman;
mod lifecycle;
mod motion;
mod oc_sort;
mod settings;
mod track;
pub mod tracker;
pub mod zones;

pub use settings::{Algorithm, Appearance, Settings, SettingsError};
pub use track::{Observation, State, Track};
pub use tracker::Tracker;
