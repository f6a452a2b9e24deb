//! What the properties set.

use super::{OnError, Overflow, Qos};
use crate::config::redact;
use crate::publish::{self, MqttSettings};
use gst::glib;
use gst::prelude::*;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Settings {
    /// As set; may hold a password, so it's shown masked only.
    pub location: String,
    pub append: bool,
    pub stream_id: Option<Arc<str>>,
    pub overflow: Overflow,
    pub max_queue: u32,
    pub on_error: OnError,
    pub drain_timeout: Duration,
    /// Without the client's certificate and key, which are set one after the other.
    pub mqtt: MqttSettings,
    pub tls_certificate_file: Option<PathBuf>,
    pub tls_key_file: Option<PathBuf>,
}

impl Settings {
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

impl Default for Settings {
    fn default() -> Self {
        Self {
            location: "-".into(),
            append: false,
            stream_id: None,
            overflow: Overflow::Auto,
            max_queue: 256,
            on_error: OnError::default(),
            drain_timeout: Duration::from_secs(4),
            mqtt: MqttSettings::default(),
            tls_certificate_file: None,
            tls_key_file: None,
        }
    }
}

pub fn specs() -> &'static [glib::ParamSpec] {
    static SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
        let default = Settings::default();
        let mqtt = &default.mqtt;
        let text = |name: &'static str, nick: &str, blurb: &str, default: Option<&str>| {
            glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).default_value(default).mutable_ready().build()
        };
        let time = |name: &'static str, nick: &str, blurb: &str, least: u64, most: u64, default: Duration| {
            glib::ParamSpecUInt64::builder(name)
                .nick(nick)
                .blurb(blurb)
                .minimum(least)
                .maximum(most)
                .default_value(default.as_nanos() as u64)
                .mutable_ready()
                .build()
        };
        vec![
            text(
                "location",
                "Location",
                "Where lines go: - for standard output, the path of a file or named pipe, tcp://host:port, \
                 mqtt://host:port/topic or mqtts://host:port/topic; user and password in it are read back as ***",
                Some(&default.location),
            ),
            glib::ParamSpecBoolean::builder("append")
                .nick("Append")
                .blurb("Add to the file at location instead of emptying it first")
                .default_value(default.append)
                .mutable_ready()
                .build(),
            glib::ParamSpecString::builder("stream-id")
                .nick("Stream id")
                .blurb("Name of the stream in the lines; unset: the id of the stream's STREAM_START event")
                .default_value(default.stream_id.as_deref())
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder_with_default("overflow", default.overflow)
                .nick("Overflow")
                .blurb("What happens when max-queue lines wait to be written")
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder("max-queue")
                .nick("Max queue")
                .blurb("How many lines may wait to be written, also while a server is away")
                .minimum(1)
                .default_value(default.max_queue)
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder_with_default("on-error", default.on_error)
                .nick("On error")
                .blurb("What becomes of a file, pipe or MQTT account that can't be opened or written")
                .mutable_ready()
                .build(),
            time(
                "drain-timeout",
                "Drain timeout",
                "Longest time (ns) that EOS waits for a TCP reader or MQTT broker, or with on-error=retry for any output, to \
                 get the last lines",
                0,
                u64::MAX,
                default.drain_timeout,
            ),
            text(
                "mqtt-topic",
                "MQTT topic",
                "Topic of the lines, {stream-id} in it standing for the stream's name; unset: the location's path, or \
                 else gst-tensorrt/{stream-id}",
                mqtt.topic.as_deref(),
            ),
            glib::ParamSpecEnum::builder_with_default("mqtt-qos", Qos::from(mqtt.qos))
                .nick("MQTT quality of service")
                .blurb("How sure the delivery is")
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("mqtt-retain")
                .nick("MQTT retain")
                .blurb("The broker keeps the last line of each topic for those who subscribe later")
                .default_value(mqtt.retain)
                .mutable_ready()
                .build(),
            text(
                "mqtt-client-id",
                "MQTT client id",
                "Name of this client for the broker, which throws out the older of two with the same name; unset: one \
                 that nobody else has",
                mqtt.client_id.as_deref(),
            ),
            text(
                "mqtt-status-topic",
                "MQTT status topic",
                "Topic that says, retained, online while connected and offline afterwards, by a last will if need be",
                mqtt.status_topic.as_deref(),
            ),
            time(
                "mqtt-keep-alive",
                "MQTT keep alive",
                "Longest silence on the connection (ns, whole seconds); after twice as long without an answer the broker \
                 counts as lost",
                1_000_000_000,
                65_535_000_000_000,
                mqtt.keep_alive,
            ),
            text(
                "credentials-env",
                "Credentials in the environment",
                "User name and password of the MQTT account are read from the environment's variables with this name \
                 and _USERNAME and _PASSWORD after it, unless the location has them; empty: not at all",
                Some(&mqtt.credentials_env),
            ),
            text(
                "tls-ca-file",
                "TLS authorities",
                "File with the certificates (PEM) of those who may vouch for the broker; unset: the system's",
                None,
            ),
            text(
                "tls-certificate-file",
                "TLS certificate",
                "File with this client's certificate (PEM), for brokers that want one; with tls-key-file",
                None,
            ),
            text("tls-key-file", "TLS key", "File with the key (PEM) of tls-certificate-file", None),
            glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                .nick("Statistics")
                .blurb("Since READY→PAUSED: lines written, lines dropped, bytes written (all uint64)")
                .read_only()
                .build(),
        ]
    });
    &SPECS
}

/// GObject checks type and range before it calls this.
pub fn set(settings: &mut Settings, value: &glib::Value, spec: &glib::ParamSpec) {
    let text = || value.get::<Option<String>>().ok().flatten();
    let path = || text().filter(|file| !file.is_empty()).map(PathBuf::from);
    let nanoseconds = || Duration::from_nanos(value.get().unwrap_or_default());
    let mqtt = &mut settings.mqtt;
    match spec.name() {
        "location" => settings.location = text().unwrap_or_default(),
        "append" => settings.append = value.get().unwrap_or_default(),
        "stream-id" => settings.stream_id = text().map(Arc::from),
        "overflow" => settings.overflow = value.get().unwrap_or_default(),
        "on-error" => settings.on_error = value.get().unwrap_or_default(),
        "max-queue" => settings.max_queue = value.get().unwrap_or(1),
        "drain-timeout" => settings.drain_timeout = nanoseconds(),
        "mqtt-topic" => mqtt.topic = text(),
        "mqtt-qos" => mqtt.qos = value.get::<Qos>().map(publish::Qos::from).unwrap_or_default(),
        "mqtt-retain" => mqtt.retain = value.get().unwrap_or_default(),
        "mqtt-client-id" => mqtt.client_id = text().filter(|id| !id.is_empty()),
        "mqtt-status-topic" => mqtt.status_topic = text().filter(|topic| !topic.is_empty()),
        "mqtt-keep-alive" => mqtt.keep_alive = nanoseconds(),
        "credentials-env" => mqtt.credentials_env = text().unwrap_or_default(),
        "tls-ca-file" => mqtt.tls_ca_file = path(),
        "tls-certificate-file" => settings.tls_certificate_file = path(),
        "tls-key-file" => settings.tls_key_file = path(),
        _ => {}
    }
}

/// `None` for what isn't a setting.
pub fn get(settings: &Settings, spec: &glib::ParamSpec) -> Option<glib::Value> {
    let mqtt = &settings.mqtt;
    let nanoseconds = |time: Duration| (time.as_nanos() as u64).to_value();
    let path = |file: &Option<PathBuf>| file.as_ref().map(|file| file.to_string_lossy().into_owned()).to_value();
    Some(match spec.name() {
        // Also what dumps of the pipeline show.
        "location" => redact(&settings.location).to_value(),
        "append" => settings.append.to_value(),
        "stream-id" => settings.stream_id.as_deref().to_value(),
        "overflow" => settings.overflow.to_value(),
        "max-queue" => settings.max_queue.to_value(),
        "on-error" => settings.on_error.to_value(),
        "drain-timeout" => nanoseconds(settings.drain_timeout),
        "mqtt-topic" => mqtt.topic.to_value(),
        "mqtt-qos" => Qos::from(mqtt.qos).to_value(),
        "mqtt-retain" => mqtt.retain.to_value(),
        "mqtt-client-id" => mqtt.client_id.to_value(),
        "mqtt-status-topic" => mqtt.status_topic.to_value(),
        "mqtt-keep-alive" => nanoseconds(mqtt.keep_alive),
        "credentials-env" => mqtt.credentials_env.to_value(),
        "tls-ca-file" => path(&mqtt.tls_ca_file),
        "tls-certificate-file" => path(&settings.tls_certificate_file),
        "tls-key-file" => path(&settings.tls_key_file),
        _ => return None,
    })
}
