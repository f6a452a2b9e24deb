//! The properties of elements that run a model, one table for `trtdetect` and `trtpose`.

use super::settings::{InferenceRegion, Settings};
use crate::infer::{Backend, Precision};
use gst::glib::{self, ParamSpec, Value};
use gst::prelude::*;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

/// A property: its specification, made from the default settings, and its place in the settings.
struct Property {
    spec: ParamSpec,
    get: fn(&Settings) -> Value,
    set: fn(&mut Settings, &Value),
}

/// When a property may be changed.
#[derive(Clone, Copy)]
enum Mutable {
    Null,
    Ready,
    Playing,
}

/// What decides on the model: changed while playing, it's opened anew beside the one in force.
const MODEL: [&str; 10] = [
    "model",
    "model-id",
    "labels",
    "head",
    "precision",
    "engine-cache",
    "engine-file",
    "workspace-size",
    "batch-size",
    "gpu-memory-limit",
];

/// What has to happen after a change while playing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: it counts from the next start on.
    None,
    /// It's put in force at once.
    Resolve,
    /// The model is opened anew.
    Reopen,
}

impl Mutable {
    fn flags(self) -> glib::ParamFlags {
        glib::ParamFlags::READWRITE
            | match self {
                Self::Null => glib::ParamFlags::empty(),
                Self::Ready => gst::PARAM_FLAG_MUTABLE_READY,
                Self::Playing => gst::PARAM_FLAG_MUTABLE_PLAYING,
            }
    }
}

/// A value of the wrong type can't come here: GObject checks it against the specification.
fn value<T: for<'a> glib::value::FromValue<'a> + Default>(value: &Value) -> T {
    value.get().unwrap_or_default()
}

fn path(value: &Value) -> Option<PathBuf> {
    text(value).map(PathBuf::from)
}

/// Nothing and the empty string are the same.
fn text(value: &Value) -> Option<String> {
    value.get::<Option<String>>().ok().flatten().filter(|s| !s.is_empty())
}

fn path_value(path: &Option<PathBuf>) -> Value {
    path.as_ref().map(|p| p.to_string_lossy().into_owned()).to_value()
}

static PROPERTIES: LazyLock<Vec<Property>> = LazyLock::new(|| {
    use Mutable::{Null, Playing, Ready};
    let default = Settings::default();
    let string = |name: &str, nick: &str, blurb: &str, mutable: Mutable| {
        glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).flags(mutable.flags()).build()
    };
    let uint = |name: &str, nick: &str, blurb: &str, (min, default, max): (u32, u32, u32), mutable: Mutable| {
        let spec = glib::ParamSpecUInt::builder(name).nick(nick).blurb(blurb).flags(mutable.flags());
        spec.minimum(min).maximum(max).default_value(default).build()
    };
    let fraction = |name: &str, nick: &str, blurb: &str, default: f32| {
        let spec = glib::ParamSpecFloat::builder(name).nick(nick).blurb(blurb).flags(Playing.flags());
        spec.minimum(0.0).maximum(1.0).default_value(default).build()
    };
    let boolean = |name: &str, nick: &str, blurb: &str, default: bool| {
        let spec = glib::ParamSpecBoolean::builder(name).nick(nick).blurb(blurb).flags(Playing.flags());
        spec.default_value(default).build()
    };
    vec![
        Property {
            spec: string(
                "model",
                "Model",
                "Model file: .onnx, or with backend=tensorrt also .engine and .plan. Changed while playing, as labels, \
                 precision and the engine's other settings, the new model is opened beside the old one and takes over \
                 between two frames; if it can't be opened, the old one stays and a warning says why",
                Playing,
            ),
            get: |s| path_value(&s.model),
            set: |s, v| s.model = path(v),
        },
        Property {
            spec: string("model-id", "Model id", "Name of this model in the metadata (default: the element's name)", Playing),
            get: |s| s.model_id.to_value(),
            set: |s, v| s.model_id = text(v),
        },
        Property {
            spec: string("labels", "Labels", "File with one class name a line (default: the model's own names)", Playing),
            get: |s| path_value(&s.labels),
            set: |s, v| s.labels = path(v),
        },
        Property {
            spec: glib::ParamSpecEnum::builder_with_default("head", default.head)
                .nick("Head")
                .blurb(
                    "How the model's outputs are read. Only for a model whose file doesn't say it and whose shapes several \
                     heads have: an error asks for it then. Changed while playing as `model` is",
                )
                .flags(Playing.flags())
                .build(),
            get: |s| s.head.to_value(),
            set: |s, v| s.head = v.get().unwrap_or_default(),
        },
        Property {
            spec: glib::ParamSpecEnum::builder_with_default("backend", default.backend)
                .nick("Backend")
                .blurb("Where the model runs; there is no fallback from one to the other. Changeable in NULL only")
                .flags(Null.flags())
                .build(),
            get: |s| s.backend.to_value(),
            set: |s, v| s.backend = v.get().unwrap_or(Backend::TensorRt),
        },
        Property {
            spec: uint(
                "device-id",
                "GPU",
                "Number of the GPU, counted after CUDA_VISIBLE_DEVICES; backend=tensorrt only",
                (0, default.device_id, 255),
                Null,
            ),
            get: |s| s.device_id.to_value(),
            set: |s, v| s.device_id = value(v),
        },
        Property {
            spec: glib::ParamSpecEnum::builder_with_default("precision", default.precision)
                .nick("Precision")
                .blurb("Arithmetic of the engine that is built; with backend=cpu the model's own")
                .flags(Playing.flags())
                .build(),
            get: |s| s.precision.to_value(),
            set: |s, v| s.precision = v.get().unwrap_or(Precision::Auto),
        },
        Property {
            spec: string(
                "engine-cache",
                "Engine cache",
                "Folder for built engines (default: gst-tensorrt in the user's cache folder); backend=tensorrt only",
                Playing,
            ),
            get: |s| path_value(&s.engine_cache),
            set: |s, v| s.engine_cache = path(v),
        },
        Property {
            spec: string(
                "engine-file",
                "Engine file",
                "Where the engine of an .onnx is kept (.engine or .plan, with its record as .json beside it): used while it \
                 fits model, settings, TensorRT and GPU, else built again there; without the .onnx one that doesn't fit is \
                 an error (default: in the engine cache alone); backend=tensorrt only",
                Playing,
            ),
            get: |s| path_value(&s.engine_file),
            set: |s, v| s.engine_file = path(v),
        },
        Property {
            spec: uint(
                "workspace-size",
                "Workspace size",
                "Most scratch memory that building an engine may plan with, MiB; backend=tensorrt only",
                (1, default.workspace_size, 1 << 20),
                Playing,
            ),
            get: |s| s.workspace_size.to_value(),
            set: |s, v| s.workspace_size = value(v),
        },
        Property {
            spec: uint(
                "batch-size",
                "Batch size",
                "Most images in one batch, from all elements that share the model; a model with a fixed batch keeps its own",
                (1, default.batch_size, 1024),
                Playing,
            ),
            get: |s| s.batch_size.to_value(),
            set: |s, v| s.batch_size = value(v),
        },
        Property {
            spec: glib::ParamSpecUInt64::builder("batch-timeout")
                .nick("Batch timeout")
                .blurb(
                    "Longest time that a frame waits for other streams' frames that are due, in nanoseconds; 0: a batch is \
                     what waits when the engine is free",
                )
                .flags(Playing.flags())
                .default_value(default.batch_timeout.as_nanos() as u64)
                .build(),
            get: |s| (s.batch_timeout.as_nanos() as u64).to_value(),
            set: |s, v| s.batch_timeout = Duration::from_nanos(value(v)),
        },
        Property {
            spec: uint(
                "max-in-flight",
                "Frames in flight",
                "Most frames held between the pads; upstream waits when there are more",
                (1, default.max_in_flight, 256),
                Ready,
            ),
            get: |s| s.max_in_flight.to_value(),
            set: |s, v| s.max_in_flight = value(v),
        },
        Property {
            spec: uint(
                "interval",
                "Interval",
                "Frames passed on uninferred after each inferred one, per stream",
                (0, default.interval, u32::MAX),
                Playing,
            ),
            get: |s| s.interval.to_value(),
            set: |s, v| s.interval = value(v),
        },
        Property {
            spec: glib::ParamSpecEnum::builder_with_default("inference-region", default.region)
                .nick("Inference region")
                .blurb("Where the model looks")
                .flags(Playing.flags())
                .build(),
            get: |s| s.region.to_value(),
            set: |s, v| s.region = v.get().unwrap_or(InferenceRegion::Frame),
        },
        Property {
            spec: string(
                "object-classes",
                "Object classes",
                "With inference-region=objects: labels of the objects to look at, LABEL,LABEL,… (default: all); a comma in a \
                 label is written \\,",
                Playing,
            ),
            get: |s| s.object_classes.to_value(),
            set: |s, v| s.object_classes = text(v),
        },
        Property {
            spec: fraction("confidence", "Confidence", "Least confidence of an object, 0–1", default.confidence),
            get: |s| s.confidence.to_value(),
            set: |s, v| s.confidence = value(v),
        },
        Property {
            spec: string(
                "class-confidence",
                "Confidence by class",
                "Least confidence of single classes, CLASS=VALUE,CLASS=VALUE,… with labels or numbers; a label holds for all \
                 classes of that name, a comma in it is written \\,",
                Playing,
            ),
            get: |s| s.class_confidence.to_value(),
            set: |s, v| s.class_confidence = text(v),
        },
        Property {
            spec: fraction(
                "iou",
                "IoU",
                "Boxes of a class with more intersection over union than this are one object, 0–1; end-to-end models \
                 don't use it",
                default.iou,
            ),
            get: |s| s.iou.to_value(),
            set: |s, v| s.iou = value(v),
        },
        Property {
            spec: boolean(
                "class-agnostic-nms",
                "Class-agnostic NMS",
                "Overlapping boxes are one object also when their classes differ",
                default.class_agnostic_nms,
            ),
            get: |s| s.class_agnostic_nms.to_value(),
            set: |s, v| s.class_agnostic_nms = value(v),
        },
        Property {
            spec: string(
                "classes",
                "Classes",
                "Only these classes, CLASS,CLASS,… with labels or numbers (default: all); a label holds for all classes of \
                 that name, a comma in it is written \\,",
                Playing,
            ),
            get: |s| s.classes.to_value(),
            set: |s, v| s.classes = text(v),
        },
        Property {
            spec: uint(
                "max-detections",
                "Most detections",
                "Most objects of one image, the most confident first",
                (1, default.max_detections, 100_000),
                Playing,
            ),
            get: |s| s.max_detections.to_value(),
            set: |s, v| s.max_detections = value(v),
        },
        Property {
            spec: string("min-size", "Least size", "Least size of an object's box, WIDTHxHEIGHT in frame pixels", Playing),
            get: |s| s.min_size.to_value(),
            set: |s, v| s.min_size = text(v),
        },
        Property {
            spec: string(
                "max-size",
                "Greatest size",
                "Greatest size of an object's box, WIDTHxHEIGHT in frame pixels; 0: no limit",
                Playing,
            ),
            get: |s| s.max_size.to_value(),
            set: |s, v| s.max_size = text(v),
        },
        Property {
            spec: string(
                "roi",
                "Regions of interest",
                "Parts of the frame to look at, LEFT,TOP,WIDTH,HEIGHT;… as fractions of the frame 0–1 (default: all of \
                 it). With inference-region=objects: only objects whose centre is in one",
                Playing,
            ),
            get: |s| s.roi.to_value(),
            set: |s, v| s.roi = text(v),
        },
        Property {
            spec: boolean(
                "skip-when-busy",
                "Skip when busy",
                "Pass a frame on uninferred when half of max-in-flight wait for the engine already",
                default.skip_when_busy,
            ),
            get: |s| s.skip_when_busy.to_value(),
            set: |s, v| s.skip_when_busy = value(v),
        },
        Property {
            spec: boolean(
                "output-tensors",
                "Output tensors",
                "Also attach the model's raw outputs to the buffer, as custom meta TrtOutputTensors",
                default.output_tensors,
            ),
            get: |s| s.output_tensors.to_value(),
            set: |s, v| s.output_tensors = value(v),
        },
        Property {
            spec: boolean(
                "roi-meta",
                "ROI metadata",
                "Make each object a GstVideoRegionOfInterestMeta too, which other programs read; off saves most of the CPU \
                 time that objects cost, and only this plugin's elements and what uses its library see them",
                default.roi_meta,
            ),
            get: |s| s.roi_meta.to_value(),
            set: |s, v| s.roi_meta = value(v),
        },
        Property {
            spec: uint(
                "gpu-memory-limit",
                "GPU memory limit",
                "Most GPU memory for weights, scratch memory, tables, inputs and outputs of the model's service, MiB; 0: no \
                 limit; backend=tensorrt only",
                (0, default.gpu_memory_limit, 1 << 20),
                Playing,
            ),
            get: |s| s.gpu_memory_limit.to_value(),
            set: |s, v| s.gpu_memory_limit = value(v),
        },
    ]
});

/// The specifications; `stats` is the last and has no setting.
pub fn specs() -> &'static [ParamSpec] {
    static SPECS: LazyLock<Vec<ParamSpec>> = LazyLock::new(|| {
        let stats = glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb(
                "frames, inferred, skipped (by interval, busy engine, or no region), latency-p50/-p95/-p99 (ns, pad to \
                 pad); tensors-shared and tensors-made; of the service that elements with the same model share: service, \
                 batches, batch-fill, batch-time-p50/-p95/-p99 (ns). With backend=tensorrt also of that service: \
                 gpu-memory and gpu-memory-peak (bytes), service-bytes-to-device and service-bytes-to-host (over the bus), \
                 graphs, candidates-cut (beyond what suppression looks at); and of the CUDA context: gpu-memory-ours (bytes \
                 that all elements took), gpu-memory-beside (what driver, graphs, decoders and others have), bytes-to-device \
                 and bytes-to-host",
            )
            .read_only()
            .build();
        PROPERTIES.iter().map(|p| p.spec.clone()).chain([stats]).collect()
    });
    &SPECS
}

fn find(spec: &ParamSpec) -> Option<&'static Property> {
    PROPERTIES.iter().find(|p| p.spec.name() == spec.name())
}

/// A setting's value; `None` for a property that isn't one.
pub fn get(settings: &Settings, spec: &ParamSpec) -> Option<Value> {
    find(spec).map(|p| (p.get)(settings))
}

/// Changes a setting.
pub fn set(settings: &mut Settings, spec: &ParamSpec, value: &Value) -> Effect {
    let Some(property) = find(spec) else { return Effect::None };
    (property.set)(settings, value);
    if MODEL.contains(&spec.name()) {
        settings.model_changes += 1;
        Effect::Reopen
    } else if property.spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING) {
        Effect::Resolve
    } else {
        Effect::None
    }
}
