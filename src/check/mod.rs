//! Checks whether this machine can run a configuration: verdicts with remedies, for `gst-trt check`.
//!
//! 1. [`machine`] checks the driver, GPUs, NVDEC and TensorRT.
//! 2. [`plan`] checks a [`Plan`](crate::config::Plan) against the machine: models, GPUs, streams, decoders, memory,
//!    engines, clips, threads; on the CPU ONNX Runtime and decoders.
//! 3. [`assign`] assigns each camera its GPU; `gst-trt run` uses it too.
//!
//! [`Report`] puts all of it together. A [`Probe`] finds out what a camera sends: [`ask_camera`] is the usual one, tests have others.

mod assign;
mod clips;
mod content;
mod cpu;
mod engines;
mod login;
mod machine;
mod memory;
mod models;
mod nvdec;
mod plan;
mod report;
mod stream;
mod threads;
mod trial;

pub use assign::{GpuName, assign, gpu_names};
pub(crate) use content::{TURN, is_without_pictures, nothing_to_decode, stream_name, unplayable, unturned};
pub(crate) use login::login_refusal;
pub use machine::machine;
use memory::ModelMemory;
pub use plan::{Request, plan};
pub use report::{ConfigReport, Report};
pub use stream::{Probe, StreamFacts, ask_camera};
pub use trial::{Trial, decode as trial_decode};

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    /// It runs, but with a limitation.
    Limited,
    Missing,
    /// Not checked, or unknown.
    Unknown,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: String,
    pub verdict: Verdict,
    pub found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    /// Makes a result. `remedy` is used unless the verdict is good.
    pub fn new(name: impl Into<String>, verdict: Verdict, found: impl Into<String>, remedy: &str) -> Self {
        let remedy = Some(remedy.to_owned()).filter(|remedy| verdict != Verdict::Ok && !remedy.is_empty());
        Self { name: name.into(), verdict, found: found.into(), remedy }
    }

    /// Makes a result from an error, whose text contains cause and remedy.
    pub fn missing(name: impl Into<String>, error: impl ToString) -> Self {
        Self { name: name.into(), verdict: Verdict::Missing, found: error.to_string(), remedy: None }
    }

    pub fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(name, Verdict::Ok, found, "")
    }
}
