//! GStreamer elements for object detection and human pose estimation: with TensorRT on frames in GPU memory, or with ONNX
//! Runtime on the CPU. The elements are `trtdetect`, `trtpose`, `trtclassify`, `trtpreprocess`, `trttrack`, `trtzones`, `trtoverlay`
//! and `trtpublish`.
//!
//! Programs use the elements through GStreamer; [`plugin_register_static`] registers them without a plugin file. In Rust
//! they read results from buffers by [`meta`]. The other modules are what `gst-trt` and the tests are made of, and may
//! change with any release; docs/architecture.md has them from the lowest layer up.

pub mod backend;
mod backoff;
pub mod check;
pub mod clips;
pub mod config;
pub mod cpu;
pub mod draw;
mod elements;
pub mod error;
pub mod fleet;
pub mod gpu;
pub mod gst_cuda;
mod http;
pub mod infer;
pub mod meta;
pub mod monitor;
pub mod options;
pub mod publish;
pub mod record;
pub mod run;
pub mod scheduling;
mod tensorrt_log;
pub mod verify;
mod video_caps;
pub mod web;

pub use tensorrt_log::listen_to_tensorrt;

use gst::glib;
use parking_lot::Mutex;

/// Registers the elements in this process as [`plugin_register_static`] does, once: another registration would replace their
/// factories, which elements that exist still use.
///
/// # Errors
/// GStreamer refuses an element.
pub fn register_elements() -> Result<(), glib::BoolError> {
    static DONE: Mutex<bool> = Mutex::new(false);
    let mut done = DONE.lock();
    if !*done {
        plugin_register_static()?;
        *done = true;
    }
    Ok(())
}

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    listen_to_tensorrt();
    meta::register();
    elements::register(plugin)
}

gst::plugin_define!(
    tensorrt,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MPL-2.0",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("BUILD_REL_DATE")
);
