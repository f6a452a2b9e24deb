//! The abstract class `GstTrtInference`, which `trtdetect`, `trtpose` and `trtclassify` share.

mod attributes;
mod changes;
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
mod tensors;
#[cfg(test)]
mod tests;
mod trace;
mod values;
mod work;

pub use imp::InferenceImpl;
pub use models::{Attempt, Models, Start};
pub use opened::Opened;
pub use progress::{Outcome, Progress};
pub use properties::{CLASSIFY_PROPERTIES, POSE_PROPERTIES, differences};
pub use settings::Settings;

use crate::error::{Error, ErrorKind};
use crate::options::InferenceOptions;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use model::Head;
use model::head::HeadKind;
use std::path::Path;
use std::sync::Arc;

glib::wrapper! {
    /// An element that runs a model on the frames that pass through it.
    pub struct Inference(ObjectSubclass<imp::Inference>) @extends gst::Element, gst::Object;
}

// SAFETY: the class adds no fields and no virtual methods to GstElement's, so there is nothing to initialise.
unsafe impl<T: InferenceImpl> IsSubclassable<T> for Inference {}

/// Sets all options of an element. Returns `None` if it isn't of this class.
pub fn set_options(element: &gst::Element, options: &InferenceOptions) -> Option<()> {
    element.downcast_ref::<Inference>().map(|element| element.imp().set_options(options.clone()))
}

/// The model of an element in PAUSED.
pub fn opened(element: &gst::Element) -> Option<Arc<Opened>> {
    element.downcast_ref::<Inference>()?.imp().models.get()
}

/// The kind of models that an element runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    Detection,
    Pose,
    Classification,
}

impl Task {
    /// The element for this kind of head, and its key in a config.json.
    fn place(kind: HeadKind) -> &'static str {
        match kind {
            HeadKind::Detection => "trtdetect (DETECTION in a config.json)",
            HeadKind::Pose | HeadKind::TopDownPose => "trtpose (POSE in a config.json)",
            HeadKind::Classification | HeadKind::Embedding => "trtclassify (CLASSIFICATION in a config.json)",
        }
    }

    /// Checks that the model in `file` has a head for this task. `doubt`: see [`crate::infer::Engine::doubt`].
    ///
    /// # Errors
    /// Says what the model is for, or what it was taken for if that isn't certain.
    pub fn check(self, file: &Path, head: &dyn Head, doubt: Option<&str>) -> Result<(), Error> {
        let task = match head.kind() {
            HeadKind::Detection => Self::Detection,
            HeadKind::Pose | HeadKind::TopDownPose => Self::Pose,
            HeadKind::Classification | HeadKind::Embedding => Self::Classification,
        };
        if task == self {
            return Ok(());
        }
        let (file, name, place) = (file.display(), head.name(), Self::place(head.kind()));
        let text = match doubt {
            None => format!("{file} has a {name} head: use {place} for it"),
            Some(doubt) => format!(
                "{file} is taken for a {name} head, which is for {place}, but the file itself doesn't say what it is\n{doubt}"
            ),
        };
        Err(Error::new(ErrorKind::Model, text))
    }
}
