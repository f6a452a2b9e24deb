//! The `gst-trt` tool as a process.

mod bad_models;
mod clips;
#[path = "../common/mod.rs"]
mod common;
mod config;
mod migration;
mod monitor;
mod outputs;
mod reload;
mod run;
mod tool;
mod verify;
mod watch;
mod web;
mod zones;
