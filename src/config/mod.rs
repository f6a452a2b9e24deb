//! `config.json`: the operator's file, as the migration guide of the Python system describes it, with additional keys.
//! `docs/configuration.md` explains each key.
//!
//! 1. `text`: from text to a tree that knows the position of each value; it accepts comments, trailing commas, single
//!    quotes.
//! 2. [`Overrides`]: the environment and `--set`, written into the tree.
//! 3. `typed`: from the tree to the types in `file`. Invalid values are errors, unknown keys are warnings.
//! 4. `resolve`: the rules between keys, defaults, units. All errors are reported at once.
//! 5. A [`Plan`] is the resulting meaning of the file; `gst-trt run` uses nothing else of it.
//!
//! [`load`] does all of this. [`split`] takes a file apart for a fleet, whose hosts put it together again with the cameras
//! that each has: [`joined`]. [`with_zones`] changes zones in the file's text.

mod codec;
mod delivery;
mod edit;
mod file;
mod finding;
mod load;
mod overrides;
mod plan;
mod resolve;
mod schema;
mod secret;
mod shared;
mod text;
mod typed;
mod variables;

pub use codec::Codec;
pub use delivery::{Format, SaslMechanism, is_kafka_topic};
pub use edit::{EditError, WrittenZones, with_zones, written_zones};
pub use finding::{Finding, Findings, Origin, Severity};
pub use load::{Loaded, load, load_for_build, load_part, load_text, load_text_for_build};
pub use overrides::{Overrides, WEB_HOSTS, WEB_TOKEN};
pub use plan::{
    Broker, Camera, CameraSource, ClipDirection, ClipEvent, ClipRule, Clips, Content, Decoder, Gpu, Hint, Kafka,
    LinesTarget, LogLevel, MaskFormat, Model, Monitoring, Mqtt, Outputs, Pictures, Pipeline, Plan, Priority, Qos,
    Reconnect, Redis, Segments, Server, Threads, Tls, Tracker, Transport, Zones,
};
pub use schema::json_schema;
pub use secret::{Secret, SecretUrl, redact};
pub use shared::{Shared, camera_of, joined, split};
pub use variables::Variables;
