//! What the CPU engine's tests share.

use std::io::Write;

/// Whether ONNX Runtime is there; says loudly when it isn't.
pub fn onnx_runtime_found(test: &str) -> bool {
    gst::init().unwrap();
    match super::load_library() {
        Ok(()) => true,
        Err(error) => {
            // Not eprintln!, which the test harness keeps for itself while tests pass.
            let _ = writeln!(std::io::stderr(), "{test}: skipped: ONNX Runtime not found. {error}");
            false
        }
    }
}
