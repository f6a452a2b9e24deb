//! SECTION:element-trtpreprocess
//!
//! Makes a model's input tensor from each frame, once for every model after it that takes the same: letterbox, colour
//! conversion, normalisation. The frame itself passes untouched; the tensor rides on its buffer. What the tensor has to
//! be comes from the `model` property, or from `width`, `height` and the rest, or else from the models downstream, which
//! are asked.
//!
//! ```text
//! gst-launch-1.0 -q filesrc location=media/bikes.mp4 ! qtdemux ! h264parse ! avdec_h264
//!   ! trtpreprocess backend=cpu ! trtdetect backend=cpu model=models/yolov12n.onnx ! trtpublish location=- ! fakesink
//! ```
//!
//! With `backend=tensorrt` the tensor is made in GPU memory, on a stream of its own: nothing waits for it but the models that
//! read it. `model` takes an engine too, with its ONNX or the record of `gst-trt build -o` beside it.
//!
//! Models make their own input where there's no tensor that fits; `stats` of each counts both.
//!
//! Since: 0.1

mod imp;
mod settings;
mod tensors;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    pub struct TrtPreprocess(ObjectSubclass<imp::TrtPreprocess>) @extends gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "trtpreprocess", gst::Rank::NONE, TrtPreprocess::static_type())
}
