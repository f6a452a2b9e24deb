//! Facts about the GPU for which an engine is built.

use serde::{Deserialize, Serialize};

/// The GPU for which an engine is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuFacts {
    /// The driver's name of the GPU, including the MIG profile if there is one.
    pub name: String,
    /// Major and minor compute capability.
    pub compute_capability: (u32, u32),
    /// Number of streaming multiprocessors.
    pub multiprocessors: u32,
    /// Bytes.
    pub memory: u64,
}
