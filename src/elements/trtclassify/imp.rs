use crate::elements::inference::{CLASSIFY_PROPERTIES, Inference, InferenceImpl, Task};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::LazyLock;

#[derive(Default)]
pub struct TrtClassify;

#[glib::object_subclass]
impl ObjectSubclass for TrtClassify {
    const NAME: &'static str = "GstTrtClassify";
    type Type = super::TrtClassify;
    type ParentType = Inference;
}

impl ObjectImpl for TrtClassify {
    fn properties() -> &'static [glib::ParamSpec] {
        CLASSIFY_PROPERTIES.specs()
    }

    fn set_property(&self, id: usize, value: &glib::Value, spec: &glib::ParamSpec) {
        self.obj().upcast_ref::<Inference>().imp().set(&CLASSIFY_PROPERTIES, id, value, spec);
    }

    fn property(&self, id: usize, _: &glib::ParamSpec) -> glib::Value {
        self.obj()
            .upcast_ref::<Inference>()
            .imp()
            .get(&CLASSIFY_PROPERTIES, id)
            .expect("each property of the class is in its table")
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.obj().upcast_ref::<Inference>().imp().set_task(Task::Classification);
    }
}

impl GstObjectImpl for TrtClassify {}

impl ElementImpl for TrtClassify {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Classification of objects",
                "Filter/Analyzer/Video",
                "Classifies detected objects or whole video frames with TensorRT or on the CPU",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }
}

impl InferenceImpl for TrtClassify {}
