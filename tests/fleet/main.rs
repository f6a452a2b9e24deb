//! Hosts of a fleet as processes, on a real Kafka broker.

#[path = "../common/mod.rs"]
mod common;
mod input;
mod sharing;
