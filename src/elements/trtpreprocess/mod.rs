//! SECTION:element-trtpreprocess
//!
//! Makes a model's input tensor from each frame, once for all models downstream that take the same input: letterboxing,
//! colour conversion, normalisation. The frame itself isn't changed; the tensor is attached to its buffer. The tensor's
//! specification comes from the `model` property, or from `width`, `height` and the related properties, or else from
//! the models downstream, which are queried.
//!
//! ```sh
//! gst-launch-1.0 -q filesrc location=media/bikes.mp4 ! qtdemux ! h264parse ! avdec_h264 \
//!   ! trtpreprocess backend=cpu ! trtdetect backend=cpu model=models/yolov12n.onnx ! trtpublish location=- ! fakesink
//! ```
//!
//! With `backend=tensorrt` the tensor is made in GPU memory, on a separate CUDA stream: only the models that read it
//! wait for it. `model` may also be an engine, with its ONNX file or the record of `gst-trt build -o` beside it.
//!
//! A model makes its input itself if the buffer has no matching tensor; the `stats` property of each element counts
//! both cases.
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
