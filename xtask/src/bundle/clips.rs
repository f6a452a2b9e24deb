//! The clips of the measurements: a street, scaled to 1080p, as H.264 with and without B-frames.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{heading, run_quiet, step};
use crate::package::{scratch_in, sha256_of, write_atomically};
use crate::paths::Paths;

/// 20 s at 30 fps.
const FRAMES: usize = 600;
const RATE: u32 = 30;

/// Name, and B-frames between two others.
const CLIPS: [(&str, u32); 2] = [("street.mp4", 3), ("street-no-b.mp4", 0)];

pub struct Clips {
    pub files: Vec<PathBuf>,
    /// File name of the clip that they were made from.
    pub source: String,
}

/// A clip of a street beside the repository, which may be missing.
pub fn street(paths: &Paths) -> PathBuf {
    paths.root.join("../shared/media/vtest_h264.mp4")
}

/// Makes the clips in a folder, unless they exist already.
pub fn make(paths: &Paths, folder: &Path) -> Result<Clips> {
    heading("Clips");
    // The sample clip takes its place if it is missing.
    let street = street(paths);
    let source = if street.exists() { street } else { paths.root.join("media/bikes.mp4") };
    let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    println!("  from {name}");
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let hash =
        sha256_of(&source)?.with_context(|| format!("{} doesn't exist: run cargo xtask setup", source.display()))?;
    let mut files = Vec::new();
    for (clip, b_frames) in CLIPS {
        let (file, stamp) = (folder.join(clip), folder.join(format!("{clip}.of")));
        let made_of = format!("{hash} {FRAMES} {RATE} {b_frames}");
        if !(file.exists() && fs::read_to_string(&stamp).is_ok_and(|text| text == made_of)) {
            step(clip, || encode(&source, &file, FRAMES, b_frames))?;
            write_atomically(&stamp, made_of.as_bytes())?;
        }
        files.push(file);
    }
    Ok(Clips { files, source: name })
}

/// Encodes each frame of the source once, at 30 fps, and repeats the source until there are enough frames.
///
/// An intermediate file of raw frames removes the timestamps: with the edit list and B-frames of a source that is played
/// repeatedly, they would decide which frames are duplicated at a seam.
fn encode(source: &Path, target: &Path, frames: usize, b_frames: u32) -> Result<()> {
    let folder = target.parent().context("the clip has no parent folder")?;
    let scratch = scratch_in(folder, "encode")?;
    let raw = scratch.path().join("frames.i420");
    let size = decode(source, &raw, frames)?;
    let mut launch = Command::new("gst-launch-1.0");
    launch.arg("-q").arg("filesrc").arg(location(&raw)?).args(["!", "rawvideoparse", "format=i420"]);
    launch.arg(format!("width={}", size.0)).arg(format!("height={}", size.1)).arg(format!("framerate={RATE}/1"));
    launch.args(["!", "videoconvertscale", "!"]);
    launch.arg(format!("video/x-raw,format=I420,width=1920,height=1080,framerate={RATE}/1,pixel-aspect-ratio=1/1"));
    launch.args(["!", "x264enc", "bitrate=8000", "key-int-max=60", "speed-preset=medium"]);
    launch.arg(format!("bframes={b_frames}")).arg(format!("b-adapt={}", b_frames > 0));
    let made = scratch.path().join("clip.mp4");
    launch.args(["!", "video/x-h264,profile=high", "!", "h264parse", "!", "mp4mux", "!", "filesink"]);
    run_quiet(launch.arg(location(&made)?))?;
    let encoded = describe(&made)?.matches("last-message = chain").count();
    if encoded != frames {
        bail!("the clip has {encoded} frames instead of {frames}");
    }
    fs::rename(&made, target).with_context(|| target.display().to_string())
}

/// Writes the given number of raw frames as I420; returns their width and height.
fn decode(source: &Path, raw: &Path, frames: usize) -> Result<(usize, usize)> {
    let (width, height) =
        size(&describe(source)?).with_context(|| format!("{} is not an MP4 with H.264", source.display()))?;
    let mut launch = Command::new("gst-launch-1.0");
    launch.args(["-q", "filesrc"]).arg(location(source)?);
    launch.args(["!", "qtdemux", "!", "h264parse", "!", "avdec_h264", "!", "videoconvert", "!"]);
    launch.args(["video/x-raw,format=I420", "!", "filesink"]).arg(location(raw)?);
    run_quiet(&mut launch)?;
    let frame = frame_bytes(width, height);
    let mut bytes = fs::read(raw).with_context(|| raw.display().to_string())?;
    let played = bytes.len();
    if played < frame || played % frame != 0 {
        bail!("the {played} bytes of {} are not a whole number of {width}x{height} frames", source.display());
    }
    let whole = frame * frames;
    while bytes.len() < whole {
        bytes.extend_from_within(..played.min(whole - bytes.len()));
    }
    fs::write(raw, &bytes[..whole]).with_context(|| raw.display().to_string())?;
    Ok((width, height))
}

/// Size of an I420 frame in GStreamer's default layout: strides are multiples of 4 bytes, planes have an even height.
fn frame_bytes(width: usize, height: usize) -> usize {
    let (luma, chroma) = (width.next_multiple_of(4), width.div_ceil(2).next_multiple_of(4));
    let rows = height.next_multiple_of(2);
    luma * rows + 2 * chroma * (rows / 2)
}

fn location(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(format!("location=\"{text}\""))
}

/// The caps of a clip's stream and one line per frame, as gst-launch prints them.
fn describe(clip: &Path) -> Result<String> {
    let mut launch = Command::new("gst-launch-1.0");
    launch.args(["-v", "filesrc"]).arg(location(clip)?);
    launch.args(["!", "qtdemux", "!", "h264parse", "!", "identity", "silent=false", "!", "fakesink", "name=end"]);
    run_quiet(&mut launch)
}

/// The first width and height in caps as they are printed.
fn size(text: &str) -> Option<(usize, usize)> {
    let number = |key: &str| {
        let (_, rest) = text.split_once(key)?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok().filter(|n| *n > 0)
    };
    Some((number("width=(int)")?, number("height=(int)")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_read_off_caps() {
        let caps = "caps = video/x-h264, width=(int)768, height=(int)576, framerate=(fraction)10/1";
        assert_eq!(size(caps), Some((768, 576)));
        assert_eq!(size("video/x-h264, width=(int)768"), None);
        assert_eq!(size("video/x-h264"), None);
    }

    /// Needs no file beside the repository: the clip is shorter than the result, has B-frames and an odd size.
    #[test]
    fn a_short_clip_is_played_until_there_are_enough_frames() {
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (folder.path().join("short.mp4"), folder.path().join("long.mp4"));
        let mut launch = Command::new("gst-launch-1.0");
        launch.args(["-q", "videotestsrc", "num-buffers=37", "!", "video/x-raw,format=I420,width=322,height=242"]);
        launch.args(["!", "x264enc", "bframes=2", "!", "mp4mux", "!", "filesink"]);
        run_quiet(launch.arg(location(&source).unwrap())).unwrap();
        let raw = folder.path().join("raw");
        assert_eq!(decode(&source, &raw, 90).unwrap(), (322, 242));
        let frames = fs::read(&raw).unwrap();
        let frame = frame_bytes(322, 242);
        assert_eq!(frames.len(), 90 * frame);
        assert!(frames[..frame] == frames[37 * frame..38 * frame] && frames[..frame] != frames[frame..2 * frame]);
        encode(&source, &target, 90, 3).unwrap();
    }
}
