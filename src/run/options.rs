//! An element of a camera's pipeline, and its options.

use crate::elements;
use crate::error::{Error, ErrorKind};
use crate::options::InferenceOptions;
use crate::publish::PublishOptions;
use gst::glib::ParamSpec;
use gst::prelude::*;

/// What one of this plugin's elements is told.
#[derive(Debug, Clone, PartialEq)]
pub enum ElementOptions {
    Detect(Box<InferenceOptions>),
    Pose(Box<InferenceOptions>),
    Publish(Box<PublishOptions>),
}

impl ElementOptions {
    pub fn detect(options: InferenceOptions) -> Self {
        Self::Detect(Box::new(options))
    }

    pub fn pose(options: InferenceOptions) -> Self {
        Self::Pose(Box::new(options))
    }

    pub fn publish(options: PublishOptions) -> Self {
        Self::Publish(Box::new(options))
    }

    pub fn factory(&self) -> &'static str {
        match self {
            Self::Detect(_) => "trtdetect",
            Self::Pose(_) => "trtpose",
            Self::Publish(_) => "trtpublish",
        }
    }

    /// Sets them all; while the element plays they take effect as properties that are set.
    ///
    /// # Errors
    /// The element isn't of this build of the plugin.
    pub fn give_to(&self, element: &gst::Element) -> Result<(), Error> {
        let given = match self {
            Self::Detect(options) | Self::Pose(options) => elements::set_inference_options(element, options),
            Self::Publish(options) => elements::set_publish_options(element, options),
        };
        given.ok_or_else(|| {
            let text = format!("{} is of another build of the plugin: take it off GST_PLUGIN_PATH", element.type_());
            Error::new(ErrorKind::Library, text)
        })
    }

    /// The properties in which they differ; `None`: they are another element's.
    pub fn differences(&self, other: &Self) -> Option<Vec<&'static ParamSpec>> {
        match (self, other) {
            (Self::Detect(a), Self::Detect(b)) | (Self::Pose(a), Self::Pose(b)) => {
                Some(elements::inference_differences(a, b))
            }
            (Self::Publish(a), Self::Publish(b)) => Some(elements::publish_differences(a, b)),
            _ => None,
        }
    }
}
