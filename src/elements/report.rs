//! Posts errors as GStreamer messages and fills the `stats` structures.

use super::device::Device;
use crate::error::{Error, ErrorKind};
use crate::infer::{DeviceUsage, Latencies, Percentiles, nanoseconds};
use crate::scheduling::RecentMax;
use gst::prelude::*;
use std::time::Duration;

/// Posts with `element_error` or `element_warning`, in the domain of the error's kind.
macro_rules! post {
    ($post:ident, $element:expr, $kind:expr, $text:expr) => {
        match $kind {
            ErrorKind::File => gst::$post!($element, gst::ResourceError::NotFound, ("{}", $text)),
            ErrorKind::Library => gst::$post!($element, gst::LibraryError::Init, ("{}", $text)),
            ErrorKind::Model => gst::$post!($element, gst::StreamError::Format, ("{}", $text)),
            ErrorKind::Setting => gst::$post!($element, gst::LibraryError::Settings, ("{}", $text)),
            ErrorKind::Memory => gst::$post!($element, gst::ResourceError::NoSpaceLeft, ("{}", $text)),
            ErrorKind::Device => gst::$post!($element, gst::ResourceError::Failed, ("{}", $text)),
            ErrorKind::Failed => gst::$post!($element, gst::StreamError::Failed, ("{}", $text)),
        }
    };
}

/// Posts an error message for `element`.
pub fn post(element: &impl IsA<gst::Element>, error: &Error) {
    let element = element.upcast_ref::<gst::Element>();
    post!(element_error, element, error.kind, error.message);
}

/// Posts a warning for `element`: what failed, and the consequence.
pub fn warn(element: &impl IsA<gst::Element>, error: &Error, consequence: &str) {
    let element = element.upcast_ref::<gst::Element>();
    post!(element_warning, element, error.kind, format!("{error}; {consequence}"));
}

/// Sets `NAME-p50`, `NAME-p95`, `NAME-p99` in nanoseconds.
pub fn set_percentiles(stats: &mut gst::StructureRef, name: &str, values: Percentiles) {
    for (percentile, value) in [("p50", values.p50), ("p95", values.p95), ("p99", values.p99)] {
        stats.set(format!("{name}-{percentile}"), nanoseconds(value));
    }
}

/// Sets a service's use of its device.
pub fn set_usage(stats: &mut gst::StructureRef, usage: &DeviceUsage) {
    for (name, value) in [
        ("gpu-memory", usage.memory),
        ("gpu-memory-peak", usage.memory_peak),
        ("gpu-memory-ours", usage.memory_ours),
        ("gpu-memory-beside", usage.memory_beside),
        ("service-bytes-to-device", usage.to_device),
        ("service-bytes-to-host", usage.to_host),
        ("candidates-cut", usage.candidates_cut),
    ] {
        stats.set(name, value);
    }
    stats.set("graphs", usage.graphs);
}

/// Sets `bytes-to-device` and `bytes-to-host`: what this plugin has copied in the element's CUDA context.
pub fn set_traffic(stats: &mut gst::StructureRef, device: &Device) {
    if let Ok(shared) = device.context() {
        let traffic = shared.context().traffic();
        stats.set("bytes-to-device", traffic.to_device);
        stats.set("bytes-to-host", traffic.to_host);
    }
}

/// The times that an element's work on its frames takes.
#[derive(Debug, Default)]
pub struct Times {
    all: Latencies,
    longest: RecentMax,
}

impl Times {
    pub fn record(&mut self, took: Duration) {
        self.all.record(took);
        self.longest.record(took);
    }

    /// The longest recent time: what the element adds to the latency.
    pub fn longest(&self) -> Duration {
        self.longest.get()
    }

    /// Sets `NAME-p50`, `NAME-p95`, `NAME-p99`.
    pub fn set(&self, stats: &mut gst::StructureRef, name: &str) {
        set_percentiles(stats, name, self.all.percentiles());
    }
}
