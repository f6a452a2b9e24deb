//! SECTION:element-trtdetect
//!
//! Detects objects in video frames. The frames themselves aren't changed: the results are attached to each buffer as
//! the plugin's record, as `GstVideoRegionOfInterestMeta` and as `GstAnalyticsRelationMeta`. docs/models.md lists the families of
//! models: YOLO in its forms, with masks and oriented boxes too, DETRs, YOLOX, PP-YOLOE, DAMO-YOLO, NanoDet and others. The
//! head, the input size and the labels are taken from the model.
//!
//! ```sh
//! gst-launch-1.0 -q filesrc location=media/bikes.mp4 ! qtdemux ! h264parse ! avdec_h264 \
//!   ! trtdetect backend=cpu model=models/yolov12n.onnx ! trtpublish location=- ! fakesink
//! ```
//!
//! With `backend=tensorrt` (the default) the element accepts `video/x-raw(memory:CUDAMemory)` and runs on the GPU. With
//! `backend=cpu` it accepts system memory and runs on the CPU. There is no fallback from one to the other: a missing
//! library or device is an error.
//!
//! Elements with the same model and engine settings share one engine, in all pipelines of the process, and their frames
//! are batched together.
//!
//! On the GPU a model's engine is built on first use, which takes minutes. The state change to PAUSED completes when
//! the engine is ready; PROGRESS messages report the progress, and setting NULL cancels the build. `gst-trt build`
//! builds it ahead of time. Another `model` may be set while playing: it takes over between two frames once it is
//! ready.
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
