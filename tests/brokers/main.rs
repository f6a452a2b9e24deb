//! `trtpublish` with a real Kafka broker and a real Redis server. They aren't in the roots with other GStreamers.

#[path = "../common/mod.rs"]
mod common;
mod kafka;
mod redis;
