//! The properties, in [`PublishOptions`].

use crate::elements::property::as_value::{itself, path, some_text, text, time};
use crate::elements::property::{Properties, property};
use crate::infer::nanoseconds;
use crate::publish::PublishOptions;
use gst::glib;
use gst::prelude::*;
use std::sync::LazyLock;

pub static PROPERTIES: LazyLock<Properties<PublishOptions>> = LazyLock::new(|| {
    let default = PublishOptions::default();
    let mqtt = &default.mqtt;
    Properties::<PublishOptions>::new([
        property!(
            glib::ParamSpecString::builder("location")
                .nick("Location")
                .blurb(
                    "Where lines go: - for standard output, the path of a file or named pipe, tcp://host:port, \
                     mqtt://host:port/topic or mqtts://host:port/topic; user and password in it are read back as ***",
                )
                .default_value(default.location.as_str())
                .mutable_ready(),
            location as location
        ),
        property!(
            glib::ParamSpecBoolean::builder("append")
                .nick("Append")
                .blurb("Add to the file at location instead of emptying it first")
                .default_value(default.append)
                .mutable_ready(),
            append as itself
        ),
        property!(
            glib::ParamSpecString::builder("stream-id")
                .nick("Stream id")
                .blurb("Name of the stream in the lines; unset: the id of the stream's STREAM_START event")
                .default_value(default.stream_id.as_deref())
                .mutable_playing(),
            stream_id as shared_text
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("overflow", default.overflow)
                .nick("Overflow")
                .blurb("What happens when max-queue lines wait to be written")
                .mutable_playing(),
            overflow as itself
        ),
        property!(
            glib::ParamSpecUInt::builder("max-queue")
                .nick("Max queue")
                .blurb("How many lines may wait to be written, also while a server is away")
                .minimum(1)
                .default_value(default.max_queue)
                .mutable_playing(),
            max_queue as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("on-error", default.on_error)
                .nick("On error")
                .blurb("What becomes of a file, pipe or MQTT account that can't be opened or written")
                .mutable_ready(),
            on_error as itself
        ),
        property!(
            glib::ParamSpecUInt64::builder("drain-timeout")
                .nick("Drain timeout")
                .blurb(
                    "Longest time (ns) that EOS waits for a TCP reader or MQTT broker, or with on-error=retry for any \
                     output, to get the last lines",
                )
                .default_value(nanoseconds(default.drain_timeout))
                .mutable_ready(),
            drain_timeout as time
        ),
        property!(
            glib::ParamSpecString::builder("mqtt-topic")
                .nick("MQTT topic")
                .blurb(
                    "Topic of the lines, {stream-id} in it standing for the stream's name; unset: the location's \
                     path, or else gst-tensorrt/{stream-id}",
                )
                .default_value(mqtt.topic.as_deref())
                .mutable_ready(),
            mqtt.topic as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("mqtt-qos", mqtt.qos)
                .nick("MQTT quality of service")
                .blurb("How sure the delivery is")
                .mutable_ready(),
            mqtt.qos as itself
        ),
        property!(
            glib::ParamSpecBoolean::builder("mqtt-retain")
                .nick("MQTT retain")
                .blurb("The broker keeps the last line of each topic for those who subscribe later")
                .default_value(mqtt.retain)
                .mutable_ready(),
            mqtt.retain as itself
        ),
        property!(
        glib::ParamSpecString::builder("mqtt-client-id")
            .nick("MQTT client id")
            .blurb(
                "Name of this client for the broker, which throws out the older of two with the same name; unset: one \
                 that nobody else has",
            )
            .default_value(mqtt.client_id.as_deref())
            .mutable_ready(),
        mqtt.client_id as some_text
        ),
        property!(
        glib::ParamSpecString::builder("mqtt-status-topic")
            .nick("MQTT status topic")
            .blurb(
                "Topic that says, retained, online while connected and offline afterwards, by a last will if need be",
            )
            .default_value(mqtt.status_topic.as_deref())
            .mutable_ready(),
        mqtt.status_topic as some_text
        ),
        property!(
            glib::ParamSpecUInt64::builder("mqtt-keep-alive")
                .nick("MQTT keep alive")
                .blurb(
                    "Longest silence on the connection (ns, whole seconds); after twice as long without an answer the \
                     broker counts as lost",
                )
                .minimum(1_000_000_000)
                .maximum(65_535_000_000_000)
                .default_value(nanoseconds(mqtt.keep_alive))
                .mutable_ready(),
            mqtt.keep_alive as time
        ),
        property!(
        glib::ParamSpecString::builder("credentials-env")
            .nick("Credentials in the environment")
            .blurb(
                "User name and password of the MQTT account are read from the environment's variables with this name \
                 and _USERNAME and _PASSWORD after it, unless the location has them; empty: not at all",
            )
            .default_value(mqtt.credentials_env.as_str())
            .mutable_ready(),
        mqtt.credentials_env as text
        ),
        property!(
            glib::ParamSpecString::builder("tls-ca-file")
                .nick("TLS authorities")
                .blurb("File with the certificates (PEM) of those who may vouch for the broker; unset: the system's")
                .mutable_ready(),
            mqtt.tls_ca_file as path
        ),
        property!(
            glib::ParamSpecString::builder("tls-certificate-file")
                .nick("TLS certificate")
                .blurb("File with this client's certificate (PEM), for brokers that want one; with tls-key-file")
                .mutable_ready(),
            tls_certificate_file as path
        ),
        property!(
            glib::ParamSpecString::builder("tls-key-file")
                .nick("TLS key")
                .blurb("File with the key (PEM) of tls-certificate-file")
                .mutable_ready(),
            tls_key_file as path
        ),
    ])
    .with_stats("Since READY→PAUSED: lines written, lines dropped, bytes written (all uint64)")
});

/// Read back without its password: dumps of the pipeline show it too.
mod location {
    use super::text;
    use crate::config::redact;
    use gst::glib::value::{ToValue, Value};

    pub fn get(location: &str) -> Value {
        redact(location).to_value()
    }

    pub fn set(location: &mut String, value: &Value) {
        text::set(location, value);
    }
}

/// Text that each frame takes a reference of.
mod shared_text {
    use gst::glib::value::{ToValue, Value};
    use std::sync::Arc;

    pub fn get(field: &Option<Arc<str>>) -> Value {
        field.as_deref().to_value()
    }

    pub fn set(field: &mut Option<Arc<str>>, value: &Value) {
        *field = value.get::<Option<String>>().ok().flatten().map(Arc::from);
    }
}
