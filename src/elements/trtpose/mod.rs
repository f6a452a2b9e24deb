//! SECTION:element-trtpose
//!
//! Estimates the poses of people in video frames. One-stage models (YOLO-pose, MoveNet multi-pose) run on the whole
//! frame; each pose is attached to the person that an upstream detector found there (`attach=match`), or else becomes a
//! separate object. Top-down models (MoveNet, RTMPose, ViTPose, HRNet) run on each person detected upstream, with
//! `inference-region=objects`.
//!
//! ```sh
//! gst-launch-1.0 -q filesrc location=media/bikes.mp4 ! qtdemux ! h264parse ! avdec_h264 \
//!   ! trtpose backend=cpu model=models/movenet-multipose.onnx ! trtpublish location=- ! fakesink
//! ```
//!
//! All other properties are those of `trtdetect`.
//!
//! Since: 0.1

mod imp;

use super::inference::Inference;
use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    pub struct TrtPose(ObjectSubclass<imp::TrtPose>) @extends Inference, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "trtpose", gst::Rank::NONE, TrtPose::static_type())
}
