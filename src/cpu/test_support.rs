//! Helpers shared by the CPU engine's tests.

use std::io::Write;

/// Whether ONNX Runtime is installed; prints a notice if it isn't.
pub fn onnx_runtime_found(test: &str) -> bool {
    gst::init().unwrap();
    match super::load_library() {
        Ok(()) => true,
        Err(error) => {
            // The test harness captures eprintln! of passing tests, so write to stderr directly.
            let _ = writeln!(std::io::stderr(), "{test}: skipped: ONNX Runtime not found. {error}");
            false
        }
    }
}
