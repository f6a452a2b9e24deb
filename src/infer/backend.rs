//! From a backend's name to its engines.

use super::{Backend, Engine, Error, ErrorKind, ModelSettings};
use crate::{cpu, cuda};
use std::sync::Arc;

/// Whether a backend's libraries and devices are there.
///
/// # Errors
/// What is missing, and how to get it.
pub fn check_backend(backend: Backend) -> Result<(), Error> {
    match backend {
        Backend::Cpu => cpu::load_library(),
        Backend::TensorRt => {
            cuda::check_driver()?;
            Err(Error::new(
                ErrorKind::Library,
                "backend=tensorrt: this version of the plugin has no TensorRT engine yet; set backend=cpu to run on the CPU",
            ))
        }
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
        Backend::TensorRt => Err(Error::new(ErrorKind::Library, "backend=tensorrt: no engine")),
    }
}
