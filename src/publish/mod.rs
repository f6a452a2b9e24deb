//! Records as JSON Lines: a line for each frame, for each event, or both. The format is described in `docs/json.md`.
//!
//! 1. [`Frame`] and a [`Record`](crate::meta::Record) become a line: [`write_line`]; its events and tallies become lines of
//!    their own: [`write_event_line`], [`write_totals_line`].
//! 2. A [`Publisher`] queues lines without waiting for the disk or the reader, and writes them on its own thread.
//! 3. An [`Output`] is the destination: a file, a pipe, a TCP server, an MQTT broker, a Kafka cluster, a Redis server; [`open`]
//!    makes it from a location.

mod credentials;
mod event;
mod file;
mod format;
mod gate;
mod json;
mod kafka;
mod line;
mod location;
mod mask;
mod mqtt;
mod options;
mod origin;
mod output;
mod pipe;
mod publisher;
mod redis;
mod retry;
mod subject;
mod tcp;
mod tls;
mod write_lock;

pub use event::{Moment, write_event, write_event_line, write_totals_line};
pub use format::{deepstream, protobuf};
pub use gate::{Gate, Lease, Passage};
pub(crate) use json::iso8601;
pub use kafka::Entry as KafkaEntry;
pub use line::{Frame, write_line};
pub use location::{Cluster, Location};
pub use mqtt::{Heard, Listener, MqttSettings};
pub use options::{OverflowChoice, PublishOptions, ServerOptions};
pub use origin::Origin;
pub use output::{Notice, Notify, OnError, Output, open, remedy};
pub use publisher::{Overflow, Publisher, Refused, Stats};
pub use subject::{LineKind, Subject};
pub(crate) use tls::config as tls_config;
