//! The machine that a model is made ready for.

use serde::{Deserialize, Serialize};

/// The GPU that an engine is made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuFacts {
    /// As the driver names it, with the MIG profile where there is one.
    pub name: String,
    /// Major and minor.
    pub compute_capability: (u32, u32),
    /// Number of streaming multiprocessors.
    pub multiprocessors: u32,
    /// Bytes.
    pub memory: u64,
}
