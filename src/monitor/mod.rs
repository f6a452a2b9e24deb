//! What a running system does, for people and for programs that watch it.
//!
//! 1. Each camera has a [`Meter`], which its pipeline feeds: a frame came out, some were dropped, it's reconnecting.
//! 2. [`Meter::snapshot`] makes a [`Camera`] of it: counters since the start and latencies of the last seconds.
//! 3. A [`Sampler`] adds what the process, the machine and its GPUs do: a [`Sample`], the rates over the time since the one
//!    before.
//! 4. A [`Watch`] takes one every second and hands it out: as a [`table`] or as JSON Lines, over a socket to
//!    `gst-trt monitor` ([`socket`]), to Prometheus ([`metrics`]).
//! 5. A [`Profiler`] says where the time of a pipeline goes, element by element and thread by thread.

pub mod columns;
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

pub use cpu::{CpuTimes, process_cpu};
pub use gpu::{Gpu, Gpus};
pub use log::set_log_level;
pub use meter::Meter;
pub use profile::{Profile, Profiler, Stage, Thread};
pub use sample::{CameraRow, Machine, Process, Sample, Sampler};
pub use snapshot::{BUCKETS, Camera, CameraState, Latency};
pub use watch::{Cameras, Options, Print, Watch};
