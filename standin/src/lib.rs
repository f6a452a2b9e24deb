//! A GPU for tests on machines without one: its driver (`libcuda.so.1`), TensorRT and its ONNX parser, all on the CPU.
//!
//! One library serves under each of these names (`cargo xtask standin` links it), so that all of them share one state:
//!
//! - `driver`: contexts, guarded memory, streams that really run concurrently with their callers, events, captures and
//!   graphs. Kernels are the project's own sources, compiled as C++ (build.rs, cuda/), with one fiber per thread of a block.
//! - `tensorrt`: the part of TensorRT 10.6 that the plugin's binding calls, on ONNX Runtime.
//!
//! Whatever the real libraries refuse is refused here, and what they leave undefined is an error: a stand-in that always
//! succeeds proves nothing. `settings` lists the environment variables that make it fail, check or delay.

mod driver;
mod settings;
mod tensorrt;
