//! Messages of this crate, which are passed to the program's listener.

use std::fmt;
use std::sync::OnceLock;

/// The severity of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something that a user can act on.
    Warning,
    /// A decision, or a step that takes long.
    Info,
    /// Details for debugging.
    Debug,
    /// All messages of TensorRT.
    Trace,
}

/// Called with each message, on the thread that produces it. The text is formatted only if the listener does so; a
/// listener that drops a level costs nothing.
pub type Listener = fn(Level, fmt::Arguments<'_>);

static LISTENER: OnceLock<Listener> = OnceLock::new();

/// Sets the listener for the messages of this crate and of TensorRT; without a listener they are dropped. Only the
/// first listener of a process counts.
pub fn listen(listener: Listener) {
    // `set` fails for a second listener, which is ignored.
    let _ = LISTENER.set(listener);
}

/// Passes a message to the listener.
pub(crate) fn say(level: Level, text: fmt::Arguments<'_>) {
    if let Some(listener) = LISTENER.get() {
        listener(level, text);
    }
}
