//! SECTION:element-trtoverlay
//!
//! Draws the results of models into the frame: boxes, masks, labels with confidence, and skeletons. It reads the objects of
//! `trtdetect` and `trtpose`, and those that other elements attach as region-of-interest metadata. Labels have the ids of tracks
//! (`person #12 0.87`), and `color-by=track` gives an object the same colour in all frames. The zones and lines of `trtzones` are
//! drawn with the numbers of objects in them and across them.
//!
//! Frames are drawn on in place and never converted: in system memory, or as NV12, RGBA and BGRA in GPU memory. A
//! shared frame, for example behind a `tee`, is copied first (on the GPU too), so that only this branch shows the
//! drawing.
//!
//! Labels are drawn with built-in fonts (Latin, Greek, Cyrillic, symbols, emoji), or else with a system font.
//! Characters that no font has, and scripts that join or stack letters or run from right to left, are transliterated to
//! Latin letters; a warning reports each such label once.
//!
//! ```sh
//! gst-launch-1.0 filesrc location=media/bikes.mp4 ! qtdemux ! h264parse ! avdec_h264 \
//!   ! trtdetect backend=cpu model=models/yolov12n.onnx ! trtpose backend=cpu model=models/movenet-multipose.onnx \
//!   ! trtoverlay ! videoconvert ! autovideosink
//! ```
//!
//! Since: 0.1

mod canvas;
mod imp;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    pub struct TrtOverlay(ObjectSubclass<imp::TrtOverlay>) @extends gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "trtoverlay", gst::Rank::NONE, TrtOverlay::static_type())
}
