//! From a camera's outputs to elements and what records beside them.

use super::setup::ElementSetup;
use crate::config::{LinesTarget, Mqtt, Outputs, Plan, Qos};
use crate::digest;
use crate::error::{Error, ErrorKind};
use crate::infer::nanoseconds;
use crate::publish::tls_config;
use crate::record;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::Duration;

/// How long the end waits for servers to take the last lines: less than the camera's own end takes.
const DRAIN: Duration = Duration::from_millis(1500);

/// The elements that put out what was found.
pub fn elements(camera: &str, outputs: &Outputs) -> Vec<ElementSetup> {
    let lines = (1..).zip(&outputs.lines).map(|(number, target)| lines(camera, number, target));
    lines.chain(outputs.mqtt.iter().map(|mqtt| broker(camera, mqtt))).collect()
}

/// What records pictures and videos of it, if anything does.
pub fn recording(camera: &str, outputs: &Outputs, gpu: Option<u32>) -> Option<record::Settings> {
    outputs.need_drawing().then(|| record::Settings {
        camera: camera.to_owned(),
        pictures: outputs.pictures.clone(),
        segments: outputs.segments.clone(),
        gpu,
    })
}

/// Whether the certificates and keys of a plan can be read: cameras that run aren't to be ended for what can't begin.
///
/// # Errors
/// Names the camera, the file and what is wrong with it.
pub fn check_certificates(plan: &Plan) -> Result<(), Error> {
    for camera in &plan.cameras {
        if let Some(tls) = camera.outputs.mqtt.as_ref().and_then(|mqtt| mqtt.broker.tls.as_ref()) {
            tls_config(tls.ca.as_deref(), tls.client.as_ref())
                .map_err(|text| Error::new(ErrorKind::File, format!("{}: {text}", camera.name)))?;
        }
    }
    Ok(())
}

fn publish(name: String, camera: &str, location: String) -> ElementSetup {
    let properties = [
        ("location", location),
        ("stream-id", camera.to_owned()),
        ("drain-timeout", nanoseconds(DRAIN).to_string()),
        // One that fails, or is slow, takes neither the camera nor its other outputs down.
        ("on-error", "retry".to_owned()),
        ("overflow", "drop-oldest".to_owned()),
    ];
    ElementSetup {
        factory: "trtpublish".into(),
        name,
        properties: properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        contents: vec![],
    }
}

fn lines(camera: &str, number: u32, target: &LinesTarget) -> ElementSetup {
    let location = match target {
        LinesTarget::Stdout => "-".to_owned(),
        LinesTarget::File(path) => path.display().to_string(),
        LinesTarget::Tcp { host, port } => format!("tcp://{}", server(host, *port)),
    };
    let mut element = publish(format!("lines-{number}"), camera, location);
    // What was written before a reconnection stays.
    element.properties.push(("append".into(), "true".into()));
    element
}

/// With an IPv6 address in brackets.
fn server(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn broker(camera: &str, mqtt: &Mqtt) -> ElementSetup {
    let Mqtt { broker, topic, qos, retain } = mqtt;
    let scheme = if broker.tls.is_some() { "mqtts" } else { "mqtt" };
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let password = broker.password.as_ref().map(|password| format!(":{}", encoded(password.expose())));
    let account = broker.username.as_deref().map(|user| format!("{}{}@", encoded(user), password.unwrap_or_default()));
    let location = format!("{scheme}://{}{}", account.unwrap_or_default(), server(&broker.host, broker.port));
    let mut element = publish("mqtt".into(), camera, location);
    let mut set = |name: &str, value: String| element.properties.push((name.to_owned(), value));
    set("mqtt-topic", topic.clone());
    set(
        "mqtt-qos",
        match qos {
            Qos::AtMostOnce => "at-most-once",
            Qos::AtLeastOnce => "at-least-once",
            Qos::ExactlyOnce => "exactly-once",
        }
        .to_owned(),
    );
    set("mqtt-retain", retain.to_string());
    set("mqtt-status-topic", broker.status_topic.clone());
    set("mqtt-keep-alive", nanoseconds(broker.keep_alive).to_string());
    set("max-queue", broker.offline_queue.max(1).to_string());
    // The configuration has the account, from the environment where it says so.
    set("credentials-env", String::new());
    if let Some(id) = &broker.client_id {
        set("mqtt-client-id", id.clone());
    }
    if let Some(tls) = &broker.tls {
        let (certificate, key) = tls.client.as_ref().map(|(certificate, key)| (certificate, key)).unzip();
        let files = [("tls-ca-file", tls.ca.as_ref()), ("tls-certificate-file", certificate), ("tls-key-file", key)];
        for (name, path) in files.into_iter().filter_map(|(name, path)| Some((name, path?))) {
            element.properties.push((name.to_owned(), path.display().to_string()));
            element.contents.push(digest::of_file(path).ok());
        }
    }
    element
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Broker, Secret, Tls};

    #[test]
    fn every_property_is_one_of_the_element() {
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
        let locations: Vec<_> = elements.iter().map(|element| element.properties[0].1.as_str()).collect();
        let broker = "mqtts://user%40home:p%3Aw%2Fd@[fd00::1]:8883";
        assert_eq!(locations, ["-", "a.jsonl", "tcp://[::1]:4000", broker]);
        for element in &elements {
            element.make().unwrap();
        }
        assert_eq!(elements[3].contents, [None; 3], "files that aren't there");
        assert!(!format!("{elements:?}").contains("w%2Fd"), "{elements:?}");
        assert!(recording("door", &outputs, None).is_none());
    }
}
