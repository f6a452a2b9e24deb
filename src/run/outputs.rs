//! Turns a camera's outputs into elements and recordings.

use crate::clips;
use crate::config::{
    Broker, Camera, Content, Format, Kafka, LinesTarget, MaskFormat, Mqtt, Outputs, Plan, Redis, Secret, Server, Tls,
};
use crate::elements::{ElementOptions, ElementSetup};
use crate::error::{Error, ErrorKind};
use crate::publish::{MqttSettings, OnError, OverflowChoice, PublishOptions, ServerOptions, tls_config};
use crate::record;
use files::digest::{self, Hash};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::Duration;

/// How long the end waits for servers to take the last lines: less than the end of the camera takes.
const DRAIN: Duration = Duration::from_millis(1500);

/// The elements that publish the results.
pub fn elements(camera: &str, outputs: &Outputs) -> Vec<ElementSetup> {
    let masks = outputs.masks;
    let form = Form { masks, content: outputs.content, format: outputs.format };
    let lines = (1..).zip(&outputs.lines).map(|(number, target)| lines(camera, form, number, target));
    let mut elements: Vec<_> = lines.collect();
    elements.extend(outputs.mqtt.iter().map(|mqtt| broker(camera, masks, mqtt)));
    elements.extend(outputs.kafka.iter().map(|kafka| self::kafka(camera, masks, kafka)));
    elements.extend(outputs.redis.iter().map(|redis| self::redis(camera, masks, redis)));
    elements
}

/// What is written, and how.
#[derive(Clone, Copy)]
struct Form {
    masks: MaskFormat,
    content: Content,
    format: Format,
}

/// The recording of pictures and videos, if there is any.
pub fn recording(camera: &str, outputs: &Outputs, gpu: Option<u32>) -> Option<record::Settings> {
    outputs.need_drawing().then(|| record::Settings {
        camera: camera.to_owned(),
        pictures: outputs.pictures.clone(),
        segments: outputs.segments.clone(),
        gpu,
    })
}

/// How long after zones and lines are certain of an event it may be known: a track's end is known only then.
const LATE: Duration = Duration::from_secs(1);

/// The clips of events, if there are any.
pub fn clips(camera: &Camera) -> Option<clips::Settings> {
    let clips = camera.outputs.clips.clone()?;
    let certain = camera.zones.as_ref().map_or(0.0, |zones| zones.config.merge_s.max(zones.config.settle_s));
    let late = LATE + Duration::try_from_secs_f64(certain).unwrap_or(LATE);
    Some(clips::Settings { camera: camera.name.clone(), clips, late })
}

/// Checks that the certificates and keys of a plan can be read: running cameras aren't to be stopped for a
/// configuration that can't start.
///
/// # Errors
/// Names the camera, the file and the cause.
pub fn check_certificates(plan: &Plan) -> Result<(), Error> {
    for camera in &plan.cameras {
        let Outputs { mqtt, kafka, redis, .. } = &camera.outputs;
        let mqtt = mqtt.as_ref().and_then(|mqtt| mqtt.broker.server.tls.as_ref());
        let kafka = kafka.as_ref().and_then(|kafka| kafka.brokers.tls.as_ref());
        let redis = redis.as_ref().and_then(|redis| redis.server.tls.as_ref());
        for tls in [mqtt, kafka, redis].into_iter().flatten() {
            tls_config(tls.ca.as_deref(), tls.client.as_ref())
                .map_err(|text| Error::new(ErrorKind::File, format!("{}: {text}", camera.name)))?;
        }
    }
    Ok(())
}

fn element(name: String, options: PublishOptions, contents: Vec<Option<Hash>>) -> ElementSetup {
    ElementSetup { name, options: ElementOptions::publish(options), contents }
}

/// What all outputs have in common.
fn publish(camera: &str, form: Form, location: String) -> PublishOptions {
    PublishOptions {
        location,
        content: form.content,
        format: form.format,
        stream_id: Some(camera.into()),
        mask_format: form.masks,
        drain_timeout: DRAIN,
        // An output that fails or is slow affects neither the camera nor its other outputs.
        on_error: OnError::Retry,
        overflow: OverflowChoice::DropOldest,
        ..PublishOptions::default()
    }
}

fn lines(camera: &str, form: Form, number: u32, target: &LinesTarget) -> ElementSetup {
    let location = match target {
        LinesTarget::Stdout => "-".to_owned(),
        LinesTarget::File(path) => path.display().to_string(),
        LinesTarget::Tcp { host, port } => format!("tcp://{}", server(host, *port)),
    };
    // Lines written before a reconnection are kept.
    let options = PublishOptions { append: true, ..publish(camera, form, location) };
    element(format!("lines-{number}"), options, vec![])
}

/// Joins host and port, with an IPv6 address in brackets.
fn server(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// `user:password@`, encoded, if there is a user or a password.
fn account(username: Option<&str>, password: Option<&Secret>) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    match (username, password) {
        (None, None) => String::new(),
        (user, None) => format!("{}@", encoded(user.unwrap_or_default())),
        (user, Some(password)) => format!("{}:{}@", encoded(user.unwrap_or_default()), encoded(password.expose())),
    }
}

/// The options of a server whose account is in the location, and the contents of the files that they name.
fn server_options(tls: Option<&Tls>) -> (ServerOptions, Vec<Option<Hash>>) {
    let tls = tls.cloned().unwrap_or_default();
    let (tls_certificate_file, tls_key_file) = tls.client.unzip();
    let files = [&tls.ca, &tls_certificate_file, &tls_key_file];
    let contents = files.into_iter().flatten().map(|path| digest::of_file(path).ok()).collect();
    let options = ServerOptions {
        // The configuration already contains the account, from the environment where it says so.
        credentials_env: Some(String::new()),
        tls_ca_file: tls.ca,
        tls_certificate_file,
        tls_key_file,
        ..ServerOptions::default()
    };
    (options, contents)
}

fn queue(lines: usize) -> u32 {
    u32::try_from(lines).unwrap_or(u32::MAX).max(1)
}

/// The location of a broker, and what clients tell it of themselves.
fn client(broker: &Broker) -> (String, MqttSettings) {
    let settings = MqttSettings {
        client_id: broker.client_id.clone(),
        status_topic: Some(broker.status_topic.clone()),
        keep_alive: broker.keep_alive,
        ..MqttSettings::default()
    };
    (address("mqtt", &broker.server), settings)
}

/// The location of a broker, and all settings of a connection to it.
pub fn connection(broker: &Broker) -> (String, MqttSettings) {
    let (location, settings) = client(broker);
    let tls = broker.server.tls.clone().unwrap_or_default();
    let settings = MqttSettings {
        // The configuration already contains the account, from the environment where it says so.
        credentials_env: String::new(),
        tls_ca_file: tls.ca,
        tls_client: tls.client,
        ..settings
    };
    (location, settings)
}

fn broker(camera: &str, masks: MaskFormat, mqtt: &Mqtt) -> ElementSetup {
    let Mqtt { broker, topic, events_topic, content, format, qos, retain } = mqtt;
    let (location, settings) = client(broker);
    let (server, contents) = server_options(broker.server.tls.as_ref());
    let options = PublishOptions {
        max_queue: queue(broker.server.offline_queue),
        mqtt: MqttSettings {
            topic: Some(topic.clone()),
            events_topic: Some(events_topic.clone()),
            qos: *qos,
            retain: *retain,
            ..settings
        },
        server,
        ..publish(camera, Form { masks, content: *content, format: *format }, location)
    };
    element("mqtt".into(), options, contents)
}

/// The address of a server, with its account.
fn address(scheme: &str, at: &Server) -> String {
    let secure = if at.tls.is_some() { "s" } else { "" };
    let hosts: Vec<_> = at.hosts.iter().map(|(host, port)| server(host, *port)).collect();
    format!("{scheme}{secure}://{}{}", account(at.username.as_deref(), at.password.as_ref()), hosts.join(","))
}

/// The location of `path` on a server.
fn location(scheme: &str, at: &Server, path: &str) -> String {
    format!("{}/{path}", address(scheme, at))
}

fn kafka(camera: &str, masks: MaskFormat, kafka: &Kafka) -> ElementSetup {
    let Kafka { brokers, mechanism, topic, events_topic, content, format } = kafka;
    let (server, contents) = server_options(brokers.tls.as_ref());
    let options = PublishOptions {
        max_queue: queue(brokers.offline_queue),
        server: ServerOptions { kafka_sasl_mechanism: *mechanism, events_topic: Some(events_topic.clone()), ..server },
        ..publish(camera, Form { masks, content: *content, format: *format }, location("kafka", brokers, topic))
    };
    element("kafka".into(), options, contents)
}

fn redis(camera: &str, masks: MaskFormat, redis: &Redis) -> ElementSetup {
    let Redis { server: at, stream, events_stream, content, format, max_length } = redis;
    let (server, contents) = server_options(at.tls.as_ref());
    let options = PublishOptions {
        max_queue: queue(at.offline_queue),
        server: ServerOptions { events_topic: Some(events_stream.clone()), redis_max_length: *max_length, ..server },
        ..publish(camera, Form { masks, content: *content, format: *format }, location("redis", at, stream))
    };
    element("redis".into(), options, contents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Qos, SaslMechanism, redact};
    use gst::prelude::*;

    #[test]
    fn elements_have_what_the_outputs_say() {
        gst::init().unwrap();
        crate::register_elements().unwrap();
        let broker = Broker {
            server: Server {
                hosts: vec![("fd00::1".into(), 8883)],
                tls: Some(Tls { ca: Some("ca.pem".into()), client: Some(("cert.pem".into(), "key.pem".into())) }),
                username: Some("user@home".into()),
                password: Some(Secret::new("p:w/d")),
                offline_queue: 500,
            },
            client_id: Some("one".into()),
            status_topic: "status/one".into(),
            keep_alive: Duration::from_secs(30),
        };
        let outputs = Outputs {
            lines: vec![
                LinesTarget::Stdout,
                LinesTarget::File("a.jsonl".into()),
                LinesTarget::Tcp { host: "::1".into(), port: 4000 },
            ],
            mqtt: Some(Mqtt {
                broker,
                topic: "objects/door".into(),
                events_topic: "events/door".into(),
                content: Content::Both,
                format: Format::Deepstream,
                qos: Qos::ExactlyOnce,
                retain: true,
            }),
            kafka: Some(Kafka {
                brokers: Server {
                    hosts: vec![("a".into(), 1), ("b".into(), 2)],
                    tls: Some(Tls::default()),
                    username: Some("me".into()),
                    password: Some(Secret::new("p@w")),
                    offline_queue: 7,
                },
                mechanism: SaslMechanism::ScramSha512,
                topic: "objects".into(),
                events_topic: "events".into(),
                content: Content::Both,
                format: Format::DeepstreamProtobuf,
            }),
            redis: Some(Redis {
                server: Server {
                    hosts: vec![("::1".into(), 6379)],
                    password: Some(Secret::new("pw")),
                    ..Server::default()
                },
                stream: "objects:door".into(),
                events_stream: "events:door".into(),
                content: Content::Objects,
                format: Format::Json,
                max_length: 10,
            }),
            ..Outputs::default()
        };
        let elements = elements("door", &outputs);
        let options = |element: &ElementSetup| match &element.options {
            ElementOptions::Publish(options) => options.clone(),
            other => panic!("{other:?}"),
        };
        let locations: Vec<_> = elements.iter().map(|element| options(element).location).collect();
        let broker = "mqtts://user%40home:p%3Aw%2Fd@[fd00::1]:8883";
        let (kafka, redis) = ("kafkas://me:p%40w@a:1,b:2/objects", "redis://:pw@[::1]:6379/objects:door");
        assert_eq!(locations, ["-", "a.jsonl", "tcp://[::1]:4000", broker, kafka, redis]);
        for element in &elements {
            let (made, options) = (element.make().unwrap(), options(element));
            assert_eq!(made.property::<String>("location"), redact(&options.location));
            assert_eq!(made.property::<u64>("drain-timeout"), 1_500_000_000);
            assert_eq!(
                made.property::<bool>("append"),
                !options.location.contains("://") || options.location.starts_with("tcp")
            );
        }
        let made = elements[3].make().unwrap();
        assert_eq!(made.property::<u32>("max-queue"), 500);
        assert_eq!(made.property_value("mqtt-qos").serialize().unwrap(), "exactly-once");
        assert_eq!(made.property_value("content").serialize().unwrap(), "both");
        let mqtt = [
            "mqtt-topic",
            "mqtt-events-topic",
            "mqtt-client-id",
            "mqtt-status-topic",
            "tls-ca-file",
            "tls-certificate-file",
            "tls-key-file",
        ];
        let values = mqtt.map(|name| made.property::<Option<String>>(name).unwrap_or_default());
        assert_eq!(values, ["objects/door", "events/door", "one", "status/one", "ca.pem", "cert.pem", "key.pem"]);
        assert_eq!(elements[3].contents, [None; 3], "files that aren't there");
        let made = elements[4].make().unwrap();
        assert_eq!(made.property_value("kafka-sasl-mechanism").serialize().unwrap(), "scram-sha-512");
        assert_eq!(made.property_value("format").serialize().unwrap(), "deepstream-protobuf");
        assert_eq!((made.property::<u32>("max-queue"), &*made.property::<String>("events-topic")), (7, "events"));
        assert_eq!(elements[5].make().unwrap().property::<u32>("redis-max-length"), 10);
        assert!(!format!("{elements:?}").contains("w%2Fd"), "{elements:?}");
        assert!(recording("door", &outputs, None).is_none());
    }
}
