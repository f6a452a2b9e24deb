//! Opening the element's model: at READY→PAUSED, and anew when it's changed while playing.
//!
//! What is in the cache (or needs no engine) is opened within the state change. Building an engine takes minutes: then the
//! state change is asynchronous, so that the application's thread goes on, shows the PROGRESS messages, and may set NULL,
//! which cancels the build. Frames wait meanwhile.

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

/// A builder that was cancelled ends once it has timed the kernel that it's at.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a thread opens a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// The element's state change waits for it.
    Start,
    /// A model is in force, and its settings were changed.
    Change,
}

impl Inference {
    /// Opens the first model, or has it opened: then READY→PAUSED ends later.
    ///
    /// # Errors
    /// What is wrong with the settings or the model.
    pub(super) fn open_first(&self) -> Result<gst::StateChangeSuccess, Error> {
        let settings = self.with_settings(Clone::clone);
        let start = self.models.start();
        let model = settings.options.model_settings(self.cuda_context(&settings)?, Default::default())?;
        if backend::needs_build(&model)? {
            // The thread ends it with ASYNC_DONE.
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

    /// What decides on the model was changed.
    pub(super) fn open_anew(&self) {
        if let Some(start) = self.models.request() {
            gst::debug!(CAT, imp = self, "opens the model anew");
            self.open_on_a_thread(start, Reason::Change);
        }
    }

    /// The model's files may have another content: if so it's opened anew, as another model is.
    fn reload(&self) {
        let Some(opened) = self.models.recheck() else { return };
        let settings = self.with_settings(Clone::clone);
        let contents = || {
            let model = settings.options.model_settings(self.cuda_context(&settings)?, Default::default())?;
            Contents::of(&settings, &model)
        };
        // What is wrong with the files is said when they're opened.
        if contents().is_ok_and(|contents| contents == opened.contents) {
            return;
        }
        self.reopen();
    }

    /// For what was asked for while the model was being opened.
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

    /// Tries once; `begin` is given what cancels it, and says whether to go on.
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
            let error = Error::new(ErrorKind::Failed, format!("no thread to open the model: {error}"));
            self.models.finish(start, None, || true);
            self.opening_failed(start, reason, &error, None);
        }
    }

    /// Tries until what was opened is what the settings say.
    fn open_until_current(&self, start: Start, reason: Reason) {
        loop {
            let settings = self.with_settings(Clone::clone);
            let tried = self.attempt(&settings, |cancel| self.models.attempt(start, cancel));
            // Its files may have been put right meanwhile.
            let stale = tried.is_err() && self.models.take_recheck();
            let current = || !stale && self.with_settings(|now| now.model_changes == settings.model_changes);
            match (self.models.finish(start, tried.as_ref().ok().cloned(), current), tried) {
                (Attempt::Installed(before), Ok(opened)) => return self.took_over(start, reason, &opened, before),
                (Attempt::Failed, Err(error)) => return self.opening_failed(start, reason, &error, Some(&settings)),
                (Attempt::Again, _) => gst::debug!(CAT, imp = self, "the settings have changed meanwhile"),
                _ => return,
            }
        }
    }

    /// A model is in force.
    fn took_over(&self, start: Start, reason: Reason, opened: &Arc<Opened>, before: Option<Arc<Opened>>) {
        // What changed while it was being opened.
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
        gst::info!(CAT, imp = self, "{} takes over from {}", opened.service().name(), before.service().name());
        // `trtpreprocess` makes what the new one takes.
        self.ask_upstream_again();
        // The last frame that went to the old one may be done in a streaming thread: what is freed then is freed here.
        let service = Arc::clone(before.stream.service());
        let gone = before.retire();
        drop(before);
        // Nothing is ever sent.
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
            report::warn(&*element, error, "the model before stays in force");
            self.recheck();
        } else {
            report::post(&*element, error);
            self.models.failure_was_posted();
        }
    }

    /// Ends an asynchronous READY→PAUSED, on a thread of GStreamer's: a state change that came in between holds the
    /// element's state lock.
    fn end_state_change(&self, start: Start, opened: bool) {
        self.obj().call_async(move |element| {
            let imp = element.imp();
            let ended = {
                let _lock = StateLock::new(element);
                imp.models.runs(start) && {
                    if opened {
                        // It may go on to PLAYING, and posts its own error if that fails.
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

    /// Cancels what is being opened; nothing waits for a model any more.
    pub(super) fn stop_opening(&self) {
        if self.models.stop() {
            gst::debug!(CAT, imp = self, "what is being opened is cancelled");
            // The bin waits for it, also when the element is stopped before.
            self.post_async_done();
        }
    }

    /// Waits for what was cancelled, so that nothing of it runs on after NULL.
    pub(super) fn wait_for_opening(&self) {
        if !self.models.wait_for_threads(CANCEL_TIMEOUT) {
            gst::info!(
                CAT,
                imp = self,
                "an engine is still being built after {CANCEL_TIMEOUT:?}: its thread is left alone"
            );
        }
    }

    fn post_async_done(&self) {
        self.post(gst::message::AsyncDone::builder().src(&*self.obj()).build());
    }

    fn post(&self, message: gst::Message) {
        // False only without a bus: then there's no bin that waits.
        let _ = self.obj().post_message(message);
    }
}

/// `reload-model`: see [`Inference::reload`].
pub fn reload_signal() -> glib::subclass::Signal {
    let reload = |arguments: &[glib::Value]| {
        if let Some(Ok(element)) = arguments.first().map(|element| element.get::<super::Inference>()) {
            element.imp().reload();
        }
        None
    };
    glib::subclass::Signal::builder("reload-model").action().class_handler(reload).build()
}

/// An element's state lock: while it's held, nobody else changes the element's state.
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
