//! TensorRT's messages, and those of the binding: to the debug category `tensorrt`.

use std::fmt;
use std::sync::LazyLock;
use tensorrt::log::Level;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("tensorrt", gst::DebugColorFlags::empty(), Some("TensorRT binding, and TensorRT's own log"))
});

/// Has the messages of the binding shown where GStreamer shows its own. GStreamer has to be initialised.
pub fn listen_to_tensorrt() {
    tensorrt::log::listen(|level, text: fmt::Arguments<'_>| {
        // Each formats the text only if the level is shown.
        match level {
            Level::Error => gst::error!(CAT, "{text}"),
            Level::Warning => gst::warning!(CAT, "{text}"),
            Level::Info => gst::info!(CAT, "{text}"),
            Level::Debug => gst::debug!(CAT, "{text}"),
            Level::Trace => gst::trace!(CAT, "{text}"),
        }
    });
}
