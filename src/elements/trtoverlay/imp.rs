use super::canvas;
use crate::draw::{Overlay, Style};
use crate::elements::device::{Device, Wanted};
use crate::elements::property::as_value::{itself, time};
use crate::elements::property::{Properties, property};
use crate::elements::{caps, report, stage};
use crate::error::{Error, ErrorKind};
use crate::gpu::{DevicePainter, Drawing, Painter};
use crate::gst_cuda::MappedFrame;
use crate::infer::nanoseconds;
use crate::meta::{self, Record};
use crate::video_caps::device_format;
use cuda::check_driver;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_video::{VideoFrameRef, VideoInfo};
use parking_lot::Mutex;
use stage::{Flow, Stage, Work};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtoverlay", gst::DebugColorFlags::empty(), Some("Draws objects and poses into frames"))
});

static PROPERTIES: LazyLock<Properties<Style>> = LazyLock::new(|| {
    let default = Style::default();
    Properties::<Style>::new([
        property!(
            glib::ParamSpecBoolean::builder("display-boxes")
                .nick("Display boxes")
                .blurb("Draw the bounding boxes of objects")
                .default_value(default.boxes)
                .mutable_playing(),
            boxes as itself
        ),
        property!(
            glib::ParamSpecBoolean::builder("display-labels")
                .nick("Display labels")
                .blurb("Draw the labels of objects")
                .default_value(default.labels)
                .mutable_playing(),
            labels as itself
        ),
        property!(
            glib::ParamSpecBoolean::builder("display-confidence")
                .nick("Display confidence")
                .blurb("Draw the confidence of objects (0–1), after the label if that is displayed")
                .default_value(default.confidence)
                .mutable_playing(),
            confidence as itself
        ),
        property!(
            glib::ParamSpecBoolean::builder("display-keypoints")
                .nick("Display keypoints")
                .blurb("Draw keypoints and the limbs that connect them")
                .default_value(default.keypoints)
                .mutable_playing(),
            keypoints as itself
        ),
        property!(
            glib::ParamSpecBoolean::builder("display-masks")
                .nick("Display masks")
                .blurb("Draw the masks of objects, from models with masks")
                .default_value(default.masks)
                .mutable_playing(),
            masks as itself
        ),
        property!(
            glib::ParamSpecBoolean::builder("display-zones")
                .nick("Display zones")
                .blurb("Draw the zones and lines of trtzones, and with display-labels what was counted there")
                .default_value(default.zones)
                .mutable_playing(),
            zones as itself
        ),
        property!(
            glib::ParamSpecFloat::builder("mask-alpha")
                .nick("Mask alpha")
                .blurb("How much of a mask's color is blended into the picture (0–1)")
                .minimum(0.0)
                .maximum(1.0)
                .default_value(default.mask_alpha)
                .mutable_playing(),
            mask_alpha as itself
        ),
        property!(
            glib::ParamSpecUInt::builder("line-width")
                .nick("Line width")
                .blurb("Line width in pixels; 0: 1/360 of the frame's shorter side")
                .maximum(100)
                .default_value(default.line_width)
                .mutable_playing(),
            line_width as itself
        ),
        property!(
            glib::ParamSpecUInt::builder("font-size")
                .nick("Font size")
                .blurb("Text height of labels in pixels; 0: 1/42 of the frame's shorter side, at least 12")
                .maximum(500)
                .default_value(default.font_size)
                .mutable_playing(),
            font_size as itself
        ),
        property!(
            glib::ParamSpecFloat::builder("keypoint-confidence")
                .nick("Keypoint confidence")
                .blurb("Minimum confidence (0–1) of the keypoints to draw")
                .minimum(0.0)
                .maximum(1.0)
                .default_value(default.keypoint_confidence)
                .mutable_playing(),
            keypoint_confidence as itself
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("color-by", default.color_by)
                .nick("Color by")
                .blurb("What the color of an object represents")
                .mutable_playing(),
            color_by as itself
        ),
        property!(
            glib::ParamSpecUInt64::builder("tail")
                .nick("Tail")
                .blurb(
                    "Draw the way that each tracked object has come, for this time before the frame in nanoseconds; 0: \
                     none",
                )
                .maximum(nanoseconds(LONGEST_TAIL))
                .default_value(nanoseconds(default.tail))
                .mutable_playing(),
            tail as time
        ),
    ])
    .with_stats(
        "frames, drawn; time-p50/-p95/-p99 from a frame's arrival to the end of its drawing (ns); bytes-to-device \
         and bytes-to-host, copied in the CUDA context",
    )
});

/// Longer tails than this are of no use in a picture.
const LONGEST_TAIL: Duration = Duration::from_secs(60);

pub struct TrtOverlay {
    flow: Flow<Drawn>,
    settings: Mutex<Style>,
    device: Device,
    /// True if the caps have frames in GPU memory.
    in_gpu: Mutex<bool>,
    /// Set in PAUSED and above; used by the sink pad's thread.
    overlay: Mutex<Option<Overlay>>,
    /// Set from the first frame in GPU memory on.
    painter: Mutex<Option<DevicePainter>>,
    counters: Mutex<Counters>,
}

#[derive(Default)]
struct Counters {
    frames: u64,
    drawn: u64,
    time: report::Times,
}

/// A frame in flight between the pads.
pub struct Drawn {
    arrival: Instant,
    frame: Frame,
}

enum Frame {
    Ready(gst::Buffer),
    /// Being drawn on by the GPU.
    Drawing(Drawing),
}

impl Work for Drawn {
    /// A frame on the GPU is waited for in `finish`, when it is next in order.
    fn ready(&self) -> bool {
        true
    }
}

/// The maximum number of frames between the pads: one is drawn on while the previous one is pushed.
const LIMIT: usize = 2;

#[glib::object_subclass]
impl ObjectSubclass for TrtOverlay {
    const NAME: &'static str = "GstTrtOverlay";
    type Type = super::TrtOverlay;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name).expect("one of pad_templates()");
        Self {
            flow: stage::new_flow::<Self>(&template("sink"), &template("src")),
            settings: Mutex::default(),
            device: Device::default(),
            in_gpu: Mutex::default(),
            overlay: Mutex::default(),
            painter: Mutex::default(),
            counters: Mutex::default(),
        }
    }
}

impl ObjectImpl for TrtOverlay {
    fn constructed(&self) {
        self.parent_constructed();
        self.flow.add_pads(&*self.obj());
    }

    fn properties() -> &'static [glib::ParamSpec] {
        PROPERTIES.specs()
    }

    fn set_property(&self, id: usize, value: &glib::Value, _: &glib::ParamSpec) {
        PROPERTIES.set(&mut self.settings.lock(), id, value);
    }

    fn property(&self, id: usize, _: &glib::ParamSpec) -> glib::Value {
        let option = PROPERTIES.get(&self.settings.lock(), id);
        option.unwrap_or_else(|| self.stats().to_value())
    }
}

impl GstObjectImpl for TrtOverlay {}

impl ElementImpl for TrtOverlay {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "TensorRT overlay",
                "Filter/Effect/Video",
                "Draws the boxes, masks, labels and skeletons found by models into video frames",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(stage::pad_templates);
        &TEMPLATES
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::ReadyToPaused {
            let overlay = Overlay::new().map_err(|error| {
                let text = format!("can't read the built-in font: {error}");
                report::post(&*self.obj(), &Error::new(ErrorKind::Failed, text));
                gst::StateChangeError
            })?;
            *self.overlay.lock() = Some(overlay);
            *self.counters.lock() = Counters::default();
        }
        let result = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::PausedToReady => {
                *self.overlay.lock() = None;
                let painter = self.painter.lock().take();
                drop(painter);
            }
            gst::StateChange::ReadyToNull => self.device.close(),
            _ => {}
        }
        Ok(result)
    }

    fn set_context(&self, context: &gst::Context) {
        self.device.set_context(&*self.obj(), context);
        self.parent_set_context(context);
    }
}

impl TrtOverlay {
    /// Takes note of where tracked objects are. A frame without a timestamp adds nothing to their tails.
    fn follow(&self, buffer: &gst::BufferRef, record: &Record) -> Result<(), gst::FlowError> {
        let style = *self.settings.lock();
        if let Some(pts) = buffer.pts() {
            let mut overlay = self.overlay.lock();
            let overlay = overlay.as_mut().ok_or(gst::FlowError::Flushing)?;
            overlay.follow(record, Duration::from_nanos(pts.nseconds()), &style);
        }
        Ok(())
    }

    /// Draws into a frame in system memory.
    fn draw(&self, mut buffer: gst::Buffer, info: &VideoInfo, record: &Record) -> Result<gst::Buffer, Error> {
        let style = *self.settings.lock();
        let failed = |text: String| Error::new(ErrorKind::Model, text);
        // Other owners of the frame don't see the drawing, because mapping a shared memory for writing copies it.
        let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer.make_mut(), info).map_err(|_| {
            failed(format!("can't map a {}×{} {} frame", info.width(), info.height(), info.format().to_str()))
        })?;
        let mut overlay = self.overlay.lock();
        let overlay = overlay.as_mut().ok_or_else(stopped)?;
        canvas::draw(overlay, &mut frame, record, &style).map_err(failed)?;
        drop(frame);
        Ok(buffer)
    }

    /// Starts drawing a record into a frame in GPU memory.
    fn draw_on_device(&self, buffer: gst::Buffer, info: &VideoInfo, record: &Record) -> Result<Drawing, Error> {
        let style = *self.settings.lock();
        let mut painter = self.painter.lock();
        let painter = self.painter_for(&mut painter, &buffer, info)?;
        let mut overlay = self.overlay.lock();
        painter.draw(buffer, info, overlay.as_mut().ok_or_else(stopped)?, record, &style)
    }

    /// The painter for the frame's CUDA context, which may differ from the previous frame's.
    fn painter_for<'a>(
        &self,
        painter: &'a mut Option<DevicePainter>,
        buffer: &gst::Buffer,
        info: &VideoInfo,
    ) -> Result<&'a mut DevicePainter, Error> {
        let frame = MappedFrame::read(buffer, info)?;
        match painter.take_if(|painter| !painter.is_of(&frame)) {
            None if painter.is_some() => {}
            _ => {
                let shared = frame.shared_context()?;
                self.device.adopt(shared.clone());
                *painter = Some(DevicePainter::new(shared)?);
            }
        }
        painter.as_mut().ok_or_else(stopped)
    }

    fn stats(&self) -> gst::Structure {
        let counters = self.counters.lock();
        let mut stats = gst::Structure::builder("application/x-trt-stats")
            .field("frames", counters.frames)
            .field("drawn", counters.drawn)
            .build();
        counters.time.set(&mut stats, "time");
        drop(counters);
        report::set_traffic(&mut stats, &self.device);
        stats
    }

    /// Prepares for frames in GPU memory.
    fn open_device(&self, info: &VideoInfo) -> Result<(), Error> {
        check_driver()?;
        if !device_format(info.format()).is_some_and(Painter::draws_on) {
            let name = info.format().to_str();
            let text = format!(
                "trtoverlay can draw only on NV12, RGBA and BGRA in GPU memory, but these frames are {name}: put \
                 cudaconvert ! video/x-raw(memory:CUDAMemory),format=NV12 before it"
            );
            return Err(Error::new(ErrorKind::Model, text));
        }
        if self.device.context().is_err() {
            self.device.open(&*self.obj(), Wanted::Any)?;
        }
        Ok(())
    }
}

impl Stage for TrtOverlay {
    type Work = Drawn;

    fn flow(&self) -> &Flow<Drawn> {
        &self.flow
    }

    /// Accepts both memories: frames are drawn on where they are.
    fn caps(&self) -> gst::Caps {
        caps::template()
    }

    fn limit(&self) -> usize {
        LIMIT
    }

    fn device(&self) -> Option<&Device> {
        Some(&self.device)
    }

    fn set_info(&self, info: &VideoInfo, caps: &gst::CapsRef) -> Result<(), gst::LoggableError> {
        let in_gpu = caps::in_gpu(caps);
        if in_gpu {
            self.open_device(info).map_err(|error| {
                report::post(&*self.obj(), &error);
                gst::loggable_error!(CAT, "{error}")
            })?;
        }
        *self.in_gpu.lock() = in_gpu;
        gst::debug!(CAT, imp = self, "draws on {caps}");
        Ok(())
    }

    fn submit(&self, buffer: gst::Buffer, _at_once: bool) -> Result<Drawn, gst::FlowError> {
        let arrival = Instant::now();
        let info = self.flow.info().ok_or(gst::FlowError::NotNegotiated)?;
        let record = meta::read(&buffer, info.width(), info.height());
        self.counters.lock().frames += 1;
        self.follow(&buffer, &record)?;
        if record.objects.is_empty() && record.classifications.is_empty() && record.places.is_empty() {
            return Ok(Drawn { arrival, frame: Frame::Ready(buffer) });
        }
        let frame = match *self.in_gpu.lock() {
            true => self.draw_on_device(buffer, &info, &record).map(Frame::Drawing),
            false => self.draw(buffer, &info, &record).map(Frame::Ready),
        };
        let frame = frame.map_err(|error| self.fail(&error))?;
        self.counters.lock().drawn += 1;
        self.tell();
        Ok(Drawn { arrival, frame })
    }

    fn finish(&self, work: Drawn) -> Result<gst::Buffer, gst::FlowError> {
        let buffer = match work.frame {
            Frame::Ready(buffer) => buffer,
            Frame::Drawing(drawing) => {
                drawing.finish().map_err(|error| self.fail(&error))?.ok_or(gst::FlowError::Error)?
            }
        };
        gst::trace!(CAT, imp = self, "frame {}: ready after {:?}", buffer.pts().display(), work.arrival.elapsed());
        self.counters.lock().time.record(work.arrival.elapsed());
        stage::post_latency_change(self, self.latency());
        Ok(buffer)
    }

    fn latency(&self) -> Duration {
        self.counters.lock().time.longest()
    }
}

impl TrtOverlay {
    /// Posts the notices of the drawing about labels.
    fn tell(&self) {
        // Posted without the lock, which a synchronous bus handler may need.
        while let Some(notice) = self.overlay.lock().as_mut().and_then(Overlay::take_notice) {
            gst::element_imp_warning!(self, gst::ResourceError::Settings, ("{notice}"));
        }
    }

    fn fail(&self, error: &Error) -> gst::FlowError {
        report::post(&*self.obj(), error);
        gst::FlowError::Error
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Failed, "trtoverlay is stopped")
}
