//! A model's input made ahead, on the frame's buffer.

use crate::infer::Tensor;
use std::sync::Arc;

pub fn register() {}

pub fn attach_tensor(buffer: &mut gst::BufferRef, tensor: Arc<Tensor>) {
    let _ = (buffer, tensor);
}

/// The tensors on this buffer, in the order they were attached.
pub fn tensors(buffer: &gst::BufferRef) -> Vec<Arc<Tensor>> {
    let _ = buffer;
    Vec::new()
}
