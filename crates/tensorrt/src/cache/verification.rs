//! The agreement of an engine with its FP32 model, in the engine's record.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A comparison on a clip or a folder of pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// The clip or folder.
    pub source: PathBuf,
    /// Number of frames compared.
    pub frames: usize,
    /// The confidence from which objects were asked for.
    pub confidence: f32,
    /// Objects of both sides that count.
    pub objects: usize,
    /// The share of them that agree, 0 to 1.
    pub agreement: f64,
    /// The share that was required.
    pub required: f64,
    /// By class, those that agree least first.
    pub classes: Vec<ClassAgreement>,
    /// The frames that agree least, each with its objects that don't.
    pub worst: Vec<String>,
}

/// The objects of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassAgreement {
    /// The class's name.
    pub class: String,
    /// Objects of both sides that count.
    pub objects: usize,
    /// The share of them that agree, 0 to 1.
    pub agreement: f64,
}

impl Verification {
    /// Whether the engine agrees as far as was required.
    pub fn passes(&self) -> bool {
        self.agreement >= self.required
    }
}
