use super::models::Models;
use super::opened::Opened;
use super::properties::PROPERTIES;
use super::regions::{is_due, needs_others, regions};
use super::settings::{Resolved, Settings};
use super::tensors::TensorCaps;
use super::work::{Action, FrameWork, Waiting};
use super::{Task, opening, results, trace};
use crate::elements::device::{Device, Wanted};
use crate::elements::orientation::Orientation;
use crate::elements::{backend, input_query, report, stage};
use crate::error::Error;
use crate::infer::{Backend, Frame, Latencies, Request, Service};
use crate::meta::{self, Inference as Run};
use crate::options::InferenceOptions;
use crate::scheduling::{RecentMax, is_busy};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use parking_lot::Mutex;
use stage::{Flow, Stage};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

pub static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtinference", gst::DebugColorFlags::empty(), Some("trtdetect, trtpose and trtclassify"))
});

/// A subclass of [`super::Inference`]. It sets its [`Task`] in `constructed`.
pub trait InferenceImpl: ElementImpl + ObjectSubclass<Type: IsA<super::Inference>> {}

pub struct Inference {
    flow: Flow<FrameWork>,
    task: OnceLock<Task>,
    settings: Mutex<Settings>,
    /// The open backend; set in READY and above.
    backend: Mutex<Option<Backend>>,
    pub(super) device: Device,
    /// The models; running in PAUSED and above.
    pub(super) models: Arc<Models>,
    /// The service kept in READY, so that restarting is cheap.
    kept: Mutex<Option<Arc<Service>>>,
    counters: Mutex<Counters>,
    orientation: Orientation,
    tensor_caps: TensorCaps,
    /// The number of frames since the stream started.
    frame: AtomicU64,
    /// The number of frames that wait for the engine.
    waiting: Arc<AtomicUsize>,
    /// The time from submission to result.
    latency: RecentMax,
}

#[derive(Default)]
struct Counters {
    frames: u64,
    inferred: u64,
    skipped: u64,
    tensors_shared: u64,
    tensors_made: u64,
    latency: Latencies,
}

#[glib::object_subclass]
impl ObjectSubclass for Inference {
    const NAME: &'static str = "GstTrtInference";
    const ABSTRACT: bool = true;
    type Type = super::Inference;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name).expect("one of pad_templates()");
        Self {
            flow: stage::new_flow::<Self>(&template("sink"), &template("src")),
            task: OnceLock::new(),
            settings: Mutex::default(),
            backend: Mutex::default(),
            device: Device::default(),
            models: Arc::default(),
            kept: Mutex::default(),
            counters: Mutex::default(),
            orientation: Orientation::default(),
            tensor_caps: TensorCaps::default(),
            frame: AtomicU64::new(0),
            waiting: Arc::default(),
            latency: RecentMax::default(),
        }
    }
}

impl ObjectImpl for Inference {
    fn properties() -> &'static [glib::ParamSpec] {
        PROPERTIES.specs()
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| vec![opening::reload_signal()]);
        &SIGNALS
    }

    fn set_property(&self, id: usize, value: &glib::Value, spec: &glib::ParamSpec) {
        self.set(&PROPERTIES, id, value, spec);
    }

    fn property(&self, id: usize, _: &glib::ParamSpec) -> glib::Value {
        // Two expressions, because `stats` locks the models, and the models read the settings under their lock.
        let option = self.get(&PROPERTIES, id);
        option.unwrap_or_else(|| self.stats().to_value())
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.flow.add_pads(&*self.obj());
    }
}

impl GstObjectImpl for Inference {}

impl ElementImpl for Inference {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(stage::pad_templates);
        &TEMPLATES
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        let mut opening = gst::StateChangeSuccess::Success;
        match transition {
            gst::StateChange::NullToReady => {
                let (name, device, analytics) = self.with_settings(|Settings { options, .. }| {
                    (options.backend, options.device_id, options.analytics_meta)
                });
                if analytics {
                    meta::analytics::check().map_err(|e| self.fail(&e))?;
                }
                backend::open(name).map_err(|e| self.fail(&e))?;
                if name == Backend::TensorRt {
                    self.device.open(&*self.obj(), Wanted::Device(device)).map_err(|e| self.fail(&e))?;
                }
                *self.backend.lock() = Some(name);
            }
            gst::StateChange::ReadyToPaused => {
                let name = self.with_settings(|settings| settings.options.backend);
                backend::check_upstream(self.flow.sink(), name).map_err(|e| self.fail(&e))?;
                opening = self.open().map_err(|e| {
                    self.models.stop();
                    self.fail(&e)
                })?;
            }
            gst::StateChange::PlayingToPaused => self.rest(),
            // This also ends an asynchronous READY→PAUSED that has failed.
            gst::StateChange::PausedToReady | gst::StateChange::ReadyToNull => self.stop_opening(),
            _ => {}
        }
        let result = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::ReadyToPaused => return Ok(opening),
            gst::StateChange::PausedToReady => {
                let opened = self.models.take();
                // A failed service can't be reused.
                let service = opened.map(|o| o.stream.service().clone()).filter(|s| s.failure().is_none());
                *self.kept.lock() = service;
            }
            gst::StateChange::ReadyToNull => {
                self.wait_for_opening();
                let opened = self.models.take();
                drop(opened);
                let service = self.kept.lock().take();
                drop(service);
                *self.backend.lock() = None;
                self.device.close();
            }
            _ => {}
        }
        Ok(result)
    }

    fn set_context(&self, context: &gst::Context) {
        self.device.set_context(&*self.obj(), context);
        self.parent_set_context(context);
    }
}

impl Inference {
    /// Sets the kind of models that the element runs; called once, at construction.
    pub fn set_task(&self, task: Task) {
        let _ = self.task.set(task);
        if task == Task::Classification {
            self.settings.lock().options = InferenceOptions::for_classification();
        }
    }

    pub(super) fn task(&self) -> Task {
        self.task.get().copied().unwrap_or(Task::Detection)
    }

    pub fn with_settings<T>(&self, get: impl FnOnce(&Settings) -> T) -> T {
        get(&self.settings.lock())
    }

    pub(super) fn with_settings_mut<T>(&self, change: impl FnOnce(&mut Settings) -> T) -> T {
        change(&mut self.settings.lock())
    }

    /// Applies the current thresholds and filters. Returns false if they don't fit the model.
    pub(super) fn resolve(&self, opened: &Opened) -> bool {
        let settings = self.with_settings(Clone::clone);
        let Err(text) = opened.change(&settings) else { return true };
        let element = self.obj();
        gst::element_warning!(element, gst::LibraryError::Settings, ("{text}; the previous value stays in force"));
        false
    }

    /// Makes the upstream elements query again what the model needs.
    pub(super) fn ask_upstream_again(&self) {
        self.flow.sink().push_event(gst::event::Reconfigure::new());
    }

    fn fail(&self, error: &Error) -> gst::StateChangeError {
        report::post(&*self.obj(), error);
        gst::StateChangeError
    }

    fn open(&self) -> Result<gst::StateChangeSuccess, Error> {
        self.frame.store(0, Ordering::Relaxed);
        *self.counters.lock() = Counters::default();
        self.orientation.reset();
        self.latency.reset();
        self.open_first()
    }

    /// The latency is at least the time of one of the model's batches.
    pub(super) fn raise_latency_to(&self, opened: &Opened) {
        self.latency.raise(opened.service().batch_time());
    }

    /// Like [`Self::raise_latency_to`], for when the pipeline may have queried the latency already.
    pub(super) fn update_latency_from(&self, opened: &Opened) {
        self.raise_latency_to(opened);
        stage::post_latency_change(self, self.latency());
    }

    /// The reason why the frame with this number is skipped, or `None` if it is inferred.
    fn reason_to_skip(&self, number: u64, settings: &Resolved) -> Option<Run> {
        if !settings.by_object && !settings.is_at_interval(number) {
            return Some(Run::Interval);
        }
        let busy = || is_busy(self.waiting.load(Ordering::Relaxed), self.limit());
        (settings.skip_when_busy && busy()).then_some(Run::Busy)
    }

    /// Submits the frame with this number to the service.
    fn infer(
        &self,
        frame: &Arc<Frame>,
        number: u64,
        model: &Opened,
        settings: &Resolved,
        at_once: bool,
    ) -> Result<Action, Error> {
        let size = (frame.info.width(), frame.info.height());
        let before = match needs_others(settings, model.kind) {
            true => meta::read(&frame.buffer, size.0, size.1),
            false => meta::record(&frame.buffer).unwrap_or_default(),
        };
        let spec = model.service().engine().input();
        let mut regions = regions(settings, (model.kind, spec.resize.fit), &before, size);
        if regions.is_empty() {
            return Ok(Action::Skip(Run::NoRegion));
        }
        regions.retain(|region| is_due(region, number, settings, &model.tracks));
        if regions.is_empty() {
            return Ok(Action::Skip(Run::Interval));
        }
        let tensors = meta::tensors(&frame.buffer);
        let shared = regions.iter().filter(|r| tensors.iter().any(|t| t.region == r.rect && t.spec == *spec)).count();
        {
            let mut counters = self.counters.lock();
            counters.tensors_shared += shared as u64;
            counters.tensors_made += (regions.len() - shared) as u64;
        }
        let request = Request {
            frame: frame.clone(),
            regions: regions.iter().map(|r| r.rect).collect(),
            tensors,
            params: settings.params.clone(),
            batch_timeout: settings.batch_timeout,
            at_once,
        };
        trace::submitted(self, frame, regions.len(), at_once);
        let _waiting = Waiting::new(&self.waiting);
        let ticket = model.stream.submit(request, self.flow.queue().clone())?;
        Ok(Action::Infer { ticket, regions, before, _waiting })
    }

    /// Records a frame's latency and notifies the pipeline if it has changed.
    fn measure(&self, latency: Duration) {
        self.latency.record(latency);
        stage::post_latency_change(self, self.latency());
    }

    fn stats(&self) -> gst::Structure {
        let mut stats = gst::Structure::new_empty("application/x-trt-stats");
        {
            let counters = self.counters.lock();
            stats.set("frames", counters.frames);
            stats.set("inferred", counters.inferred);
            stats.set("skipped", counters.skipped);
            stats.set("tensors-shared", counters.tensors_shared);
            stats.set("tensors-made", counters.tensors_made);
            report::set_percentiles(&mut stats, "latency", counters.latency.percentiles());
        }
        if let Some(opened) = self.models.get() {
            let service = opened.service().stats();
            stats.set("service", opened.service().name());
            stats.set("batches", service.batches);
            stats.set("batch-fill", service.batch_fill());
            report::set_percentiles(&mut stats, "batch-time", service.batch_time);
            if let Some(usage) = opened.service().engine().usage() {
                report::set_usage(&mut stats, &usage);
            }
        }
        report::set_traffic(&mut stats, &self.device);
        stats
    }
}

impl Stage for Inference {
    type Work = FrameWork;

    fn flow(&self) -> &Flow<FrameWork> {
        &self.flow
    }

    fn caps(&self) -> gst::Caps {
        backend::caps(*self.backend.lock())
    }

    fn limit(&self) -> usize {
        self.settings.lock().options.max_in_flight as usize
    }

    fn device(&self) -> Option<&Device> {
        Some(&self.device)
    }

    fn submit(&self, buffer: gst::Buffer, at_once: bool) -> Result<FrameWork, gst::FlowError> {
        let arrival = Instant::now();
        let info = self.flow.info().ok_or(gst::FlowError::NotNegotiated)?;
        let model = self.models.wait()?;
        let settings = model.resolved();
        if let Some(caps) = self.tensor_caps.update(settings.params.output_tensors.then_some(&model)) {
            self.flow.queue().push_event(gst::event::Caps::new(&caps))?;
        }
        let frame = Arc::new(Frame { buffer, info });
        let number = self.frame.fetch_add(1, Ordering::Relaxed);
        let action = match self.reason_to_skip(number, &settings) {
            Some(reason) => Action::Skip(reason),
            None => self.infer(&frame, number, &model, &settings, at_once).map_err(|e| {
                report::post(&*self.obj(), &e);
                gst::FlowError::Error
            })?,
        };
        Ok(FrameWork { frame, arrival, action, model, settings })
    }

    fn finish(&self, work: FrameWork) -> Result<gst::Buffer, gst::FlowError> {
        let FrameWork { frame, arrival, action, model, settings } = work;
        let inferred = matches!(action, Action::Infer { .. });
        let (mut raw, mut ran) = (Vec::new(), None);
        let record = match action {
            Action::Skip(reason) => {
                trace::skipped(self, &frame, reason);
                let before = match settings.by_object && !model.tracks.is_empty() {
                    true => Some(meta::read(&frame.buffer, frame.info.width(), frame.info.height())),
                    false => meta::record(&frame.buffer),
                };
                let mut record = before.map(Arc::unwrap_or_clone).unwrap_or_default();
                results::add_skipped(&mut record, &model, reason);
                results::add_kept(&mut record, &model, &settings, &[]);
                record
            }
            Action::Infer { ticket, regions, before, .. } => {
                let finished = ticket.take().ok_or(gst::FlowError::Error)?;
                let mut outputs = finished.outputs.map_err(|e| {
                    report::post(&*self.obj(), &e);
                    gst::FlowError::Error
                })?;
                self.measure(finished.latency);
                ran = finished.ran;
                if settings.params.output_tensors {
                    let tensors = outputs.iter_mut().map(|output| std::mem::take(&mut output.tensors));
                    raw.extend(regions.iter().copied().zip(tensors));
                }
                let mut record = Arc::unwrap_or_clone(before);
                results::add_outputs(&mut record, &model, &settings, &regions, outputs);
                results::add_kept(&mut record, &model, &settings, &regions);
                record
            }
        };
        trace::finished(self, &frame, ran, record.objects.len(), arrival);
        let (width, height) = (frame.info.width(), frame.info.height());
        let buffer = Arc::try_unwrap(frame).map_or_else(|shared| shared.buffer.clone(), |frame| frame.buffer);
        let mut buffer = stage::into_writable(buffer);
        if let Some(buffer) = buffer.get_mut() {
            meta::set_record_with(buffer, Arc::new(record), width, height, settings.mirrors);
            for (region, tensors) in raw {
                model.tensors.attach(buffer, &model.id, &region, tensors);
            }
        }
        let mut counters = self.counters.lock();
        counters.frames += 1;
        *if inferred { &mut counters.inferred } else { &mut counters.skipped } += 1;
        counters.latency.record(arrival.elapsed());
        Ok(buffer)
    }

    /// With `output-tensors` this waits for the model, whose outputs the caps announce.
    fn src_caps(&self, caps: gst::Caps) -> Result<gst::Caps, gst::FlowError> {
        let model = match self.adds_tensors() {
            true => Some(self.models.wait()?),
            false => None,
        };
        Ok(self.tensor_caps.set(caps, model.as_ref()))
    }

    fn adds_tensors(&self) -> bool {
        self.with_settings(|settings| settings.options.output_tensors)
    }

    fn flushed(&self) {
        self.models.flush();
        if let Some(opened) = self.models.get() {
            opened.stream.flush();
        }
    }

    fn stream_started(&self) {
        self.frame.store(0, Ordering::Relaxed);
        if let Some(opened) = self.models.get() {
            opened.tracks.clear();
        }
    }

    /// The model infers the pictures in the orientation in which they arrive.
    fn tagged(&self, tags: &gst::TagListRef) {
        if let Some(way) = self.orientation.unturned(self.flow.sink(), tags) {
            let around = match self.with_settings(|settings| settings.options.backend) {
                Backend::Cpu => "",
                Backend::TensorRt => " (between cudadownload and cudaupload)",
            };
            let text = format!(
                "the stream has the tag image-orientation={way}, but nothing upstream rotates it, so the model sees \
                 the pictures as they were coded: put videoflip video-direction=auto{around} before {}",
                self.obj().name()
            );
            gst::element_warning!(self.obj(), gst::StreamError::Format, ("{text}"));
        }
    }

    fn rest(&self) {
        if let Some(opened) = self.models.get() {
            opened.stream.rest();
        }
    }

    /// The larger of the longest recent latency and the batch timeout plus the batch time, with a quarter added so that
    /// a synchronising sink still receives the next frame in time.
    fn latency(&self) -> Duration {
        let measured = self.latency.get();
        measured.max(self.work_time()) + measured / 4
    }

    fn full_batch_waits(&self) -> bool {
        self.models.get().is_some_and(|opened| opened.stream.full_batch_waits())
    }

    /// The element's latency isn't used, because a frame that once waited for others raises it for many seconds.
    fn work_time(&self) -> Duration {
        self.models.get().map_or(Duration::ZERO, |o| o.resolved().batch_timeout + o.service().batch_time())
    }

    fn sink_query(&self, query: &mut gst::QueryRef) -> bool {
        input_query::answer(query, || {
            // The upstream element can't continue without the answer, so this waits for the model.
            let opened = self.models.wait().ok()?;
            let spec = opened.service().engine().input().clone();
            let (element, id) = (self.obj().name().into(), opened.tensors.input_id().to_owned());
            Some(input_query::Input { element, spec, id, interval: opened.resolved().interval })
        })
    }
}
