//! What a camera's pipeline is made of.

use crate::config::{Priority, SecretUrl, Transport, redact};
use crate::digest::Hash;
use crate::error::{Error, ErrorKind};
use crate::record;
use gst::prelude::*;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// One camera. Two that are equal need the same pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraSetup {
    /// Unique among cameras.
    pub name: String,
    pub source: Source,
    pub decoder: Decoder,
    /// Coded pictures that may wait for the decoder.
    pub coded_queue: u32,
    /// Decoded pictures that may wait for the first model; the oldest makes room for a new one.
    pub picture_queue: u32,
    /// Most memory that those may take, bytes.
    pub picture_memory: Option<u32>,
    /// Pictures that the decoder may have out at once, where it lets that be set.
    pub surfaces: Option<u32>,
    /// What the pictures go through, in order.
    pub elements: Vec<ElementSetup>,
    /// What is recorded of it.
    pub recording: Option<record::Settings>,
    pub threads: ThreadSetup,
}

/// Where pictures come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    Rtsp(RtspSource),
    /// At its own speed.
    File(FileSource),
    Test(TestSource),
}

impl Source {
    /// Whether it comes to an end by itself, and that's as it should be.
    pub fn ends(&self) -> bool {
        matches!(self, Self::File(FileSource { looping: false, .. }))
    }

    /// Whether a login is tried as a user.
    pub fn has_user(&self) -> bool {
        matches!(self, Self::Rtsp(source) if source.url.has_user())
    }
}

/// A camera on the network.
#[derive(Debug, Clone, PartialEq)]
pub struct RtspSource {
    /// `rtsp://…` or `rtsps://…`
    pub url: SecretUrl,
    pub transport: Transport,
    /// What the jitter buffer may hold back.
    pub latency: Duration,
    /// How long the network may be silent.
    pub timeout: Duration,
}

/// A video file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileSource {
    pub path: PathBuf,
    /// From the beginning again at its end.
    pub looping: bool,
}

/// A moving test picture.
#[derive(Debug, Clone, PartialEq)]
pub struct TestSource {
    /// Pixels.
    pub width: i32,
    pub height: i32,
    /// Pictures a second.
    pub rate: gst::Fraction,
    /// A `pattern` of videotestsrc.
    pub pattern: String,
}

/// Who decodes, and with that in which memory pictures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoder {
    Cpu,
    /// NVDEC of this GPU, numbered after CUDA_VISIBLE_DEVICES.
    Gpu(u32),
    /// The CPU decodes, and pictures are copied to this GPU.
    Upload(u32),
}

impl Decoder {
    /// The GPU in whose memory pictures are.
    pub fn gpu(self) -> Option<u32> {
        match self {
            Self::Cpu => None,
            Self::Gpu(device) | Self::Upload(device) => Some(device),
        }
    }
}

/// An element and its properties.
#[derive(Clone, PartialEq)]
pub struct ElementSetup {
    pub factory: String,
    /// Unique in its camera.
    pub name: String,
    /// Name and value, as gst-launch takes them.
    pub properties: Vec<(String, String)>,
    /// What was in files that properties name and that are read once, when it's made; `None`: not to be read.
    pub contents: Vec<Option<Hash>>,
}

impl fmt::Debug for ElementSetup {
    /// Without passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} name={}", self.factory, self.name)?;
        self.properties.iter().try_for_each(|(name, value)| write!(f, " {name}={}", redact(value)))
    }
}

/// How threads are scheduled.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadSetup {
    /// Each camera's threads stay on a core that the supervisor gives it.
    pub pinned: bool,
    /// Of the decoder's thread.
    pub decoder: Priority,
    /// Of the others.
    pub others: Priority,
}

impl Default for ThreadSetup {
    fn default() -> Self {
        Self { pinned: false, decoder: Priority::Normal, others: Priority::Normal }
    }
}

impl ElementSetup {
    /// Makes the element.
    ///
    /// # Errors
    /// There's no such element; it has no such property; the value isn't one of the property's.
    pub fn make(&self) -> Result<gst::Element, Error> {
        let element = make(&self.factory, &self.name)?;
        for (name, value) in &self.properties {
            let value = self.value(&element, name, value)?;
            element.set_property_from_value(name, &value);
        }
        Ok(element)
    }

    /// A property's value for this element.
    ///
    /// # Errors
    /// It has no such property; the value isn't one of the property's, or is out of its range.
    pub fn value(&self, element: &gst::Element, name: &str, value: &str) -> Result<gst::glib::Value, Error> {
        let wrong = |what: &str| {
            Error::new(ErrorKind::Setting, format!("{} {}: {name}={}: {what}", self.factory, self.name, redact(value)))
        };
        let spec = element.find_property(name).ok_or_else(|| wrong("there is no such property"))?;
        let parsed = gst::glib::Value::deserialize_with_pspec(value, &spec)
            .map_err(|_| wrong(&format!("not a {}", spec.value_type())))?;
        if !spec.value_is_valid(&parsed) {
            return Err(wrong("out of range"));
        }
        Ok(parsed)
    }
}

/// Makes an element.
///
/// # Errors
/// Says that it isn't installed.
pub fn make(factory: &str, name: &str) -> Result<gst::Element, Error> {
    gst::ElementFactory::make(factory).name(name).build().map_err(|_| {
        let text = format!(
            "GStreamer has no element {factory} here: install the plugin that has it (`gst-inspect-1.0 {factory}` finds \
             it then), or set GST_PLUGIN_PATH to its folder"
        );
        Error::new(ErrorKind::Library, text)
    })
}
