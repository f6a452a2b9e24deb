//! Checks what the CPU pipeline needs.

use super::{Check, StreamFacts, Verdict};
use crate::cpu;

/// Checks ONNX Runtime.
pub fn runtime() -> Check {
    match cpu::load_library() {
        Ok(()) => Check::ok("ONNX Runtime", "there"),
        Err(error) => Check::missing("ONNX Runtime", error),
    }
}

/// Checks the software decoder of a camera's stream.
pub fn decoder(name: &str, facts: &StreamFacts) -> Check {
    let name = format!("{name}: decoder");
    let decoder = match facts.codec {
        Some(codec) => codec.software_decoder(),
        None => {
            let remedy = "let check ask the camera, or set CODEC for it";
            return Check::new(name, Verdict::Unknown, "unknown, because the stream's codec is unknown", remedy);
        }
    };
    element(&name, &decoder, "install gstreamer1.0-libav")
}

/// Checks that an element of GStreamer exists.
pub fn element(name: &str, element: &str, remedy: &str) -> Check {
    if gst::ElementFactory::find(element).is_some() {
        Check::ok(name, element)
    } else {
        Check::new(name, Verdict::Missing, format!("GStreamer has no {element}"), remedy)
    }
}
