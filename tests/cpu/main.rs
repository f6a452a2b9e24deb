//! The CPU engine and the models that it runs.

#[path = "../common/mod.rs"]
mod common;
mod engine;
mod heads;
mod onnx_fp16;
mod pixel_formats;
mod reference;
mod test_models;
