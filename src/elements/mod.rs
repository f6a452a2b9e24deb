//! The plugin's elements.

mod backend;
mod caps;
mod device;
mod final_record;
mod inference;
mod input_query;
mod orientation;
mod property;
mod refusal;
mod report;
mod segment;
mod setup;
mod stage;
mod trtclassify;
mod trtdetect;
mod trtoverlay;
mod trtpose;
mod trtpreprocess;
mod trtpublish;
mod trttrack;
mod trtzones;
mod upstream;

pub(crate) use caps::{CUDA_MEMORY, size as frame_size};
pub(crate) use inference::Task;
pub(crate) use orientation::Orientation;
pub use setup::{ElementOptions, ElementSetup};
pub(crate) use setup::{make, models};
pub(crate) use stage::{answer_allocation, into_writable};

use gst::glib;

/// Describes the head and the number of classes of the model of an element in PAUSED.
pub(crate) fn opened_as(element: &gst::Element) -> Option<String> {
    let opened = inference::opened(element).or_else(|| trttrack::opened(element))?;
    Some(opened.service().engine().head().describe())
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    trtpreprocess::register(plugin)?;
    trtdetect::register(plugin)?;
    trtpose::register(plugin)?;
    trtclassify::register(plugin)?;
    trtoverlay::register(plugin)?;
    trttrack::register(plugin)?;
    trtzones::register(plugin)?;
    trtpublish::register(plugin)
}
