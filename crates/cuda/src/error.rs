//! Errors of the CUDA layer.

use std::sync::Arc;

/// Groups errors by what a program can do about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The driver isn't installed.
    NoDriver,
    /// A library of the driver is missing or too old.
    Library,
    /// The driver finds no GPU.
    NoDevice,
    /// There is no GPU with this number.
    NoSuchDevice(u32),
    /// The device failed, or can't do what was asked of it.
    Device,
    /// Device memory, or pinned host memory, is exhausted.
    Memory,
    /// An argument doesn't fit: a size, a slot, the shape of a model's output.
    Failed,
}

/// What went wrong and how to fix it, in one text.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What a program can do about the error.
    pub kind: ErrorKind,
    /// The text, which names the driver's function and the remedy.
    pub message: String,
    /// The cause where other code reported it, as a [`crate::DeviceAllocator`] does.
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error without another cause.
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

/// Called once when a device has failed, on the thread that detected it. That thread may hold locks of this crate, so the
/// function may only record the failure and wake other threads.
pub type OnFailure = dyn Fn(&Error) + Send + Sync;
