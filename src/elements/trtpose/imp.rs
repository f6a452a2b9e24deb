use crate::elements::inference::{Effect, Inference, InferenceImpl, Task};
use crate::meta::Attach;
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
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecEnum::builder_with_default("attach", Attach::Match)
                    .nick("Attach")
                    .blurb("What becomes of a pose whose person was found before")
                    .mutable_playing()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    /// The one property is `attach`.
    fn set_property(&self, _id: usize, value: &glib::Value, _spec: &glib::ParamSpec) {
        let attach = value.get().unwrap_or(Attach::Match);
        self.obj().upcast_ref::<Inference>().imp().change_settings(|settings| {
            settings.attach = attach;
            Effect::Resolve
        });
    }

    fn property(&self, _id: usize, _spec: &glib::ParamSpec) -> glib::Value {
        self.obj().upcast_ref::<Inference>().imp().with_settings(|settings| settings.attach.to_value())
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
                "Human pose",
                "Filter/Analyzer/Video",
                "Finds the poses of people in video frames with TensorRT or on the CPU",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }
}

impl InferenceImpl for TrtPose {}
