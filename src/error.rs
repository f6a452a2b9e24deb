//! The errors of opening and running a model.

use std::sync::Arc;

/// The remedies for running out of GPU memory.
pub const GPU_MEMORY_REMEDIES: &str = "reduce batch-size (GPU_BATCH_SIZE in a config.json), lower workspace-size \
    (TENSORRT_WORKSPACE_SIZE), or use a smaller model";

/// Groups errors by what the user must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A file is missing or can't be read.
    File,
    /// A library (ONNX Runtime, TensorRT, CUDA) is missing or too old.
    Library,
    /// The model's content: not ONNX, corrupt, an unknown head or a head for another task.
    Model,
    /// A setting that doesn't fit the model or the backend.
    Setting,
    /// GPU or host memory is exhausted.
    Memory,
    /// The device failed or is missing.
    Device,
    /// The engine failed on a batch.
    Failed,
}

/// What went wrong and how to fix it, in one text.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub kind: ErrorKind,
    pub message: String,
    /// The cause, for programs; the message has everything that a user needs.
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}

/// Called once when a device has failed, on the thread that detected it, as [`cuda::OnFailure`] is: that thread may hold
/// locks of the CUDA layer, so the function may only record the failure and wake other threads.
pub type OnFailure = dyn Fn(&Error) + Send + Sync;

impl From<cuda::Error> for Error {
    fn from(error: cuda::Error) -> Self {
        use cuda::ErrorKind as Cause;
        // What a service's own account refused is TensorRT's error.
        if let Some(refused) = error.source.as_deref().and_then(|source| source.downcast_ref::<tensorrt::Error>()) {
            return refused.clone().into();
        }
        let (kind, message) = match error.kind {
            Cause::NoDriver => {
                let needed = "backend=tensorrt needs an NVIDIA GPU and its driver";
                (ErrorKind::Library, format!("{needed}, and {error}, or set backend=cpu to run on the CPU"))
            }
            Cause::NoDevice => (ErrorKind::Device, format!("{error}, or set backend=cpu to run on the CPU")),
            Cause::NoSuchDevice(ordinal) => (ErrorKind::Device, format!("device-id={ordinal}: {error}")),
            Cause::Memory => (ErrorKind::Memory, format!("{error}: {GPU_MEMORY_REMEDIES}")),
            Cause::Library => (ErrorKind::Library, error.to_string()),
            Cause::Device => (ErrorKind::Device, error.to_string()),
            Cause::Failed => (ErrorKind::Failed, error.to_string()),
        };
        Self::new(kind, message).caused_by(error)
    }
}

impl From<tensorrt::Error> for Error {
    fn from(error: tensorrt::Error) -> Self {
        use tensorrt::Error as Cause;
        let (kind, message) = match &error {
            // Memory that TensorRT allocates without our allocator.
            Cause::Call { log, .. } if log.iter().any(|line| line.to_lowercase().contains("out of memory")) => {
                (ErrorKind::Memory, format!("GPU out of memory ({error}): {GPU_MEMORY_REMEDIES}"))
            }
            Cause::OutOfMemory { asked, in_use, limit, .. } => {
                let at_limit = limit.is_some_and(|limit| asked + in_use > limit);
                let message = match at_limit {
                    true => format!("{error} (gpu-memory-limit): {GPU_MEMORY_REMEDIES}; or raise the limit"),
                    false => format!("{error}: {GPU_MEMORY_REMEDIES}"),
                };
                (ErrorKind::Memory, message)
            }
            Cause::NotFound { .. }
            | Cause::Open { .. }
            | Cause::ExecutableStack { .. }
            | Cause::MissingSymbol { .. }
            | Cause::Version { .. }
            | Cause::Layout { .. }
            | Cause::NoMethod { .. } => (ErrorKind::Library, error.to_string()),
            Cause::Call { .. } => (ErrorKind::Device, error.to_string()),
            Cause::Parse { .. } | Cause::Model { .. } | Cause::Engine { .. } | Cause::Misfit { .. } => {
                (ErrorKind::Model, error.to_string())
            }
            Cause::Cancelled { .. } => (ErrorKind::Failed, error.to_string()),
            Cause::Setting(_) => (ErrorKind::Setting, error.to_string()),
            Cause::File { .. } | Cause::EngineNotFound { .. } => (ErrorKind::File, error.to_string()),
        };
        Self::new(kind, message).caused_by(error)
    }
}

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

    #[test]
    fn cudas_errors_name_the_properties_of_elements() {
        use cuda::ErrorKind as Cause;
        for (cause, kind, message, expected) in [
            (
                Cause::NoDriver,
                ErrorKind::Library,
                "libcuda.so.1 isn't there. Install the NVIDIA driver (520 or later)",
                "backend=tensorrt needs an NVIDIA GPU and its driver, and libcuda.so.1 isn't there. Install the NVIDIA \
                 driver (520 or later), or set backend=cpu to run on the CPU",
            ),
            (
                Cause::NoDevice,
                ErrorKind::Device,
                "no NVIDIA GPU: check `nvidia-smi`",
                "no NVIDIA GPU: check `nvidia-smi`, or set backend=cpu to run on the CPU",
            ),
            (Cause::NoSuchDevice(7), ErrorKind::Device, "there is one GPU", "device-id=7: there is one GPU"),
            (
                Cause::Memory,
                ErrorKind::Memory,
                "GPU out of memory (cuMemAlloc: out of memory (2))",
                "GPU out of memory (cuMemAlloc: out of memory (2)): reduce batch-size (GPU_BATCH_SIZE in a \
                 config.json), lower workspace-size (TENSORRT_WORKSPACE_SIZE), or use a smaller model",
            ),
            (Cause::Failed, ErrorKind::Failed, "there is no slot 8", "there is no slot 8"),
        ] {
            let error = Error::from(cuda::Error::new(cause, message));
            assert_eq!((error.kind, &*error.message), (kind, expected));
            assert_eq!(error.source().unwrap().to_string(), message);
        }
    }

    #[test]
    fn a_refusal_by_a_services_account_is_tensorrts_error() {
        let (who, asked, in_use) = ("engine".to_owned(), 3 << 20, 1 << 19);
        let refused = tensorrt::Error::OutOfMemory { who, asked, in_use, limit: Some(2 << 20) };
        let through_cuda = cuda::Error::new(cuda::ErrorKind::Memory, refused.to_string()).caused_by(refused.clone());
        assert_eq!(Error::from(through_cuda).message, Error::from(refused).message);
    }

    #[test]
    fn out_of_memory_has_the_remedies() {
        let (who, asked, in_use) = ("engine".to_owned(), 3 << 20, 1 << 19);
        let error = Error::from(tensorrt::Error::OutOfMemory { who, asked, in_use, limit: Some(2 << 20) });
        assert_eq!(error.kind, ErrorKind::Memory);
        assert_eq!(
            error.message,
            "GPU out of memory: engine asked for 3.0 MiB with 0.5 MiB in use, limit 2.0 MiB (gpu-memory-limit): reduce \
             batch-size (GPU_BATCH_SIZE in a config.json), lower workspace-size (TENSORRT_WORKSPACE_SIZE), or use a \
             smaller model; or raise the limit"
        );
    }

    #[test]
    fn tensorrts_own_out_of_memory_has_the_remedies_too() {
        let log = vec!["[executionContext.cpp] Error Code 2: OutOfMemory (Cuda Runtime (out of memory))".into()];
        let version = tensorrt::Version::decode(100_600, "libnvinfer.so.10");
        let error = Error::from(tensorrt::Error::Call { version, call: "createExecutionContext".into(), log });
        assert_eq!(error.kind, ErrorKind::Memory);
        for word in ["GPU out of memory", "createExecutionContext", "batch-size", "workspace-size", "smaller model"] {
            assert!(error.message.contains(word), "{error}");
        }
    }
}
