//! What elements with a `backend` property do in their state changes: never a silent fallback.

use super::caps;
use crate::infer::{Backend, Error, ErrorKind, check_backend};
use gst::prelude::*;

/// NULL→READY: the backend's libraries and devices.
///
/// # Errors
/// What is missing, and how to get it.
pub fn open(backend: Backend) -> Result<(), Error> {
    check_backend(backend)
}

/// What pads take: both memories while no backend is open, so that an element that can't run says why instead of
/// "could not link"; then the backend's only.
pub fn caps(open: Option<Backend>) -> gst::Caps {
    open.map_or_else(caps::template, caps::of_backend)
}

/// READY→PAUSED: whether upstream has frames in the backend's memory.
///
/// # Errors
/// Names the upstream element and the remedy.
pub fn check_upstream(sink: &gst::Pad, backend: Backend) -> Result<(), Error> {
    let offered = sink.peer_query_caps(None);
    if offered.is_empty() || offered.can_intersect(&caps::of_backend(backend)) {
        return Ok(());
    }
    let upstream = sink.peer().and_then(|peer| peer.parent_element());
    let name = upstream.map_or_else(|| "upstream".into(), |element| format!("upstream {}", element.name()));
    Err(Error::new(
        ErrorKind::Setting,
        match backend {
            Backend::TensorRt => format!(
                "backend=tensorrt takes video/x-raw(memory:CUDAMemory), {name} offers {offered}: use nvh264dec (or \
                 cudaupload), or set backend=cpu"
            ),
            Backend::Cpu => format!(
                "backend=cpu takes video/x-raw in system memory as NV12, I420 or 8-bit RGB, {name} offers {offered}: use \
                 videoconvert (or cudadownload), or set backend=tensorrt"
            ),
        },
    ))
}
