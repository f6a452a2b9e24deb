//! Records a camera's frames.

use super::clock::{Clock, Stamp};
use super::gate::Want;
use super::output_thread::{OutputThread, Say, Taken};
use super::pictures::Pictures;
use super::session::size;
use super::store::{Kind, Limits, Store};
use super::videos::Videos;
use crate::config;
use crate::error::{Error, ErrorKind};
use crate::gst_cuda::SharedContext;
use crate::meta;
use gst::prelude::*;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The recording of a camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Part of file names.
    pub camera: String,
    pub pictures: Option<config::Pictures>,
    pub segments: Option<config::Segments>,
    /// The GPU in whose memory the frames are; `None`: system memory.
    pub gpu: Option<u32>,
}

impl Settings {
    /// Frames that wait for pictures, and for videos in GPU memory: there they belong to the decoder, whose pool must
    /// have as many more.
    const PICTURES: usize = 3;
    const VIDEOS: usize = 3;
    /// Frames that wait for videos in system memory, where they don't belong to a decoder's pool of fixed size.
    const VIDEOS_IN_SYSTEM_MEMORY: usize = 8;

    fn waiting_for_videos(&self) -> usize {
        if self.gpu.is_some() { Self::VIDEOS } else { Self::VIDEOS_IN_SYSTEM_MEMORY }
    }

    /// The most frames that are held: those that wait, and one per output that is being drawn.
    pub fn held_frames(&self) -> u32 {
        let pictures = self.pictures.as_ref().map_or(0, |_| Self::PICTURES + 1);
        let videos = self.segments.as_ref().map_or(0, |_| self.waiting_for_videos() + 1);
        (pictures + videos) as u32
    }
}

/// Counts of what wasn't recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Frames that aren't in a video, because the queue was full or recording had failed.
    pub frames_left_out: u64,
    /// Appearances of classes without a picture.
    pub appearances_lost: u64,
}

/// Takes frames as they pass, and draws, encodes and writes them on its own threads.
pub struct Recorder(Arc<Inner>);

struct Inner {
    start: Instant,
    clock: Mutex<Clock>,
    pictures: Option<(Arc<Pictures>, OutputThread)>,
    videos: Option<(Arc<Videos>, OutputThread)>,
}

impl Recorder {
    /// How long the end waits for the last frames to be written.
    const DRAIN: Duration = Duration::from_secs(2);

    /// Starts, and waits for frames. `say` takes reports of failures, one line each.
    ///
    /// # Errors
    /// A folder can't be created, an element is missing, or a GPU can't be used. Later failures are reported by `say`.
    pub fn start(settings: Settings, say: impl Fn(&str) + Send + Sync + 'static) -> Result<Self, Error> {
        find_elements(&settings)?;
        let waiting_for_videos = settings.waiting_for_videos();
        let Settings { camera, pictures, segments, gpu } = settings;
        let gpu = gpu.map(SharedContext::own).transpose()?;
        let say: Say = Arc::new(say);
        let of_pictures = pictures.as_ref().map(|pictures| {
            let store = open(&pictures.folder.join(&camera), Kind::alone("jpg"), Limits::of_bytes(pictures.limit))?;
            let pictures = Arc::new(Pictures::new(pictures, &camera, store, say.clone()));
            let thread = OutputThread::start(pictures.clone(), Settings::PICTURES, gpu.clone(), say.clone())?;
            Ok::<_, Error>((pictures, thread))
        });
        let of_videos = segments.as_ref().map(|segments| {
            let store = open(&segments.folder.join(&camera), Kind::alone("mp4"), Limits::of_bytes(segments.limit))?;
            let videos = Arc::new(Videos::new(segments, store, say.clone()));
            let thread = OutputThread::start(videos.clone(), waiting_for_videos, gpu.clone(), say.clone())?;
            Ok::<_, Error>((videos, thread))
        });
        Ok(Self(Arc::new(Inner {
            start: Instant::now(),
            clock: Mutex::default(),
            pictures: of_pictures.transpose()?,
            videos: of_videos.transpose()?,
        })))
    }

    /// Gives it the buffers that pass `pad`, as long as the recorder exists.
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

    /// Writes the queued frames and ends, within about two seconds.
    pub fn stop(self) -> Counts {
        self.0.end()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Inner {
    /// Handles a frame that passes. This runs on the camera's streaming thread, so it never blocks.
    fn see(&self, pad: &gst::Pad, buffer: &gst::Buffer) {
        let now = self.start.elapsed();
        let Some(caps) = pad.current_caps() else { return };
        let Some((width, height)) = size(&caps) else { return };
        let record = meta::read(buffer, width, height);
        let Stamp { time, duration } = self.clock.lock().next(running_time(pad, buffer), now);
        let offer = |thread: &OutputThread, want| {
            // The frame's memory is shared, not copied; drawing copies it.
            let mut buffer = buffer.copy();
            if let Some(frame) = buffer.get_mut() {
                frame.set_pts(gst::ClockTime::from_nseconds(time));
                frame.set_dts(gst::ClockTime::NONE);
                // Without a duration, a video's last frame would not be shown.
                frame.set_duration(gst::ClockTime::from_nseconds(duration));
            }
            thread.offer(Taken { buffer, caps: caps.clone(), record: record.clone(), want });
        };
        if let Some((pictures, thread)) = &self.pictures {
            let want = pictures.decide(now, record.objects.iter().map(|object| &*object.label));
            if !want.is_empty() {
                offer(thread, want);
            }
        }
        if let Some((videos, thread)) = &self.videos {
            videos.see();
            offer(thread, Want::default());
        }
    }

    fn end(&self) -> Counts {
        let threads =
            [self.pictures.as_ref().map(|(_, thread)| thread), self.videos.as_ref().map(|(_, thread)| thread)];
        let deadline = Instant::now() + Recorder::DRAIN;
        threads.iter().flatten().for_each(|thread| thread.stop(deadline));
        threads.iter().flatten().for_each(|thread| thread.join());
        Counts {
            frames_left_out: self.videos.as_ref().map_or(0, |(videos, _)| videos.left_out_in_all()),
            appearances_lost: self.pictures.as_ref().map_or(0, |(pictures, _)| pictures.end()),
        }
    }
}

fn running_time(pad: &gst::Pad, buffer: &gst::Buffer) -> Option<u64> {
    let segment = pad.sticky_event::<gst::event::Segment>(0)?.segment().clone();
    let segment = segment.downcast::<gst::ClockTime>().ok()?;
    segment.to_running_time(buffer.pts()?).map(gst::ClockTime::nseconds)
}

/// Opens a store; the error says what to do.
pub fn open(folder: &Path, kind: Kind, limits: Limits) -> Result<Store, Error> {
    Store::open(folder, kind, limits).map_err(|error| {
        let text = format!("recording to {} isn't possible: {error}; make the folder writable", folder.display());
        Error::new(ErrorKind::File, text)
    })
}

/// Elements, and the packages that provide them.
const OF_ALL: [(&str, &str); 3] =
    [("appsrc", "plugins-base"), ("videoconvert", "plugins-base"), ("trtoverlay", "gst-plugin-tensorrt")];
const OF_PICTURES: [(&str, &str); 1] = [("jpegenc", "plugins-good")];
const OF_VIDEOS: [(&str, &str); 4] = [
    ("videobox", "plugins-good"),
    ("x264enc", "plugins-ugly"),
    ("splitmuxsink", "plugins-good"),
    ("mp4mux", "plugins-good"),
];
const OF_GPU: [(&str, &str); 1] = [("cudadownload", "plugins-bad")];

/// Checks that all elements exist: pipelines are made only when the first frame comes, and a missing element is to be
/// reported before.
fn find_elements(settings: &Settings) -> Result<(), Error> {
    let needed = [
        (true, OF_ALL.as_slice()),
        (settings.pictures.is_some(), OF_PICTURES.as_slice()),
        (settings.segments.is_some(), OF_VIDEOS.as_slice()),
        (settings.gpu.is_some(), OF_GPU.as_slice()),
    ];
    let needed = needed.iter().filter(|(needed, _)| *needed).flat_map(|(_, elements)| *elements);
    let missing: Vec<_> = needed
        .filter(|(element, _)| gst::ElementFactory::find(element).is_none())
        .map(|(element, package)| format!("{element} ({package})"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let text = format!("recording needs elements that are missing; install their packages: {}", missing.join(", "));
    Err(Error::new(ErrorKind::Library, text))
}
