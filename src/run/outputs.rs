//! Turns a camera's outputs into elements and recordings.

use crate::clips;
use crate::config::{Broker, LinesTarget, MaskFormat, Mqtt, Outputs, Plan};
use crate::elements::{ElementOptions, ElementSetup};
use crate::error::{Error, ErrorKind};
use crate::publish::{MqttSettings, OnError, OverflowChoice, PublishOptions, tls_config};
use crate::record;
use files::digest::{self, Hash};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::Duration;

/// How long the end waits for servers to take the last lines: less than the end of the camera takes.
const DRAIN: Duration = Duration::from_millis(1500);

/// The elements that publish the results.
pub fn elements(camera: &str, outputs: &Outputs) -> Vec<ElementSetup> {
    let masks = outputs.masks;
    let lines = (1..).zip(&outputs.lines).map(|(number, target)| lines(camera, masks, number, target));
    lines.chain(outputs.mqtt.iter().map(|mqtt| broker(camera, masks, mqtt))).collect()
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

/// The clips of events, if there are any.
pub fn clips(camera: &str, outputs: &Outputs) -> Option<clips::Settings> {
    let clips = outputs.clips.clone()?;
    Some(clips::Settings { camera: camera.to_owned(), clips })
}

/// Checks that the certificates and keys of a plan can be read: running cameras aren't to be stopped for a
/// configuration that can't start.
///
/// # Errors
/// Names the camera, the file and the cause.
pub fn check_certificates(plan: &Plan) -> Result<(), Error> {
    for camera in &plan.cameras {
        if let Some(tls) = camera.outputs.mqtt.as_ref().and_then(|mqtt| mqtt.broker.tls.as_ref()) {
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
fn publish(camera: &str, mask_format: MaskFormat, location: String) -> PublishOptions {
    PublishOptions {
        location,
        stream_id: Some(camera.into()),
        mask_format,
        drain_timeout: DRAIN,
        // An output that fails or is slow affects neither the camera nor its other outputs.
        on_error: OnError::Retry,
        overflow: OverflowChoice::DropOldest,
        ..PublishOptions::default()
    }
}

fn lines(camera: &str, masks: MaskFormat, number: u32, target: &LinesTarget) -> ElementSetup {
    let location = match target {
        LinesTarget::Stdout => "-".to_owned(),
        LinesTarget::File(path) => path.display().to_string(),
        LinesTarget::Tcp { host, port } => format!("tcp://{}", server(host, *port)),
    };
    // Lines written before a reconnection are kept.
    let options = PublishOptions { append: true, ..publish(camera, masks, location) };
    element(format!("lines-{number}"), options, vec![])
}

/// Joins host and port, with an IPv6 address in brackets.
fn server(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The location of a broker, and the settings of a connection to it.
pub fn connection(broker: &Broker) -> (String, MqttSettings) {
    let scheme = if broker.tls.is_some() { "mqtts" } else { "mqtt" };
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let password = broker.password.as_ref().map(|password| format!(":{}", encoded(password.expose())));
    let account = broker.username.as_deref().map(|user| format!("{}{}@", encoded(user), password.unwrap_or_default()));
    let location = format!("{scheme}://{}{}", account.unwrap_or_default(), server(&broker.host, broker.port));
    let tls = broker.tls.clone().unwrap_or_default();
    let settings = MqttSettings {
        client_id: broker.client_id.clone(),
        // The configuration already contains the account, from the environment where it says so.
        credentials_env: String::new(),
        tls_ca_file: tls.ca,
        tls_client: tls.client,
        status_topic: Some(broker.status_topic.clone()),
        keep_alive: broker.keep_alive,
        ..MqttSettings::default()
    };
    (location, settings)
}

fn broker(camera: &str, masks: MaskFormat, mqtt: &Mqtt) -> ElementSetup {
    let Mqtt { broker, topic, qos, retain } = mqtt;
    let (location, settings) = connection(broker);
    let (tls_certificate_file, tls_key_file) = settings.tls_client.clone().unzip();
    let files = [&settings.tls_ca_file, &tls_certificate_file, &tls_key_file];
    let contents = files.into_iter().flatten().map(|path| digest::of_file(path).ok()).collect();
    let options = PublishOptions {
        max_queue: u32::try_from(broker.offline_queue).unwrap_or(u32::MAX).max(1),
        mqtt: MqttSettings {
            topic: Some(topic.clone()),
            qos: *qos,
            retain: *retain,
            // The element has certificate and key as properties.
            tls_client: None,
            ..settings
        },
        tls_certificate_file,
        tls_key_file,
        ..publish(camera, masks, location)
    };
    element("mqtt".into(), options, contents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Qos, Secret, Tls, redact};
    use gst::prelude::*;

    #[test]
    fn elements_have_what_the_outputs_say() {
        gst::init().unwrap();
        crate::plugin_register_static().unwrap();
        let broker = Broker {
            host: "fd00::1".into(),
            port: 8883,
            tls: Some(Tls { ca: Some("ca.pem".into()), client: Some(("cert.pem".into(), "key.pem".into())) }),
            username: Some("user@home".into()),
            password: Some(Secret::new("p:w/d")),
            client_id: Some("one".into()),
            status_topic: "status/one".into(),
            keep_alive: Duration::from_secs(30),
            offline_queue: 500,
        };
        let outputs = Outputs {
            lines: vec![
                LinesTarget::Stdout,
                LinesTarget::File("a.jsonl".into()),
                LinesTarget::Tcp { host: "::1".into(), port: 4000 },
            ],
            mqtt: Some(Mqtt { broker, topic: "objects/door".into(), qos: Qos::ExactlyOnce, retain: true }),
            ..Outputs::default()
        };
        let elements = elements("door", &outputs);
        let options = |element: &ElementSetup| match &element.options {
            ElementOptions::Publish(options) => options.clone(),
            other => panic!("{other:?}"),
        };
        let locations: Vec<_> = elements.iter().map(|element| options(element).location).collect();
        let broker = "mqtts://user%40home:p%3Aw%2Fd@[fd00::1]:8883";
        assert_eq!(locations, ["-", "a.jsonl", "tcp://[::1]:4000", broker]);
        for element in &elements {
            let (made, options) = (element.make().unwrap(), options(element));
            assert_eq!(made.property::<String>("location"), redact(&options.location));
            assert_eq!(made.property::<u64>("drain-timeout"), 1_500_000_000);
            assert_eq!(made.property::<bool>("append"), options.mqtt.topic.is_none());
        }
        let made = elements[3].make().unwrap();
        assert_eq!(made.property::<u32>("max-queue"), 500);
        assert_eq!(made.property_value("mqtt-qos").serialize().unwrap(), "exactly-once");
        let mqtt = [
            "mqtt-topic",
            "mqtt-client-id",
            "mqtt-status-topic",
            "tls-ca-file",
            "tls-certificate-file",
            "tls-key-file",
        ];
        let values = mqtt.map(|name| made.property::<Option<String>>(name).unwrap_or_default());
        assert_eq!(values, ["objects/door", "one", "status/one", "ca.pem", "cert.pem", "key.pem"]);
        assert_eq!(elements[3].contents, [None; 3], "files that aren't there");
        assert!(!format!("{elements:?}").contains("w%2Fd"), "{elements:?}");
        assert!(recording("door", &outputs, None).is_none());
    }
}
