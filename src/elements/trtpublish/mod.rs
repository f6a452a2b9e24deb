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
use gst::glib;
use gst::prelude::*;

mod imp;
mod settings;

use crate::publish;

/// What happens when lines come faster than they can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstTrtPublishOverflow")]
#[repr(i32)]
pub enum Overflow {
    #[default]
    #[enum_value(
        name = "Auto: drop-oldest for live streams into a pipe, socket or terminal, else block",
        nick = "auto"
    )]
    Auto,
    #[enum_value(name = "Block: hold frames up until there is room", nick = "block")]
    Block,
    #[enum_value(name = "Drop oldest: drop and count the lines that wait longest", nick = "drop-oldest")]
    DropOldest,
}

/// What becomes of an output that can't be opened or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstTrtPublishOnError")]
#[repr(i32)]
pub enum OnError {
    #[default]
    #[enum_value(name = "Fail: an error message, and the stream ends", nick = "fail")]
    Fail,
    #[enum_value(name = "Retry: a warning message; lines wait, frames go on, and it is tried again", nick = "retry")]
    Retry,
}

impl From<OnError> for publish::OnError {
    fn from(on_error: OnError) -> Self {
        match on_error {
            OnError::Fail => Self::Fail,
            OnError::Retry => Self::Retry,
        }
    }
}

/// How sure the delivery to an MQTT broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstTrtPublishQos")]
#[repr(i32)]
#[expect(clippy::enum_variant_names, reason = "MQTT's own names")]
pub enum Qos {
    #[enum_value(name = "At most once (0): sent and forgotten", nick = "at-most-once")]
    AtMostOnce = 0,
    #[enum_value(name = "At least once (1): sent until the broker has confirmed it", nick = "at-least-once")]
    AtLeastOnce = 1,
    #[enum_value(name = "Exactly once (2): once on a connection, by a longer handshake", nick = "exactly-once")]
    ExactlyOnce = 2,
}

impl From<publish::Qos> for Qos {
    fn from(qos: publish::Qos) -> Self {
        match qos {
            publish::Qos::AtMostOnce => Self::AtMostOnce,
            publish::Qos::AtLeastOnce => Self::AtLeastOnce,
            publish::Qos::ExactlyOnce => Self::ExactlyOnce,
        }
    }
}

impl From<Qos> for publish::Qos {
    fn from(qos: Qos) -> Self {
        match qos {
            Qos::AtMostOnce => Self::AtMostOnce,
            Qos::AtLeastOnce => Self::AtLeastOnce,
            Qos::ExactlyOnce => Self::ExactlyOnce,
        }
    }
}

glib::wrapper! {
    pub struct TrtPublish(ObjectSubclass<imp::TrtPublish>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "trtpublish", gst::Rank::NONE, TrtPublish::static_type())
}
