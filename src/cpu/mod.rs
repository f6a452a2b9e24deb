//! The CPU engine: ONNX Runtime, loaded at run time.
//!
//! 1. [`load_library`] finds ONNX Runtime; one environment and one thread pool serve the whole process.
//! 2. [`open`] reads a model and recognises its head.
//! 3. A lane makes each frame's tensor ([`preprocess`]), runs the batch and decodes it.

mod engine;
mod filtered;
pub(crate) mod frame;
mod image;
mod lane;
mod library;
mod preprocess;
mod resample;
mod rows;
mod tensor;
#[cfg(test)]
mod test_support;
mod trial;

pub use image::Image;
pub use preprocess::{Workspace, preprocess};

use crate::error::{Error, ErrorKind};
use crate::infer::{Engine, Frame, ModelSettings};
use model::{InputSpec, Rect};
use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtcpu", gst::DebugColorFlags::empty(), Some("CPU engine of the tensorrt plugin"))
});

/// Opens ONNX Runtime.
///
/// # Errors
/// [`ErrorKind::Library`] lists the searched locations and the command that installs the library.
pub fn load_library() -> Result<(), Error> {
    library::runtime().map(|_| ())
}

/// Opens a model.
///
/// # Errors
/// The library can't be opened, or the model is missing, unreadable, not ONNX, of an unknown head or wrongly
/// configured.
pub fn open(settings: &ModelSettings) -> Result<Arc<dyn Engine>, Error> {
    Ok(Arc::new(engine::CpuEngine::open(settings)?))
}

/// Makes the tensor that `spec` describes for one image, from a region (in frame pixels) of a frame in system memory;
/// `data` is resized to fit.
///
/// # Errors
/// [`ErrorKind::Failed`] if the frame can't be mapped or doesn't match its caps.
pub fn preprocess_frame(frame: &Frame, region: Rect, spec: &InputSpec, data: &mut Vec<u8>) -> Result<(), Error> {
    thread_local!(static WORKSPACE: RefCell<Workspace> = RefCell::default());

    data.resize(spec.bytes(), 0);
    WORKSPACE.with_borrow_mut(|workspace| fill(frame, region, spec, workspace, data))
}

/// Preprocesses a frame into `out`, whose size must match `spec`.
fn fill(frame: &Frame, region: Rect, spec: &InputSpec, workspace: &mut Workspace, out: &mut [u8]) -> Result<(), Error> {
    let mapped = frame::Mapped::new(frame)?;
    preprocess(&mapped.image()?, region, spec, workspace, out)
        .map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))
}
