//! What objects look like: the model for re-identification, which runs on crops of the frame while the streaming thread waits.
//! With other streams' crops they make up batches of the service that these share.

use super::TrtTrack;
use crate::backend::needs_build;
use crate::elements::device::{Device, Wanted};
use crate::elements::inference::{Attempt, Models, Opened, Outcome, Progress, Settings, Start, Task};
use crate::elements::{backend, report};
use crate::error::{Error, ErrorKind};
use crate::infer::{Backend, DeviceContext, Frame, Notify, Output, Request};
use crate::options::InferenceOptions;
use gst::prelude::*;
use model::{Detection, Rect};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;

/// A cancelled build ends only once TensorRT has timed the current kernel.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there are no vectors.
pub enum Stopped {
    /// The element is flushing, or the error has been posted.
    Flow(gst::FlowError),
    Failed(Error),
}

/// A vector of length 1; `None` for a crop without any.
pub type Look = Option<Vec<f32>>;

/// The element's model for re-identification, if it has one.
#[derive(Default)]
pub struct Reid {
    device: Device,
    /// Set in READY and above, if there is a model.
    backend: Mutex<Option<Backend>>,
    models: Arc<Models>,
    arrival: Arc<Arrival>,
}

/// Wakes the streaming thread.
#[derive(Default)]
struct Arrival {
    state: Mutex<Arrived>,
    changed: Condvar,
}

#[derive(Default, PartialEq, Eq)]
enum Arrived {
    #[default]
    No,
    Yes,
    /// Nothing is waited for until the flush is over.
    Flushing,
}

impl Notify for Arrival {
    fn notify(&self) {
        self.set(Arrived::Yes);
    }
}

impl Arrival {
    fn set(&self, arrived: Arrived) {
        let mut state = self.state.lock();
        if *state != Arrived::Flushing || arrived == Arrived::No {
            *state = arrived;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Before a submission; false while flushing.
    fn begin(&self) -> bool {
        let mut state = self.state.lock();
        let flushing = *state == Arrived::Flushing;
        if !flushing {
            *state = Arrived::No;
        }
        !flushing
    }

    fn wait(&self) {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| *state == Arrived::No);
    }
}

impl Reid {
    /// The memory that frames must be in; `None`: any.
    pub fn backend(&self) -> Option<Backend> {
        *self.backend.lock()
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// NULL→READY, with a model.
    ///
    /// # Errors
    /// The backend's library or device is missing.
    pub fn open(&self, element: &TrtTrack, options: &InferenceOptions) -> Result<(), Error> {
        backend::open(options.backend)?;
        if options.backend == Backend::TensorRt {
            self.device.open(element, Wanted::Device(options.device_id))?;
        }
        *self.backend.lock() = Some(options.backend);
        Ok(())
    }

    /// READY→PAUSED. A model whose engine has to be built first, which takes minutes, is opened by a thread: frames wait for
    /// it.
    ///
    /// # Errors
    /// The model can't be opened, or has another head.
    pub fn start(&self, element: &TrtTrack, options: &InferenceOptions) -> Result<(), Error> {
        self.arrival.set(Arrived::No);
        let settings = Settings { options: options.clone(), model_changes: 0 };
        let start = self.models.start();
        if needs_build(&options.model_settings(self.cuda_context(options)?, Default::default())?)? {
            self.models.request();
            return self.open_on_a_thread(element, start, settings);
        }
        let opened = self.attempt(element, start, &settings)?;
        self.models.finish(start, Some(opened), || true);
        Ok(())
    }

    /// Before PAUSED→READY and READY→NULL: wakes the streaming thread, and cancels an engine that is being built.
    pub fn stop(&self) {
        self.models.stop();
        self.flush();
    }

    /// After PAUSED→READY.
    pub fn stopped(&self) {
        drop(self.models.take());
    }

    /// READY→NULL.
    pub fn close(&self) {
        self.models.wait_for_threads(CANCEL_TIMEOUT);
        drop(self.models.take());
        *self.backend.lock() = None;
        self.device.close();
    }

    /// The streaming thread returns, and doesn't wait again before [`Self::flushed`].
    pub fn flush(&self) {
        self.models.flush();
        self.arrival.set(Arrived::Flushing);
        if let Some(opened) = self.models.get() {
            opened.stream.flush();
        }
    }

    pub fn flushed(&self) {
        self.arrival.set(Arrived::No);
    }

    /// The model, once it is open.
    pub fn opened(&self) -> Option<Arc<Opened>> {
        self.models.get()
    }

    /// By how much a frame whose objects are looked at comes later.
    pub fn latency(&self) -> Duration {
        self.models.get().map_or(Duration::ZERO, |opened| opened.service().batch_time())
    }

    /// The stream has ended or pauses.
    pub fn rest(&self) {
        if let Some(opened) = self.models.get() {
            opened.stream.rest();
        }
    }

    /// Returns what each region of a frame looks like; regions are in its pixels, at least one.
    pub fn looks(&self, frame: Arc<Frame>, regions: Vec<Rect>) -> Result<Vec<Look>, Stopped> {
        let model = self.models.wait().map_err(Stopped::Flow)?;
        if !self.arrival.begin() {
            return Err(Stopped::Flow(gst::FlowError::Flushing));
        }
        let settings = model.resolved();
        let request = Request {
            frame,
            regions,
            tensors: vec![],
            params: settings.params.clone(),
            batch_timeout: settings.batch_timeout,
            at_once: true,
        };
        let ticket = model.stream.submit(request, self.arrival.clone()).map_err(Stopped::Failed)?;
        if !ticket.ready() {
            self.arrival.wait();
        }
        let finished = ticket.take().ok_or(Stopped::Flow(gst::FlowError::Flushing))?;
        let look = |output: Output| {
            let found: Option<Detection> = output.detections.into_iter().next();
            found.map(|found| found.embedding).filter(|values| !values.is_empty())
        };
        Ok(finished.outputs.map_err(Stopped::Failed)?.into_iter().map(look).collect())
    }

    fn cuda_context(&self, options: &InferenceOptions) -> Result<Option<Arc<dyn DeviceContext>>, Error> {
        match options.backend {
            Backend::Cpu => Ok(None),
            Backend::TensorRt => self.device.context().map(|shared| Some(Arc::new(shared) as _)),
        }
    }

    fn attempt(&self, element: &TrtTrack, start: Start, settings: &Settings) -> Result<Arc<Opened>, Error> {
        let file = settings.options.model.as_deref().and_then(|model| model.file_name()).unwrap_or_default();
        let progress = Progress::new(element, &file.to_string_lossy());
        let watch = progress.watch();
        self.models.attempt(start, &watch.cancel);
        let open = || {
            let model = settings.options.model_settings(self.cuda_context(&settings.options)?, watch)?;
            Opened::new(settings, &model, Task::Classification, &element.name())
        };
        let opened = open();
        progress.finish(if opened.is_ok() { Outcome::Complete } else { Outcome::Failed });
        opened.map(Arc::new)
    }

    fn open_on_a_thread(&self, element: &TrtTrack, start: Start, settings: Settings) -> Result<(), Error> {
        let thread = self.models.count_thread();
        let weak = element.downgrade();
        let open = move || {
            if let Some(element) = weak.upgrade() {
                element.reid().open_late(&element, start, &settings);
            }
            drop(thread);
        };
        let started = std::thread::Builder::new().name("trt-open".into()).spawn(open);
        started.map(drop).map_err(|error| {
            let text = format!("can't start a thread to open the model of reid: {error}");
            Error::new(ErrorKind::Failed, text)
        })
    }

    fn open_late(&self, element: &TrtTrack, start: Start, settings: &Settings) {
        let tried = self.attempt(element, start, settings);
        let attempt = self.models.finish(start, tried.as_ref().ok().cloned(), || true);
        match (attempt, tried) {
            (Attempt::Failed, Err(error)) => {
                report::post(element, &error);
                self.models.failure_was_posted();
            }
            // The pipeline may have asked for the latency already. This fails only without a bus.
            _ => _ = element.post_message(gst::message::Latency::builder().src(element).build()),
        }
    }
}
