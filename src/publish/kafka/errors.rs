//! Explains librdkafka's errors.

use rdkafka::error::RDKafkaErrorCode as Code;
use std::io;

/// What no further attempt changes: the error's kind, and a text with the remedy.
pub fn refusal(code: Code, topic: &str) -> Option<(io::ErrorKind, String)> {
    let denied = |text: String| Some((io::ErrorKind::PermissionDenied, text));
    match code {
        Code::UnknownTopic | Code::UnknownTopicOrPartition => Some((
            io::ErrorKind::NotFound,
            format!("there is no topic {topic}, and the brokers don't create topics by themselves: create it"),
        )),
        Code::TopicAuthorizationFailed => {
            denied(format!("this account may not write to topic {topic}: change the cluster's access rules (ACL)"))
        }
        Code::ClusterAuthorizationFailed => {
            denied("this account may not write idempotently: change the cluster's access rules (ACL)".to_owned())
        }
        _ => None,
    }
}

/// Describes why a message of this size wasn't delivered, with the remedy where there is one.
pub fn describe(code: Code, topic: &str, bytes: usize) -> String {
    if let Some((_, text)) = refusal(code, topic) {
        return text;
    }
    match code {
        Code::MessageSizeTooLarge => format!(
            "a message of {bytes} bytes is larger than topic {topic} allows: raise its max.message.bytes, or leave masks out \
             (mask-format=none)"
        ),
        Code::InvalidTopic => format!("the brokers refuse {topic} as a topic's name"),
        _ => format!("a message to topic {topic} failed: {code}"),
    }
}

/// Why the cluster doesn't let this client in: the error's kind, and a text with the remedy. `reason` is librdkafka's.
pub fn rejection(code: Code, reason: &str) -> Option<(io::ErrorKind, String)> {
    match code {
        Code::Authentication => Some((
            io::ErrorKind::PermissionDenied,
            format!(
                "the brokers refuse this user name and password ({reason}): check the environment variables that \
                 credentials-env names, and kafka-sasl-mechanism"
            ),
        )),
        // A handshake that fails is at times reported as a connection that broke.
        _ if code == Code::SSL || reason.contains(UNTRUSTED) => {
            Some((io::ErrorKind::InvalidData, format!("TLS: {reason}; {}", remedy_of_tls(reason))))
        }
        _ => None,
    }
}

/// Why nothing gets through where brokers end connections without a word, as they do when they stop, and where the other side expects
/// TLS or an account.
pub const CLOSED: &str = "the brokers end their connections: if they run, check whether this port is one for TLS (kafkas://), or asks for \
                          an account (credentials-env)";

/// What OpenSSL says of a certificate that no known authority has signed.
const UNTRUSTED: &str = "certificate verify failed";

fn remedy_of_tls(reason: &str) -> &'static str {
    if reason.contains(UNTRUSTED) || reason.contains("unable to get local issuer") {
        "set tls-ca-file to the certificate of the authority that has signed the brokers' certificates, and use the name in \
         these certificates in the location"
    } else {
        "check that this is the brokers' TLS port, and tls-certificate-file if they ask for one"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_a_remedy() {
        for (code, words) in [
            (Code::UnknownTopic, "create it"),
            (Code::UnknownTopicOrPartition, "create it"),
            (Code::TopicAuthorizationFailed, "ACL"),
            (Code::MessageSizeTooLarge, "2000 bytes"),
        ] {
            let text = describe(code, "objects", 2000);
            assert!(text.contains("topic objects") && text.contains(words), "{text}");
        }
        let (kind, text) = rejection(Code::Authentication, "SASL: Authentication failed").unwrap();
        assert!(kind == io::ErrorKind::PermissionDenied && text.contains("credentials-env"), "{text}");
        let (_, text) = rejection(Code::SSL, "error:0A000086: certificate verify failed").unwrap();
        assert!(text.contains("tls-ca-file"), "{text}");
        let broken = "sasl_ssl://a:1/bootstrap: error:0A000086:SSL routines::certificate verify failed";
        assert!(rejection(Code::BrokerTransportFailure, broken).unwrap().1.contains("tls-ca-file"));
        assert!(rejection(Code::AllBrokersDown, "").is_none());
    }
}
