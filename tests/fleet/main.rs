//! Hosts of a fleet as processes, on a real Kafka broker.

mod capacity;
mod clips;
#[path = "../common/mod.rs"]
mod common;
mod input;
mod quarantine;
mod sharing;
