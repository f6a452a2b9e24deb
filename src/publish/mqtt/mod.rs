//! Publishes lines to an MQTT broker (MQTT 3.1.1), and listens to commands.
//!
//! 1. [`MqttSettings`] and the location's [`Broker`](super::location::Broker) describe the connection; they are checked
//!    before anything starts.
//! 2. All outputs with the same broker, account and settings share one connection ([`connection`]), whatever their topics.
//! 3. A line is handed to the connection once it is established and has space; until then it waits in its publisher's
//!    queue.
//! 4. A [`Listener`] has a connection of its own.

mod connection;
mod errors;
mod listener;
mod output;
mod rejections;
mod session;
mod settings;
mod topic;

pub use listener::{Heard, Listener};
pub use output::MqttOutput;
pub use settings::MqttSettings;
pub use topic::check_topic;
