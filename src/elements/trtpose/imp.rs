use crate::elements::inference::{Inference, InferenceImpl, POSE_PROPERTIES, Task};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::LazyLock;

#[derive(Default)]
pub struct TrtPose;

#[glib::object_subclass]
impl ObjectSubclass for TrtPose {
    const NAME: &'static str = "GstTrtPose";
    type Type = super::TrtPose;
    type ParentType = Inference;
}

impl ObjectImpl for TrtPose {
    fn properties() -> &'static [glib::ParamSpec] {
        POSE_PROPERTIES.specs()
    }

    fn set_property(&self, id: usize, value: &glib::Value, spec: &glib::ParamSpec) {
        self.obj().upcast_ref::<Inference>().imp().set(&POSE_PROPERTIES, id, value, spec);
    }

    fn property(&self, id: usize, _: &glib::ParamSpec) -> glib::Value {
        self.obj()
            .upcast_ref::<Inference>()
            .imp()
            .get(&POSE_PROPERTIES, id)
            .expect("each property of the class is in its table")
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.obj().upcast_ref::<Inference>().imp().set_task(Task::Pose);
    }
}

impl GstObjectImpl for TrtPose {}

impl ElementImpl for TrtPose {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Human pose estimation",
                "Filter/Analyzer/Video",
                "Estimates the poses of people in video frames with TensorRT or on the CPU",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }
}

impl InferenceImpl for TrtPose {}
