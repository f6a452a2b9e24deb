//! The properties of elements that run a model, one table for `trtdetect` and `trtpose`.

use crate::elements::property::as_value::{itself, path, some_text, time, written};
use crate::elements::property::{Properties, property};
use crate::infer::nanoseconds;
use crate::meta::Attach;
use crate::options::InferenceOptions;
use gst::glib::{self, ParamSpec};
use gst::prelude::*;
use std::sync::LazyLock;

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

impl Effect {
    pub fn of(spec: &ParamSpec) -> Self {
        if MODEL.contains(&spec.name()) {
            Self::Reopen
        } else if spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING) {
            Self::Resolve
        } else {
            Self::None
        }
    }
}

pub static PROPERTIES: LazyLock<Properties<InferenceOptions>> = LazyLock::new(|| {
    let default = InferenceOptions::default();
    Properties::<InferenceOptions>::new([
        property!(
            glib::ParamSpecString::builder("model")
                .nick("Model")
                .blurb(
                    "Model file: .onnx, or with backend=tensorrt also .engine and .plan. Changed while playing, as \
                     labels, precision and the engine's other settings, the new model is opened beside the old one \
                     and takes over between two frames; if it can't be opened, the old one stays and a warning says \
                     why",
                )
                .mutable_playing(),
            model as path
        ),
        property!(
            glib::ParamSpecString::builder("model-id")
                .nick("Model id")
                .blurb("Name of this model in the metadata (default: the element's name)")
                .mutable_playing(),
            model_id as some_text
        ),
        property!(
            glib::ParamSpecString::builder("labels")
                .nick("Labels")
                .blurb("File with one class name a line (default: the model's own names)")
                .mutable_playing(),
            labels as path
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("head", default.head)
                .nick("Head")
                .blurb(
                    "How the model's outputs are read. Only for a model whose file doesn't say it and whose shapes \
                     several heads have: an error asks for it then. Changed while playing as `model` is",
                )
                .mutable_playing(),
            head as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("backend", default.backend)
                .nick("Backend")
                .blurb("Where the model runs; there is no fallback from one to the other. Changeable in NULL only"),
            backend as itself
        ),
        property!(
            glib::ParamSpecUInt::builder("device-id")
                .nick("GPU")
                .blurb("Number of the GPU, counted after CUDA_VISIBLE_DEVICES; backend=tensorrt only")
                .maximum(255)
                .default_value(default.device_id),
            device_id as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("precision", default.precision)
                .nick("Precision")
                .blurb("Arithmetic of the engine that is built; with backend=cpu the model's own")
                .mutable_playing(),
            precision as itself
        ),
        property!(
            glib::ParamSpecString::builder("engine-cache")
                .nick("Engine cache")
                .blurb(
                    "Folder for built engines (default: gst-tensorrt in the user's cache folder); backend=tensorrt \
                     only",
                )
                .mutable_playing(),
            engine_cache as path
        ),
        property!(
            glib::ParamSpecString::builder("engine-file")
                .nick("Engine file")
                .blurb(
                    "Where the engine of an .onnx is kept (.engine or .plan, with its record as .json beside it): \
                     used while it fits model, settings, TensorRT and GPU, else built again there; without the .onnx \
                     one that doesn't fit is an error (default: in the engine cache alone); backend=tensorrt only",
                )
                .mutable_playing(),
            engine_file as path
        ),
        property!(
            glib::ParamSpecUInt::builder("workspace-size")
                .nick("Workspace size")
                .blurb("Most scratch memory that building an engine may plan with, MiB; backend=tensorrt only")
                .minimum(1)
                .maximum(1 << 20)
                .default_value(default.workspace_size)
                .mutable_playing(),
            workspace_size as itself
        ),
        property!(
            glib::ParamSpecUInt::builder("batch-size")
                .nick("Batch size")
                .blurb(
                    "Most images in one batch, from all elements that share the model; a model with a fixed batch \
                     keeps its own",
                )
                .minimum(1)
                .maximum(1024)
                .default_value(default.batch_size)
                .mutable_playing(),
            batch_size as itself
        ),
        property!(
            glib::ParamSpecUInt64::builder("batch-timeout")
                .nick("Batch timeout")
                .blurb(
                    "Longest time that a frame waits for other streams' frames that are due, in nanoseconds; 0: a \
                     batch is what waits when the engine is free",
                )
                .mutable_playing()
                .default_value(nanoseconds(default.batch_timeout)),
            batch_timeout as time
        ),
        property!(
            glib::ParamSpecUInt::builder("max-in-flight")
                .nick("Frames in flight")
                .blurb("Most frames held between the pads; upstream waits when there are more")
                .minimum(1)
                .maximum(256)
                .default_value(default.max_in_flight)
                .mutable_ready(),
            max_in_flight as itself
        ),
        property!(
            glib::ParamSpecUInt::builder("interval")
                .nick("Interval")
                .blurb("Frames passed on uninferred after each inferred one, per stream")
                .default_value(default.interval)
                .mutable_playing(),
            interval as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("inference-region", default.region)
                .nick("Inference region")
                .blurb("Where the model looks")
                .mutable_playing(),
            region as itself
        ),
        property!(
            glib::ParamSpecString::builder("object-classes")
                .nick("Object classes")
                .blurb(
                    "With inference-region=objects: labels of the objects to look at, LABEL,LABEL,… (default: all); a \
                     comma in a label is written \\,",
                )
                .mutable_playing(),
            object_classes as written
        ),
        property!(
            glib::ParamSpecFloat::builder("confidence")
                .nick("Confidence")
                .blurb("Least confidence of an object, 0–1")
                .minimum(0.0)
                .maximum(1.0)
                .default_value(default.confidence)
                .mutable_playing(),
            confidence as itself
        ),
        property!(
            glib::ParamSpecString::builder("class-confidence")
                .nick("Confidence by class")
                .blurb(
                    "Least confidence of single classes, CLASS=VALUE,CLASS=VALUE,… with labels or numbers; a label \
                     holds for all classes of that name, a comma in it is written \\,",
                )
                .mutable_playing(),
            class_confidence as written
        ),
        property!(
            glib::ParamSpecFloat::builder("iou")
                .nick("IoU")
                .blurb(
                    "Boxes of a class with more intersection over union than this are one object, 0–1; end-to-end \
                     models don't use it",
                )
                .minimum(0.0)
                .maximum(1.0)
                .default_value(default.iou)
                .mutable_playing(),
            iou as itself
        ),
        property!(
            glib::ParamSpecBoolean::builder("class-agnostic-nms")
                .nick("Class-agnostic NMS")
                .blurb("Overlapping boxes are one object also when their classes differ")
                .default_value(default.class_agnostic_nms)
                .mutable_playing(),
            class_agnostic_nms as itself
        ),
        property!(
            glib::ParamSpecString::builder("classes")
                .nick("Classes")
                .blurb(
                    "Only these classes, CLASS,CLASS,… with labels or numbers (default: all); a label holds for all \
                     classes of that name, a comma in it is written \\,",
                )
                .mutable_playing(),
            classes as written
        ),
        property!(
            glib::ParamSpecUInt::builder("max-detections")
                .nick("Most detections")
                .blurb("Most objects of one image, the most confident first")
                .minimum(1)
                .maximum(100_000)
                .default_value(default.max_detections)
                .mutable_playing(),
            max_detections as itself
        ),
        property!(
            glib::ParamSpecString::builder("min-size")
                .nick("Least size")
                .blurb("Least size of an object's box, WIDTHxHEIGHT in frame pixels")
                .mutable_playing(),
            min_size as written
        ),
        property!(
            glib::ParamSpecString::builder("max-size")
                .nick("Greatest size")
                .blurb("Greatest size of an object's box, WIDTHxHEIGHT in frame pixels; 0: no limit")
                .mutable_playing(),
            max_size as written
        ),
        property!(
        glib::ParamSpecString::builder("roi")
            .nick("Regions of interest")
            .blurb(
                "Parts of the frame to look at, LEFT,TOP,WIDTH,HEIGHT;… as fractions of the frame 0–1 (default: all \
                 of it). With inference-region=objects: only objects whose centre is in one",
            )
            .mutable_playing(),
        roi as written
        ),
        property!(
            glib::ParamSpecBoolean::builder("skip-when-busy")
                .nick("Skip when busy")
                .blurb("Pass a frame on uninferred when half of max-in-flight wait for the engine already")
                .default_value(default.skip_when_busy)
                .mutable_playing(),
            skip_when_busy as itself
        ),
        property!(
            glib::ParamSpecBoolean::builder("output-tensors")
                .nick("Output tensors")
                .blurb("Also attach the model's raw outputs to the buffer, as custom meta TrtOutputTensors")
                .default_value(default.output_tensors)
                .mutable_playing(),
            output_tensors as itself
        ),
        property!(
            glib::ParamSpecBoolean::builder("roi-meta")
                .nick("ROI metadata")
                .blurb(
                    "Make each object a GstVideoRegionOfInterestMeta too, which other programs read; off saves most \
                     of the CPU time that objects cost, and only this plugin's elements and what uses its library see \
                     them",
                )
                .default_value(default.roi_meta)
                .mutable_playing(),
            roi_meta as itself
        ),
        property!(
        glib::ParamSpecUInt::builder("gpu-memory-limit")
            .nick("GPU memory limit")
            .blurb(
                "Most GPU memory for weights, scratch memory, tables, inputs and outputs of the model's service, MiB; \
                 0: no limit; backend=tensorrt only",
            )
            .maximum(1 << 20)
            .default_value(default.gpu_memory_limit)
            .mutable_playing(),
        gpu_memory_limit as itself
        ),
    ])
    .with_stats(
        "frames, inferred, skipped (by interval, busy engine, or no region), latency-p50/-p95/-p99 (ns, pad to pad); \
         tensors-shared and tensors-made; of the service that elements with the same model share: service, batches, \
         batch-fill, batch-time-p50/-p95/-p99 (ns). With backend=tensorrt also of that service: gpu-memory and \
         gpu-memory-peak (bytes), service-bytes-to-device and service-bytes-to-host (over the bus), graphs, \
         candidates-cut (beyond what suppression looks at); and of the CUDA context: gpu-memory-ours (bytes that all \
         elements took), gpu-memory-beside (what driver, graphs, decoders and others have), bytes-to-device and \
         bytes-to-host",
    )
});

/// What `trtpose` has beside them.
pub static POSE_PROPERTIES: LazyLock<Properties<InferenceOptions>> = LazyLock::new(|| {
    Properties::<InferenceOptions>::new([property!(
        glib::ParamSpecEnum::builder_with_default("attach", Attach::Match)
            .nick("Attach")
            .blurb("What becomes of a pose whose person was found before")
            .mutable_playing(),
        attach as itself
    )])
});

/// The properties in which two elements' options differ.
pub fn differences(a: &InferenceOptions, b: &InferenceOptions) -> Vec<&'static ParamSpec> {
    [PROPERTIES.differences(a, b), POSE_PROPERTIES.differences(a, b)].concat()
}

/// Gives `to` all of `from` that decides on the model.
pub fn copy_model(to: &mut InferenceOptions, from: &InferenceOptions) {
    for row in PROPERTIES.rows().iter().filter(|row| MODEL.contains(&row.spec.name())) {
        (row.copy)(to, from);
    }
}
