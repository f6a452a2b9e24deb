//! The settings of a connection, and the client's options made from them.

use super::super::credentials::{named_from_environment, unique_id};
use super::super::location::{Broker, Server};
use super::super::output::OnError;
use super::super::tls;
use super::check_topic;
use crate::config::{Qos, Secret};
use files::digest::{self, Hash};
use rumqttc::{LastWill, MqttOptions, QoS, Transport};
use std::path::PathBuf;
use std::time::Duration;

impl From<Qos> for QoS {
    fn from(qos: Qos) -> Self {
        match qos {
            Qos::AtMostOnce => Self::AtMostOnce,
            Qos::AtLeastOnce => Self::AtLeastOnce,
            Qos::ExactlyOnce => Self::ExactlyOnce,
        }
    }
}

/// The settings of an MQTT broker that a location doesn't contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttSettings {
    /// The topic for lines, in which `{stream-id}` stands for the stream's name; it takes precedence over the
    /// location's.
    pub topic: Option<String>,
    /// The topic for events, with the same placeholder. Totals are retained below it, under the names of zones and lines. `None`:
    /// `events` below `topic`, or where only events are written `topic` itself.
    pub events_topic: Option<String>,
    /// There are no lines of frames.
    pub only_events: bool,
    pub qos: Qos,
    /// The broker retains the last line of a frame in each topic for later subscribers.
    pub retain: bool,
    /// The client id; of two clients with the same id the broker disconnects one. `None`: a generated id.
    pub client_id: Option<String>,
    /// Where the location has no user name and password, they are read from the environment variables with this prefix
    /// and `_USERNAME` and `_PASSWORD`. Empty: they aren't read.
    pub credentials_env: String,
    /// Certificates (PEM) of the authorities that may sign the broker's certificate. `None`: the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// This client's certificate and key (PEM), for brokers that require them.
    pub tls_client: Option<(PathBuf, PathBuf)>,
    /// The topic of a retained status message: `online` while connected and `offline` afterwards, by the last will if
    /// need be.
    pub status_topic: Option<String>,
    /// The keep-alive interval in whole seconds; a broker that doesn't answer for as long again counts as lost.
    pub keep_alive: Duration,
}

impl Default for MqttSettings {
    fn default() -> Self {
        Self {
            topic: None,
            events_topic: None,
            only_events: false,
            qos: Qos::default(),
            retain: false,
            client_id: None,
            credentials_env: "MQTT".into(),
            tls_ca_file: None,
            tls_client: None,
            status_topic: None,
            keep_alive: Duration::from_secs(10),
        }
    }
}

/// The payloads of the status topic.
pub const ONLINE: &str = "online";
pub const OFFLINE: &str = "offline";

/// Everything that two outputs must have in common to share a connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    pub server: Server,
    pub tls: bool,
    credentials: Option<(String, Secret)>,
    client_id: Option<String>,
    tls_ca_file: Option<PathBuf>,
    tls_client: Option<(PathBuf, PathBuf)>,
    /// The contents of these files, which are read when the connection begins.
    tls_contents: Vec<Option<Hash>>,
    pub status_topic: Option<String>,
    keep_alive: Duration,
    /// Whether to retry after the broker refuses the connection.
    pub on_error: OnError,
}

impl Account {
    /// # Errors
    /// What is invalid, and the remedy.
    pub fn new(broker: &Broker, settings: &MqttSettings, on_error: OnError) -> Result<Self, String> {
        if let Some(topic) = &settings.status_topic {
            check_topic(topic).map_err(|error| format!("mqtt-status-topic: {error}"))?;
        }
        if broker.tls && broker.server.host.contains(':') {
            return Err("TLS needs the broker's host name as in its certificate, not an IPv6 address".into());
        }
        let credentials = match &broker.credentials {
            Some(credentials) => Some(credentials.clone()),
            None => named_from_environment(&settings.credentials_env)?,
        };
        let tls_ca_file = settings.tls_ca_file.clone().filter(|_| broker.tls);
        let tls_client = settings.tls_client.clone().filter(|_| broker.tls);
        let files = tls_ca_file.iter().chain(tls_client.iter().flat_map(|(certificate, key)| [certificate, key]));
        // A file that can't be read is reported when it's used.
        let tls_contents = files.map(|file| digest::of_file(file).ok()).collect();
        Ok(Self {
            server: broker.server.clone(),
            tls: broker.tls,
            credentials,
            client_id: settings.client_id.clone(),
            tls_ca_file,
            tls_client,
            tls_contents,
            status_topic: settings.status_topic.clone(),
            keep_alive: settings.keep_alive,
            on_error,
        })
    }

    /// The name for messages.
    pub fn name(&self) -> String {
        format!("mqtt{}://{}", if self.tls { "s" } else { "" }, self.server)
    }

    /// # Errors
    /// The certificates can't be read.
    pub fn options(&self) -> Result<MqttOptions, String> {
        let Server { host, port } = &self.server;
        // The client joins host and port to `host:port`.
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let client_id = self.client_id.clone().unwrap_or_else(unique_id);
        let mut options = MqttOptions::new(client_id, host, *port);
        // Less than a second isn't allowed, and 0 would mean never.
        options.set_keep_alive(Duration::from_secs(self.keep_alive.as_secs().max(1)));
        // Many more than are ever in flight, so that ids whose acknowledgement is late aren't reused.
        options.set_inflight(1024);
        // Outgoing packets have the protocol's own limit; what brokers send to a publisher is short.
        options.set_max_packet_size(64 * 1024, 256 * 1024 * 1024);
        if let Some((name, password)) = &self.credentials {
            options.set_credentials(name, password.expose());
        }
        if let Some(topic) = &self.status_topic {
            options.set_last_will(LastWill::new(topic, OFFLINE, QoS::AtLeastOnce, true));
        }
        if self.tls {
            let config = tls::config(self.tls_ca_file.as_deref(), self.tls_client.as_ref())?;
            options.set_transport(Transport::tls_with_config(config.into()));
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(tls: bool) -> Broker {
        Broker { server: Server { host: "broker".into(), port: 1 }, tls, topic: None, credentials: None }
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_cause() {
        let settings = |change: fn(&mut MqttSettings)| {
            let mut settings = MqttSettings { credentials_env: "GST_TRT_TEST_UNSET".into(), ..Default::default() };
            change(&mut settings);
            settings
        };
        let error =
            |broker: &Broker, settings| Account::new(broker, &settings, OnError::Fail).err().unwrap_or_default();
        assert!(error(&broker(false), settings(|s| s.status_topic = Some("a/#".into()))).contains("mqtt-status-topic"));
        let mut v6 = broker(true);
        v6.server.host = "::1".into();
        assert!(error(&v6, settings(|_| ())).contains("IPv6"));

        let with_ca = settings(|s| s.tls_ca_file = Some("/no/ca.pem".into()));
        let account = Account::new(&broker(true), &with_ca, OnError::Fail).unwrap();
        assert!(account.options().err().unwrap().contains("/no/ca.pem"));
        assert_eq!(account.name(), "mqtts://broker:1");
        let plain = Account::new(&broker(false), &with_ca, OnError::Fail).unwrap();
        assert!(plain.options().is_ok());
    }

    /// A connection has read its certificates: outputs with other certificates need another connection.
    #[test]
    fn another_certificate_in_the_same_file_is_another_account() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let settings = MqttSettings {
            tls_ca_file: Some(path("ca.pem")),
            tls_client: Some((path("cert.pem"), path("key.pem"))),
            credentials_env: String::new(),
            ..Default::default()
        };
        let account = || Account::new(&broker(true), &settings, OnError::default()).unwrap();
        let mut before = account();
        for file in ["ca.pem", "cert.pem", "key.pem"] {
            for content in ["one", "two"] {
                std::fs::write(path(file), content).unwrap();
                assert!(account() != before && account() == account(), "{file}");
                before = account();
            }
        }
    }

    #[test]
    fn the_same_account_is_one() {
        let settings = MqttSettings { credentials_env: "GST_TRT_TEST_UNSET".into(), ..Default::default() };
        let account = |settings: &MqttSettings| Account::new(&broker(false), settings, OnError::Fail).unwrap();
        let topic = MqttSettings { topic: Some("x".into()), qos: Qos::AtMostOnce, ..settings.clone() };
        assert!(account(&settings) == account(&topic));
        assert!(account(&settings) != account(&MqttSettings { client_id: Some("x".into()), ..settings.clone() }));
        assert!(account(&settings) != Account::new(&broker(false), &settings, OnError::Retry).unwrap());
    }
}
