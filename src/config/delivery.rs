//! How lines are written, and how servers are convinced to take them.

use gst::glib;
use schemars::JsonSchema;
use serde::Deserialize;

/// The formats of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, JsonSchema, glib::Enum)]
#[serde(rename_all = "kebab-case")]
#[enum_type(name = "GstTrtPublishFormat")]
#[repr(i32)]
pub enum Format {
    #[default]
    #[enum_value(name = "JSON: everything that is known, as docs/json.md says", nick = "json")]
    Json,
    #[enum_value(name = "DeepStream: the minimal JSON payload of its message converter", nick = "deepstream")]
    Deepstream,
    #[enum_value(
        name = "DeepStream: the protobuf payload of its message converter, binary",
        nick = "deepstream-protobuf"
    )]
    DeepstreamProtobuf,
}

impl Format {
    /// Whether a newline ends a line and is nowhere else in it.
    pub fn is_text(self) -> bool {
        self != Self::DeepstreamProtobuf
    }

    /// The media type of a line.
    pub fn content_type(self) -> &'static str {
        if self.is_text() { "application/json" } else { "application/protobuf" }
    }
}

/// Whether Kafka accepts the name for a topic (org.apache.kafka.common.internals.Topic).
pub fn is_kafka_topic(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=249).contains(&name.len()) && !matches!(name, "." | "..") && name.chars().all(allowed)
}

/// How user name and password are proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, JsonSchema, glib::Enum)]
#[serde(rename_all = "kebab-case")]
#[enum_type(name = "GstTrtPublishSaslMechanism")]
#[repr(i32)]
pub enum SaslMechanism {
    #[default]
    #[enum_value(name = "PLAIN: the password itself is sent", nick = "plain")]
    Plain,
    #[enum_value(name = "SCRAM-SHA-256: the password is proved", nick = "scram-sha-256")]
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    #[enum_value(name = "SCRAM-SHA-512: the password is proved", nick = "scram-sha-512")]
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

impl SaslMechanism {
    /// Every mechanism.
    pub const ALL: [Self; 3] = [Self::Plain, Self::ScramSha256, Self::ScramSha512];

    /// The name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}
