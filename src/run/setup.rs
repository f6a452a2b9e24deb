//! The set-up of a camera's pipeline.

use crate::clips;
use crate::config::{Priority, SecretUrl, Transport};
use crate::elements::{ElementOptions, ElementSetup};
use crate::publish::{Gate, Origin};
use crate::record;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One camera. Equal set-ups need the same pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraSetup {
    /// Unique among cameras.
    pub name: String,
    pub source: SourceSetup,
    pub decoder: Decoder,
    /// Coded pictures that may wait for the decoder.
    pub coded_queue: u32,
    /// Decoded pictures that may wait for the first model; the oldest is dropped for a new one.
    pub picture_queue: u32,
    /// The most memory that those may take, bytes.
    pub picture_memory: Option<u32>,
    /// Pictures that the decoder may have in use at once, where it lets that be set.
    pub surfaces: Option<u32>,
    /// The elements that the pictures pass, in order.
    pub elements: Vec<ElementSetup>,
    /// The recording, if there is any.
    pub recording: Option<record::Settings>,
    /// The clips of events, if there are any.
    pub clips: Option<clips::Settings>,
    pub threads: ThreadSetup,
    /// The run of it in a fleet; another run needs another pipeline.
    pub run: Option<FleetRun>,
}

impl CameraSetup {
    /// The same for a run in a fleet: its lines say so, and go out while the run's gate is open.
    pub fn in_fleet(mut self, run: &FleetRun) -> Self {
        for element in &mut self.elements {
            if let ElementOptions::Publish(options) = &mut element.options {
                (options.host, options.epoch) = (Some(run.origin.host.clone()), run.origin.epoch);
                options.gate = Some(run.gate.clone());
            }
        }
        Self { run: Some(run.clone()), ..self }
    }
}

/// A camera's run in a fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetRun {
    pub origin: Origin,
    pub gate: Arc<Gate>,
}

/// The origin of the pictures.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceSetup {
    Rtsp(RtspSource),
    /// A file that plays at its own speed.
    File(FileSource),
    Test(TestSource),
}

impl SourceSetup {
    /// Whether the source is expected to end by itself.
    pub fn ends(&self) -> bool {
        matches!(self, Self::File(FileSource { looping: false, .. }))
    }

    /// Whether the URL contains a user name for the login.
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
    /// The latency of the jitter buffer.
    pub latency: Duration,
    /// The network timeout.
    pub timeout: Duration,
}

/// A video file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileSource {
    pub path: PathBuf,
    /// Restarts from the beginning at the end.
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

/// The decoder, which determines the memory that pictures are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoder {
    Cpu,
    /// NVDEC of this GPU, numbered within CUDA_VISIBLE_DEVICES.
    Gpu(u32),
    /// The CPU decodes, and pictures are copied to this GPU.
    Upload(u32),
}

impl Decoder {
    /// The GPU in whose memory the pictures are.
    pub fn gpu(self) -> Option<u32> {
        match self {
            Self::Cpu => None,
            Self::Gpu(device) | Self::Upload(device) => Some(device),
        }
    }
}

/// How threads are scheduled.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadSetup {
    /// Each camera's threads stay on a core that the supervisor assigns.
    pub pinned: bool,
    /// The priority of the decoder's thread.
    pub decoder: Priority,
    /// The priority of the other threads.
    pub others: Priority,
}

impl Default for ThreadSetup {
    fn default() -> Self {
        Self { pinned: false, decoder: Priority::Normal, others: Priority::Normal }
    }
}
