//! The properties of `trtpublish`, which set [`PublishOptions`].

use crate::elements::property::as_value::{itself, path, some_text, time};
use crate::elements::property::{Properties, property};
use crate::infer::nanoseconds;
use crate::publish::PublishOptions;
use gst::glib;
use gst::prelude::*;
use std::sync::LazyLock;

pub static PROPERTIES: LazyLock<Properties<PublishOptions>> = LazyLock::new(|| {
    let default = PublishOptions::default();
    let (mqtt, server) = (&default.mqtt, &default.server);
    Properties::<PublishOptions>::new([
        property!(
            glib::ParamSpecString::builder("location")
                .nick("Location")
                .blurb(
                    "Destination of the lines: - for standard output, the path of a file or named pipe, \
                     tcp://host:port, mqtt://host:port/topic, kafka://host:port,host:port/topic or \
                     redis://host:port/stream; over TLS mqtts, kafkas and rediss. A user name and password in it are \
                     read back as ***",
                )
                .default_value(default.location.as_str())
                .mutable_ready(),
            location as location
        ),
        property!(
            glib::ParamSpecBoolean::builder("append")
                .nick("Append")
                .blurb("Append to the file at location instead of truncating it")
                .default_value(default.append)
                .mutable_ready(),
            append as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("content", default.content)
                .nick("Content")
                .blurb("What is written")
                .mutable_ready(),
            content as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("format", default.format)
                .nick("Format")
                .blurb("How frames are written; events are always JSON")
                .mutable_ready(),
            format as itself
        ),
        property!(
            glib::ParamSpecString::builder("stream-id")
                .nick("Stream id")
                .blurb("Name of the stream in the lines (default: the id in the STREAM_START event)")
                .default_value(default.stream_id.as_deref())
                .mutable_playing(),
            stream_id as shared_text
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("overflow", default.overflow)
                .nick("Overflow")
                .blurb("What to do when max-queue lines are waiting to be written")
                .mutable_playing(),
            overflow as itself
        ),
        property!(
            glib::ParamSpecUInt::builder("max-queue")
                .nick("Max queue")
                .blurb("Maximum number of lines waiting to be written, including while a server is away")
                .minimum(1)
                .default_value(default.max_queue)
                .mutable_playing(),
            max_queue as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("mask-format", default.mask_format)
                .nick("Mask format")
                .blurb("How the masks of objects are written")
                .mutable_playing(),
            mask_format as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("on-error", default.on_error)
                .nick("On error")
                .blurb("How to handle a file, pipe or account of a server that can't be opened or written")
                .mutable_ready(),
            on_error as itself
        ),
        property!(
            glib::ParamSpecUInt64::builder("drain-timeout")
                .nick("Drain timeout")
                .blurb(
                    "Maximum time in nanoseconds that EOS waits until a TCP reader, a broker or a Redis server, or with \
                     on-error=retry any output, has received the last lines",
                )
                .default_value(nanoseconds(default.drain_timeout))
                .mutable_ready(),
            drain_timeout as time
        ),
        property!(
            glib::ParamSpecString::builder("mqtt-topic")
                .nick("MQTT topic")
                .blurb(
                    "Topic of the lines; {stream-id} in it is replaced by the stream's name (default: the path in \
                     location, or else gst-tensorrt/{stream-id})",
                )
                .default_value(mqtt.topic.as_deref())
                .mutable_ready(),
            mqtt.topic as itself
        ),
        property!(
            glib::ParamSpecString::builder("mqtt-events-topic")
                .nick("MQTT topic of events")
                .blurb(
                    "Topic of the events; the totals of each zone and line are retained below it, under its name \
                     (default: mqtt-topic with /events, or with content=events mqtt-topic itself)",
                )
                .default_value(mqtt.events_topic.as_deref())
                .mutable_ready(),
            mqtt.events_topic as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("mqtt-qos", mqtt.qos)
                .nick("MQTT quality of service")
                .blurb("Delivery guarantee of the lines")
                .mutable_ready(),
            mqtt.qos as itself
        ),
        property!(
            glib::ParamSpecBoolean::builder("mqtt-retain")
                .nick("MQTT retain")
                .blurb("Let the broker keep the last line of each topic for later subscribers")
                .default_value(mqtt.retain)
                .mutable_ready(),
            mqtt.retain as itself
        ),
        property!(
            glib::ParamSpecString::builder("mqtt-client-id")
                .nick("MQTT client id")
                .blurb(
                    "Client id on the broker, which disconnects the older of two clients with the same id (default: a \
                 unique id)",
                )
                .default_value(mqtt.client_id.as_deref())
                .mutable_ready(),
            mqtt.client_id as some_text
        ),
        property!(
            glib::ParamSpecString::builder("mqtt-status-topic")
                .nick("MQTT status topic")
                .blurb(
                    "Topic for a retained status message: online while connected, otherwise offline, sent as the last \
                 will if the connection breaks",
                )
                .default_value(mqtt.status_topic.as_deref())
                .mutable_ready(),
            mqtt.status_topic as some_text
        ),
        property!(
            glib::ParamSpecUInt64::builder("mqtt-keep-alive")
                .nick("MQTT keep alive")
                .blurb(
                    "Maximum time in nanoseconds (whole seconds) without traffic on the connection; the broker \
                     counts as lost after twice that time without an answer",
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
                    "Prefix of the environment variables with the user name (PREFIX_USERNAME) and password \
                 (PREFIX_PASSWORD) of the account, used unless the location contains them (default: MQTT, KAFKA or \
                 REDIS); empty: none are read",
                )
                .default_value(server.credentials_env.as_deref())
                .mutable_ready(),
            server.credentials_env as itself
        ),
        property!(
            glib::ParamSpecString::builder("tls-ca-file")
                .nick("TLS authorities")
                .blurb("PEM file with the certificate authorities trusted for the server (default: the system's)")
                .mutable_ready(),
            server.tls_ca_file as path
        ),
        property!(
            glib::ParamSpecString::builder("tls-certificate-file")
                .nick("TLS certificate")
                .blurb(
                    "PEM file with this client's certificate, for brokers that require one; set together with \
                     tls-key-file",
                )
                .mutable_ready(),
            server.tls_certificate_file as path
        ),
        property!(
            glib::ParamSpecString::builder("tls-key-file")
                .nick("TLS key")
                .blurb("PEM file with the private key of tls-certificate-file")
                .mutable_ready(),
            server.tls_key_file as path
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("kafka-sasl-mechanism", server.kafka_sasl_mechanism)
                .nick("Kafka SASL mechanism")
                .blurb("How the user name and password, if there are any, are proved to Kafka's brokers")
                .mutable_ready(),
            server.kafka_sasl_mechanism as itself
        ),
        property!(
            glib::ParamSpecString::builder("events-topic")
                .nick("Topic of events")
                .blurb(
                    "Kafka topic or Redis stream of events and totals (default: that of the location with -events for \
                     Kafka and :events for Redis, or with content=events that of the location itself)",
                )
                .default_value(server.events_topic.as_deref())
                .mutable_ready(),
            server.events_topic as some_text
        ),
        property!(
            glib::ParamSpecUInt::builder("redis-max-length")
                .nick("Redis max length")
                .blurb("About how many entries a Redis stream keeps; older ones are removed")
                .minimum(1)
                .default_value(server.redis_max_length)
                .mutable_ready(),
            server.redis_max_length as itself
        ),
        property!(
            glib::ParamSpecString::builder("host")
                .nick("Host")
                .blurb("Name of this host, which every line then says together with epoch (default: none)")
                .default_value(default.host.as_deref())
                .mutable_ready(),
            host as shared_text
        ),
        property!(
            glib::ParamSpecUInt64::builder("epoch")
                .nick("Epoch")
                .blurb("Number of the host's run of the stream: of two hosts that publish it, the greater is right")
                .default_value(default.epoch)
                .mutable_ready(),
            epoch as itself
        ),
    ])
    .with_stats("Since READY→PAUSED: lines written, lines dropped, bytes written (all uint64)")
});

/// Reads back without its password, because pipeline dumps show it too.
mod location {
    use crate::config::redact;
    use gst::glib::value::{ToValue, Value};

    pub fn get(location: &str) -> Value {
        redact(location).to_value()
    }

    pub fn set(location: &mut String, value: &Value) {
        *location = value.get::<Option<String>>().ok().flatten().unwrap_or_default();
    }
}

/// Text that each frame holds a reference to.
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
