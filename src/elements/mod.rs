//! The plugin's elements.

mod backend;
mod caps;
mod inference;
mod input_query;
mod report;
mod stage;
mod trtdetect;
mod trtoverlay;
mod trtpose;
mod trtpreprocess;
mod trtpublish;

pub(crate) use caps::CUDA_MEMORY;
pub(crate) use stage::add_held_frames;

use gst::glib;

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    trtpreprocess::register(plugin)?;
    trtdetect::register(plugin)?;
    trtpose::register(plugin)?;
    trtoverlay::register(plugin)?;
    trtpublish::register(plugin)
}
