//! The recording pipeline beside a camera's.

use super::gate::{Gate, Want};
use super::store::Store;
use crate::config::{Pictures, Segments};
use crate::cuda::gst::SharedContext;
use crate::infer::{Error, ErrorKind, nanoseconds};
use crate::meta;
use crate::sync::lock;
use crate::whole_file;
use gst::glib;
use gst::prelude::*;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// What is recorded of a camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Part of file names.
    pub camera: String,
    pub pictures: Option<Pictures>,
    pub segments: Option<Segments>,
    /// The GPU in whose memory the frames are; `None`: system memory.
    pub gpu: Option<u32>,
}

/// Takes frames as they pass, and draws, encodes and writes them on threads of its own.
pub struct Recorder(Arc<Inner>);

struct Inner {
    pipeline: gst::Pipeline,
    source: gst::Element,
    start: Instant,
    /// `None` without pictures.
    gate: Option<Mutex<Gate>>,
    segments: bool,
    /// Files of pictures and videos, and the path of the last picture.
    pictures: Option<(Mutex<Store>, PathBuf)>,
    videos: Option<Mutex<Store>>,
    state: Mutex<State>,
    changed: Condvar,
    say: Box<dyn Fn(&str) + Send + Sync>,
}

#[derive(Default)]
struct State {
    /// Nanoseconds of the last frame taken.
    last_time: Option<u64>,
    /// Failed: not before this again.
    broken_until: Option<Instant>,
    /// The last frame is written.
    ended: bool,
    /// What detection said of frames that are being downloaded, by time.
    records: VecDeque<(u64, Arc<meta::Record>)>,
}

impl Recorder {
    /// Frames that wait to be drawn on; more are left out, the oldest first. On a GPU they are the decoder's, whose pool must
    /// have so many more.
    pub const HELD_FRAMES: u32 = 3;
    /// After a failure, until the next attempt.
    const RETRY: Duration = Duration::from_secs(5);
    /// How long the end waits for the last frames to be written.
    const DRAIN: Duration = Duration::from_secs(2);

    /// Starts, and waits for frames. `say` hears what goes wrong, in a line.
    ///
    /// # Errors
    /// A folder can't be made, an element is missing, a GPU can't be used. What goes wrong later is said, not returned.
    pub fn start(settings: Settings, say: impl Fn(&str) + Send + Sync + 'static) -> Result<Self, Error> {
        let pipeline = pipeline(&settings)?;
        let element = |name: &str| {
            let missing = || Error::new(ErrorKind::Failed, format!("the recorder has no {name}"));
            pipeline.by_name(name).ok_or_else(missing)
        };
        let Settings { camera, pictures, segments, .. } = &settings;
        let store = |folder: &PathBuf, extension, limit| {
            let folder = folder.join(camera);
            Store::open(&folder, extension, limit).map(Mutex::new).map_err(|error| {
                Error::new(
                    ErrorKind::File,
                    format!("Can't record to {}: {error}; make the folder writable", folder.display()),
                )
            })
        };
        let of_pictures = pictures.as_ref().map(|pictures| {
            let last = pictures.folder.join(format!("{camera}.jpg"));
            Ok::<_, Error>((store(&pictures.folder, "jpg", pictures.limit)?, last))
        });
        let inner = Arc::new(Inner {
            source: element("frames")?,
            start: Instant::now(),
            gate: pictures.as_ref().map(|pictures| Mutex::new(Gate::new(pictures))),
            segments: segments.is_some(),
            pictures: of_pictures.transpose()?,
            videos: segments.as_ref().map(|segments| store(&segments.folder, "mp4", segments.limit)).transpose()?,
            state: Mutex::default(),
            changed: Condvar::new(),
            say: Box::new(say),
            pipeline: pipeline.clone(),
        });
        if settings.gpu.is_some() {
            inner.keep_records(&element("download")?);
        }
        if pictures.is_some() {
            inner.take_pictures(&element("pictures")?, &element("jpeg")?);
        }
        if let Some(segments) = segments {
            inner.name_videos(&element("files")?, segments);
        }
        inner.listen();
        inner.play();
        Ok(Self(inner))
    }

    /// Lets it see the buffers that pass `pad`; for as long as the recorder is there.
    pub fn attach(&self, pad: &gst::Pad) {
        let inner = Arc::downgrade(&self.0);
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let Some(inner) = inner.upgrade() else { return gst::PadProbeReturn::Remove };
            if let Some(buffer) = info.buffer() {
                inner.see(pad, buffer);
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// Writes what was taken, and ends; in about two seconds at most.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let inner = &self.0;
        let has_frames = {
            let state = lock(&inner.state);
            state.broken_until.is_none() && state.last_time.is_some()
        };
        if has_frames {
            let _ = inner.source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
            let deadline = Instant::now() + Self::DRAIN;
            let mut state = lock(&inner.state);
            while !state.ended
                && state.broken_until.is_none()
                && let Some(left) = deadline.checked_duration_since(Instant::now())
            {
                state = inner.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        let _ = inner.pipeline.set_state(gst::State::Null);
        if let Some(bus) = inner.pipeline.bus() {
            bus.unset_sync_handler();
        }
    }
}

/// Of frames that are drawn on: pictures, videos, or both.
fn pipeline(settings: &Settings) -> Result<gst::Pipeline, Error> {
    // Beside drawing and encoding, what waits is bounded by frames alone, and never makes anybody wait.
    let queue = |name: &str| {
        format!("queue name={name} leaky=downstream max-size-buffers=8 max-size-bytes=0 max-size-time=0 ! videoconvert")
    };
    let download = settings.gpu.map_or("", |_| "cudadownload name=download ! video/x-raw ! ");
    let mut text = format!(
        "appsrc name=frames is-live=true format=time max-buffers={} max-bytes=0 max-time=0 leaky-type=downstream ! \
         {download}trtoverlay ! tee name=drawn",
        Recorder::HELD_FRAMES
    );
    if let Some(Pictures { quality, .. }) = settings.pictures {
        text += &format!(
            " drawn. ! {} ! jpegenc quality={quality} ! fakesink name=jpeg sync=false async=false",
            queue("pictures")
        );
    }
    if let Some(Segments { bitrate, length, .. }) = settings.segments {
        text += &format!(
            " drawn. ! {} ! video/x-raw,format=I420 ! x264enc speed-preset=veryfast tune=zerolatency bitrate={bitrate} \
             key-int-max=60 ! h264parse ! splitmuxsink name=files max-size-time={} send-keyframe-requests=true",
            queue("videos"),
            nanoseconds(length)
        );
    }
    let made = gst::parse::launch_full(&text, None, gst::ParseFlags::FATAL_ERRORS);
    let made = made.ok().and_then(|element| element.downcast::<gst::Pipeline>().ok());
    let pipeline = made.ok_or_else(|| {
        let message = "Can't record: an element is missing; of trtoverlay, jpegenc (plugins-good), x264enc (plugins-ugly), \
                       splitmuxsink and mp4mux (plugins-good), on a GPU cudadownload, gst-inspect-1.0 says which";
        Error::new(ErrorKind::Library, message)
    })?;
    if let Some(gpu) = settings.gpu {
        // The context of the frames: another can't read them.
        pipeline.set_context(&SharedContext::own(gpu)?.to_gst());
    }
    Ok(pipeline)
}

impl Inner {
    fn play(&self) {
        if self.pipeline.set_state(gst::State::Playing).is_err() {
            self.fail("it doesn't start");
        }
    }

    /// A frame passes. Runs on the camera's thread, so it waits for nothing.
    fn see(&self, pad: &gst::Pad, buffer: &gst::Buffer) {
        let now = self.start.elapsed();
        let Some(caps) = pad.current_caps() else { return };
        let Some(size) =
            caps.structure(0).and_then(|s| Some((s.get::<i32>("width").ok()?, s.get::<i32>("height").ok()?)))
        else {
            return;
        };
        if !self.is_playing() {
            return;
        }
        let record = meta::read(buffer, size.0.unsigned_abs(), size.1.unsigned_abs());
        let time = self.next_time(pad, buffer, now);
        let want = match &self.gate {
            Some(gate) => lock(gate).decide(now, time, record.objects.iter().map(|object| &*object.label)),
            None => Want::default(),
        };
        if want.is_empty() && !self.segments {
            return;
        }
        {
            let mut state = lock(&self.state);
            if state.records.len() >= 2 * Recorder::HELD_FRAMES as usize {
                state.records.pop_front();
            }
            state.records.push_back((time, record));
        }
        // The frame's memory is shared, not copied; drawing copies it.
        let mut frame = buffer.copy();
        if let Some(frame) = frame.get_mut() {
            frame.set_pts(gst::ClockTime::from_nseconds(time));
            frame.set_dts(gst::ClockTime::NONE);
        }
        let sample = gst::Sample::builder().buffer(&frame).caps(&caps).build();
        // Refused while it stops or after a failure, which is told.
        let _ = self.source.emit_by_name::<gst::FlowReturn>("push-sample", &[&sample]);
    }

    /// The frame's running time, or later: it never goes back, whatever the camera does.
    fn next_time(&self, pad: &gst::Pad, buffer: &gst::Buffer, now: Duration) -> u64 {
        let segment = pad.sticky_event::<gst::event::Segment>(0).map(|event| event.segment().clone());
        let running = segment
            .and_then(|segment| segment.downcast::<gst::ClockTime>().ok())
            .and_then(|segment| segment.to_running_time(buffer.pts()?));
        let time = running.map_or(nanoseconds(now), gst::ClockTime::nseconds);
        let mut state = lock(&self.state);
        let time = state.last_time.map_or(time, |last| time.max(last + 1));
        state.last_time = Some(time);
        time
    }

    /// Whether frames can be taken; after a failure it's tried again when it's time.
    fn is_playing(&self) -> bool {
        let mut state = lock(&self.state);
        match state.broken_until {
            None => true,
            Some(time) if Instant::now() < time => false,
            Some(_) => {
                state.broken_until = None;
                drop(state);
                self.pipeline.call_async(|pipeline| {
                    // A failure is on the bus.
                    let _ = pipeline.set_state(gst::State::Playing);
                });
                true
            }
        }
    }

    fn fail(&self, text: &str) {
        {
            let mut state = lock(&self.state);
            if state.broken_until.is_some() {
                return;
            }
            state.broken_until = Some(Instant::now() + Recorder::RETRY);
            state.records.clear();
        }
        self.changed.notify_all();
        (self.say)(&format!("recording failed, and is tried again: {text}"));
        self.pipeline.call_async(|pipeline| {
            let _ = pipeline.set_state(gst::State::Null);
        });
    }

    fn listen(self: &Arc<Self>) {
        let Some(bus) = self.pipeline.bus() else { return };
        let inner = Arc::downgrade(self);
        bus.set_sync_handler(move |_, message| {
            if let Some(inner) = inner.upgrade() {
                inner.hear(message);
            }
            // Nobody reads the bus.
            gst::BusSyncReply::Drop
        });
    }

    fn hear(&self, message: &gst::Message) {
        match message.view() {
            gst::MessageView::Error(error) => self.fail(error.error().message()),
            gst::MessageView::Eos(_) => {
                lock(&self.state).ended = true;
                self.changed.notify_all();
            }
            gst::MessageView::Element(element) => {
                let closed = element.structure().filter(|s| s.name() == "splitmuxsink-fragment-closed");
                if let Some(path) = closed.and_then(|structure| structure.get::<PathBuf>("location").ok()) {
                    self.closed(&path);
                }
            }
            _ => {}
        }
    }

    /// Carries what detection said over the download, which can lose it.
    fn keep_records(self: &Arc<Self>, download: &gst::Element) {
        let Some(pad) = download.static_pad("src") else { return };
        let inner = Arc::downgrade(self);
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let (Some(inner), Some(buffer)) = (inner.upgrade(), info.buffer_mut()) else {
                return gst::PadProbeReturn::Ok;
            };
            let size = pad.current_caps().and_then(|caps| gst_video::VideoInfo::from_caps(&caps).ok());
            if let (Some(time), Some(size)) = (buffer.pts(), size)
                && let Some(record) = inner.record_of(time.nseconds())
                && meta::record(buffer).is_none()
            {
                meta::set_record(buffer.make_mut(), record, size.width(), size.height());
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn record_of(&self, time: u64) -> Option<Arc<meta::Record>> {
        let mut state = lock(&self.state);
        state.records.retain(|(of, _)| *of >= time);
        state.records.front().filter(|(of, _)| *of == time).map(|(_, record)| record.clone())
    }

    /// Lets only wanted frames be encoded as pictures, and writes those.
    fn take_pictures(self: &Arc<Self>, queue: &gst::Element, jpeg: &gst::Element) {
        let (Some(wanted), Some(encoded)) = (queue.static_pad("sink"), jpeg.static_pad("sink")) else { return };
        let inner = Arc::downgrade(self);
        wanted.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let time = info.buffer().and_then(|buffer| buffer.pts());
            match (inner.upgrade(), time) {
                (Some(inner), Some(time)) if inner.is_wanted(time.nseconds()) => gst::PadProbeReturn::Ok,
                // Consumed. After `Drop` GStreamer 1.22 wants to release it, which the bindings have done, and warns.
                _ => gst::PadProbeReturn::Handled,
            }
        });
        let inner = Arc::downgrade(self);
        encoded.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let (Some(inner), Some(buffer)) = (inner.upgrade(), info.buffer()) {
                inner.write_picture(buffer);
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn is_wanted(&self, time: u64) -> bool {
        self.gate.as_ref().is_some_and(|gate| lock(gate).is_wanted(time))
    }

    fn write_picture(&self, buffer: &gst::Buffer) {
        let (Some(gate), Some((store, last)), Some(time)) = (&self.gate, &self.pictures, buffer.pts()) else { return };
        let Some(want) = lock(gate).take(time.nseconds()) else { return };
        let Ok(content) = buffer.map_readable() else { return };
        let mut written = if want.last { whole_file::write(last, &content) } else { Ok(()) };
        for class in &want.classes {
            let name = format!("{}-{}", now(), file_name(class));
            written = written.and(lock(store).write(&name, &content).map(drop));
        }
        if let Err(error) = written {
            (self.say)(&format!("a picture of {} can't be written: {error}", last.display()));
        }
    }

    /// Names each video by the time at which it begins.
    fn name_videos(self: &Arc<Self>, files: &gst::Element, segments: &Segments) {
        // In pieces of a second, so that a file is good up to its end whatever happens to the process.
        if let Ok(muxer) = gst::ElementFactory::make("mp4mux").property("fragment-duration", 1000_u32).build() {
            files.set_property("muxer", muxer);
        }
        // kbit/s and seconds, to bytes.
        let expected = (f64::from(segments.bitrate) * 125.0 * segments.length.as_secs_f64()) as u64;
        let inner: Weak<Self> = Arc::downgrade(self);
        files.connect("format-location", false, move |_| {
            let inner = inner.upgrade()?;
            let mut videos = lock(inner.videos.as_ref()?);
            if let Err(error) = videos.make_room(expected) {
                (inner.say)(&format!("an old video can't be removed: {error}"));
            }
            let path = videos.path(&now());
            Some(path.to_string_lossy().into_owned().to_value())
        });
    }

    fn closed(&self, path: &std::path::Path) {
        let Some(videos) = &self.videos else { return };
        if let Err(error) = lock(videos).took(path) {
            (self.say)(&format!("{}: {error}", path.display()));
        }
    }
}

/// The time as names sort by it: `20260504T123456.789Z`.
fn now() -> String {
    let time = glib::DateTime::now_utc().ok();
    let text =
        time.and_then(|time| Some(format!("{}.{:03}Z", time.format("%Y%m%dT%H%M%S").ok()?, time.microsecond() / 1000)));
    // Beyond the year 9999 only.
    text.unwrap_or_default()
}

/// A label as a part of a file's name.
fn file_name(label: &str) -> String {
    label.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '.') { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_names() {
        assert_eq!(file_name("traffic light"), "traffic_light");
        assert_eq!(file_name("../../etc"), ".._.._etc");
        assert_eq!(file_name("Hähnchen"), "Hähnchen");
    }

    #[test]
    fn times_sort() {
        let one = now();
        assert!(one.len() == 20 && one.ends_with('Z') && one <= now(), "{one}");
    }
}
