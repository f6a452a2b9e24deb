//! Publishes lines to Redis Streams: each line is an entry, in order. An entry is confirmed by its id; a line whose confirmation
//! was lost with the connection is added again, so that it can be there twice.

mod account;
mod connection;
mod output;
mod protocol;

pub use output::RedisOutput;
