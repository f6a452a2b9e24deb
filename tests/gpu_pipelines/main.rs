//! Whole pipelines with `backend=tensorrt`.
//!
//! Each test exists twice: `…::on_the_standin` runs in every test run, in a process on the stand-in GPU; `…::on_a_gpu` is the
//! test in that process, and is ignored here. On a machine with a GPU, TensorRT and GStreamer's nvcodec plugin:
//! `cargo test --test gpu_pipelines -- --ignored on_a_gpu --test-threads 1`
//! (tests that need the stand-in's settings say so and are skipped).

#[path = "../common/mod.rs"]
mod common;

mod chain;
mod clips;
mod detectors;
mod engine_file;
mod failures;
mod frames;
mod heads;
mod identity;
mod life;
mod neighbours;
mod objects;

use common::standin::on_gpu;
