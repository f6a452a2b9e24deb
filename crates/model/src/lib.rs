//! The interpretation of detection and pose models, without running them: inputs, heads, labels, suppression and
//! filters.
//!
//! This is pure code without GStreamer, GPU or files. A program that runs a model takes these steps, which
//! `examples/decode.rs` demonstrates with constant values:
//!
//! 1. Describe the model's tensors and metadata as a [`ModelInfo`].
//! 2. [`head::recognise`] finds the [`Head`] that decodes its outputs, and its input format, an [`InputSpec`].
//! 3. [`Letterbox`] places a region of a frame in that input. [`video`] has the pixel formats and colour codings of
//!    frames.
//! 4. Run the model with an engine of your choice. [`head::Reading`] checks that its outputs are what the head expects,
//!    and [`Head::decode`] appends [`Detection`]s, with the thresholds in [`Params`], in pixels of the input.
//! 5. [`fn@nms`] removes overlapping boxes if [`Head::needs_nms`]; [`head::MaskPlan::add`] reads the masks of what is left, if
//!    [`Head::masks`]; [`Letterbox::to_frame`] maps points back to the
//!    frame; [`refine`] applies the filters by size, in pixels of the frame. [`Labels`] name the classes,
//!    [`KeypointLayout`] the keypoints.

#![warn(missing_docs)]

pub mod agreement;
pub mod confidence;
mod filter;
mod geometry;
mod gpu_facts;
mod gst_model_info;
pub mod head;
mod keypoint_layout;
mod label_list;
pub mod labels;
pub mod mask;
mod nms;
mod oriented;
mod params;
mod spec;
mod tensor_ids;
mod types;
pub mod video;

pub use filter::refine;
pub use geometry::{Letterbox, SourceSpan};
pub use gpu_facts::GpuFacts;
pub use gst_model_info::GstModelInfo;
pub use head::{DecodePlan, Head, HeadError, Outputs};
pub use keypoint_layout::KeypointLayout;
pub use label_list::{join_labels, split_labels};
pub use labels::Labels;
pub use mask::Mask;
pub use nms::nms;
pub use oriented::OrientedBox;
pub use params::Params;
pub use spec::{
    Alignment, ElementType, Fit, InputSpec, Interpolation, Layout, ModelInfo, Normalization, Resize, TensorInfo,
};
pub use tensor_ids::{DimsOrder, TensorId, TensorIds};
pub use types::{Detection, Keypoint, Rect};
