//! GStreamer's CUDA library, opened at run time: contexts that elements share, and frames in device memory.
//!
//! `libgstcuda-1.0.so.0` is public since GStreamer 1.22, as unstable API. What came in 1.24 (streams of memories) is used
//! where it is there.

mod context;
mod frame;
mod library;

pub use context::{CONTEXT_TYPE, SharedContext, find};
pub use frame::{CUDA_MEMORY, MappedFrame, is_cuda_memory};

#[cfg(test)]
mod tests;
