//! SECTION:element-trtdetect
//!
//! Finds objects in video frames. The frames pass as they are; what was found rides on the buffer, as the plugin's record
//! and as `GstVideoRegionOfInterestMeta`. Models: YOLOv8, 9, 10, 11, 12 and 26 as Ultralytics exports them, and NanoDet;
//! head, size and labels are read off the model.
//!
//! ```text
//! gst-launch-1.0 -q filesrc location=media/bikes.mp4 ! qtdemux ! h264parse ! avdec_h264
//!   ! trtdetect backend=cpu model=models/yolov12n.onnx ! trtpublish location=- ! fakesink
//! ```
//!
//! With `backend=tensorrt` (the default) it takes `video/x-raw(memory:CUDAMemory)` and runs on the GPU, with
//! `backend=cpu` system memory and the CPU. There is no fallback from one to the other: what is missing is an error.
//!
//! Elements with the same model and engine settings share one engine, in all pipelines of the process, and their frames
//! form common batches.
//!
//! On the GPU a model's engine is built when it's first used, which takes minutes: the change to PAUSED ends when it's done,
//! PROGRESS messages tell how far it is, and NULL cancels it. `gst-trt build` does it ahead of time. Another `model` may be set
//! while playing: it takes over between two frames when it's ready.
//!
//! Since: 0.1

mod imp;

use super::inference::Inference;
use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    pub struct TrtDetect(ObjectSubclass<imp::TrtDetect>) @extends Inference, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "trtdetect", gst::Rank::NONE, TrtDetect::static_type())
}
