//! From the boxes of a model to objects with ids, and to answers: who is where, who crossed what, and for how long.
//!
//! This is pure code without GStreamer, pixels or files. A program takes these steps, which `examples/count.rs`
//! demonstrates with boxes that are made up:
//!
//! 1. Make a tracker per stream with [`tracker::new`] from [`Settings`], which choose the [`Algorithm`].
//! 2. Show it each frame once: [`Tracker::update`] with the [`Observation`]s of a frame that a model saw,
//!    [`Tracker::predict`] for a frame that none saw. Both return the [`Track`]s of the frame; [`Track::observation`] says
//!    which observation each is, and [`Track::carry`] moves what else is known of an object along with a predicted box.
//!    [`Tracker::reset`] at a new stream.
//! 3. Read a [`ZonesConfig`](zones::ZonesConfig) from JSON and make [`Zones`](zones::Zones) of it. Each frame's tracks become
//!    [`Object`](zones::Object)s in fractions of the frame, with [`ankles`](zones::ankles) where there are poses;
//!    [`Zones::update`](zones::Zones::update) returns what happened.
//! 4. Read totals and occupancies at any time, keep them over a restart with [`Zones::save`](zones::Zones::save) and
//!    [`Zones::restore`](zones::Zones::restore), and change zones while running with
//!    [`Zones::set_config`](zones::Zones::set_config).
//!
//! Nothing is allocated per frame once the numbers of objects have been seen. Tracker and zones are not shared between
//! threads: each stream has its own.

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
