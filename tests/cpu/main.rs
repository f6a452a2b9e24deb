//! The CPU engine and its models.

#[path = "../common/mod.rs"]
mod common;
mod engine;
mod heads;
mod onnx_fp16;
mod pixel_formats;
mod reference;
mod test_models;
