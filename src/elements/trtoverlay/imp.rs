use super::{ColorBy, canvas};
use crate::draw::{Overlay, Style};
use crate::elements::caps;
use crate::meta;
use crate::sync::lock;
use gst::glib;
use gst::prelude::*;
use gst_base::subclass::BaseTransformMode;
use gst_base::subclass::prelude::*;
use gst_video::prelude::*;
use gst_video::subclass::prelude::*;
use gst_video::{VideoFrameRef, VideoInfo};
use std::sync::{LazyLock, Mutex};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtoverlay", gst::DebugColorFlags::empty(), Some("Draws objects and poses into frames"))
});

/// The properties are the drawing's style.
type Settings = Style;

#[derive(Debug, Default)]
pub struct TrtOverlay {
    settings: Mutex<Settings>,
    /// Between `start` and `stop`; used by the streaming thread.
    overlay: Mutex<Option<Overlay>>,
}

#[glib::object_subclass]
impl ObjectSubclass for TrtOverlay {
    const NAME: &'static str = "GstTrtOverlay";
    type Type = super::TrtOverlay;
    type ParentType = gst_video::VideoFilter;
}

impl ObjectImpl for TrtOverlay {
    fn constructed(&self) {
        self.parent_constructed();
        // To drop late frames would save the millisecond of drawing, and lose them for those that read results after it.
        self.obj().set_property("qos", false);
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let default = Settings::default();
            vec![
                glib::ParamSpecBoolean::builder("display-boxes")
                    .nick("Display boxes")
                    .blurb("Draw the objects' boxes")
                    .default_value(default.boxes)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoolean::builder("display-labels")
                    .nick("Display labels")
                    .blurb("Write the objects' labels")
                    .default_value(default.labels)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoolean::builder("display-confidence")
                    .nick("Display confidence")
                    .blurb("Write the objects' confidence (0-1), after the label if that is displayed")
                    .default_value(default.confidence)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoolean::builder("display-keypoints")
                    .nick("Display keypoints")
                    .blurb("Draw keypoints and the limbs between them")
                    .default_value(default.keypoints)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("line-width")
                    .nick("Line width")
                    .blurb("Width of lines in pixels (0 = 1/360 of the frame's shorter side)")
                    .maximum(100)
                    .default_value(default.line_width)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("font-size")
                    .nick("Font size")
                    .blurb("Height of labels' text in pixels (0 = 1/42 of the frame's shorter side, at least 12)")
                    .maximum(500)
                    .default_value(default.font_size)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecFloat::builder("keypoint-confidence")
                    .nick("Keypoint confidence")
                    .blurb("Least confidence (0-1) of keypoints to draw")
                    .minimum(0.0)
                    .maximum(1.0)
                    .default_value(default.keypoint_confidence)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("color-by", ColorBy::from(default.color_by))
                    .nick("Color by")
                    .blurb("What an object's colour stands for")
                    .mutable_playing()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        // GObject has checked type and range.
        match pspec.name() {
            "display-boxes" => settings.boxes = value.get().expect("type checked upstream"),
            "display-labels" => settings.labels = value.get().expect("type checked upstream"),
            "display-confidence" => settings.confidence = value.get().expect("type checked upstream"),
            "display-keypoints" => settings.keypoints = value.get().expect("type checked upstream"),
            "line-width" => settings.line_width = value.get().expect("type checked upstream"),
            "font-size" => settings.font_size = value.get().expect("type checked upstream"),
            "keypoint-confidence" => settings.keypoint_confidence = value.get().expect("type checked upstream"),
            "color-by" => settings.color_by = value.get::<ColorBy>().expect("type checked upstream").into(),
            name => unreachable!("property {name}"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = lock(&self.settings);
        match pspec.name() {
            "display-boxes" => settings.boxes.to_value(),
            "display-labels" => settings.labels.to_value(),
            "display-confidence" => settings.confidence.to_value(),
            "display-keypoints" => settings.keypoints.to_value(),
            "line-width" => settings.line_width.to_value(),
            "font-size" => settings.font_size.to_value(),
            "keypoint-confidence" => settings.keypoint_confidence.to_value(),
            "color-by" => ColorBy::from(settings.color_by).to_value(),
            name => unreachable!("property {name}"),
        }
    }
}

impl GstObjectImpl for TrtOverlay {}

impl ElementImpl for TrtOverlay {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "TensorRT overlay",
                "Filter/Effect/Video",
                "Draws boxes, labels and skeletons of what models found into the frame",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = caps::template();
            [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
                .into_iter()
                .filter_map(|(name, direction)| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).ok()
                })
                .collect()
        });
        &TEMPLATES
    }
}

impl BaseTransformImpl for TrtOverlay {
    const MODE: BaseTransformMode = BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let overlay = Overlay::new()
            .map_err(|error| gst::error_msg!(gst::LibraryError::Init, ["can't read the built-in font: {error}"]))?;
        *lock(&self.overlay) = Some(overlay);
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.overlay) = None;
        Ok(())
    }
}

impl VideoFilterImpl for TrtOverlay {
    fn set_info(
        &self,
        incaps: &gst::Caps,
        _in_info: &VideoInfo,
        _outcaps: &gst::Caps,
        _out_info: &VideoInfo,
    ) -> Result<(), gst::LoggableError> {
        if incaps.features(0).is_some_and(|features| features.contains(caps::CUDA_MEMORY)) {
            let message = "trtoverlay draws in system memory only, but these frames are in CUDA memory: put a \
                           cudadownload before it";
            gst::element_imp_error!(self, gst::StreamError::WrongType, ("{message}"), ["{incaps}"]);
            return Err(gst::loggable_error!(CAT, "{message} ({incaps})"));
        }
        gst::debug!(CAT, imp = self, "Drawing on {incaps}");
        Ok(())
    }

    fn transform_frame_ip(
        &self,
        frame: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let settings = *lock(&self.settings);
        let record = meta::read(frame.buffer(), frame.width(), frame.height());
        let mut overlay = lock(&self.overlay);
        let overlay = overlay.as_mut().ok_or(gst::FlowError::Flushing)?;
        canvas::draw(overlay, frame, &record, &settings).map_err(|message| {
            gst::element_imp_error!(self, gst::StreamError::Format, ("{message}"));
            gst::FlowError::Error
        })?;
        Ok(gst::FlowSuccess::Ok)
    }
}
