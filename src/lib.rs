//! GStreamer elements for object detection and human pose estimation with TensorRT.

pub mod backend;
mod backoff;
pub mod check;
pub mod config;
pub mod cpu;
pub mod draw;
mod elements;
pub mod error;
pub mod gpu;
pub mod gst_cuda;
pub mod infer;
pub mod meta;
pub mod monitor;
pub mod options;
pub mod publish;
pub mod record;
pub mod run;
pub mod scheduling;
mod tensorrt_log;
pub mod video_caps;

pub use tensorrt_log::listen_to_tensorrt;

use gst::glib;

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
