//! Handles the messages of a camera's elements, on the threads that post them.

use super::channel::{Report, Reporter};
use super::lifecycle::Event;
use super::setup::ThreadSetup;
use super::{source, threads};
use crate::check::login_refusal;
use crate::config::{Priority, redact};
use gst::prelude::*;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;

/// Handles the messages of one pipeline.
#[derive(Debug, Clone)]
pub struct Listener {
    pub reporter: Reporter,
    pub placement: Placement,
    /// The camera's URL contains a user name.
    pub has_user: bool,
}

/// How the camera's threads are placed.
#[derive(Debug, Clone)]
pub struct Placement {
    pub core: Option<usize>,
    pub threads: ThreadSetup,
    /// What wasn't permitted and has been reported, for all cameras.
    pub refused: Arc<Mutex<HashSet<String>>>,
}

impl Listener {
    pub fn listen(self, pipeline: &gst::Pipeline) {
        if let Some(bus) = pipeline.bus() {
            bus.set_sync_handler(move |_, message| {
                self.take(message);
                // Nothing reads the bus.
                gst::BusSyncReply::Drop
            });
        }
    }

    fn take(&self, message: &gst::MessageRef) {
        use gst::MessageView;
        match message.view() {
            MessageView::Error(error) => {
                let text = describe(message, &error.error(), error.debug().as_deref());
                match message.src().and_then(source::number) {
                    Some(number) => {
                        let refused = login_refusal(error, self.has_user).map(Event::LoginRefused);
                        self.reporter.of_source(number).event(refused.unwrap_or(Event::SourceLost(text)));
                    }
                    None => self.reporter.event(Event::AnalysisLost(text)),
                }
            }
            MessageView::Eos(_) => self.reporter.event(Event::Drained),
            MessageView::StateChanged(change)
                if change.current() == gst::State::Playing
                    && message.src().is_some_and(|src| src.is::<gst::Pipeline>()) =>
            {
                self.reporter.event(Event::Opened);
            }
            MessageView::Latency(_) => self.reporter.report(Report::Latency),
            MessageView::Warning(warning) => {
                let text = describe(message, &warning.error(), warning.debug().as_deref());
                self.reporter.report(Report::Note(text));
            }
            MessageView::Info(info) => {
                let text = describe(message, &info.error(), info.debug().as_deref());
                self.reporter.report(Report::Note(text));
            }
            // The progress of models that are being opened; that of RTSP clients isn't reported.
            MessageView::Progress(progress) if message.src().and_then(source::number).is_none() => {
                let (_, _, text) = progress.get();
                self.reporter.report(Report::Note(text.to_owned()));
            }
            MessageView::StreamStatus(status) => match status.get() {
                (gst::StreamStatusType::Enter, owner) => self.place(&owner),
                (gst::StreamStatusType::Leave, _) => threads::leave(),
                _ => {}
            },
            _ => {}
        }
    }

    /// Places the calling thread, which belongs to `owner`.
    fn place(&self, owner: &gst::Element) {
        let Placement { core, threads: setup, refused } = &self.placement;
        let priority = if owner.name() == source::DECODER_QUEUE { setup.decoder } else { setup.others };
        if core.is_none() && priority == Priority::Normal {
            return;
        }
        for text in threads::enter(*core, priority) {
            if refused.lock().insert(text.clone()) {
                self.reporter.report(Report::Note(text));
            }
        }
    }
}

/// The text of an element's message, without passwords: its name, the message, and the cause from the details.
fn describe(message: &gst::MessageRef, error: &gst::glib::Error, details: Option<&str>) -> String {
    let name = message.src().map(|source| source.name());
    let text = format!("{}: {}", name.as_deref().unwrap_or("pipeline"), error.message());
    // The details begin with a line with the position in the source code.
    let cause = details.and_then(|details| details.split_once('\n')).map(|(_, cause)| cause.trim());
    redact(&match cause.filter(|cause| !cause.is_empty()) {
        Some(cause) => format!("{text} {cause}"),
        None => text,
    })
}
