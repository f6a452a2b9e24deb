//! The properties of `trttrack`.

use crate::elements::device;
use crate::elements::property::as_value::{itself, path, time, written};
use crate::elements::property::{Properties, property};
use crate::infer::nanoseconds;
use crate::options::TrackingOptions;
use gst::glib;
use gst::prelude::*;
use std::sync::LazyLock;

pub static PROPERTIES: LazyLock<Properties<TrackingOptions>> = LazyLock::new(|| {
    let default = TrackingOptions::default();
    Properties::<TrackingOptions>::new([
        property!(
            glib::ParamSpecEnum::builder_with_default("algorithm", default.algorithm)
                .nick("Algorithm")
                .blurb(
                    "How objects are followed from frame to frame. None compensates motion of the camera, which would \
                     need the pixels. A change while playing gives all objects new ids",
                )
                .mutable_playing(),
            algorithm as itself
        ),
        property!(
            glib::ParamSpecUInt::builder("max-age")
                .nick("Max age")
                .blurb(
                    "For how many frames a track goes on without its object being found; frames that no model saw \
                     count too",
                )
                .default_value(default.max_age)
                .mutable_playing(),
            max_age as itself
        ),
        property!(
            glib::ParamSpecUInt::builder("min-hits")
                .nick("Min hits")
                .blurb(
                    "In how many consecutive frames that a model saw an object must be found before its track is \
                     confirmed; those of the stream's first frame are confirmed at once",
                )
                .minimum(1)
                .default_value(default.min_hits)
                .mutable_playing(),
            min_hits as itself
        ),
        property!(
            glib::ParamSpecFloat::builder("iou")
                .nick("IoU")
                .blurb(
                    "Minimum overlap (0–1) of an object and the box where it is expected; bytetrack and bot-sort \
                     multiply the overlap by the object's confidence first",
                )
                .minimum(0.0)
                .maximum(1.0)
                .default_value(default.iou)
                .mutable_playing(),
            iou as itself
        ),
        property!(
            glib::ParamSpecFloat::builder("high-confidence")
                .nick("High confidence")
                .blurb(
                    "Objects of at least this confidence (0–1) are assigned to tracks first; a new track starts with \
                     one of at least 0.1 more, but no more than 1",
                )
                .minimum(0.0)
                .maximum(1.0)
                .default_value(default.high_confidence)
                .mutable_playing(),
            high_confidence as itself
        ),
        property!(
            glib::ParamSpecFloat::builder("low-confidence")
                .nick("Low confidence")
                .blurb(
                    "Objects from this confidence (0–1) up to high-confidence are assigned to the tracks that are \
                     left; those below get no track. The detector's own threshold must be as low",
                )
                .minimum(0.0)
                .maximum(1.0)
                .default_value(default.low_confidence)
                .mutable_playing(),
            low_confidence as itself
        ),
        property!(
            glib::ParamSpecBoolean::builder("class-agnostic")
                .nick("Class-agnostic")
                .blurb(
                    "Let an object continue the track of another class of the same model, for models that confuse \
                     classes",
                )
                .default_value(default.class_agnostic)
                .mutable_playing(),
            class_agnostic as itself
        ),
        property!(
            glib::ParamSpecString::builder("reid")
                .nick("Re-identification model")
                .blurb(
                    "Path of a model that tells what an object looks like by a vector ([batch, values]): an .onnx file, or \
                     with backend=tensorrt an .engine or .plan file. Objects keep their ids where they come back after \
                     they were hidden or had left the picture (default: none; the pixels aren't read)",
                ),
            reid.model as path
        ),
        property!(
            glib::ParamSpecUInt64::builder("reid-max-age")
                .nick("Re-identification max age")
                .blurb("For how long in nanoseconds after it was last seen an object is recognised by its looks")
                .default_value(nanoseconds(default.reid_max_age))
                .mutable_playing(),
            reid_max_age as time
        ),
        property!(
            glib::ParamSpecFloat::builder("reid-distance")
                .nick("Re-identification distance")
                .blurb("Maximum cosine distance (0–2) of two vectors of the same object")
                .minimum(0.0)
                .maximum(2.0)
                .default_value(default.reid_distance)
                .mutable_playing(),
            reid_distance as itself
        ),
        property!(
            glib::ParamSpecUInt64::builder("reid-interval")
                .nick("Re-identification interval")
                .blurb(
                    "Time in nanoseconds between two vectors of an object that is followed without doubt; others get one \
                     in each frame that a model saw",
                )
                .default_value(nanoseconds(default.reid_interval))
                .mutable_playing(),
            reid_interval as time
        ),
        property!(
            glib::ParamSpecString::builder("normalization")
                .nick("Normalization")
                .blurb(
                    "How pixel values become the input of reid's model: auto (imagenet), unit (0-1), none (0-255), imagenet, \
                     or means and standard deviations of 0-255: 123.675,116.28,103.53/58.395,57.12,57.375",
                )
                .mutable_ready(),
            reid.normalization as written
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("color", default.reid.color)
                .nick("Color")
                .blurb("Order of the channels of the input of reid's model")
                .mutable_ready(),
            reid.color as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("backend", default.reid.backend)
                .nick("Backend")
                .blurb("Where the model of reid runs; with reid frames must be in its memory"),
            reid.backend as itself
        ),
        property!(device::id_property(default.reid.device_id), reid.device_id as itself),
        property!(
            glib::ParamSpecEnum::builder_with_default("precision", default.reid.precision)
                .nick("Precision")
                .blurb("Arithmetic precision of the engine that is built for reid")
                .mutable_ready(),
            reid.precision as itself
        ),
        property!(
            glib::ParamSpecUInt::builder("batch-size")
                .nick("Batch size")
                .blurb("Maximum number of objects in a batch of reid's model, of all elements that share it")
                .minimum(1)
                .maximum(256)
                .default_value(default.reid.batch_size)
                .mutable_ready(),
            reid.batch_size as itself
        ),
        property!(
            glib::ParamSpecString::builder("engine-cache")
                .nick("Engine cache")
                .blurb("Folder for engines that are built for reid (default: gst-tensorrt in the user's cache folder)")
                .mutable_ready(),
            reid.engine_cache as path
        ),
        property!(
            glib::ParamSpecString::builder("engine-file")
                .nick("Engine file")
                .blurb("Where the engine of reid's .onnx is kept, and reused while it fits (default: only in engine-cache)")
                .mutable_ready(),
            reid.engine_file as path
        ),
        property!(
            glib::ParamSpecBoolean::builder("roi-meta")
                .nick("ROI metadata")
                .blurb(
                    "Also attach a GstVideoRegionOfInterestMeta for each object that has none, predicted ones included, \
                     so that other programs can read them",
                )
                .default_value(default.roi_meta)
                .mutable_playing(),
            roi_meta as itself
        ),
        property!(
            glib::ParamSpecBoolean::builder("analytics-meta")
                .nick("Analytics metadata")
                .blurb(
                    "Also attach objects and tracks as GstAnalyticsRelationMeta, which GStreamer's own elements for \
                     analytics read. Needs GStreamer 1.24 or later and its library libgstanalytics-1.0: true by default \
                     where that is found, and an error where it isn't",
                )
                .default_value(default.analytics_meta)
                .mutable_playing(),
            analytics_meta as itself
        ),
    ])
    .with_stats(
        "Since READY→PAUSED: frames; frames-updated, in which a model ran; frames-predicted, in which none did; \
         objects-observed and objects-predicted, with a track; objects-embedded, by reid; resets (all uint64); and tracks, in the last frame, lost ones included (uint)",
    )
});
