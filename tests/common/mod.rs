//! Shared code of the integration tests. Each test file uses a part of it.
#![allow(dead_code)]

pub mod agreement;
pub mod analytics;
pub mod bad_models;
pub mod barcode;
pub mod clips;
pub mod clips_of_events;
pub mod engine;
pub mod find;
pub mod gpu;
pub mod kafka;
pub mod models;
pub mod mosquitto;
pub mod onnx;
pub mod operator;
pub mod outputs;
pub mod overflow;
pub mod picture;
pub mod pipeline;
pub mod pixels;
pub mod plans;
pub mod pool;
pub mod process;
pub mod recording;
pub mod redis;
pub mod rtsp;
pub mod rtx;
pub mod running;
pub mod standin;
pub mod supervised;
pub mod systems;
pub mod tensors;
pub mod tls;
