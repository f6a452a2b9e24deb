//! The results of models on a frame's buffer.

pub mod analytics;
mod associate;
mod change;
mod copy;
mod custom;
mod name;
mod outputs;
mod record;
mod record_meta;
mod roi;
mod store;
mod tensor;
mod transform;

pub use analytics::{GstTensor, attach_gst_tensors, gst_tensors_exist, keep_gst_tensors, tensor_groups};
pub use associate::{Attach, attach_poses};
pub use copy::copy_all;
pub use name::Name;
pub use outputs::attach_outputs;
pub use record::{
    Classification, Counted, Embedding, Event, EventKind, EventObject, Inference, KeypointSet, ModelRun, Object, Place,
    PlaceCount, Record, Tally, TrackInfo, TrackState, by_model,
};
pub use store::{Mirrors, annotate, read, record, set_record, set_record_alone, set_record_with};
pub use tensor::{attach_tensor, tensors};

/// Registers the metadata types; called when the plugin loads.
pub fn register() {
    record_meta::register();
    tensor::register();
    outputs::register();
}
