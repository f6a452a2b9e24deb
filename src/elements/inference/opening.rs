//! Opening the element's model: at READY→PAUSED, and again when its settings or files change while playing.
//!
//! A model whose engine is cached, or that needs none, is opened within the state change. Building an engine takes
//! minutes, so that state change is asynchronous: the application's thread continues, can show the PROGRESS messages,
//! and can set NULL to cancel the build. Frames wait in the meantime.

use super::contents::Contents;
use super::imp::{CAT, Inference};
use super::models::{Attempt, Start};
use super::opened::Opened;
use super::progress::{Outcome, Progress};
use super::settings::Settings;
use crate::backend;
use crate::elements::report;
use crate::error::{Error, ErrorKind};
use crate::infer::{Backend, DeviceContext};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// A cancelled build ends only once TensorRT has timed the current kernel.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// The reason why a thread opens a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// The element's state change waits for the model.
    Start,
    /// The settings of the model in force were changed.
    Change,
}

impl Inference {
    /// Opens the first model, or starts a thread that opens it and completes READY→PAUSED asynchronously.
    ///
    /// # Errors
    /// An invalid setting or model.
    pub(super) fn open_first(&self) -> Result<gst::StateChangeSuccess, Error> {
        let settings = self.with_settings(Clone::clone);
        let start = self.models.start();
        let model = settings.options.model_settings(self.cuda_context(&settings)?, Default::default())?;
        if backend::needs_build(&model)? {
            // The thread posts ASYNC_DONE at the end.
            self.post(gst::message::AsyncStart::builder().src(&*self.obj()).build());
            self.models.request();
            self.open_on_a_thread(start, Reason::Start);
            return Ok(gst::StateChangeSuccess::Async);
        }
        let opened = self.attempt(&settings, |_| true)?;
        self.raise_latency_to(&opened);
        self.models.finish(start, Some(opened), || true);
        self.recheck();
        Ok(gst::StateChangeSuccess::Success)
    }

    /// Reopens the model after a change of its settings.
    pub(super) fn open_anew(&self) {
        if let Some(start) = self.models.request() {
            gst::debug!(CAT, imp = self, "reopens the model");
            self.open_on_a_thread(start, Reason::Change);
        }
    }

    /// Reopens the model if the content of its files has changed.
    fn reload(&self) {
        let Some(opened) = self.models.recheck() else { return };
        let settings = self.with_settings(Clone::clone);
        let contents = || {
            let model = settings.options.model_settings(self.cuda_context(&settings)?, Default::default())?;
            Contents::of(&settings, &model)
        };
        // Errors in the files are reported when they are opened.
        if contents().is_ok_and(|contents| contents == opened.contents) {
            return;
        }
        self.reopen();
    }

    /// Handles a reload that was requested while the model was being opened.
    fn recheck(&self) {
        if self.models.take_recheck() {
            self.reload();
        }
    }

    fn cuda_context(&self, settings: &Settings) -> Result<Option<Arc<dyn DeviceContext>>, Error> {
        match settings.options.backend {
            Backend::Cpu => Ok(None),
            Backend::TensorRt => self.device.context().map(|shared| Some(Arc::new(shared) as _)),
        }
    }

    /// Makes one attempt. `begin` receives the attempt's cancel flag and returns true to continue.
    fn attempt(&self, settings: &Settings, begin: impl FnOnce(&Arc<AtomicBool>) -> bool) -> Result<Arc<Opened>, Error> {
        let file = settings.options.model.as_deref().and_then(|model| model.file_name()).unwrap_or_default();
        let progress = Progress::new(&*self.obj(), &file.to_string_lossy());
        let watch = progress.watch();
        if !begin(&watch.cancel) {
            return Err(Error::new(ErrorKind::Failed, "the element was stopped"));
        }
        gst::debug!(CAT, imp = self, "opens {}", file.display());
        let open = || {
            let model = settings.options.model_settings(self.cuda_context(settings)?, watch)?;
            Opened::new(settings, &model, self.task(), &self.obj().name())
        };
        let opened = open();
        progress.finish(if opened.is_ok() { Outcome::Complete } else { Outcome::Failed });
        let opened = opened?;
        let (service, stream) = (opened.service(), opened.stream.id());
        gst::info!(CAT, imp = self, "{stream} of {}: {}", service.name(), service.engine().description());
        Ok(Arc::new(opened))
    }

    fn open_on_a_thread(&self, start: Start, reason: Reason) {
        let element = self.obj().downgrade();
        let thread = self.models.count_thread();
        let started = std::thread::Builder::new().name("trt-open".into()).spawn(move || {
            if let Some(element) = element.upgrade() {
                element.imp().open_until_current(start, reason);
            }
            drop(thread);
        });
        if let Err(error) = started {
            let error = Error::new(ErrorKind::Failed, format!("can't start a thread to open the model: {error}"));
            self.models.finish(start, None, || true);
            self.opening_failed(start, reason, &error, None);
        }
    }

    /// Repeats until the opened model matches the current settings.
    fn open_until_current(&self, start: Start, reason: Reason) {
        loop {
            let settings = self.with_settings(Clone::clone);
            let tried = self.attempt(&settings, |cancel| self.models.attempt(start, cancel));
            // The files may have been corrected during the attempt.
            let stale = tried.is_err() && self.models.take_recheck();
            let current = || !stale && self.with_settings(|now| now.model_changes == settings.model_changes);
            match (self.models.finish(start, tried.as_ref().ok().cloned(), current), tried) {
                (Attempt::Installed(before), Ok(opened)) => return self.took_over(start, reason, &opened, before),
                (Attempt::Failed, Err(error)) => return self.opening_failed(start, reason, &error, Some(&settings)),
                (Attempt::Again, _) => {
                    gst::debug!(CAT, imp = self, "the settings changed during the attempt: tries again")
                }
                _ => return,
            }
        }
    }

    /// Completes the switch to a model that has just been put in force.
    fn took_over(&self, start: Start, reason: Reason, opened: &Arc<Opened>, before: Option<Arc<Opened>>) {
        // The thresholds and filters may have changed while the model was being opened.
        self.resolve(opened);
        self.update_latency_from(opened);
        if reason == Reason::Start {
            self.end_state_change(start, true);
        }
        self.recheck();
        let Some(before) = before else { return };
        let files = opened.contents.differences(&before.contents);
        if opened.settings.options.model == before.settings.options.model && !files.is_empty() {
            let element = self.obj();
            gst::element_info!(
                element,
                gst::LibraryError::Settings,
                ("the new content of {} is in force", files.join(", "))
            );
        }
        gst::info!(CAT, imp = self, "{} replaces {}", opened.service().name(), before.service().name());
        // `trtpreprocess` must make tensors for the new model.
        self.ask_upstream_again();
        // A streaming thread may finish the old model's last frame. The service is kept until then, so that it is freed
        // on this thread.
        let service = Arc::clone(before.stream.service());
        let gone = before.retire();
        drop(before);
        // Nothing is ever sent: this waits for the sender to be dropped.
        let _ = gone.recv();
        drop(service);
    }

    fn opening_failed(&self, start: Start, reason: Reason, error: &Error, tried: Option<&Settings>) {
        let element = self.obj();
        if reason == Reason::Start {
            report::post(&*element, error);
            self.models.failure_was_posted();
            return self.end_state_change(start, false);
        }
        if let (Some(opened), Some(tried)) = (self.models.get(), tried) {
            let restored = self.with_settings_mut(|settings| {
                let same = settings.model_changes == tried.model_changes;
                if same {
                    settings.restore_model(&opened.settings);
                }
                same
            });
            if restored {
                element.notify("model");
            }
        }
        if self.models.get().is_some() {
            report::warn(&*element, error, "the previous model stays in force");
            self.recheck();
        } else {
            report::post(&*element, error);
            self.models.failure_was_posted();
        }
    }

    /// Completes an asynchronous READY→PAUSED on one of GStreamer's threads, because a state change that came in
    /// between holds the element's state lock.
    fn end_state_change(&self, start: Start, opened: bool) {
        self.obj().call_async(move |element| {
            let imp = element.imp();
            let ended = {
                let _lock = StateLock::new(element);
                imp.models.runs(start) && {
                    if opened {
                        // This may continue to PLAYING, which posts its own error if it fails.
                        let _ = element.continue_state(gst::StateChangeSuccess::Success);
                    } else {
                        element.abort_state();
                    }
                    opened
                }
            };
            if ended {
                imp.post_async_done();
            }
        });
    }

    /// Cancels the model that is being opened and wakes all threads that wait for it.
    pub(super) fn stop_opening(&self) {
        if self.models.stop() {
            gst::debug!(CAT, imp = self, "cancels the model that is being opened");
            // The bin waits for this message even if the element is stopped first.
            self.post_async_done();
        }
    }

    /// Waits for cancelled threads, so that none outlives NULL.
    pub(super) fn wait_for_opening(&self) {
        if !self.models.wait_for_threads(CANCEL_TIMEOUT) {
            gst::info!(
                CAT,
                imp = self,
                "an engine is still being built after {CANCEL_TIMEOUT:?}: its thread is left to finish on its own"
            );
        }
    }

    fn post_async_done(&self) {
        self.post(gst::message::AsyncDone::builder().src(&*self.obj()).build());
    }

    fn post(&self, message: gst::Message) {
        // This fails only without a bus, and then no bin waits.
        let _ = self.obj().post_message(message);
    }
}

/// The action signal `reload-model`: see [`Inference::reload`].
pub fn reload_signal() -> glib::subclass::Signal {
    let reload = |arguments: &[glib::Value]| {
        if let Some(Ok(element)) = arguments.first().map(|element| element.get::<super::Inference>()) {
            element.imp().reload();
        }
        None
    };
    glib::subclass::Signal::builder("reload-model").action().class_handler(reload).build()
}

/// A guard of an element's state lock: no other thread changes the element's state while it is held.
struct StateLock<'a>(&'a gst::Element, PhantomData<*const ()>);

impl<'a> StateLock<'a> {
    fn new(element: &'a impl IsA<gst::Element>) -> Self {
        let element = element.upcast_ref::<gst::Element>();
        // SAFETY: the element lives as long as the guard; the lock is the public GST_STATE_LOCK.
        unsafe { glib::ffi::g_rec_mutex_lock(&mut (*element.as_ptr()).state_lock) };
        Self(element, PhantomData)
    }
}

impl Drop for StateLock<'_> {
    fn drop(&mut self) {
        // SAFETY: locked in `new`, on this thread: the guard isn't Send.
        unsafe { glib::ffi::g_rec_mutex_unlock(&mut (*self.0.as_ptr()).state_lock) };
    }
}
