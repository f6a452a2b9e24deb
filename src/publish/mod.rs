//! Records as JSON Lines: one object a frame, one line each. The format is described in `docs/json.md`.
//!
//! 1. [`Frame`] and a [`Record`](crate::meta::Record) become a line: [`write_line`].
//! 2. A [`Publisher`] queues lines without waiting for the disk or the reader, and writes them on its own thread.
//! 3. An [`Output`] is the destination: a file, a pipe, a TCP server, an MQTT broker; [`open`] makes it from a
//!    location.

mod file;
mod json;
mod line;
mod location;
mod mask;
mod mqtt;
mod options;
mod output;
mod pipe;
mod publisher;
mod retry;
mod tcp;
mod write_lock;

pub use line::{Frame, write_event, write_line};
pub use location::Location;
pub(crate) use mqtt::tls_config;
pub use mqtt::{Heard, Listener, MqttSettings};
pub use options::{OverflowChoice, PublishOptions};
pub use output::{Notice, Notify, OnError, Output, open, remedy};
pub use publisher::{Overflow, Publisher, Refused, Stats};
