//! Publishes lines to a Kafka cluster, by librdkafka.
//!
//! 1. [`Account`] describes the cluster and the way in; it's checked before anything starts.
//! 2. All outputs with the same account share one [`Connection`], whatever their topics: one idempotent producer.
//! 3. Each output is a [`User`](user::User) of the connection, with a few lines in flight; the others wait in its publisher's queue.

mod account;
mod connection;
mod entry;
mod errors;
mod headers;
mod output;
mod topic;
mod user;

pub use entry::Entry;
pub use output::KafkaOutput;
pub use topic::check_topic;
