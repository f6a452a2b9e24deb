//! Whole pipelines with `backend=tensorrt`.
//!
//! Each test is there twice: `…::on_the_standin` runs in every test run, in a process on the stand-in GPU; `…::on_a_gpu` is
//! what that process runs, and is ignored here. On a machine with a GPU, TensorRT and GStreamer's nvcodec plugin:
//! `cargo test --test gpu_pipelines -- --ignored on_a_gpu --test-threads 1`
//! (those that need the stand-in's settings say so and skip).

#[path = "../common/mod.rs"]
mod common;

mod chain;
mod clips;
mod engine_file;
mod failures;
mod frames;
mod heads;
mod identity;
mod life;
mod objects;

use common::standin::on_gpu;
