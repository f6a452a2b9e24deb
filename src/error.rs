//! Why a model can't be opened or run.

use std::sync::Arc;

/// What to do about "GPU out of memory".
pub const GPU_MEMORY_REMEDIES: &str = "reduce batch-size (GPU_BATCH_SIZE in a config.json), lower workspace-size \
    (TENSORRT_WORKSPACE_SIZE), or use a smaller model";

/// Groups errors by what the user has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A file isn't there or can't be read.
    File,
    /// A library (ONNX Runtime, TensorRT, CUDA) is missing or too old.
    Library,
    /// The model's content: not ONNX, corrupt, unknown head, wrong task.
    Model,
    /// A setting that doesn't fit model or backend.
    Setting,
    /// GPU or host memory.
    Memory,
    /// The device failed, or isn't there.
    Device,
    /// The engine failed on a batch.
    Failed,
}

/// What went wrong and what to do about it, in one text.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub kind: ErrorKind,
    pub message: String,
    /// What caused it, for programs: the message tells all that a user needs.
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// With the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}

/// Told once when a device has failed, on the thread that found out; it may hold locks of the CUDA layer, so only take
/// note and wake others.
pub type OnFailure = dyn Fn(&Error) + Send + Sync;

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn an_error_keeps_its_cause() {
        let cause = std::io::Error::other("the disk is full");
        let error = Error::new(ErrorKind::File, "a.engine can't be written").caused_by(cause);
        assert_eq!(error.to_string(), "a.engine can't be written");
        assert_eq!(error.clone().source().unwrap().to_string(), "the disk is full");
        assert!(Error::new(ErrorKind::Failed, "no cause").source().is_none());
    }
}
