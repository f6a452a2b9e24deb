//! An element as a plan of cameras describes it: which one it is, and its options.

use super::{inference, trtpublish, trttrack, trtzones};
use crate::config::{self, Plan};
use crate::error::{Error, ErrorKind};
use crate::options::{InferenceOptions, TrackingOptions, ZonesOptions};
use crate::publish::PublishOptions;
use files::digest::{self, Hash};
use gst::glib::ParamSpec;
use gst::prelude::*;

/// What one of this plugin's elements is told.
#[derive(Debug, Clone, PartialEq)]
pub enum ElementOptions {
    Detect(Box<InferenceOptions>),
    Pose(Box<InferenceOptions>),
    Classify(Box<InferenceOptions>),
    Track(Box<TrackingOptions>),
    Zones(Box<ZonesOptions>),
    Publish(Box<PublishOptions>),
}

impl ElementOptions {
    pub fn detect(options: InferenceOptions) -> Self {
        Self::Detect(Box::new(options))
    }

    pub fn pose(options: InferenceOptions) -> Self {
        Self::Pose(Box::new(options))
    }

    pub fn classify(options: InferenceOptions) -> Self {
        Self::Classify(Box::new(options))
    }

    pub fn track(options: TrackingOptions) -> Self {
        Self::Track(Box::new(options))
    }

    pub fn zones(options: ZonesOptions) -> Self {
        Self::Zones(Box::new(options))
    }

    pub fn publish(options: PublishOptions) -> Self {
        Self::Publish(Box::new(options))
    }

    pub fn factory(&self) -> &'static str {
        match self {
            Self::Detect(_) => "trtdetect",
            Self::Pose(_) => "trtpose",
            Self::Classify(_) => "trtclassify",
            Self::Track(_) => "trttrack",
            Self::Zones(_) => "trtzones",
            Self::Publish(_) => "trtpublish",
        }
    }

    /// Sets them all; while the element plays they take effect as properties that are set.
    ///
    /// # Errors
    /// The element isn't of this build of the plugin.
    pub fn give_to(&self, element: &gst::Element) -> Result<(), Error> {
        let given = match self {
            Self::Detect(options) | Self::Pose(options) | Self::Classify(options) => {
                inference::set_options(element, options)
            }
            Self::Track(options) => trttrack::set_options(element, options),
            Self::Zones(options) => trtzones::set_options(element, options),
            Self::Publish(options) => trtpublish::set_options(element, options),
        };
        given.ok_or_else(|| {
            let text = format!("{} is of another build of the plugin: take it off GST_PLUGIN_PATH", element.type_());
            Error::new(ErrorKind::Library, text)
        })
    }

    /// The properties in which they differ; `None`: they are another element's.
    pub fn differences(&self, other: &Self) -> Option<Vec<&'static ParamSpec>> {
        match (self, other) {
            (Self::Detect(a), Self::Detect(b))
            | (Self::Pose(a), Self::Pose(b))
            | (Self::Classify(a), Self::Classify(b)) => Some(inference::differences(a, b)),
            (Self::Track(a), Self::Track(b)) => Some(trttrack::differences(a, b)),
            (Self::Zones(a), Self::Zones(b)) => Some(trtzones::differences(a, b)),
            (Self::Publish(a), Self::Publish(b)) => Some(trtpublish::differences(a, b)),
            _ => None,
        }
    }
}

/// An element and what it's told.
#[derive(Debug, Clone, PartialEq)]
pub struct ElementSetup {
    /// Unique within its camera.
    pub name: String,
    pub options: ElementOptions,
    /// What was in files that options name and that are read once, when it's made; `None`: not to be read.
    pub contents: Vec<Option<Hash>>,
}

impl ElementSetup {
    /// Makes the element.
    ///
    /// # Errors
    /// There's no such element.
    pub fn make(&self) -> Result<gst::Element, Error> {
        let element = make(self.options.factory(), &self.name)?;
        self.options.give_to(&element)?;
        Ok(element)
    }
}

/// The elements of a camera's models, and between them those that follow what the models find.
pub fn models(plan: &Plan, camera: &config::Camera, device: u32) -> Vec<ElementSetup> {
    let element = |model: &config::Model, of: fn(InferenceOptions) -> ElementOptions| ElementSetup {
        name: model.id.to_owned(),
        // Only this plugin's elements are in these pipelines.
        options: of(InferenceOptions { roi_meta: false, analytics_meta: false, ..model.options_in(plan, device) }),
        // Elements check their models' files by themselves.
        contents: vec![],
    };
    let detection = camera.detection.iter().map(|model| element(model, ElementOptions::detect));
    let pose = camera.pose.iter().map(|model| element(model, ElementOptions::pose));
    let classification = camera.classification.iter().map(|model| element(model, ElementOptions::classify));
    let mut elements: Vec<_> = detection.collect();
    let tracker = camera.tracker.as_ref().map(|tracker| ElementSetup {
        name: "tracker".to_owned(),
        options: ElementOptions::track(tracker.options_in(plan, device)),
        // Its model is opened once.
        contents: tracker.reid.iter().map(|model| digest::of_file(&model.onnx).ok()).collect(),
    });
    // Poses that are attached to tracked objects belong behind the tracker, which predicts boxes in between.
    let (before, behind) = if elements.is_empty() { (None, tracker) } else { (tracker, None) };
    elements.extend(before);
    elements.extend(pose);
    elements.extend(behind);
    elements.extend(classification);
    elements.extend(camera.zones.as_ref().map(|zones| ElementSetup {
        name: "zones".to_owned(),
        options: ElementOptions::zones(zones.options()),
        contents: vec![],
    }));
    elements
}

/// Makes an element.
///
/// # Errors
/// The element isn't installed.
pub fn make(factory: &str, name: &str) -> Result<gst::Element, Error> {
    gst::ElementFactory::make(factory).name(name).build().map_err(|_| {
        let text = format!(
            "GStreamer has no element {factory} here: install the plugin that provides it (`gst-inspect-1.0 {factory}` finds \
             it then), or set GST_PLUGIN_PATH to its folder"
        );
        Error::new(ErrorKind::Library, text)
    })
}
