//! The CPU engine and its models.

mod bad_models;
#[path = "../common/mod.rs"]
mod common;
mod engine;
mod fp16_overflow;
mod heads;
mod onnx_fp16;
mod pixel_formats;
mod reference;
mod test_models;
