//! A cluster and the way in, and the client's configuration made from them.

use super::super::credentials::named_from_environment;
use super::super::location::{Cluster, Server};
use super::super::options::ServerOptions;
use super::super::output::OnError;
use super::entry::Entry;
use files::digest::{self, Hash};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

/// Everything that two clients must have in common to share a connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    servers: Vec<Server>,
    entry: Entry,
    /// The contents of its files, which are read when the connection begins.
    tls_contents: Vec<Option<Hash>>,
    /// Whether to go on after the cluster refuses the account.
    pub on_error: OnError,
}

impl Account {
    /// # Errors
    /// What is invalid, and the remedy.
    pub fn new(cluster: &Cluster, options: &ServerOptions, on_error: OnError) -> Result<Self, String> {
        let credentials = match &cluster.credentials {
            Some(credentials) => Some(credentials.clone()),
            None => named_from_environment(options.credentials_env.as_deref().unwrap_or("KAFKA"))?,
        };
        let ca_file = options.tls_ca_file.clone().filter(|_| cluster.tls);
        let (certificate_file, key_file) = options.tls_client()?.filter(|_| cluster.tls).unzip();
        let files =
            [("tls-ca-file", &ca_file), ("tls-certificate-file", &certificate_file), ("tls-key-file", &key_file)];
        let mut tls_contents = Vec::new();
        for (property, file) in files.into_iter().filter_map(|(property, file)| Some((property, file.as_ref()?))) {
            let content = digest::of_file(file).map_err(|error| format!("{property} {}: {error}", file.display()))?;
            tls_contents.push(Some(content));
        }
        Ok(Self {
            servers: cluster.servers.clone(),
            entry: Entry {
                tls: cluster.tls,
                credentials,
                mechanism: options.kafka_sasl_mechanism,
                ca_file,
                certificate_file,
                key_file,
            },
            tls_contents,
            on_error,
        })
    }

    /// The name for messages.
    pub fn name(&self) -> String {
        format!("kafka{}://{}", if self.entry.tls { "s" } else { "" }, self.brokers())
    }

    fn brokers(&self) -> String {
        self.servers.iter().map(Server::to_string).collect::<Vec<_>>().join(",")
    }

    /// Where the cluster is and how to get in, and how soon troubles are noticed. It holds the password.
    fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.brokers()).set("client.id", "gst-tensorrt");
        self.entry.add_to(&mut config);
        // For the debug category of the connection, which has its own threshold.
        config.set_log_level(RDKafkaLogLevel::Info);
        config.set("socket.keepalive.enable", "true").set("log.connection.close", "false");
        // A broker that doesn't answer is noticed in seconds, and one that is back as well.
        config.set("socket.timeout.ms", "10000").set("socket.connection.setup.timeout.ms", "5000");
        config.set("reconnect.backoff.max.ms", "2000");
        config
    }

    /// The configuration of a producer that loses, doubles and reorders nothing that it has accepted while it lives.
    pub fn producer_config(&self) -> ClientConfig {
        let mut config = self.client_config();
        config.set("enable.idempotence", "true").set("acks", "all");
        // Lines wait until they are confirmed: their number is bounded, not their time.
        config.set("message.timeout.ms", "0");
        // Lines of several streams go in one request, which costs many times as much as a line.
        config.set("linger.ms", "200").set("partitioner", "murmur2_random");
        // The cluster decides how large a message may be; it refuses whole batches, so that these are small.
        config.set("message.max.bytes", "100000000").set("batch.size", "131072");
        // A topic that is missing is reported in seconds, and found in seconds once it's there.
        config.set("topic.metadata.propagation.max.ms", "5000").set("topic.metadata.refresh.interval.ms", "10000");
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SaslMechanism, Secret};

    fn cluster(tls: bool) -> Cluster {
        let servers = ["a", "::1"].map(|host| Server { host: host.into(), port: 9092 }).to_vec();
        let credentials = Some(("me".to_owned(), Secret::new("s3cr3t")));
        Cluster { servers, tls, topic: "objects".into(), credentials }
    }

    #[test]
    fn the_client_gets_what_the_location_says() {
        let options = ServerOptions { kafka_sasl_mechanism: SaslMechanism::ScramSha512, ..ServerOptions::default() };
        let account = Account::new(&cluster(true), &options, OnError::Fail).unwrap();
        let config = account.client_config();
        assert_eq!(config.get("bootstrap.servers"), Some("a:9092,[::1]:9092"));
        assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(config.get("sasl.mechanism"), Some("SCRAM-SHA-512"));
        assert_eq!(config.get("sasl.password"), Some("s3cr3t"));
        assert_eq!(account.name(), "kafkas://a:9092,[::1]:9092");
        assert!(account.producer_config().create::<rdkafka::producer::BaseProducer>().is_ok());
    }

    #[test]
    fn files_that_cannot_be_read_are_named() {
        let options = ServerOptions { tls_ca_file: Some("/no/ca.pem".into()), ..ServerOptions::default() };
        let error = Account::new(&cluster(true), &options, OnError::Fail).err().unwrap();
        assert!(error.contains("tls-ca-file /no/ca.pem"), "{error}");
        assert!(Account::new(&cluster(false), &options, OnError::Fail).is_ok(), "without TLS it isn't read");
    }
}
