//! How clients get into a cluster.

use crate::config::{SaslMechanism, Secret};
use rdkafka::ClientConfig;
use std::path::PathBuf;

/// What decides whether a cluster lets a client in.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Entry {
    pub tls: bool,
    /// User name and password.
    pub credentials: Option<(String, Secret)>,
    pub mechanism: SaslMechanism,
    /// PEM files, which matter with TLS only: the authorities, and this client's certificate and key.
    pub ca_file: Option<PathBuf>,
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
}

impl Entry {
    /// Adds it to a client's configuration, which holds the password then.
    pub fn add_to(&self, config: &mut ClientConfig) {
        config.set(
            "security.protocol",
            match (self.tls, self.credentials.is_some()) {
                (false, false) => "plaintext",
                (false, true) => "sasl_plaintext",
                (true, false) => "ssl",
                (true, true) => "sasl_ssl",
            },
        );
        if let Some((name, password)) = &self.credentials {
            config.set("sasl.mechanism", self.mechanism.name());
            config.set("sasl.username", name).set("sasl.password", password.expose());
        }
        for (setting, file) in [
            ("ssl.ca.location", &self.ca_file),
            ("ssl.certificate.location", &self.certificate_file),
            ("ssl.key.location", &self.key_file),
        ] {
            if let Some(file) = file.as_ref().filter(|_| self.tls) {
                config.set(setting, file.display().to_string());
            }
        }
    }
}
