//! The properties that `trtdetect`, `trtpose` and `trtclassify` share, and those that only one has.

use crate::elements::property::as_value::{itself, path, some_text, time, written};
use crate::elements::property::{Properties, property};
use crate::infer::nanoseconds;
use crate::meta::Attach;
use crate::options::{InferenceOptions, InferenceRegion};
use gst::glib::{self, ParamSpec};
use gst::prelude::*;
use std::sync::LazyLock;

/// The properties that decide which model is opened. Changing one while playing reopens the model beside the one in
/// force.
const MODEL: [&str; 13] = [
    "model",
    "model-id",
    "labels",
    "head",
    "normalization",
    "resize",
    "color",
    "precision",
    "engine-cache",
    "engine-file",
    "workspace-size",
    "batch-size",
    "gpu-memory-limit",
];

/// The effect of a change while playing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// None until the next start.
    None,
    /// The value is put in force at once.
    Resolve,
    /// The model is reopened.
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
                    "Model file: .onnx, or with backend=tensorrt also .engine or .plan. If this property, labels, \
                     precision or another engine setting changes while playing, the new model is opened beside the \
                     current one and takes over between two frames. If it can't be opened, the current model stays \
                     in force and a warning gives the reason",
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
                .blurb("File with one class name per line (default: the names stored in the model)")
                .mutable_playing(),
            labels as path
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("head", default.head)
                .nick("Head")
                .blurb(
                    "How to decode the model's outputs. Needed only if the model file doesn't name its head and its \
                     output shapes fit several heads; an error then asks for it. May change while playing, as \
                     described for model",
                )
                .mutable_playing(),
            head as itself
        ),
        property!(
            glib::ParamSpecString::builder("normalization")
                .nick("Normalization")
                .blurb(
                    "How pixel values become the model's input: auto (as the head's family does), unit (0-1), none \
                     (0-255), imagenet, or means and standard deviations of 0-255 in the order of the input's channels: \
                     123.675,116.28,103.53/58.395,57.12,57.375. May change while playing, as described for model",
                )
                .mutable_playing(),
            normalization as written
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("resize", default.resize)
                .nick("Resize")
                .blurb(
                    "How frames are fitted into the model's input. Needed only if the model wasn't trained as the head's \
                     family is. May change while playing, as described for model",
                )
                .mutable_playing(),
            resize as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("color", default.color)
                .nick("Color")
                .blurb(
                    "Order of the channels of the model's input. Needed only if the model wasn't trained as the head's \
                     family is. May change while playing, as described for model",
                )
                .mutable_playing(),
            color as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("backend", default.backend).nick("Backend").blurb(
                "Backend that runs the model. There is no fallback from one to the other. Can be changed only in \
                     NULL",
            ),
            backend as itself
        ),
        property!(crate::elements::device::id_property(default.device_id), device_id as itself),
        property!(
            glib::ParamSpecEnum::builder_with_default("precision", default.precision)
                .nick("Precision")
                .blurb(
                    "Arithmetic precision of the engine to build; with backend=cpu, the model's own precision is \
                     used",
                )
                .mutable_playing(),
            precision as itself
        ),
        property!(
            glib::ParamSpecString::builder("engine-cache")
                .nick("Engine cache")
                .blurb(
                    "Folder for built engines (default: gst-tensorrt in the user's cache folder); only for \
                     backend=tensorrt",
                )
                .mutable_playing(),
            engine_cache as path
        ),
        property!(
            glib::ParamSpecString::builder("engine-file")
                .nick("Engine file")
                .blurb(
                    "Where to keep the engine built from an .onnx file (.engine or .plan; its record is stored \
                     beside it as .json). It is used while it matches the model, settings, TensorRT version and GPU, \
                     and rebuilt there otherwise. If the .onnx file is missing, an engine that doesn't match is an \
                     error (default: engines are kept only in the engine cache); only for backend=tensorrt",
                )
                .mutable_playing(),
            engine_file as path
        ),
        property!(
            glib::ParamSpecUInt::builder("workspace-size")
                .nick("Workspace size")
                .blurb("Upper limit of the scratch memory for building an engine, in MiB; only for backend=tensorrt",)
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
                    "Maximum number of images per batch, taken from all elements that share the model. A model with \
                     a fixed batch size keeps that size",
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
                    "Maximum time in nanoseconds that a frame waits for expected frames of other streams to fill a \
                     batch; 0: a batch consists of the frames that are waiting when the engine becomes free",
                )
                .mutable_playing()
                .default_value(nanoseconds(default.batch_timeout)),
            batch_timeout as time
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
        property!(
            glib::ParamSpecUInt::builder("interval")
                .nick("Interval")
                .blurb("Number of frames passed on without inference after each inferred frame, per stream")
                .default_value(default.interval)
                .mutable_playing(),
            interval as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("inference-region", default.region)
                .nick("Inference region")
                .blurb("Part of each frame that the model runs on")
                .mutable_playing(),
            region as itself
        ),
        property!(
            glib::ParamSpecString::builder("object-classes")
                .nick("Object classes")
                .blurb(
                    "With inference-region=objects: labels of the objects to run on, LABEL,LABEL,… (default: all). \
                     Write a comma inside a label as \\,",
                )
                .mutable_playing(),
            object_classes as written
        ),
        property!(
            glib::ParamSpecFloat::builder("confidence")
                .nick("Confidence")
                .blurb("Minimum confidence of a detected object, 0–1")
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
                    "Minimum confidence of individual classes, CLASS=VALUE,CLASS=VALUE,… by label or number. A label \
                     applies to all classes with that name; write a comma inside it as \\,",
                )
                .mutable_playing(),
            class_confidence as written
        ),
        property!(
            glib::ParamSpecFloat::builder("iou")
                .nick("IoU")
                .blurb(
                    "IoU (intersection over union) threshold of suppression, 0–1: boxes of the same class that \
                     overlap by more count as one object. End-to-end models ignore it",
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
                .blurb("Treat overlapping boxes as one object even if their classes differ")
                .default_value(default.class_agnostic_nms)
                .mutable_playing(),
            class_agnostic_nms as itself
        ),
        property!(
            glib::ParamSpecString::builder("classes")
                .nick("Classes")
                .blurb(
                    "Report only these classes, CLASS,CLASS,… by label or number (default: all). A label applies to \
                     all classes with that name; write a comma inside it as \\,",
                )
                .mutable_playing(),
            classes as written
        ),
        property!(
            glib::ParamSpecUInt::builder("max-detections")
                .nick("Most detections")
                .blurb("Maximum number of objects per image; the most confident ones are kept")
                .minimum(1)
                .maximum(100_000)
                .default_value(default.max_detections)
                .mutable_playing(),
            max_detections as itself
        ),
        property!(
            glib::ParamSpecString::builder("min-size")
                .nick("Least size")
                .blurb("Minimum size of an object's box, WIDTHxHEIGHT in frame pixels")
                .mutable_playing(),
            min_size as written
        ),
        property!(
            glib::ParamSpecString::builder("max-size")
                .nick("Greatest size")
                .blurb("Maximum size of an object's box, WIDTHxHEIGHT in frame pixels; 0: no limit")
                .mutable_playing(),
            max_size as written
        ),
        property!(
        glib::ParamSpecString::builder("roi")
            .nick("Regions of interest")
            .blurb(
                "Parts of the frame to run on, LEFT,TOP,WIDTH,HEIGHT;… as fractions of the frame, 0–1 (default: the \
                 whole frame). With inference-region=objects: only objects whose centre lies in one of them",
            )
            .mutable_playing(),
        roi as written
        ),
        property!(
            glib::ParamSpecBoolean::builder("skip-when-busy")
                .nick("Skip when busy")
                .blurb(
                    "Pass a frame on without inference if at least half of max-in-flight frames are already waiting \
                     for the engine",
                )
                .default_value(default.skip_when_busy)
                .mutable_playing(),
            skip_when_busy as itself
        ),
        property!(
            glib::ParamSpecBoolean::builder("output-tensors")
                .nick("Output tensors")
                .blurb(
                    "Also attach the model's raw outputs to each buffer: as GstTensorMeta for GStreamer's decoders (1.26 \
                     or later), and as the custom meta TrtOutputTensors",
                )
                .default_value(default.output_tensors)
                .mutable_playing(),
            output_tensors as itself
        ),
        property!(
            glib::ParamSpecBoolean::builder("roi-meta")
                .nick("ROI metadata")
                .blurb(
                    "Also attach a GstVideoRegionOfInterestMeta for each object, so that other programs can read the \
                     results. Disabling it saves most of the CPU time spent per object. Without it and analytics-meta \
                     only this plugin's elements and users of its library see the objects",
                )
                .default_value(default.roi_meta)
                .mutable_playing(),
            roi_meta as itself
        ),
        property!(
            glib::ParamSpecBoolean::builder("analytics-meta")
                .nick("Analytics metadata")
                .blurb(
                    "Also attach the objects as GstAnalyticsRelationMeta, which GStreamer's own elements for analytics \
                     read. Needs GStreamer 1.24 or later and its library libgstanalytics-1.0: true by default where \
                     that is found, and an error where it isn't",
                )
                .default_value(default.analytics_meta)
                .mutable_playing(),
            analytics_meta as itself
        ),
        property!(
            glib::ParamSpecUInt::builder("gpu-memory-limit")
                .nick("GPU memory limit")
                .blurb(
                    "Maximum GPU memory for the model's service (weights, scratch memory, tables, inputs and outputs), \
                 in MiB; 0: no limit; only for backend=tensorrt",
                )
                .maximum(1 << 20)
                .default_value(default.gpu_memory_limit)
                .mutable_playing(),
            gpu_memory_limit as itself
        ),
    ])
    .with_stats(
        "Structure with: frames, inferred, skipped (by interval, busy engine or missing region), \
         latency-p50/-p95/-p99 (ns, from pad to pad); tensors-shared and tensors-made; for the service shared by \
         elements with the same model: service, batches, batch-fill, batch-time-p50/-p95/-p99 (ns). With \
         backend=tensorrt also, for that service: gpu-memory and gpu-memory-peak (bytes), service-bytes-to-device \
         and service-bytes-to-host (copied between host and GPU), graphs, candidates-cut (candidates dropped before \
         suppression); and for the CUDA context: gpu-memory-ours (bytes allocated by all elements), \
         gpu-memory-beside (bytes used by the driver, graphs, decoders and others), bytes-to-device and \
         bytes-to-host",
    )
});

/// The properties that only `trtpose` has.
pub static POSE_PROPERTIES: LazyLock<Properties<InferenceOptions>> = LazyLock::new(|| {
    Properties::<InferenceOptions>::new([property!(
        glib::ParamSpecEnum::builder_with_default("attach", Attach::Match)
            .nick("Attach")
            .blurb("How to report a pose whose person has already been detected")
            .mutable_playing(),
        attach as itself
    )])
});

/// The properties that only `trtclassify` has, or whose defaults differ there.
pub static CLASSIFY_PROPERTIES: LazyLock<Properties<InferenceOptions>> = LazyLock::new(|| {
    let default = InferenceOptions::for_classification();
    Properties::<InferenceOptions>::new([
        property!(
            glib::ParamSpecUInt::builder("top-k")
                .nick("Most classes")
                .blurb(
                    "Maximum number of classes of an object or frame; those with the highest confidence are kept, from the \
                     property confidence on",
                )
                .minimum(1)
                .maximum(1000)
                .default_value(default.top_k)
                .mutable_playing(),
            top_k as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default::<InferenceRegion>("inference-region", default.region)
                .nick("Inference region")
                .blurb("The part of a frame to run on")
                .mutable_playing(),
            region as itself
        ),
    ])
});

/// The properties in which two elements' options differ.
pub fn differences(a: &InferenceOptions, b: &InferenceOptions) -> Vec<&'static ParamSpec> {
    // The region has a default of its own in the last, but is one option.
    let classify = CLASSIFY_PROPERTIES.differences(a, b).into_iter().filter(|spec| PROPERTIES.lacks(spec.name()));
    PROPERTIES.differences(a, b).into_iter().chain(POSE_PROPERTIES.differences(a, b)).chain(classify).collect()
}

/// Copies every option that decides which model is opened.
pub fn copy_model(to: &mut InferenceOptions, from: &InferenceOptions) {
    for row in PROPERTIES.rows().iter().filter(|row| MODEL.contains(&row.spec.name())) {
        (row.copy)(to, from);
    }
}
