//! What `trtdetect` and `trtpose` have in common: the abstract class `GstTrtInference`.

mod contents;
mod imp;
mod models;
mod opened;
mod opening;
mod progress;
mod properties;
mod regions;
mod results;
mod settings;
#[cfg(test)]
mod tests;
mod values;

pub use imp::InferenceImpl;
pub use properties::Effect;

use crate::model::head::HeadKind;
use gst::glib;
use gst::subclass::prelude::*;

glib::wrapper! {
    /// An element that runs a model on the frames that pass it.
    pub struct Inference(ObjectSubclass<imp::Inference>) @extends gst::Element, gst::Object;
}

// SAFETY: the class adds no fields and no virtual methods to GstElement's, so there is nothing to initialise.
unsafe impl<T: InferenceImpl> IsSubclassable<T> for Inference {}

/// What an element's models look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    Detection,
    Pose,
}

impl Task {
    /// The element for this kind of head.
    pub fn element(kind: HeadKind) -> &'static str {
        match kind {
            HeadKind::Detection => "trtdetect",
            HeadKind::Pose | HeadKind::TopDownPose => "trtpose",
        }
    }

    pub fn takes(self, kind: HeadKind) -> bool {
        match self {
            Self::Detection => kind == HeadKind::Detection,
            Self::Pose => kind != HeadKind::Detection,
        }
    }
}
