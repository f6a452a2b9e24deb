//! `config.json`: the operator's file, as the migration guide of the Python system describes it, and what it lacks.
//!
//! A [`Plan`] is what the file means; `gst-trt run` knows nothing else of it.

mod plan;
mod secret;

pub use plan::{
    Broker, Camera, Codec, Decoder, Gpu, Hint, LinesTarget, LogLevel, Look, Model, Monitoring, Mqtt, Outputs, Pictures,
    Pipeline, Plan, Priority, Qos, Reconnect, Segments, Source, Threads, Tls, Transport,
};
pub use secret::{Secret, SecretUrl, redact};
