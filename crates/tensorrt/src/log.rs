//! Where messages go: to what the program listens with.

use std::fmt;
use std::sync::OnceLock;

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something that a user can act on.
    Warning,
    /// A decision, or a step that takes long.
    Info,
    /// What helps to find out why.
    Debug,
    /// Everything that TensorRT says.
    Trace,
}

/// Called with each message, on the thread that has it. The text is put together only if the listener asks for it, so a
/// listener that drops a level costs nothing.
pub type Listener = fn(Level, fmt::Arguments<'_>);

static LISTENER: OnceLock<Listener> = OnceLock::new();

/// Has this crate's messages, and TensorRT's own, passed to `listener`; without one they are dropped. The first listener of
/// a process counts.
pub fn listen(listener: Listener) {
    // A second one is refused.
    let _ = LISTENER.set(listener);
}

/// Passes a message on.
pub(crate) fn say(level: Level, text: fmt::Arguments<'_>) {
    if let Some(listener) = LISTENER.get() {
        listener(level, text);
    }
}
