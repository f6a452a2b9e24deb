//! From streaming threads and state changes to the supervisor's thread.

use super::lifecycle::Event;
use futures_channel::mpsc::UnboundedSender;

/// What a camera's parts say.
#[derive(Debug)]
pub enum Report {
    Event(Event),
    /// The pipeline's latency has to be distributed anew.
    Latency,
    /// For the operator: a warning, or how far the building of an engine is.
    Note(String),
}

/// A report, and of which camera.
#[derive(Debug)]
pub struct Letter {
    /// The camera's number; one that starts anew has another.
    pub camera: u64,
    /// Of which of the camera's sources it is, where it is of one: an older one's reports are void.
    pub source: Option<u64>,
    pub report: Report,
}

/// Sends one camera's reports, from any thread, without waiting.
#[derive(Debug, Clone)]
pub struct Reporter {
    pub camera: u64,
    pub source: Option<u64>,
    pub letters: UnboundedSender<Letter>,
}

impl Reporter {
    /// For reports of one of the camera's sources.
    pub fn of_source(&self, source: u64) -> Self {
        Self { source: Some(source), ..self.clone() }
    }

    pub fn event(&self, event: Event) {
        self.report(Report::Event(event));
    }

    pub fn report(&self, report: Report) {
        // Fails when the supervisor is gone, and with it everybody who would want to know.
        let _ = self.letters.unbounded_send(Letter { camera: self.camera, source: self.source, report });
    }
}
