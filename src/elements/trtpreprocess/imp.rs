use super::settings::Settings;
use super::tensors::{HostTensors, Tensors};
use crate::elements::device::{Device, Wanted};
use crate::elements::input_query::{self, Input};
use crate::elements::property::as_value::{itself, path};
use crate::elements::property::{Properties, property};
use crate::elements::{backend, report, stage};
use crate::error::{Error, ErrorKind};
use crate::gpu::DeviceTensors;
use crate::infer::{Backend, Frame, Tensor};
use crate::meta::{self, GstTensor};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use model::InputSpec;
use parking_lot::Mutex;
use stage::{Flow, Stage, Work};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtpreprocess", gst::DebugColorFlags::empty(), Some("Makes models' input tensors"))
});

static PROPERTIES: LazyLock<Properties<Settings>> = LazyLock::new(|| {
    let default = Settings::default();
    Properties::<Settings>::new([
        property!(
            glib::ParamSpecEnum::builder_with_default("backend", default.backend).nick("Backend").blurb(
                "Backend that makes the tensor. There is no fallback from one to the other. Can be changed only in \
                 NULL",
            ),
            backend as itself
        ),
        property!(crate::elements::device::id_property(default.device_id), device_id as itself),
        property!(
            glib::ParamSpecString::builder("model")
                .nick("Model")
                .blurb("Model file whose input the tensor is made for (default: the models downstream)")
                .mutable_ready(),
            model as path
        ),
        property!(
            glib::ParamSpecUInt::builder("width")
                .nick("Width")
                .blurb("Width of the tensor in pixels; 0: the model's width")
                .maximum(16384)
                .default_value(default.width)
                .mutable_ready(),
            width as itself
        ),
        property!(
            glib::ParamSpecUInt::builder("height")
                .nick("Height")
                .blurb("Height of the tensor in pixels; 0: the model's height")
                .maximum(16384)
                .default_value(default.height)
                .mutable_ready(),
            height as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("layout", default.layout)
                .nick("Layout")
                .blurb("Order of the tensor's dimensions; used with width and height")
                .mutable_ready(),
            layout as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("tensor-type", default.tensor_type)
                .nick("Tensor type")
                .blurb("Type of the tensor's elements; used with width and height")
                .mutable_ready(),
            tensor_type as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("normalization", default.normalization)
                .nick("Normalization")
                .blurb("Range of the tensor's values; used with width and height")
                .mutable_ready(),
            normalization as itself
        ),
        property!(
            glib::ParamSpecBoolean::builder("keep-aspect-ratio")
                .nick("Keep aspect ratio")
                .blurb("Letterbox the frame instead of stretching it; used with width and height")
                .default_value(default.keep_aspect_ratio)
                .mutable_ready(),
            keep_aspect_ratio as itself
        ),
        property!(
            glib::ParamSpecUInt::builder("max-in-flight")
                .nick("Frames in flight")
                .blurb("Maximum number of frames held between the pads; upstream blocks when the limit is reached",)
                .minimum(1)
                .maximum(256)
                .default_value(default.max_in_flight)
                .mutable_ready(),
            max_in_flight as itself
        ),
    ])
    .with_stats(
        "frames, tensors; time-p50/-p95/-p99 of making a tensor on the host, or of starting it on the GPU (ns); \
         memory (bytes) of the tensors kept; bytes-to-device and bytes-to-host, copied in the CUDA context",
    )
});

pub struct TrtPreprocess {
    flow: Flow<Arrival>,
    settings: Mutex<Settings>,
    /// The open backend; set in READY and above.
    backend: Mutex<Option<Backend>>,
    device: Device,
    plan: Mutex<PreprocessPlan>,
    /// Set in PAUSED and above.
    tensors: Mutex<Option<Tensors>>,
    counters: Mutex<Counters>,
}

/// The tensor to make, and the frames to make it for.
#[derive(Debug, Default)]
struct PreprocessPlan {
    spec: Option<InputSpec>,
    /// The tensor's id, for GStreamer's decoders.
    id: Option<glib::Quark>,
    /// The properties specify the tensor.
    named: bool,
    /// The `interval` of each model downstream.
    intervals: Vec<u32>,
    /// The number of frames since the stream started.
    frames: u64,
    /// The elements downstream may have changed since they were queried.
    stale: bool,
}

impl PreprocessPlan {
    /// The plan for the tensor that the properties specify, and its id.
    fn new(named: Option<(InputSpec, String)>) -> Self {
        let (named, spec, id) = match named {
            Some((spec, id)) => (true, Some(spec), Some(glib::Quark::from_str(id))),
            None => (false, None, None),
        };
        Self { named, spec, id, ..Self::default() }
    }
}

#[derive(Default)]
struct Counters {
    frames: u64,
    tensors: u64,
    time: report::Times,
}

/// A frame in flight between the pads. Its tensor is made when the frame is next in order.
pub struct Arrival {
    frame: Frame,
    /// The tensor and its id; `None` if no model needs this frame.
    wanted: Option<(InputSpec, glib::Quark)>,
}

impl Work for Arrival {
    fn ready(&self) -> bool {
        true
    }
}

#[glib::object_subclass]
impl ObjectSubclass for TrtPreprocess {
    const NAME: &'static str = "GstTrtPreprocess";
    type Type = super::TrtPreprocess;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name).expect("one of pad_templates()");
        Self {
            flow: stage::new_flow::<Self>(&template("sink"), &template("src")),
            settings: Mutex::default(),
            backend: Mutex::default(),
            device: Device::default(),
            plan: Mutex::default(),
            tensors: Mutex::default(),
            counters: Mutex::default(),
        }
    }
}

impl ObjectImpl for TrtPreprocess {
    fn properties() -> &'static [glib::ParamSpec] {
        PROPERTIES.specs()
    }

    fn set_property(&self, id: usize, value: &glib::Value, _: &glib::ParamSpec) {
        PROPERTIES.set(&mut self.settings.lock(), id, value);
    }

    fn property(&self, id: usize, _: &glib::ParamSpec) -> glib::Value {
        let option = PROPERTIES.get(&self.settings.lock(), id);
        option.unwrap_or_else(|| self.stats().to_value())
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.flow.add_pads(&*self.obj());
    }
}

impl GstObjectImpl for TrtPreprocess {}

impl ElementImpl for TrtPreprocess {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Model input tensors",
                "Filter/Analyzer/Video",
                "Makes one input tensor per frame for all models downstream",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(stage::pad_templates);
        &TEMPLATES
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::NullToReady => {
                let Settings { backend: name, device_id, .. } = *self.settings.lock();
                let opened = match name {
                    Backend::Cpu => backend::open(name),
                    // The tensor needs only the CUDA kernels, not TensorRT.
                    Backend::TensorRt => self.device.open(&*self.obj(), Wanted::Device(device_id)),
                };
                opened.map_err(|e| self.fail(&e))?;
                *self.backend.lock() = Some(name);
            }
            gst::StateChange::ReadyToPaused => {
                let settings = self.settings.lock().clone();
                backend::check_upstream(self.flow.sink(), settings.backend).map_err(|e| self.fail(&e))?;
                let named = settings.spec().map_err(|e| self.fail(&e))?;
                *self.plan.lock() = PreprocessPlan::new(named);
                let tensors = match settings.backend {
                    Backend::Cpu => Ok(Tensors::Host(HostTensors::default())),
                    Backend::TensorRt => {
                        self.device.context().and_then(|c| DeviceTensors::new(&c)).map(Tensors::Device)
                    }
                };
                *self.tensors.lock() = Some(tensors.map_err(|e| self.fail(&e))?);
                *self.counters.lock() = Counters::default();
            }
            _ => {}
        }
        let result = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::PausedToReady => {
                let tensors = self.tensors.lock().take();
                drop(tensors);
            }
            gst::StateChange::ReadyToNull => {
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

impl TrtPreprocess {
    fn fail(&self, error: &Error) -> gst::StateChangeError {
        report::post(&*self.obj(), error);
        gst::StateChangeError
    }

    /// Queries the models downstream for the input that they need.
    fn plan(&self) -> Result<(), Error> {
        let inputs = input_query::ask(self.flow.src());
        let mut plan = self.plan.lock();
        plan.stale = false;
        plan.intervals = inputs.iter().map(|input| input.interval).collect();
        if plan.named {
            return Ok(());
        }
        let setting = |text: String| Error::new(ErrorKind::Setting, text);
        let Some(Input { element, spec, id, .. }) = inputs.first() else {
            return Err(setting(
                "no model downstream says what tensor it takes: set `model`, or `width` and `height`".into(),
            ));
        };
        if let Some(other) = inputs.iter().find(|input| input.spec != *spec) {
            return Err(setting(format!(
                "{element} takes {spec}; {} takes {}: put a trtpreprocess before each, or set `model`",
                other.element, other.spec
            )));
        }
        gst::debug!(CAT, imp = self, "makes {spec} for {element}");
        (plan.spec, plan.id) = (Some(spec.clone()), Some(glib::Quark::from_str(id)));
        Ok(())
    }

    /// The tensor, and its values for `GstTensorMeta` where GStreamer has it.
    fn make_tensor(&self, frame: &Frame, spec: &InputSpec) -> Result<(Arc<Tensor>, Option<gst::Buffer>), Error> {
        let start = Instant::now();
        let stopped = || Error::new(ErrorKind::Failed, "trtpreprocess is stopped");
        let (tensor, data) = {
            let mut tensors = self.tensors.lock();
            let tensors = tensors.as_mut().ok_or_else(stopped)?;
            let tensor = tensors.make(frame, spec)?;
            let data = if meta::gst_tensors_exist() { tensors.gst_buffer(&tensor)? } else { None };
            (tensor, data)
        };
        let took = start.elapsed();
        gst::trace!(CAT, imp = self, "frame {}: tensor made in {took:?}", frame.buffer.pts().display());
        let mut counters = self.counters.lock();
        counters.tensors += 1;
        counters.time.record(took);
        Ok((tensor, data))
    }

    fn stats(&self) -> gst::Structure {
        let counters = self.counters.lock();
        let mut stats = gst::Structure::builder("application/x-trt-stats")
            .field("frames", counters.frames)
            .field("tensors", counters.tensors)
            .build();
        counters.time.set(&mut stats, "time");
        drop(counters);
        stats.set("memory", self.tensors.lock().as_ref().map_or(0, Tensors::bytes) as u64);
        report::set_traffic(&mut stats, &self.device);
        stats
    }
}

impl Stage for TrtPreprocess {
    type Work = Arrival;

    fn flow(&self) -> &Flow<Arrival> {
        &self.flow
    }

    fn caps(&self) -> gst::Caps {
        backend::caps(*self.backend.lock())
    }

    fn device(&self) -> Option<&Device> {
        Some(&self.device)
    }

    /// On the GPU one more: the frame that was pushed last may still be read.
    fn held(&self) -> usize {
        let settings = self.settings.lock();
        settings.max_in_flight as usize + usize::from(settings.backend == Backend::TensorRt)
    }

    fn limit(&self) -> usize {
        self.settings.lock().max_in_flight as usize
    }

    fn set_info(&self, _info: &gst_video::VideoInfo, _caps: &gst::CapsRef) -> Result<(), gst::LoggableError> {
        self.plan().map_err(|e| {
            report::post(&*self.obj(), &e);
            gst::loggable_error!(CAT, "{e}")
        })
    }

    fn submit(&self, buffer: gst::Buffer, _at_once: bool) -> Result<Arrival, gst::FlowError> {
        let info = self.flow.info().ok_or(gst::FlowError::NotNegotiated)?;
        if self.plan.lock().stale {
            self.plan().map_err(|e| {
                report::post(&*self.obj(), &e);
                gst::FlowError::NotNegotiated
            })?;
        }
        let mut plan = self.plan.lock();
        let frame = plan.frames;
        plan.frames += 1;
        let wanted = |interval: &u32| frame.is_multiple_of(u64::from(*interval) + 1);
        let wanted = plan.intervals.is_empty() || plan.intervals.iter().any(wanted);
        let wanted = plan.spec.clone().zip(plan.id).filter(|_| wanted);
        Ok(Arrival { frame: Frame { buffer, info }, wanted })
    }

    fn finish(&self, work: Arrival) -> Result<gst::Buffer, gst::FlowError> {
        let Arrival { frame, wanted } = work;
        self.counters.lock().frames += 1;
        let Some((spec, id)) = wanted else { return Ok(frame.buffer) };
        let (tensor, data) = self.make_tensor(&frame, &spec).map_err(|e| {
            report::post(&*self.obj(), &e);
            gst::FlowError::Error
        })?;
        stage::post_latency_change(self, self.latency());
        let mut buffer = stage::into_writable(frame.buffer);
        if let Some(buffer) = buffer.get_mut() {
            let data = data.map(|data| GstTensor::of_input(id, &spec, data));
            meta::attach_gst_tensors(buffer, data.into_iter().collect());
            meta::attach_tensor(buffer, tensor);
        }
        Ok(buffer)
    }

    fn stream_started(&self) {
        self.plan.lock().frames = 0;
    }

    fn reconfigured(&self) {
        self.plan.lock().stale = true;
    }

    fn latency(&self) -> Duration {
        self.counters.lock().time.longest()
    }
}
