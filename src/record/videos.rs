//! A camera's videos: MP4 files, each with frames of one format.

use super::gate::Want;
use super::mp4::has_frames;
use super::output_thread::{Output, Say};
use super::store::Store;
use crate::config::Segments;
use crate::infer::nanoseconds;
use gst::prelude::*;
use parking_lot::Mutex;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Names the files, and bounds their total size.
pub struct Videos {
    store: Mutex<Store>,
    length: Duration,
    /// kbit/s
    bitrate: u32,
    /// The file that is being written.
    open: Mutex<Option<PathBuf>>,
    missing: Mutex<Missing>,
    say: Say,
}

/// Frames that are missing from videos because the queue was full.
#[derive(Default)]
struct Missing {
    total: u64,
    /// Frames seen since the last check.
    seen: u64,
    left_out: u64,
    looked: Option<Instant>,
}

impl Videos {
    /// The interval between checks for missing frames.
    const LOOK: Duration = Duration::from_secs(60);

    pub fn new(settings: &Segments, store: Store, say: Say) -> Self {
        let videos = Self {
            store: Mutex::new(store),
            length: settings.length,
            bitrate: settings.bitrate,
            open: Mutex::default(),
            missing: Mutex::default(),
            say,
        };
        let (expected, limit) = (videos.expected(), settings.limit);
        if expected > limit {
            (videos.say)(&format!(
                "a video of {} s at {} kbit/s takes about {expected} bytes, and all may take {limit} only: none will be \
                 kept; make the segments shorter or their limit larger",
                settings.length.as_secs(),
                settings.bitrate
            ));
        }
        videos
    }

    /// The expected size of a file of full length, bytes.
    fn expected(&self) -> u64 {
        (f64::from(self.bitrate) * 125.0 * self.length.as_secs_f64()) as u64
    }

    /// Records that a frame comes.
    pub fn see(&self) {
        let text = {
            let mut missing = self.missing.lock();
            missing.seen += 1;
            if missing.looked.get_or_insert_with(Instant::now).elapsed() < Self::LOOK {
                return;
            }
            let (seen, left_out) = (missing.seen, missing.left_out);
            *missing = Missing { total: missing.total, looked: Some(Instant::now()), ..Missing::default() };
            // A few are missing at the beginning of a recording.
            if left_out * 50 < seen {
                return;
            }
            format!(
                "videos lack {left_out} of the last {seen} frames: drawing and encoding can't keep up; record fewer cameras, \
                 or smaller pictures"
            )
        };
        (self.say)(&text);
    }

    /// The number of frames that aren't in a video, in total.
    pub fn left_out_in_all(&self) -> u64 {
        self.missing.lock().total
    }

    /// The path of the next file.
    fn next(&self) -> PathBuf {
        let mut store = self.store.lock();
        if let Err(error) = store.make_room(self.expected()) {
            (self.say)(&format!("an old video can't be removed: {error}"));
        }
        let path = store.fresh("");
        *self.open.lock() = Some(path.clone());
        path
    }

    /// Counts a file that is written no more, or deletes it if it has no frame and so is no video: a file that wasn't closed is
    /// readable up to its last second, but one begun on a full disk has nothing, even where it was closed.
    fn judge(&self, path: &Path) {
        if !has_frames(path) {
            let _ = fs::remove_file(path);
        } else if let Err(error) = self.store.lock().took(path) {
            (self.say)(&format!("{}: {error}", path.display()));
        }
    }
}

impl Output for Videos {
    fn name(&self) -> &'static str {
        "videos"
    }

    fn folder(&self) -> PathBuf {
        self.store.lock().folder().to_owned()
    }

    fn elements(&self, width: u32, height: u32) -> String {
        // H.264 in 4:2:0 has even sizes, and MP4 muxers need at least 16 pixels: the last column and row of an odd size
        // are cut off, and smaller frames get a black border.
        let even = |pixels: u32| i64::from((pixels & !1).max(16));
        let (right, bottom) = (i64::from(width) - even(width), i64::from(height) - even(height));
        let fit = if (right, bottom) == (0, 0) {
            String::new()
        } else {
            format!("videobox right={right} bottom={bottom} ! ")
        };
        // There is no parser, because it knows no duration where there is no frame rate: a video's last frame would not
        // be shown.
        format!(
            "videoconvert ! video/x-raw,format=I420 ! {fit}queue max-size-buffers=8 max-size-bytes=0 max-size-time=0 ! x264enc \
             speed-preset=veryfast tune=zerolatency bitrate={} key-int-max=60 ! splitmuxsink name=files \
             max-size-time={} send-keyframe-requests=true",
            self.bitrate,
            nanoseconds(self.length)
        )
    }

    fn connect(self: Arc<Self>, pipeline: &gst::Pipeline) {
        let Some(files) = pipeline.by_name("files") else { return };
        // Fragments of a second, so that a file is readable up to its end even if the process is killed.
        if let Ok(muxer) = gst::ElementFactory::make("mp4mux").property("fragment-duration", 1000_u32).build() {
            files.set_property("muxer", muxer);
        }
        let videos = Arc::downgrade(&self);
        files.connect("format-location", false, move |_| {
            let path = videos.upgrade()?.next();
            Some(path.to_string_lossy().into_owned().to_value())
        });
    }

    fn hear(&self, message: &gst::StructureRef) -> bool {
        let closed = Some(message).filter(|message| message.name() == "splitmuxsink-fragment-closed");
        let Some(path) = closed.and_then(|message| message.get::<PathBuf>("location").ok()) else { return false };
        self.open.lock().take_if(|open| *open == path);
        self.judge(&path);
        true
    }

    fn begin(&self, _: Option<gst::ClockTime>, _: Want) {}

    fn through(&self) -> bool {
        false
    }

    fn left_out(&self, _: Want) {
        let mut missing = self.missing.lock();
        missing.total += 1;
        missing.left_out += 1;
    }

    fn ended(&self) -> bool {
        let open = self.open.lock().take();
        if let Some(path) = open {
            self.judge(&path);
        }
        false
    }
}
