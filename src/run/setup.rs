//! What a camera's pipeline is made of.

use super::options::ElementOptions;
use crate::config::{Priority, SecretUrl, Transport};
use crate::error::{Error, ErrorKind};
use crate::record;
use files::digest::Hash;
use std::path::PathBuf;
use std::time::Duration;

/// One camera. Two that are equal need the same pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraSetup {
    /// Unique among cameras.
    pub name: String,
    pub source: SourceSetup,
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
pub enum SourceSetup {
    Rtsp(RtspSource),
    /// At its own speed.
    File(FileSource),
    Test(TestSource),
}

impl SourceSetup {
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

/// An element and what it's told.
#[derive(Debug, Clone, PartialEq)]
pub struct ElementSetup {
    /// Unique in its camera.
    pub name: String,
    pub options: ElementOptions,
    /// What was in files that options name and that are read once, when it's made; `None`: not to be read.
    pub contents: Vec<Option<Hash>>,
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
    /// There's no such element.
    pub fn make(&self) -> Result<gst::Element, Error> {
        let element = make(self.options.factory(), &self.name)?;
        self.options.give_to(&element)?;
        Ok(element)
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
