//! From records to the publisher's queue.

use crate::config::{Format, MaskFormat};
use crate::meta::Record;
use crate::publish::{self, Frame, LineKind, Moment, Origin, Overflow, Publisher, Refused, Subject};
use std::sync::Arc;
use std::time::Duration;

/// Queues the lines of one stream.
pub struct Lines<'a> {
    pub publisher: &'a Publisher,
    pub stream: Arc<str>,
    /// From a frame's presentation timestamp to its time since 1970-01-01 UTC, ns, if the stream says so.
    pub to_utc: Option<i128>,
    pub max_queue: usize,
    pub overflow: Overflow,
    pub format: Format,
    pub origin: Option<&'a Origin>,
    /// A buffer that is reused.
    pub line: &'a mut Vec<u8>,
}

impl Lines<'_> {
    /// Queues the line of a frame. Returns its length in bytes.
    pub fn frame(&mut self, frame: &Frame, record: &Record, masks: MaskFormat) -> Result<usize, Refused> {
        self.line.clear();
        match self.format {
            Format::Json => publish::write_line(self.line, frame, record, masks),
            Format::Deepstream => publish::deepstream::write_line(self.line, frame, record),
            Format::DeepstreamProtobuf => publish::protobuf::write_line(self.line, frame, record, self.origin),
        }
        let length = self.line.len();
        self.push(LineKind::Objects)?;
        Ok(length)
    }

    /// Queues the lines of events, and of totals at `time`.
    pub fn events(&mut self, time: Option<Duration>, record: &Record) -> Result<(), Refused> {
        let stream = self.stream.clone();
        let moment = Moment { stream: &stream, to_utc: self.to_utc };
        for event in &record.events {
            self.line.clear();
            publish::write_event_line(self.line, &moment, event);
            self.push(LineKind::Event)?;
        }
        for tally in &record.tallies {
            self.line.clear();
            publish::write_totals_line(self.line, &moment, time, tally);
            self.push(LineKind::Totals(tally.place.clone()))?;
        }
        Ok(())
    }

    fn push(&mut self, kind: LineKind) -> Result<(), Refused> {
        // Lines of events are JSON, whatever those of frames are.
        if let Some(origin) = self.origin.filter(|_| self.format.is_text() || !kind.is_of_frame()) {
            origin.add_to(self.line);
        }
        let subject = Subject { stream: self.stream.clone(), kind };
        self.publisher.push(self.line, &subject, self.max_queue, self.overflow)
    }
}
