//! Cameras of `gst-trt run`, in the test's own process.

mod changes;
mod clips;
#[path = "../common/mod.rs"]
mod common;
mod ends;
mod failures;
mod patience;
mod sources;
mod starts;
