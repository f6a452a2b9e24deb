//! A model's input made ahead, on the frame's buffer.
//!
//! It shows the frame's pixels as they were. The meta's tags say so: whatever changes size, colours or orientation drops
//! it.

use super::store::register_custom;
use crate::infer::Tensor;
use gst::glib;
use gst::meta::CustomMeta;
use std::sync::{Arc, Once};

const NAME: &str = "TrtTensors";
const FIELD: &glib::GStr = glib::gstr!("tensors");

/// All tensors of a buffer, so that one look-up finds them. Why each copy of the crate has a type of its own is said in
/// `store`.
#[derive(Clone, glib::SharedBoxed)]
#[shared_boxed_type(name = "TrtSharedTensors", allow_name_conflict)]
struct SharedTensors(Arc<Vec<Arc<Tensor>>>);

/// Registers the tensors' meta; needs `gst::init`. May be called more than once.
pub fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| register_custom(NAME, &["video", "size", "colorspace", "orientation"], false));
}

/// Adds a tensor; those already there stay.
pub fn attach_tensor(buffer: &mut gst::BufferRef, tensor: Arc<Tensor>) {
    // Registers the meta too.
    let mut all = tensors(buffer);
    all.push(tensor);
    let shared = SharedTensors(Arc::new(all));
    if let Ok(mut meta) = CustomMeta::from_mut_buffer(buffer, NAME) {
        meta.mut_structure().set(FIELD, shared);
    } else if let Ok(mut meta) = CustomMeta::add(buffer, NAME) {
        meta.mut_structure().set(FIELD, shared);
    }
}

/// The tensors on this buffer, in the order they were attached.
pub fn tensors(buffer: &gst::BufferRef) -> Vec<Arc<Tensor>> {
    register();
    let Ok(meta) = CustomMeta::from_buffer(buffer, NAME) else { return Vec::new() };
    meta.structure().get::<SharedTensors>(FIELD).map(|shared| shared.0.to_vec()).unwrap_or_default()
}
