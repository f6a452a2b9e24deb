//! A fleet's address, and the names of its topics.

use std::fmt;

/// `kafka://broker:port,broker:port/NAME`: where a fleet is. Without a name it's `gst-trt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `host:port`, separated by commas: `bootstrap.servers`.
    pub brokers: String,
    /// `kafkas://`: the connection is encrypted.
    pub tls: bool,
    /// The consumer group, and the beginning of the topics' names.
    pub name: String,
}

/// The port of a broker that is written without one, here and wherever `kafka://` or `kafkas://` (TLS) is written.
pub const fn default_port(tls: bool) -> u16 {
    if tls { 9093 } else { 9092 }
}

const DEFAULT_NAME: &str = "gst-trt";
/// Kafka permits 249 characters in a topic's name; the longest ending has 8.
const LONGEST_NAME: usize = 200;

impl Address {
    /// # Errors
    /// What is wrong, and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "write kafka://HOST:PORT, kafka://HOST:PORT,HOST:PORT/NAME, or kafkas:// for TLS";
        let (tls, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("kafka") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("kafkas") => (true, rest),
            Some((scheme, _)) => return Err(format!("a fleet isn't at {scheme}://; {form}")),
            None => (false, text),
        };
        if rest.contains('@') {
            return Err(
                "an account doesn't belong into the address: set KAFKA_USERNAME and KAFKA_PASSWORD in the environment"
                    .to_owned(),
            );
        }
        let (brokers, name) = rest.split_once('/').unwrap_or((rest, ""));
        let brokers: Result<Vec<String>, String> =
            brokers.split(',').map(|text| broker(text, default_port(tls))).collect();
        let brokers = brokers.map_err(|wrong| format!("{wrong:?} is no broker; {form}"))?;
        let name = if name.is_empty() { DEFAULT_NAME } else { name };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.len() > LONGEST_NAME || !name.chars().all(fits) {
            return Err(format!(
                "{name:?} can't be a fleet's name: up to {LONGEST_NAME} letters, digits, -, _ and . become part of topics' \
                 names"
            ));
        }
        Ok(Self { brokers: brokers.join(","), tls, name: name.to_owned() })
    }

    pub fn topics(&self) -> Topics {
        let topic = |ending: &str| format!("{}.{ending}", self.name);
        Topics { cameras: topic("cameras"), config: topic("config"), claims: topic("claims"), status: topic("status") }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "kafkas" } else { "kafka" };
        write!(f, "{scheme}://{}/{}", self.brokers, self.name)
    }
}

/// A broker with its port, which is `usual` unless it's written.
fn broker(text: &str, usual: u16) -> Result<String, String> {
    let text = text.trim();
    // An IPv6 address has colons within its brackets.
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| text.to_owned())?),
        _ => (text, usual),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') || bracketed;
    if host.is_empty() || port == 0 || !host.chars().all(fits) {
        return Err(text.to_owned());
    }
    Ok(format!("{host}:{port}"))
}

/// The names of a fleet's topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    pub cameras: String,
    pub config: String,
    pub claims: String,
    pub status: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_in_several_ways() {
        for (text, shown) in [
            ("kafka://a:1", "kafka://a:1/gst-trt"),
            ("KAFKA://a", "kafka://a:9092/gst-trt"),
            ("a:1,b", "kafka://a:1,b:9092/gst-trt"),
            ("kafkas://a:1, b:2/site-1", "kafkas://a:1,b:2/site-1"),
            ("kafkas://a,[::1]", "kafkas://a:9093,[::1]:9093/gst-trt"),
            ("kafka://[::1]:9092/", "kafka://[::1]:9092/gst-trt"),
            ("kafka://[fd00::1]", "kafka://[fd00::1]:9092/gst-trt"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), shown, "{text}");
        }
        assert_eq!(Address::parse("a/b").unwrap().topics().claims, "b.claims");
        for (text, says) in [
            ("", "no broker"),
            ("kafka://", "no broker"),
            ("kafka://a:x", "a:x"),
            ("kafka://a:0", "a:0"),
            ("kafka://a b:1", "no broker"),
            ("mqtt://a", "mqtt"),
            ("kafka://me:word@a", "KAFKA_PASSWORD"),
            ("kafka://a/b/c", "b/c"),
            ("kafka://a/b c", "b c"),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(error.contains(says) && !error.contains("word@"), "{text}: {error}");
        }
    }
}
