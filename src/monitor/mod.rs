//! Monitoring of a running system, for people and for programs.
//!
//! 1. Each camera has a [`Meter`], which its pipeline updates: a frame came out, some were dropped, it's reconnecting.
//! 2. [`Meter::snapshot`] makes a [`Camera`] from it: counters since the start and latencies of the last seconds.
//! 3. A [`Sampler`] adds the figures of the process, the machine and its GPUs: a [`Sample`], with rates over the time
//!    since the previous one.
//! 4. A [`Watch`] takes a sample every second and publishes it: as a [`table`] or as JSON Lines, over a socket to
//!    `gst-trt monitor` ([`socket`]), and on a [`Board`] for Prometheus ([`metrics`]).
//! 5. A [`Profiler`] shows where the time of a pipeline goes, by element and by thread.

mod columns;
mod cpu;
mod gpu;
mod log;
mod meter;
pub mod metrics;
mod profile;
mod sample;
mod snapshot;
pub mod socket;
pub mod table;
mod watch;

pub use columns::{columns, lines};
pub use cpu::{CpuTimes, process_cpu};
pub use gpu::{Gpu, Gpus};
pub use log::set_log_level;
pub use meter::Meter;
pub use profile::{Profile, Profiler, Stage, Thread};
pub use sample::{CameraRow, Machine, Process, Sample, Sampler};
pub use snapshot::{BUCKETS, Camera, CameraState, ClipCounts, Count, Latency, Place};
pub use watch::{Board, Cameras, Health, OnSample, Options, Print, Watch};
