//! `gst-trt run --web`: what its server answers, to whom, and what it costs.

mod access;
mod load;
mod pictures;
mod routes;
mod streams;
mod zones;
