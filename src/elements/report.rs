//! What the engine room says, as GStreamer messages and structures.

use super::device::Device;
use crate::infer::{Error, ErrorKind, Latencies, Percentiles, nanoseconds};
use gst::prelude::*;
use std::time::Duration;

/// Posts an error message for `element`.
pub fn post(element: &impl IsA<gst::Element>, error: &Error) {
    let element = element.upcast_ref::<gst::Element>();
    let text = &error.message;
    match error.kind {
        ErrorKind::File => gst::element_error!(element, gst::ResourceError::NotFound, ("{text}")),
        ErrorKind::Library => gst::element_error!(element, gst::LibraryError::Init, ("{text}")),
        ErrorKind::Model => gst::element_error!(element, gst::StreamError::Format, ("{text}")),
        ErrorKind::Setting => gst::element_error!(element, gst::LibraryError::Settings, ("{text}")),
        ErrorKind::Memory => gst::element_error!(element, gst::ResourceError::NoSpaceLeft, ("{text}")),
        ErrorKind::Device => gst::element_error!(element, gst::ResourceError::Failed, ("{text}")),
        ErrorKind::Failed => gst::element_error!(element, gst::StreamError::Failed, ("{text}")),
    }
}

/// Sets `NAME-p50`, `NAME-p95`, `NAME-p99` in nanoseconds.
pub fn set_percentiles(stats: &mut gst::StructureRef, name: &str, values: Percentiles) {
    for (percentile, value) in [("p50", values.p50), ("p95", values.p95), ("p99", values.p99)] {
        stats.set(format!("{name}-{percentile}"), nanoseconds(value));
    }
}

/// Sets `bytes-to-device` and `bytes-to-host`: what this plugin has copied in the element's CUDA context.
pub fn set_traffic(stats: &mut gst::StructureRef, device: &Device) {
    if let Ok(shared) = device.context() {
        let traffic = shared.context().traffic();
        stats.set("bytes-to-device", traffic.to_device);
        stats.set("bytes-to-host", traffic.to_host);
    }
}

/// How long an element's work on a frame takes.
#[derive(Debug, Default)]
pub struct Times {
    all: Latencies,
    longest: Duration,
}

impl Times {
    pub fn record(&mut self, took: Duration) {
        self.all.record(took);
        self.longest = took.max(self.longest * 255 / 256 + took / 256);
    }

    /// The longest of late, sinking slowly: what the element adds to the latency.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// Sets `NAME-p50`, `NAME-p95`, `NAME-p99`.
    pub fn set(&self, stats: &mut gst::StructureRef, name: &str) {
        set_percentiles(stats, name, self.all.percentiles());
    }
}
