//! Locations that lines are written to, as a user writes them: `-`, a path, `tcp://host:port`,
//! `mqtt://host:port/topic`.

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
                           tcp://host:port or mqtt://host:port/topic"
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
            "tcp" => None,
            _ => {
                return Err(format!(
                    "unknown scheme {scheme}://: write tcp://host:port, mqtt://host:port/topic, \
                     mqtts://host:port/topic, or the path of a file"
                ));
            }
        };
        let Some(server) = server(address, default_port) else { return wrong("no host with a port in 1–65535") };
        if scheme == "tcp" {
            return match (user, path) {
                (None, None) => Ok(Self::Tcp(server)),
                _ => wrong("a TCP location takes only a host and a port"),
            };
        }
        if let Some(topic) = path
            && let Err(error) = check_topic(topic)
        {
            return wrong(&error);
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
        Ok(Self::Mqtt(Broker { server, tls: scheme == "mqtts", topic: path.map(str::to_owned), credentials }))
    }
}

fn form(scheme: &str) -> &'static str {
    match scheme {
        "tcp" => "tcp://host:port",
        "mqtts" => "mqtts://host:port/topic",
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
