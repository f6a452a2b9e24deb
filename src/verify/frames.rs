//! The frames of a clip, or of a folder of pictures, in RGBA.

use super::check_cancel;
use crate::error::{Error, ErrorKind};
use crate::infer::Frame;
use gst::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Pictures are files with these extensions.
const PICTURES: [&str; 7] = ["bmp", "jpeg", "jpg", "png", "tif", "tiff", "webp"];

/// The longest wait for a file's next frame.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(30);

/// Where frames come from.
#[derive(Debug)]
pub struct Frames {
    source: Source,
    most: usize,
}

#[derive(Debug)]
enum Source {
    Clip(PathBuf),
    Pictures(Vec<PathBuf>),
}

impl Frames {
    /// At most `most` frames, spread evenly over the clip or the folder's pictures.
    ///
    /// # Errors
    /// There is no such file or folder, or the folder has no pictures.
    pub fn open(path: &Path, most: usize) -> Result<Self, Error> {
        let failed = |what: String| Error::new(ErrorKind::File, format!("{}: {what}", path.display()));
        let metadata = path.metadata().map_err(|error| failed(error.to_string()))?;
        if !metadata.is_dir() {
            return Ok(Self { source: Source::Clip(path.into()), most });
        }
        let entries = std::fs::read_dir(path).map_err(|error| failed(error.to_string()))?;
        let mut pictures: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|file| is_picture(file)).collect();
        pictures.sort();
        if pictures.is_empty() {
            return Err(failed(format!(
                "the folder has no pictures, which are files ending in {}",
                PICTURES.join(", ")
            )));
        }
        let count = pictures.len();
        let pictures = (0..count.min(most)).filter_map(|index| pictures.get(index * count / count.min(most)).cloned());
        Ok(Self { source: Source::Pictures(pictures.collect()), most })
    }

    /// Calls `each` with every frame and its name, always the same ones in the same order.
    ///
    /// # Errors
    /// A file can't be decoded, `each` failed, or it was cancelled.
    pub fn read(
        &self,
        cancel: &AtomicBool,
        mut each: impl FnMut(String, Frame) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match &self.source {
            Source::Pictures(pictures) => pictures.iter().try_for_each(|picture| {
                check_cancel(cancel)?;
                let name = picture.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let frame = Reader::open(picture)?.next()?;
                each(name, frame.ok_or_else(|| unreadable(picture, "it shows no picture"))?)
            }),
            Source::Clip(clip) => {
                let reader = Reader::open(clip)?;
                let interval = reader.duration().map_or(gst::ClockTime::ZERO, |length| length / self.most as u64);
                let (mut number, mut taken) = (0_usize, 0_usize);
                while let Some(frame) = reader.next()?.filter(|_| taken < self.most) {
                    check_cancel(cancel)?;
                    let time = frame.buffer.pts().unwrap_or_default();
                    if time >= interval * taken as u64 {
                        taken += 1;
                        each(format!("frame {number} ({:.3} s)", time.mseconds() as f64 / 1000.0), frame)?;
                    }
                    number += 1;
                }
                if taken == 0 { Err(unreadable(clip, "it shows no picture")) } else { Ok(()) }
            }
        }
    }
}

fn is_picture(file: &Path) -> bool {
    let extension = file.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    PICTURES.contains(&extension.as_str()) && file.is_file()
}

fn unreadable(file: &Path, what: &str) -> Error {
    Error::new(ErrorKind::File, format!("{} can't be decoded: {what}", file.display()))
}

/// Decodes one file.
struct Reader {
    file: PathBuf,
    pipeline: gst::Pipeline,
    sink: gst::Element,
}

impl Reader {
    fn open(file: &Path) -> Result<Self, Error> {
        let launch = "filesrc name=file ! decodebin ! videoconvert ! video/x-raw,format=RGBA ! \
                      appsink name=sink sync=false max-buffers=4";
        let pipeline = gst::parse::launch(launch).map_err(|error| unreadable(file, &error.to_string()))?;
        let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| unreadable(file, "no pipeline"))?;
        let named = |name: &str| pipeline.by_name(name).ok_or_else(|| unreadable(file, name));
        named("file")?.set_property("location", file);
        let reader = Self { file: file.into(), sink: named("sink")?, pipeline };
        let state = reader.pipeline.set_state(gst::State::Playing);
        let (ready, ..) = reader.pipeline.state(PATIENCE);
        if state.is_err() || ready != Ok(gst::StateChangeSuccess::Success) {
            return Err(reader.failed());
        }
        Ok(reader)
    }

    fn duration(&self) -> Option<gst::ClockTime> {
        self.pipeline.query_duration()
    }

    /// `None` at the end.
    fn next(&self) -> Result<Option<Frame>, Error> {
        match pull(&self.sink, PATIENCE) {
            Some(frame) => Ok(Some(frame)),
            None if self.sink.property("eos") => Ok(None),
            None => Err(self.failed()),
        }
    }

    fn failed(&self) -> Error {
        unreadable(&self.file, &said(&self.pipeline).unwrap_or_else(|| "no frame came within half a minute".into()))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Nothing prevents the change to NULL.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// An `appsink`'s next frame; `None` at the end, or after this time.
pub fn pull(sink: &gst::Element, patience: gst::ClockTime) -> Option<Frame> {
    let sample: Option<gst::Sample> = sink.emit_by_name("try-pull-sample", &[&patience.nseconds()]);
    let sample = sample?;
    let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
    Some(Frame { buffer: sample.buffer_owned()?, info })
}

/// The error that a pipeline has posted.
pub fn said(pipeline: &gst::Pipeline) -> Option<String> {
    let message = pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
    match message.view() {
        gst::MessageView::Error(error) => Some(error.error().message().to_owned()),
        _ => None,
    }
}
