//! LOG_LEVEL for this plugin's messages.

/// Names of the debug categories of the plugin's elements and engine room.
const CATEGORIES: [&str; 2] = ["trt*", "tensorrt*"];

/// Enables messages of the plugin's categories up to `level` in GStreamer's log (standard error, or `GST_DEBUG_FILE`).
/// `GST_DEBUG` is more specific, so it takes precedence.
pub fn set_log_level(level: gst::DebugLevel) {
    if std::env::var_os("GST_DEBUG").is_some_and(|debug| !debug.is_empty()) {
        return;
    }
    for name in CATEGORIES {
        gst::log::set_threshold_for_name(name, level);
    }
}
