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
 * Lines go to standard output (`location=-`), a file or a named pipe. gst-launch-1.0 prints to standard output as well
 * unless it's called with `-q`.
 *
 * A thread of its own writes the lines. When it falls behind by `max-queue` lines, `overflow` decides: `block` holds the
 * frames up, `drop-oldest` drops lines, counted in `stats`, and never a frame. EOS goes on once all lines are written.
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

glib::wrapper! {
    pub struct TrtPublish(ObjectSubclass<imp::TrtPublish>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "trtpublish", gst::Rank::NONE, TrtPublish::static_type())
}
