//! The TensorRT binding without a GPU.

#[path = "../common/mod.rs"]
mod common;
mod library;
mod rtx;
