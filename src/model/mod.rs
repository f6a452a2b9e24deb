//! What a model means, without running one: geometry, input specification, heads, labels, filters.
//!
//! Pure code: no GStreamer, no GPU, no I/O. Every backend and every element uses these types.
//!
//! 1. [`InputSpec`] says what tensor a model wants; [`Letterbox`] places a frame in it and maps back.
//! 2. [`Head`] turns a model's raw outputs into [`Detection`]s; [`head::recognise`] finds it from shapes and metadata, and
//!    [`head::Reading`] holds a run's values against it.
//! 3. [`Params`] are the thresholds and filters that travel with each frame.

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
