//! What detection and pose models mean, without running one: inputs, heads, labels, suppression and filters.
//!
//! Pure code: no GStreamer, no GPU, no files. What runs a model takes these steps, and `examples/decode.rs` takes them with
//! values of its own:
//!
//! 1. Describe the model's tensors and metadata as a [`ModelInfo`].
//! 2. [`head::recognise`] tells which [`Head`] reads its outputs, and what its input is: an [`InputSpec`].
//! 3. [`Letterbox`] places a region of a frame in that input. [`video`] has the pixel formats and the colours that frames
//!    come in.
//! 4. Run the model. [`Head::decode`] turns its outputs into [`Detection`]s, by the thresholds in [`Params`].
//! 5. [`fn@nms`] suppresses what overlaps where [`Head::needs_nms`]; [`Letterbox::to_frame`] maps points back to the frame;
//!    [`refine`] applies the filters by size.
//!
//! [`head::Reading`] holds what a model gives at run time against what its head takes it for.

#![warn(missing_docs)]

pub mod confidence;
mod filter;
mod geometry;
mod gpu_facts;
pub mod head;
mod label_list;
pub mod labels;
mod nms;
mod params;
mod spec;
mod types;
pub mod video;

pub use filter::refine;
pub use geometry::Letterbox;
pub use gpu_facts::GpuFacts;
pub use head::{Head, HeadError, Outputs};
pub use label_list::{join_labels, split_labels};
pub use labels::{KeypointLayout, Labels};
pub use nms::nms;
pub use params::Params;
pub use spec::{ElementType, InputSpec, Layout, ModelInfo, Normalization, TensorInfo};
pub use types::{Detection, Keypoint, Rect};
