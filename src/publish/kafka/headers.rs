//! What a reader learns of a line without parsing it: its CloudEvents attributes, and the host that it comes from.

use super::super::credentials::unique_id;
use super::super::origin::Origin;
use super::super::subject::{LineKind, Subject};
use crate::config::Format;
use rdkafka::message::{Header, OwnedHeaders};
use std::sync::Arc;

/// Makes the headers of one output's messages: CloudEvents 1.0 in Kafka's binary content mode.
pub struct Headers {
    /// Of this output's run; a message's id is this and its number.
    run: String,
    messages: u64,
    content_type: &'static str,
    /// Host and epoch.
    origin: Option<(Arc<str>, String)>,
}

impl Headers {
    pub fn new(format: Format, origin: Option<Origin>) -> Self {
        let origin = origin.map(|Origin { host, epoch }| (host, epoch.to_string()));
        Self { run: unique_id(), messages: 0, content_type: format.content_type(), origin }
    }

    /// Those of the next message.
    pub fn next(&mut self, subject: &Subject) -> OwnedHeaders {
        let kind = match subject.kind {
            LineKind::Objects => "io.github.gst-tensorrt.objects",
            LineKind::Event => "io.github.gst-tensorrt.event",
            LineKind::Totals(_) => "io.github.gst-tensorrt.totals",
        };
        let id = format!("{}-{}", self.run, self.messages);
        self.messages += 1;
        let headers = [
            ("ce_specversion", "1.0"),
            ("ce_id", &id),
            ("ce_source", &subject.stream),
            ("ce_type", kind),
            ("content-type", if subject.kind.is_of_frame() { self.content_type } else { "application/json" }),
        ];
        let mut made = OwnedHeaders::new_with_capacity(headers.len() + 2);
        for (key, value) in headers {
            made = made.insert(Header { key, value: Some(value) });
        }
        if let Some((host, epoch)) = &self.origin {
            made = made.insert(Header { key: "host", value: Some(&**host) });
            made = made.insert(Header { key: "epoch", value: Some(epoch) });
        }
        made
    }
}
