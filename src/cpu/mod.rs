//! The CPU engine: ONNX Runtime, opened at run time.

pub mod image;
pub mod preprocess;
