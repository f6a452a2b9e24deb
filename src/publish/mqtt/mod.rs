//! Publishes lines to an MQTT broker (MQTT 3.1.1).
//!
//! 1. [`MqttSettings`] and the location's [`Broker`](super::location::Broker) describe the connection; they are checked
//!    before anything starts.
//! 2. All outputs with the same broker, account and settings share one connection ([`connection`]), whatever their topics.
//! 3. A line is handed to the connection once it is established and has space; until then it waits in its publisher's
//!    queue.

mod connection;
mod errors;
mod output;
mod rejections;
mod session;
mod settings;
mod topic;

pub use output::MqttOutput;
pub use settings::MqttSettings;
pub use topic::check_topic;
