//! GStreamer's CUDA library, loaded at run time: contexts that elements share, and frames in device memory.
//!
//! `libgstcuda-1.0.so.0` has been public as unstable API since GStreamer 1.22. The additions of 1.24 (streams of
//! memories, and memories of our own addresses) are used if the library has them.

mod context;
mod frame;
mod library;
mod stream;

pub use context::{CONTEXT_TYPE, SharedContext, find};
pub use frame::{CUDA_MEMORY, MappedFrame, is_cuda_memory};
pub use stream::GstStream;

#[cfg(test)]
mod tests;
