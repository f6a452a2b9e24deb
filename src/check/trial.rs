//! Measures a decoder: frames decoded in two seconds, of a stream that is generated here.

use crate::config::Codec;
use gst::prelude::*;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A decoder, and what to decode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Name of the element, for example `nvh264dec`.
    pub decoder: String,
    /// The caps after the decoder; empty: any.
    pub caps: &'static str,
    pub codec: Codec,
    /// Width and height, pixels.
    pub size: (u32, u32),
    /// Streams at once: as many as the decoder has engines.
    pub streams: u32,
}

/// The time measured, once the streams are running.
const TIME: Duration = Duration::from_secs(2);
/// How long the first frame may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Frames of the stream that is decoded in a loop; it begins with a key frame.
const FRAMES: u32 = 30;

/// Encoders, of which the first that is installed is used; the bit rate is that of a 1080p camera.
const H264: [&str; 4] = [
    "x264enc speed-preset=ultrafast key-int-max=30 bitrate=4096",
    "nvh264enc gop-size=30 bitrate=4096",
    "openh264enc gop-size=30 bitrate=4096000",
    "avenc_h264_omx",
];
const H265: [&str; 2] =
    ["x265enc speed-preset=ultrafast key-int-max=30 bitrate=4096", "nvh265enc gop-size=30 bitrate=4096"];

/// Returns the frames per second over all streams.
///
/// # Errors
/// There's no encoder to generate a stream with; the decoder can't be created or fails.
pub fn decode(trial: &Trial) -> Result<f64, String> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = format!("gst-trt-trial-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    // The folder is private to this user; an existing one may belong to someone else.
    let made = DirBuilder::new().mode(0o700).create(&folder);
    made.map_err(|error| format!("{}: {error}", folder.display()))?;
    let make = || {
        let file = folder.join(format!("trial.{}", trial.codec.nick()));
        encode(trial, &file)?;
        measure(trial, &file)
    };
    let result = make();
    // Anything left is in the system's temporary folder.
    let _ = std::fs::remove_dir_all(&folder);
    result
}

fn encode(trial: &Trial, file: &Path) -> Result<(), String> {
    let encoders: &[&str] = match trial.codec {
        Codec::H264 => &H264,
        Codec::H265 => &H265,
    };
    let there = |text: &&&str| text.split(' ').next().is_some_and(|name| gst::ElementFactory::find(name).is_some());
    let encoder = encoders.iter().find(there).ok_or_else(|| {
        format!(
            "there is no encoder of {} to generate a stream with: install gstreamer1.0-plugins-ugly or -bad",
            trial.codec.name()
        )
    })?;
    let (width, height) = trial.size;
    let (parser, media) = (trial.codec.parser(), trial.codec.media());
    // Byte-stream format, whatever the encoder prefers, because it can be read without caps: a file of length-prefixed
    // units can't.
    let pipeline = launch(&format!(
        "videotestsrc num-buffers={FRAMES} pattern=ball ! video/x-raw,format=I420,width={width},height={height},framerate=30/1 \
         ! {encoder} ! {parser} config-interval=1 ! {media},stream-format=byte-stream,alignment=au ! filesink name=file"
    ))?;
    if let Some(sink) = pipeline.by_name("file") {
        sink.set_property("location", file);
    }
    let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
    let started = pipeline.set_state(gst::State::Playing);
    let ended =
        bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Eos, gst::MessageType::Error]);
    let _ = pipeline.set_state(gst::State::Null);
    match ended.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) if started.is_ok() => Ok(()),
        Some(gst::MessageView::Error(error)) => Err(format!("generating a stream: {}", error.error())),
        _ => Err("generating a stream took more than a minute".into()),
    }
}

fn launch(text: &str) -> Result<gst::Pipeline, String> {
    let element = gst::parse::launch(text).map_err(|error| error.to_string())?;
    element.downcast().map_err(|_| "not a pipeline".into())
}

fn measure(trial: &Trial, file: &Path) -> Result<f64, String> {
    let frames = Arc::new(AtomicU64::new(0));
    let mut pipelines = Vec::new();
    let caps = if trial.caps.is_empty() { String::new() } else { format!("! {} ", trial.caps) };
    let text = format!(
        "multifilesrc name=file loop=true ! {} ! {} name=decoder {caps}! fakesink sync=false async=false",
        trial.codec.parser(),
        trial.decoder
    );
    for _ in 0..trial.streams.max(1) {
        let pipeline = launch(&text)?;
        if let Some(source) = pipeline.by_name("file") {
            source.set_property("location", file);
        }
        if let Some(pad) = pipeline.by_name("decoder").and_then(|decoder| decoder.static_pad("src")) {
            let frames = frames.clone();
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                frames.fetch_add(1, Ordering::Relaxed);
                gst::PadProbeReturn::Ok
            });
        }
        pipelines.push(Running(pipeline));
    }
    for running in &pipelines {
        running.0.set_state(gst::State::Playing).map_err(|_| running.error("it doesn't start"))?;
    }
    let start = Instant::now();
    while frames.load(Ordering::Relaxed) == 0 {
        check(&pipelines)?;
        if start.elapsed() > PATIENCE {
            return Err(format!("no frame was decoded in {} s", PATIENCE.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let (begin, before) = (Instant::now(), frames.load(Ordering::Relaxed));
    std::thread::sleep(TIME);
    let (decoded, time) = (frames.load(Ordering::Relaxed) - before, begin.elapsed());
    check(&pipelines)?;
    Ok(decoded as f64 / time.as_secs_f64())
}

fn check(pipelines: &[Running]) -> Result<(), String> {
    match pipelines.iter().find_map(Running::pending_error) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// A pipeline that is stopped when dropped.
struct Running(gst::Pipeline);

impl Running {
    fn pending_error(&self) -> Option<String> {
        let message = self.0.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(error) => Some(error.error().to_string()),
            _ => None,
        }
    }

    fn error(&self, otherwise: &str) -> String {
        self.pending_error().unwrap_or_else(|| otherwise.to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(decoder: &str) -> Trial {
        Trial { decoder: decoder.into(), caps: "video/x-raw", codec: Codec::H264, size: (320, 240), streams: 2 }
    }

    /// Uses the CPU's decoder in place of the GPU's.
    #[test]
    fn a_decoder_is_measured() {
        gst::init().unwrap();
        if gst::ElementFactory::find("avdec_h264").is_none() || gst::ElementFactory::find("x264enc").is_none() {
            eprintln!("skipped: a_decoder_is_measured: avdec_h264 or x264enc is missing: cargo xtask setup");
            return;
        }
        let rate = decode(&trial("avdec_h264")).unwrap();
        assert!(rate > 100.0 && rate < 1e6, "{rate} frames/s");
    }

    #[test]
    fn what_cannot_be_decoded_is_an_error() {
        gst::init().unwrap();
        let error = decode(&trial("nosuchdec")).unwrap_err();
        assert!(error.contains("nosuchdec") || error.contains("encoder"), "{error}");
    }
}
