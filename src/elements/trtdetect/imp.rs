use crate::elements::inference::{Inference, InferenceImpl, Task};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::LazyLock;

#[derive(Default)]
pub struct TrtDetect;

#[glib::object_subclass]
impl ObjectSubclass for TrtDetect {
    const NAME: &'static str = "GstTrtDetect";
    type Type = super::TrtDetect;
    type ParentType = Inference;
}

impl ObjectImpl for TrtDetect {
    fn constructed(&self) {
        self.parent_constructed();
        self.obj().upcast_ref::<Inference>().imp().set_task(Task::Detection);
    }
}

impl GstObjectImpl for TrtDetect {}

impl ElementImpl for TrtDetect {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Object detection",
                "Filter/Analyzer/Video",
                "Detects objects in video frames with TensorRT or on the CPU",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }
}

impl InferenceImpl for TrtDetect {}
