//! The plugin's elements in pipelines, on the CPU.

mod analytics;
mod bad_input;
mod batching;
mod classification;
mod clip_times;
#[path = "../common/mod.rs"]
mod common;
mod file_content;
mod inference;
mod logging;
mod metadata;
mod model_identity;
mod model_swap;
mod moved_pictures;
mod objects;
mod overlay;
mod pipeline;
mod refused_formats;
mod reid;
mod streaming;
mod street;
mod survival;
mod tensors;
mod tracking;
mod zones;
