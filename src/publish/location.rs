//! Locations that lines are written to, as a user writes them: `-`, a path, `tcp://host:port`,
//! `mqtt://host:port/topic`, `kafka://host:port/topic`, `redis://host:port/stream`.

use super::kafka;
use super::mqtt::check_topic;
use crate::config::Secret;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::path::PathBuf;

/// A parsed location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `-`
    StandardOutput,
    /// A file, a named pipe or a device.
    Path(PathBuf),
    /// `tcp://host:port`
    Tcp(Server),
    /// `mqtt://host:port/topic`, or `mqtts://…` over TLS.
    Mqtt(Broker),
    /// `kafka://host:port,host:port/topic`, or `kafkas://…` over TLS.
    Kafka(Cluster),
    /// `redis://host:port/stream`, or `rediss://…` over TLS.
    Redis(Store),
}

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// A host name, or an IP address without brackets.
    pub host: String,
    pub port: u16,
}

/// An MQTT broker, and what the location says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    pub server: Server,
    pub tls: bool,
    /// The path after the host.
    pub topic: Option<String>,
    /// User name and password.
    pub credentials: Option<(String, Secret)>,
}

/// A Kafka cluster, and what the location says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Brokers that are asked for the others.
    pub servers: Vec<Server>,
    pub tls: bool,
    /// The path after the host.
    pub topic: String,
    /// User name and password.
    pub credentials: Option<(String, Secret)>,
}

/// A Redis server, and what the location says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pub server: Server,
    pub tls: bool,
    /// The path after the host: the key of a Redis stream.
    pub stream: String,
    /// User name and password.
    pub credentials: Option<(String, Secret)>,
}

impl std::fmt::Display for Server {
    /// `host:port`, an IPv6 address in brackets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl Location {
    /// # Errors
    /// What is wrong with the text and how to write it, without the password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text {
                "" => Err("there is none: set location to a file's path, to - for standard output, or to \
                           tcp://host:port, mqtt://host:port/topic, kafka://host:port/topic or \
                           redis://host:port/stream"
                    .into()),
                "-" => Ok(Self::StandardOutput),
                path => Ok(Self::Path(path.into())),
            };
        };
        let wrong = |what: &str| Err(format!("{what}: write {}", form(scheme)));
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path).filter(|path| !path.is_empty())),
            None => (rest, None),
        };
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        let default_port = match scheme {
            "mqtt" => Some(1883),
            "mqtts" => Some(8883),
            "kafka" | "kafkas" => Some(::fleet::default_port(scheme == "kafkas")),
            "redis" | "rediss" => Some(6379),
            "tcp" => None,
            _ => {
                return Err(format!(
                    "unknown scheme {scheme}://: write tcp://host:port, mqtt://host:port/topic, \
                     kafka://host:port/topic, redis://host:port/stream, with TLS mqtts://, kafkas:// or rediss://, or \
                     the path of a file"
                ));
            }
        };
        let is_kafka = matches!(scheme, "kafka" | "kafkas");
        let addresses = if is_kafka { address.split(',').collect() } else { vec![address] };
        let servers: Option<Vec<_>> = addresses.into_iter().map(|address| server(address, default_port)).collect();
        let Some((server, others)) = servers.as_deref().and_then(<[Server]>::split_first) else {
            return wrong("no host with a port in 1–65535");
        };
        let server = server.clone();
        if scheme == "tcp" {
            return match (user, path) {
                (None, None) => Ok(Self::Tcp(server)),
                _ => wrong("a TCP location takes only a host and a port"),
            };
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(Cow::into_owned);
        let credentials = match user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            Ok::<_, std::str::Utf8Error>((decoded(name)?, Secret::new(decoded(password)?)))
        }) {
            Some(Ok(credentials)) => Some(credentials),
            Some(Err(_)) => return wrong("the user name or password isn't UTF-8"),
            None => None,
        };
        let tls = scheme.ends_with('s') && scheme != "redis";
        match (scheme, path) {
            ("mqtt" | "mqtts", path) => {
                if let Some(topic) = path
                    && let Err(error) = check_topic(topic)
                {
                    return wrong(&error);
                }
                Ok(Self::Mqtt(Broker { server, tls, topic: path.map(str::to_owned), credentials }))
            }
            ("redis" | "rediss", Some(stream)) => {
                Ok(Self::Redis(Store { server, tls, stream: stream.to_owned(), credentials }))
            }
            ("redis" | "rediss", None) => wrong("the Redis stream is missing"),
            (_, Some(topic)) => {
                if let Err(error) = kafka::check_topic(topic) {
                    return wrong(&error);
                }
                let servers = [&[server], others].concat();
                Ok(Self::Kafka(Cluster { servers, tls, topic: topic.to_owned(), credentials }))
            }
            (_, None) => wrong("the topic is missing"),
        }
    }
}

fn form(scheme: &str) -> &'static str {
    match scheme {
        "tcp" => "tcp://host:port",
        "mqtts" => "mqtts://host:port/topic",
        "kafka" => "kafka://host:port/topic, with commas between several brokers",
        "kafkas" => "kafkas://host:port/topic, with commas between several brokers",
        "redis" => "redis://host:port/stream",
        "rediss" => "rediss://host:port/stream",
        _ => "mqtt://host:port/topic",
    }
}

fn server(address: &str, default_port: Option<u16>) -> Option<Server> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            let port = if port.is_empty() { None } else { Some(port.strip_prefix(':')?) };
            (host, port)
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None => default_port?,
    };
    let usable = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control());
    usable.then(|| Server { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Location {
        Location::parse(text).unwrap()
    }

    fn server(host: &str, port: u16) -> Server {
        Server { host: host.into(), port }
    }

    #[test]
    fn every_form_is_understood() {
        assert_eq!(parse("-"), Location::StandardOutput);
        for path in ["objects.jsonl", "/a b/c", "a:9000", "file@host"] {
            assert_eq!(parse(path), Location::Path(path.into()));
        }
        assert_eq!(parse("tcp://collector:9000"), Location::Tcp(server("collector", 9000)));
        assert_eq!(parse("tcp://[::1]:9000/"), Location::Tcp(server("::1", 9000)));
        let plain = |topic: Option<&str>| Broker {
            server: server("broker", 1883),
            tls: false,
            topic: topic.map(Into::into),
            credentials: None,
        };
        assert_eq!(parse("mqtt://broker"), Location::Mqtt(plain(None)));
        assert_eq!(parse("mqtt://broker:1883/a/{stream-id}"), Location::Mqtt(plain(Some("a/{stream-id}"))));
        let Location::Mqtt(broker) = parse("mqtts://me:p%40ss@w:rd@10.0.0.1/t") else { panic!() };
        assert_eq!((broker.server, broker.tls), (server("10.0.0.1", 8883), true));
        assert_eq!(broker.credentials, Some(("me".into(), Secret::new("p@ss@w:rd"))));
        let Location::Kafka(cluster) = parse("kafkas://me:pw@a,b:1,[::1]:2/objects") else { panic!() };
        assert_eq!(cluster.servers, [server("a", 9093), server("b", 1), server("::1", 2)]);
        assert_eq!((cluster.tls, &*cluster.topic), (true, "objects"));
        assert_eq!(cluster.credentials, Some(("me".into(), Secret::new("pw"))));
        let Location::Redis(store) = parse("redis://:pw@host/objects:{stream-id}") else { panic!() };
        assert_eq!((store.server, store.tls, &*store.stream), (server("host", 6379), false, "objects:{stream-id}"));
        assert_eq!(store.credentials, Some((String::new(), Secret::new("pw"))));
        let Location::Redis(store) = parse("rediss://host:1/a/b") else { panic!() };
        assert_eq!((store.tls, &*store.stream), (true, "a/b"));
    }

    #[test]
    fn what_is_wrong_is_named_with_the_right_form() {
        for (text, words) in [
            ("", "set location to a file's path"),
            ("tcp://collector", "write tcp://host:port"),
            ("tcp://:9000", "no host"),
            ("tcp://host:0", "1–65535"),
            ("tcp://host:70000", "1–65535"),
            ("tcp://me:secret@host:1", "only a host and a port"),
            ("tcp://host:1/path", "only a host and a port"),
            ("tcp://[::1:9000", "no host"),
            ("mqtt://me:secret@host:x/t", "write mqtt://host:port/topic"),
            ("mqtts://host/a/#", "mqtts://host:port/topic"),
            ("mqtt://me:%ff%fe@host/t", "UTF-8"),
            ("kafka://host", "the topic is missing: write kafka://host:port/topic"),
            ("kafka://a,/t", "no host"),
            ("kafka://me:secret@a/b/c", "letters, digits"),
            ("kafka://a/{stream-id}", "the stream's name is the key"),
            ("redis://me:secret@host", "the Redis stream is missing: write redis://host:port/stream"),
            ("http://me:secret@host/", "unknown scheme http://"),
        ] {
            let error = Location::parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn credentials_are_not_printed() {
        let debug = format!("{:?}", parse("mqtt://me:secret@host/t"));
        assert!(!debug.contains("secret") && debug.contains("***"), "{debug}");
    }
}
