//! What a plan's outputs are as elements: the properties of each `trtpublish`.

use super::plan::{LinesTarget, Mqtt, Outputs, Qos};
use super::secret::SecretUrl;
use crate::infer::nanoseconds;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::path::Path;
use std::time::Duration;

/// One `trtpublish`.
#[derive(Debug, Clone, PartialEq)]
pub struct Publisher {
    /// Its property `location`; may hold a password.
    pub location: SecretUrl,
    /// The others as name and text, for `set_property_from_str`; none of them is secret.
    pub properties: Vec<(&'static str, String)>,
}

impl Outputs {
    /// The elements that publish the lines of the camera of this name, one a target.
    pub fn publishers(&self, camera: &str) -> Vec<Publisher> {
        let lines = self.lines.iter().map(LinesTarget::publisher);
        let mut publishers: Vec<_> = lines.chain(self.mqtt.as_ref().map(Mqtt::publisher)).collect();
        for publisher in &mut publishers {
            publisher.properties.push(("stream-id", camera.to_owned()));
        }
        publishers
    }
}

impl LinesTarget {
    fn publisher(&self) -> Publisher {
        let location = match self {
            Self::Stdout => "-".to_owned(),
            Self::File(path) => path.display().to_string(),
            Self::Tcp { host, port } => format!("tcp://{}:{port}", bracketed(host)),
        };
        Publisher { location: SecretUrl::new(location), properties: vec![("append", "true".into())] }
    }
}

impl Mqtt {
    fn publisher(&self) -> Publisher {
        let broker = &self.broker;
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let user = broker.username.as_ref().map(|name| {
            let password = broker.password.as_ref().map(|password| encoded(password.expose()));
            format!("{}:{}@", encoded(name), password.unwrap_or_default())
        });
        let location = format!(
            "mqtt{}://{}{}:{}",
            if broker.tls.is_some() { "s" } else { "" },
            user.unwrap_or_default(),
            bracketed(&broker.host),
            broker.port
        );
        let qos = match self.qos {
            Qos::AtMostOnce => "at-most-once",
            Qos::AtLeastOnce => "at-least-once",
            Qos::ExactlyOnce => "exactly-once",
        };
        // Whole seconds, and not never.
        let keep_alive = Duration::from_secs(broker.keep_alive.as_secs().max(1));
        let mut properties = vec![
            // The plan has read the environment.
            ("credentials-env", String::new()),
            ("mqtt-topic", self.topic.clone()),
            ("mqtt-qos", qos.to_owned()),
            ("mqtt-retain", self.retain.to_string()),
            ("mqtt-status-topic", broker.status_topic.clone()),
            ("mqtt-keep-alive", nanoseconds(keep_alive).to_string()),
            ("max-queue", broker.offline_queue.max(1).to_string()),
        ];
        if let Some(id) = &broker.client_id {
            properties.push(("mqtt-client-id", id.clone()));
        }
        let path = |path: &Path| path.display().to_string();
        if let Some(tls) = &broker.tls {
            properties.extend(tls.ca.as_deref().map(|ca| ("tls-ca-file", path(ca))));
            if let Some((certificate, key)) = &tls.client {
                properties.push(("tls-certificate-file", path(certificate)));
                properties.push(("tls-key-file", path(key)));
            }
        }
        Publisher { location: SecretUrl::new(location), properties }
    }
}

/// An IPv6 address in brackets, as addresses have it.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Broker, Tls};
    use super::super::secret::Secret;
    use super::*;
    use crate::publish::Location;
    use gst::prelude::*;

    fn outputs() -> Outputs {
        let broker = Broker {
            host: "broker".into(),
            port: 8883,
            tls: Some(Tls { ca: Some("/ca.pem".into()), client: Some(("/me.pem".into(), "/me.key".into())) }),
            username: Some("me@site".into()),
            password: Some(Secret::new("p:@/ss")),
            client_id: Some("site-1".into()),
            status_topic: "status".into(),
            keep_alive: Duration::from_millis(500),
            offline_queue: 1000,
        };
        Outputs {
            lines: vec![
                LinesTarget::Stdout,
                LinesTarget::File("/var/door.jsonl".into()),
                LinesTarget::Tcp { host: "::1".into(), port: 9000 },
            ],
            mqtt: Some(Mqtt { broker, topic: "site/door".into(), qos: Qos::ExactlyOnce, retain: true }),
            ..Outputs::default()
        }
    }

    #[test]
    fn the_element_takes_every_property() {
        gst::init().unwrap();
        crate::plugin_register_static().unwrap();
        let publishers = outputs().publishers("door");
        assert_eq!(publishers.len(), 4);
        for publisher in &publishers {
            let element = gst::ElementFactory::make("trtpublish").build().unwrap();
            element.set_property("location", publisher.location.expose());
            for (name, value) in &publisher.properties {
                element.set_property_from_str(name, value);
                let now = element.property_value(name).serialize().map(|text| text.to_string()).unwrap_or_default();
                assert!(now.trim_matches('"').replace("\\ ", " ") == *value, "{name}: {now} instead of {value}");
            }
        }
    }

    #[test]
    fn locations_are_read_back_and_passwords_not_printed() {
        let publishers = outputs().publishers("door");
        let Location::Mqtt(broker) = Location::parse(publishers[3].location.expose()).unwrap() else { panic!() };
        assert_eq!((broker.server.host.as_str(), broker.server.port, broker.tls), ("broker", 8883, true));
        assert_eq!(broker.credentials, Some(("me@site".into(), Secret::new("p:@/ss"))));
        assert!(
            matches!(Location::parse(publishers[2].location.expose()).unwrap(), Location::Tcp(server) if server.host == "::1")
        );
        let printed = format!("{publishers:?}");
        assert!(!printed.contains("ss@") && !printed.contains("%2F"), "{printed}");
    }
}
