//! Explains the client's errors.

use rumqttc::{ConnectReturnCode, ConnectionError, StateError, TlsError, mqttbytes};
use std::io;

/// The error kind of a refusal that no further attempt will change.
pub fn refusal(error: &ConnectionError) -> Option<io::ErrorKind> {
    match error {
        ConnectionError::ConnectionRefused(ConnectReturnCode::ServiceUnavailable) => None,
        ConnectionError::ConnectionRefused(_) => Some(io::ErrorKind::PermissionDenied),
        ConnectionError::Tls(_) => tls_error(error).map(|_| io::ErrorKind::InvalidData),
        _ => None,
    }
}

/// The error of TLS itself, as opposed to the network below it.
fn tls_error(error: &ConnectionError) -> Option<&rustls::Error> {
    match error {
        ConnectionError::Tls(TlsError::TLS(error)) => Some(error),
        ConnectionError::Tls(TlsError::Io(error)) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// Describes an error, with the remedy where there is one.
pub fn describe(error: &ConnectionError) -> String {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidForName, NotValidForNameContext, UnknownIssuer};
    let text = match error {
        ConnectionError::ConnectionRefused(code) => match code {
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                "the broker refuses this user name and password: check the environment variables that credentials-env names"
            }
            ConnectReturnCode::BadClientId => "the broker refuses this client id: set mqtt-client-id to another",
            ConnectReturnCode::RefusedProtocolVersion => "the broker doesn't speak MQTT 3.1.1",
            ConnectReturnCode::ServiceUnavailable | ConnectReturnCode::Success => "the broker isn't available",
        },
        ConnectionError::NetworkTimeout => "no answer in 5 s",
        ConnectionError::MqttState(StateError::AwaitPingResp) => "the broker has stopped responding",
        ConnectionError::MqttState(StateError::ConnectionAborted) => "the broker has closed the connection",
        ConnectionError::Io(error) => return error.to_string(),
        ConnectionError::MqttState(StateError::Io(error))
        | ConnectionError::MqttState(StateError::Deserialization(mqttbytes::Error::Io(error))) => {
            return error.to_string();
        }
        _ => match tls_error(error) {
            Some(rustls::Error::InvalidCertificate(UnknownIssuer)) => {
                "the broker's certificate is signed by an unknown authority: set tls-ca-file to that authority's certificate"
            }
            Some(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                "the broker's certificate is for another host name: use the certificate's name in the location"
            }
            Some(rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. })) => {
                "the broker's certificate has expired"
            }
            Some(rustls::Error::InvalidMessage(_)) => {
                "the server at this port doesn't speak TLS: use the broker's TLS port, or mqtt://"
            }
            Some(other) => return format!("TLS: {other}"),
            None => return error.to_string(),
        },
    };
    text.to_owned()
}

/// Whether the broker closed an established connection, as opposed to a timeout or a broken network.
pub fn is_closed_by_broker(error: &ConnectionError) -> bool {
    let io = match error {
        ConnectionError::MqttState(StateError::ConnectionAborted) => return true,
        ConnectionError::Io(error)
        | ConnectionError::MqttState(StateError::Io(error))
        | ConnectionError::MqttState(StateError::Deserialization(mqttbytes::Error::Io(error))) => error,
        _ => return false,
    };
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(io.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}
