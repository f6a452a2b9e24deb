//! What `trtpublish` is told.

use super::gate::Gate;
use super::origin::Origin;
use super::{MqttSettings, OnError};
use crate::config::{MaskFormat, redact};
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
    pub stream_id: Option<Arc<str>>,
    pub overflow: OverflowChoice,
    pub max_queue: u32,
    pub on_error: OnError,
    pub mask_format: MaskFormat,
    pub drain_timeout: Duration,
    /// Which host's run of the camera this is, for its lines to say.
    pub origin: Option<Origin>,
    /// Whether lines may go out; `None`: always.
    pub gate: Option<Arc<Gate>>,
    /// Without the client's certificate and key, which are set one after the other.
    pub mqtt: MqttSettings,
    pub tls_certificate_file: Option<PathBuf>,
    pub tls_key_file: Option<PathBuf>,
}

impl PublishOptions {
    /// # Errors
    /// Of certificate and key there is only one.
    pub fn mqtt(&self) -> Result<MqttSettings, &'static str> {
        let tls_client = match (&self.tls_certificate_file, &self.tls_key_file) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            _ => return Err("tls-certificate-file and tls-key-file go together: set both"),
        };
        Ok(MqttSettings { tls_client, ..self.mqtt.clone() })
    }
}

impl Default for PublishOptions {
    fn default() -> Self {
        Self {
            location: "-".into(),
            append: false,
            stream_id: None,
            overflow: OverflowChoice::Auto,
            max_queue: 256,
            on_error: OnError::default(),
            mask_format: MaskFormat::default(),
            drain_timeout: Duration::from_secs(4),
            origin: None,
            gate: None,
            mqtt: MqttSettings::default(),
            tls_certificate_file: None,
            tls_key_file: None,
        }
    }
}

impl fmt::Debug for PublishOptions {
    /// Without passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishOptions").field("location", &redact(&self.location)).finish_non_exhaustive()
    }
}
