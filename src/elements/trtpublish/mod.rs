/**
 * SECTION:element-trtpublish
 * @title: trtpublish
 * @short_description: Publishes the objects found in each frame as JSON Lines
 *
 * Passes video frames through untouched and writes one line of JSON for each of them: stream, timestamps, frame number
 * and size, what each model did with the frame, and the objects with their boxes in pixels and their keypoints. It reads
 * what `trtdetect` and `trtpose` found, and the `GstVideoRegionOfInterestMeta` of other detectors. Frames that no model
 * has seen have a line too. The format is described in docs/json.md.
 *
 * Lines go to standard output (`location=-`), a file, a named pipe, a TCP server (`tcp://host:port`) or an MQTT broker
 * (`mqtt://host:port/topic`, `mqtts://` over TLS). gst-launch-1.0 prints to standard output as well unless it's called
 * with `-q`.
 *
 * A thread of its own writes the lines. When it falls behind by `max-queue` lines, `overflow` decides: `block` holds the
 * frames up, `drop-oldest` drops lines, counted in `stats`, and never a frame. EOS goes on once all lines are written; for
 * servers, which can be away, at the latest after `drain-timeout`.
 *
 * A server that isn't there, or goes, is a warning on the bus; it's tried again after 0.1 s to 10 s. A TCP reader gets
 * whole lines: one that was broken off comes again after the reconnect. With MQTT and `mqtt-qos=at-least-once` a line is
 * sent again until the broker has confirmed it; a line that the broker never takes is left out, counted and told. A broker
 * that refuses the account, a certificate that doesn't hold, and files and pipes that can't be opened or written are errors;
 * with `on-error=retry` they are warnings, and tried again. docs/outputs.md has the details.
 *
 * A file that was moved or deleted, as log rotation does, is opened anew with the next line, or at once by the action
 * signal `reopen`.
 *
 * ## Example launch line
 *
 * |[
 * gst-launch-1.0 -q videotestsrc num-buffers=3 ! trtpublish location=- stream-id=camera-1 ! fakesink
 * ]|
 *
 * Since: plugins-tensorrt-0.1.0
 */
use crate::publish::PublishOptions;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

mod imp;
mod properties;

glib::wrapper! {
    pub struct TrtPublish(ObjectSubclass<imp::TrtPublish>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Sets all options of an element; `None`: it isn't one of these.
pub fn set_options(element: &gst::Element, options: &PublishOptions) -> Option<()> {
    element.downcast_ref::<TrtPublish>().map(|element| element.imp().set_options(options.clone()))
}

/// The properties in which two elements' options differ.
pub fn differences(a: &PublishOptions, b: &PublishOptions) -> Vec<&'static glib::ParamSpec> {
    properties::PROPERTIES.differences(a, b)
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "trtpublish", gst::Rank::NONE, TrtPublish::static_type())
}
