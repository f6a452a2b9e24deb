//! Starts a camera's recorder, and retries while its folders can't be created or read.

use super::channel::{Report, Reporter};
use super::start_guard::StartGuard;
use crate::backoff::Attempts;
use crate::error::{Error, ErrorKind};
use crate::record::{self, Recorder};
use gst::prelude::*;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Everything needed to start the recorder of one pipeline.
#[derive(Clone)]
pub struct Recording {
    pub settings: record::Settings,
    /// The recorder, once it has started.
    pub recorder: Arc<Mutex<Option<Recorder>>>,
    /// Serialises this with opening and closing the pipeline.
    pub start_guard: StartGuard,
    pub reporter: Reporter,
}

impl Recording {
    /// Starts to record the frames that pass `pad`. Folders that can't be created or read are reported, and retried
    /// while frames pass; the camera and its other outputs go on. To be called within the pipeline's [`StartGuard`].
    ///
    /// # Errors
    /// The reason why recording can never work here.
    pub fn start(self, pad: &gst::Pad) -> Result<(), String> {
        let Err(error) = self.attempt(pad) else { return Ok(()) };
        if error.kind != ErrorKind::File {
            return Err(error.message);
        }
        self.say(format!("{}; trying again", error.message));
        self.again(pad, Attempts::new(Duration::from_secs(1), Duration::from_secs(5)));
        Ok(())
    }

    fn attempt(&self, pad: &gst::Pad) -> Result<(), Error> {
        let notes = self.reporter.clone();
        let say = move |text: &str| notes.report(Report::Note(text.to_owned()));
        let recorder = Recorder::start(self.settings.clone(), say)?;
        recorder.attach(pad);
        *self.recorder.lock() = Some(recorder);
        Ok(())
    }

    /// Makes another attempt with the first frame after the delay.
    fn again(self, pad: &gst::Pad, mut attempts: Attempts) {
        let due = Instant::now() + attempts.next_wait();
        let next = Mutex::new(Some((self, attempts)));
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
            if Instant::now() < due {
                return gst::PadProbeReturn::Ok;
            }
            if let Some((this, attempts)) = next.lock().take()
                && let Some(element) = pad.parent_element()
            {
                let pad = pad.clone();
                // Not on the streaming thread: the attempt waits for a disk.
                element.call_async(move |_| {
                    this.start_guard.clone().run(|| match this.attempt(&pad) {
                        Ok(()) => this.say("recording works again".to_owned()),
                        Err(_) => this.again(&pad, attempts),
                    });
                });
            }
            gst::PadProbeReturn::Remove
        });
    }

    fn say(&self, text: String) {
        self.reporter.report(Report::Note(text));
    }
}
