//! `trtpublish` and `gst-trt run` with a real Kafka broker and a real Redis server. They aren't in the roots with other
//! GStreamers.

#[path = "../common/mod.rs"]
mod common;
mod kafka;
mod redis;

use common::running::start;
use std::time::Duration;

/// tests/soak_outputs.rs has the minute.
#[test]
fn cameras_go_on_while_servers_are_away_and_every_line_is_delivered_or_counted() {
    if start() {
        common::outage::kafka_and_redis_are_away(Duration::from_secs(8));
    }
}
