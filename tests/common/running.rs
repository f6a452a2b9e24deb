//! Pipelines of the plugin's elements: created from a launch string, stopped on drop, with a timeout on every wait.

use super::find;
use super::picture::Picture;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gsttensorrt::meta;
use model::Detection;
use std::sync::Once;
use std::time::{Duration, Instant};

/// Timeout of all waits here.
pub const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);
/// Time from one frame to the next.
pub const PERIOD: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// Initialises GStreamer, and registers the elements of this build once per process.
pub fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gsttensorrt::plugin_register_static().unwrap();
    });
}

/// Registers the elements; `false` if there is no engine to run them, which is reported on stderr.
pub fn start() -> bool {
    register();
    find::onnx_runtime()
}

/// `ELEMENT backend=cpu model=…` with one of the test models.
pub fn with_model(element: &str, model: &str) -> String {
    format!("{element} backend=cpu model={}", find::test_model(model).display())
}

/// A pipeline that stops with the test.
pub struct Running(pub gst::Pipeline);

impl Running {
    /// Created, and still in NULL.
    pub fn new(launch: &str) -> Self {
        let made = gst::parse::launch(launch).unwrap_or_else(|e| panic!("{e}: {launch}"));
        Self(made.downcast().unwrap())
    }

    pub fn playing(launch: &str) -> Self {
        let this = Self::new(launch);
        this.set_state(gst::State::Playing);
        this
    }

    #[track_caller]
    pub fn set_state(&self, state: gst::State) {
        if self.0.set_state(state).is_err() {
            panic!("{state:?} is refused: {}", self.error());
        }
    }

    pub fn element(&self, name: &str) -> gst::Element {
        self.0.by_name(name).unwrap_or_else(|| panic!("no element {name}"))
    }

    pub fn source(&self, name: &str) -> gst_app::AppSrc {
        self.element(name).downcast().unwrap()
    }

    pub fn sink(&self, name: &str) -> gst_app::AppSink {
        self.element(name).downcast().unwrap()
    }

    pub fn stats(&self, name: &str) -> gst::Structure {
        self.element(name).property("stats")
    }

    /// The next message of one of these types. Latency is redistributed on request, as applications do.
    #[track_caller]
    pub fn message(&self, kinds: &[gst::MessageType]) -> gst::Message {
        let bus = self.0.bus().unwrap();
        let all: Vec<_> = kinds.iter().copied().chain([gst::MessageType::Latency]).collect();
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < Duration::from(PATIENCE), "no {kinds:?} on the bus");
            let Some(message) = bus.timed_pop_filtered(gst::ClockTime::SECOND, &all) else { continue };
            if message.type_() != gst::MessageType::Latency {
                return message;
            }
            let _ = self.0.recalculate_latency();
        }
    }

    /// Waits for EOS.
    #[track_caller]
    pub fn wait_for_end(&self) {
        let message = self.message(&[gst::MessageType::Eos, gst::MessageType::Error]);
        if let gst::MessageView::Error(error) = message.view() {
            panic!("{} instead of EOS", error.error());
        }
    }

    /// The text of the next error.
    #[track_caller]
    pub fn error(&self) -> String {
        match self.message(&[gst::MessageType::Error]).view() {
            gst::MessageView::Error(error) => error.error().message().to_owned(),
            _ => unreachable!("only errors are asked for"),
        }
    }

    /// The text of the next error from this element. Others that meet the same failure may report it earlier.
    #[track_caller]
    pub fn error_by(&self, element: &str) -> String {
        loop {
            let message = self.message(&[gst::MessageType::Error]);
            if let gst::MessageView::Error(error) = message.view()
                && message.src().is_some_and(|source| source.name() == element)
            {
                return error.error().message().to_owned();
            }
        }
    }

    /// The error with which setting PAUSED fails.
    #[track_caller]
    pub fn refusal(launch: &str) -> String {
        let this = Self::new(launch);
        assert!(this.0.set_state(gst::State::Paused).is_err(), "goes to PAUSED: {launch}");
        this.error()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// A picture as the `n`th frame of a stream.
pub fn frame(picture: &Picture, format: VideoFormat, n: usize) -> gst::Buffer {
    let mut buffer = picture.rgb().frame(format).buffer;
    let writable = buffer.get_mut().unwrap();
    writable.set_pts(PERIOD * n as u64);
    writable.set_duration(PERIOD);
    buffer
}

/// The frame number of a buffer in its stream.
pub fn number(buffer: &gst::BufferRef) -> usize {
    (buffer.pts().expect("frames have a PTS").nseconds() / PERIOD.nseconds()) as usize
}

/// Caps of a picture at one frame per [`PERIOD`].
pub fn caps(picture: &Picture, format: VideoFormat) -> gst::Caps {
    picture.rgb().info(format).to_caps().unwrap()
}

/// Pushes `count` numbered pictures as RGB frames, then EOS.
pub fn push_numbered(source: &gst_app::AppSrc, count: usize) {
    source.set_caps(Some(&caps(&Picture::numbered(0), VideoFormat::Rgb)));
    for n in 0..count {
        if source.push_buffer(frame(&Picture::numbered(n), VideoFormat::Rgb, n)).is_err() {
            return;
        }
    }
    let _ = source.end_of_stream();
}

/// The next buffer of an appsink; `None` at EOS.
#[track_caller]
pub fn pull(sink: &gst_app::AppSink) -> Option<gst::Buffer> {
    match sink.try_pull_sample(PATIENCE) {
        Some(sample) => sample.buffer_owned(),
        None => {
            assert!(sink.is_eos(), "nothing comes; {}", posted_error(sink));
            None
        }
    }
}

/// The pending error on the bus of an element's pipeline.
fn posted_error(element: &impl IsA<gst::Object>) -> String {
    let pipeline = std::iter::successors(element.parent(), |object| object.parent()).last();
    let bus =
        pipeline.and_then(|pipeline| pipeline.downcast::<gst::Pipeline>().ok()).and_then(|pipeline| pipeline.bus());
    match bus.and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error])).as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => error.error().to_string(),
        _ => "no error is posted".into(),
    }
}

/// The format of an appsink's frames, once there was one.
#[track_caller]
pub fn info(sink: &gst_app::AppSink) -> VideoInfo {
    let caps = sink.sink_pads()[0].current_caps().expect("caps with the frames");
    VideoInfo::from_caps(&caps).unwrap()
}

/// The objects that one model found in a frame, as detections.
pub fn found_by(buffer: &gst::BufferRef, model_id: &str) -> Vec<Detection> {
    let record = meta::record(buffer).unwrap_or_else(|| panic!("frame {} has no record", number(buffer)));
    let of_model = record.objects.iter().filter(|object| &*object.source == model_id);
    of_model
        .map(|object| Detection {
            rect: object.rect,
            oriented: object.oriented,
            class_id: object.class_id.expect("our models know classes"),
            confidence: object.confidence,
            keypoints: object.keypoints.iter().flat_map(|k| k.points.clone()).collect(),
            ..Detection::default()
        })
        .collect()
}
