//! SECTION:element-trtpublish
//!
//! Passes video frames through unchanged and writes one line of JSON for each: stream, timestamps, frame number and
//! size, what each model did with the frame, and the objects with their boxes in pixels and their keypoints. It reads
//! the results of `trtdetect` and `trtpose`, and the `GstVideoRegionOfInterestMeta` of other detectors. Frames without
//! inference have a line too. With `content=events` there is a line for each event of `trtzones` instead, and one with the
//! totals of the zone or line where it happened; with `both` there are all of these. docs/json.md describes the format.
//!
//! Lines are written to standard output (`location=-`), a file, a named pipe, a TCP server (`tcp://host:port`), an MQTT
//! broker (`mqtt://host:port/topic`), a Kafka topic (`kafka://host:port,host:port/topic`) or a Redis stream
//! (`redis://host:port/stream`); `mqtts://`, `kafkas://` and `rediss://` are over TLS. gst-launch-1.0 also prints to standard
//! output unless it's called with `-q`. `format` writes frames as DeepStream's message converter does.
//!
//! A separate thread writes the lines. When it falls behind by `max-queue` lines, `overflow` decides: `block` blocks
//! the frames; `drop-oldest` drops lines, which `stats` counts, but never a frame. EOS is forwarded once all lines are
//! written, and for servers, which can be away, after `drain-timeout` at the latest.
//!
//! If a server is unreachable or the connection breaks, a warning is posted on the bus and the connection is retried
//! after 0.1 s to 10 s. A TCP reader gets whole lines: an interrupted line is sent again after the reconnect. With
//! MQTT and `mqtt-qos=at-least-once` a line is sent again until the broker confirms it; a line that the broker never
//! accepts is dropped, counted and reported. A broker that refuses the account, an invalid certificate, and files and
//! pipes that can't be opened or written are errors; with `on-error=retry` they are warnings, and retried.
//! docs/outputs.md has the details.
//!
//! A file that was moved or deleted, as by log rotation, is reopened with the next line, or at once by the action
//! signal `reopen`. The action signal `purge` drops all lines that aren't delivered and all that come later.
//!
//! ```sh
//! gst-launch-1.0 -q videotestsrc num-buffers=3 ! trtpublish location=- stream-id=camera-1 ! fakesink
//! ```
//!
//! Since: 0.1

use crate::publish::PublishOptions;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

mod imp;
mod lines;
mod properties;

glib::wrapper! {
    pub struct TrtPublish(ObjectSubclass<imp::TrtPublish>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Sets all options of an element. Returns `None` if it isn't a `trtpublish`.
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
