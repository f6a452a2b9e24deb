//! What a running system does, for people and for programs that watch it.
//!
//! 1. Each camera has a [`Meter`], which its pipeline feeds: a frame came out, some were dropped, it's reconnecting.
//! 2. [`Meter::snapshot`] makes a [`Camera`] of it: counters since the start and latencies of the last seconds.

mod meter;
mod snapshot;

pub use meter::Meter;
pub use snapshot::{BUCKETS, Camera, CameraState, Latency};
