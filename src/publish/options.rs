//! What `trtpublish` is told.

use super::gate::Gate;
use super::origin::Origin;
use super::{MqttSettings, OnError};
use crate::config::{Content, Format, MaskFormat, SaslMechanism, redact};
use gst::glib;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What happens when lines come faster than they can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstTrtPublishOverflow")]
#[repr(i32)]
pub enum OverflowChoice {
    #[default]
    #[enum_value(
        name = "Auto: drop-oldest for live streams into a pipe, socket or terminal, else block",
        nick = "auto"
    )]
    Auto,
    #[enum_value(name = "Block: hold frames up until there is room", nick = "block")]
    Block,
    #[enum_value(name = "Drop oldest: drop and count the lines that wait longest", nick = "drop-oldest")]
    DropOldest,
}

/// Where lines go, and how.
#[derive(Clone, PartialEq)]
pub struct PublishOptions {
    /// As set; may hold a password, so it's shown masked only.
    pub location: String,
    pub append: bool,
    pub content: Content,
    pub stream_id: Option<Arc<str>>,
    pub overflow: OverflowChoice,
    pub max_queue: u32,
    pub on_error: OnError,
    pub format: Format,
    pub mask_format: MaskFormat,
    pub drain_timeout: Duration,
    /// The host that runs the camera, for its lines to say.
    pub host: Option<Arc<str>>,
    /// Of the host's run of the camera; only with a host.
    pub epoch: u64,
    /// Whether lines may go out; `None`: always.
    pub gate: Option<Arc<Gate>>,
    pub server: ServerOptions,
    /// Without what the server's options say.
    pub mqtt: MqttSettings,
}

/// How to get into a server, and where lines go there.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerOptions {
    /// Where the location has no user name and password, they are read from the environment variables with this prefix
    /// and `_USERNAME` and `_PASSWORD`. Empty: they aren't read. `None`: `MQTT`, `KAFKA` or `REDIS`.
    pub credentials_env: Option<String>,
    /// Certificates (PEM) of the authorities that may sign the server's certificate. `None`: the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// This client's certificate and key (PEM), for servers that require them. They are set one after the other.
    pub tls_certificate_file: Option<PathBuf>,
    pub tls_key_file: Option<PathBuf>,
    pub kafka_sasl_mechanism: SaslMechanism,
    /// Kafka's topic or Redis' stream for events and totals. `None`: that of the location with `-events` or `:events`, or where only
    /// events are written that of the location itself.
    pub events_topic: Option<String>,
    /// About how many entries a Redis stream keeps.
    pub redis_max_length: u32,
}

impl ServerOptions {
    /// This client's certificate and key.
    ///
    /// # Errors
    /// There is only one of them.
    pub fn tls_client(&self) -> Result<Option<(PathBuf, PathBuf)>, &'static str> {
        match (&self.tls_certificate_file, &self.tls_key_file) {
            (Some(certificate), Some(key)) => Ok(Some((certificate.clone(), key.clone()))),
            (None, None) => Ok(None),
            _ => Err("tls-certificate-file and tls-key-file go together: set both"),
        }
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            credentials_env: None,
            tls_ca_file: None,
            tls_certificate_file: None,
            tls_key_file: None,
            kafka_sasl_mechanism: SaslMechanism::default(),
            events_topic: None,
            redis_max_length: 100_000,
        }
    }
}

impl PublishOptions {
    /// What lines say of where they come from, if anything.
    pub fn origin(&self) -> Option<Origin> {
        self.host.clone().filter(|host| !host.is_empty()).map(|host| Origin { host, epoch: self.epoch })
    }

    /// Where events and totals go on a server whose frames go to `place`: to the name with this ending, unless one is set, or only
    /// events are written.
    pub fn events_place(&self, place: &str, ending: &str) -> String {
        match &self.server.events_topic {
            Some(events) => events.clone(),
            None if !self.content.has_objects() => place.to_owned(),
            None => format!("{place}{ending}"),
        }
    }

    /// # Errors
    /// Of certificate and key there is only one.
    pub fn mqtt(&self) -> Result<MqttSettings, &'static str> {
        Ok(MqttSettings {
            credentials_env: self.server.credentials_env.clone().unwrap_or_else(|| "MQTT".into()),
            tls_ca_file: self.server.tls_ca_file.clone(),
            tls_client: self.server.tls_client()?,
            only_events: !self.content.has_objects(),
            ..self.mqtt.clone()
        })
    }
}

impl Default for PublishOptions {
    fn default() -> Self {
        Self {
            location: "-".into(),
            append: false,
            content: Content::default(),
            stream_id: None,
            overflow: OverflowChoice::Auto,
            max_queue: 256,
            on_error: OnError::default(),
            format: Format::default(),
            mask_format: MaskFormat::default(),
            drain_timeout: Duration::from_secs(4),
            host: None,
            epoch: 0,
            server: ServerOptions::default(),
            gate: None,
            mqtt: MqttSettings::default(),
        }
    }
}

impl fmt::Debug for PublishOptions {
    /// Without passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishOptions").field("location", &redact(&self.location)).finish_non_exhaustive()
    }
}
