//! A GPU for tests on machines without one: its driver (`libcuda.so.1`), TensorRT and its ONNX parser, all on the CPU.
//!
//! One library under each of these names (`cargo xtask standin` lays it out), so that all of them share one state:
//!
//! - `driver`: contexts, guarded memory, streams that really run beside their callers, events, captures and graphs.
//!   Kernels are the project's own sources, compiled as C++ (build.rs, cuda/), each thread of a block a fiber.
//! - `tensorrt`: what the plugin's binding calls of TensorRT 10.6, on ONNX Runtime.
//!
//! What the real ones refuse is refused here, and what they leave undefined is an error: a stand-in that always says yes
//! proves nothing. `settings` lists the environment variables that make it fail, check or dawdle.

mod driver;
mod settings;
mod tensorrt;
