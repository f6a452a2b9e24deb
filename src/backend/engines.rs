//! From a backend's name to its engines.

use crate::error::Error;
use crate::infer::{Backend, Engine, ModelSettings};
use crate::{cpu, gpu};
use std::sync::Arc;

/// Whether a backend's libraries and devices are there.
///
/// # Errors
/// What is missing, and how to get it.
pub fn check_backend(backend: Backend) -> Result<(), Error> {
    match backend {
        Backend::Cpu => cpu::load_library(),
        Backend::TensorRt => gpu::check(),
    }
}

/// Opens a model on its backend.
///
/// # Errors
/// The backend's, or the model's.
pub fn open_engine(settings: &ModelSettings) -> Result<Arc<dyn Engine>, Error> {
    check_backend(settings.backend)?;
    match settings.backend {
        Backend::Cpu => cpu::open(settings),
        Backend::TensorRt => gpu::open(settings),
    }
}

/// Whether opening a model takes long, because its engine has to be built first.
///
/// # Errors
/// The backend's, or the model's as far as it's looked at.
pub fn needs_build(settings: &ModelSettings) -> Result<bool, Error> {
    match settings.backend {
        Backend::Cpu => Ok(false),
        Backend::TensorRt => gpu::needs_build(settings),
    }
}

/// Sees to what a model that is open already is opened with from disk the next time: the engine in its place.
///
/// # Errors
/// The backend's, or the model's as far as it's looked at.
pub fn prepare(settings: &ModelSettings) -> Result<(), Error> {
    match settings.backend {
        Backend::Cpu => Ok(()),
        Backend::TensorRt => gpu::keep_engine_file(settings),
    }
}
