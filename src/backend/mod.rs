//! The choice of backend: from a model's settings to its engine on the CPU or on the GPU, and to the service that elements
//! share.
//!
//! 1. [`check_backend`] says whether a backend's libraries and devices are there.
//! 2. [`open`] gives the service for a model: an open one if its content and settings are the same, or a new one.
//! 3. [`open_engine`] opens an engine alone; [`needs_build`] says whether that takes long.
//! 4. [`recognised`] and [`input_spec`] tell from a model's file alone what it takes and what its outputs mean.

mod engines;
mod model_file;
mod registry;
#[cfg(test)]
mod tests;

pub use engines::{check_backend, needs_build, open_engine, prepare};
pub use model_file::{input_spec, recognised};
#[cfg(test)]
pub(crate) use registry::testing;
pub use registry::{content, open};
