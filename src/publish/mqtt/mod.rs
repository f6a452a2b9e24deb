//! Lines to an MQTT broker (MQTT 3.1.1).
//!
//! 1. [`MqttSettings`] and the location's [`Broker`](super::location::Broker) say how: checked before anything starts.
//! 2. All outputs with the same broker, account and settings share one connection ([`connection`]), whatever their topics.
//! 3. A line is handed to the connection once it stands and has room; until then it waits in its publisher's queue.

mod connection;
mod errors;
mod output;
mod rejections;
mod session;
mod settings;
mod tls;
mod topic;

pub use output::MqttOutput;
pub use settings::MqttSettings;
pub use tls::config as tls_config;
pub use topic::check_topic;
