//! SECTION:element-trtclassify
//!
//! Classifies the objects that were detected upstream, by this plugin's elements or by others, or with
//! `inference-region=frame` whole frames. The `top-k` most probable classes, from `confidence` on, are attached to each
//! object. Supported models: classifiers that Ultralytics exports (YOLOv8-cls, YOLO11-cls, YOLO26-cls), and those of
//! torchvision, timm and Hugging Face. With `head=embedding` a model's vector is attached instead, for comparisons.
//!
//! ```sh
//! gst-launch-1.0 -q filesrc location=media/bikes.mp4 ! qtdemux ! h264parse ! avdec_h264 \
//!   ! trtdetect backend=cpu model=models/yolov12n.onnx \
//!   ! trtclassify backend=cpu model=yolo11n-cls.onnx object-classes=car min-size=64x64 top-k=3 \
//!   ! trtpublish location=- ! fakesink
//! ```
//!
//! `object-classes`, `min-size`, `max-size` and `roi` select the objects. Where a tracker has given objects their ids,
//! `interval` counts for each track by itself, and its classes are attached to the frames in between too. Other objects
//! are classified in every (`interval` + 1)th frame.
//!
//! The other properties are those of `trtdetect`.
//!
//! Since: 0.1

mod imp;

use super::inference::Inference;
use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    pub struct TrtClassify(ObjectSubclass<imp::TrtClassify>) @extends Inference, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "trtclassify", gst::Rank::NONE, TrtClassify::static_type())
}
