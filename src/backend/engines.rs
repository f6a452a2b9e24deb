//! Opens engines by backend.

use crate::error::Error;
use crate::infer::{Backend, Engine, ModelSettings};
use crate::{cpu, gpu};
use std::sync::Arc;

/// Checks that a backend's libraries and devices are available.
///
/// # Errors
/// Names what is missing and how to get it.
pub fn check_backend(backend: Backend) -> Result<(), Error> {
    match backend {
        Backend::Cpu => cpu::load_library(),
        Backend::TensorRt => gpu::check(),
    }
}

/// Opens a model on its backend.
///
/// # Errors
/// The backend's error, or the model's.
pub fn open_engine(settings: &ModelSettings) -> Result<Arc<dyn Engine>, Error> {
    check_backend(settings.backend)?;
    match settings.backend {
        Backend::Cpu => cpu::open(settings),
        Backend::TensorRt => gpu::open(settings),
    }
}

/// True if opening the model takes long, because its engine has to be built first.
///
/// # Errors
/// The backend's error, or the model's as far as it is read.
pub fn needs_build(settings: &ModelSettings) -> Result<bool, Error> {
    match settings.backend {
        Backend::Cpu => Ok(false),
        Backend::TensorRt => gpu::needs_build(settings),
    }
}

/// Updates the files of a model that is already open: keeps its engine in the engine file, from which the model opens
/// next time.
///
/// # Errors
/// The backend's error, or the model's as far as it is read.
pub fn prepare(settings: &ModelSettings) -> Result<(), Error> {
    match settings.backend {
        Backend::Cpu => Ok(()),
        Backend::TensorRt => gpu::keep_engine_file(settings),
    }
}
