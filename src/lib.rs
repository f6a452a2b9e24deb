//! GStreamer elements for object detection and human pose with TensorRT.

pub mod cpu;
pub mod infer;
pub mod meta;
pub mod model;
