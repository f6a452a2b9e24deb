//! A model's input that was made upstream, on the frame's buffer.
//!
//! It shows the frame's pixels unchanged. The meta's tags express that: elements that change the size, colours or
//! orientation drop it.

use super::custom::Custom;
use crate::infer::Tensor;
use gst::glib;
use std::sync::Arc;

static TENSORS: Custom = Custom::new("TrtTensors", &["video", "size", "colorspace", "orientation"]);
const FIELD: &glib::GStr = glib::gstr!("tensors");

/// All tensors of a buffer, so that one look-up finds them. `store` explains why each copy of the crate has a separate
/// type.
#[derive(Clone, glib::SharedBoxed)]
#[shared_boxed_type(name = "TrtSharedTensors", allow_name_conflict)]
struct SharedTensors(Arc<Vec<Arc<Tensor>>>);

/// Registers the tensors' meta; needs `gst::init`. May be called more than once.
pub fn register() {
    TENSORS.register();
}

/// Adds a tensor to those already attached.
pub fn attach_tensor(buffer: &mut gst::BufferRef, tensor: Arc<Tensor>) {
    let mut all = tensors(buffer);
    all.push(tensor);
    if let Some(mut meta) = TENSORS.of_or_added(buffer) {
        meta.mut_structure().set(FIELD, SharedTensors(Arc::new(all)));
    }
}

/// The tensors on this buffer, in the order in which they were attached.
pub fn tensors(buffer: &gst::BufferRef) -> Vec<Arc<Tensor>> {
    let Some(meta) = TENSORS.of(buffer) else { return Vec::new() };
    meta.structure().get::<SharedTensors>(FIELD).map(|shared| shared.0.to_vec()).unwrap_or_default()
}
