//! The choice of backend: from a model's settings to its engine on the CPU or the GPU, and to the service that elements
//! share.
//!
//! 1. [`check_backend`] checks that a backend's libraries and devices are available.
//! 2. [`open`] returns the service for a model: the one in use if its content and settings are equal, or a new one.
//! 3. [`open_engine`] opens an engine alone; [`needs_build`] tells whether that takes long.
//! 4. [`work`] says how much of their devices' time the services take.
//! 5. [`recognised`] and [`input`] read a model's input and the meaning of its outputs from its file alone.

mod engines;
mod model_file;
mod registry;
#[cfg(test)]
mod tests;

pub use engines::{check_backend, needs_build, open_engine, prepare};
pub use model_file::{input, recognised};
#[cfg(test)]
pub(crate) use registry::testing;
pub use registry::{Content, Work, content, open, work};
