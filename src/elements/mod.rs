//! The plugin's elements.

mod backend;
mod caps;
mod device;
mod inference;
mod input_query;
mod orientation;
mod property;
mod refusal;
mod report;
mod stage;
mod trtdetect;
mod trtoverlay;
mod trtpose;
mod trtpreprocess;
mod trtpublish;
mod upstream;

pub(crate) use caps::CUDA_MEMORY;
pub(crate) use inference::{
    Task, differences as inference_differences, opened_as, set_options as set_inference_options,
};
pub(crate) use orientation::Orientation;
pub(crate) use stage::{answer_allocation, into_writable};
pub(crate) use trtpublish::{differences as publish_differences, set_options as set_publish_options};

use gst::glib;

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    trtpreprocess::register(plugin)?;
    trtdetect::register(plugin)?;
    trtpose::register(plugin)?;
    trtoverlay::register(plugin)?;
    trtpublish::register(plugin)
}
