//! The clips of the measurements: a street, scaled to 1080p, as H.264 with and without B-frames.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{heading, run_quiet, step};
use crate::package::{Scratch, sha256_of, write_atomically};
use crate::paths::Paths;

/// 20 s at 30 fps.
const FRAMES: u32 = 600;
const RATE: u32 = 30;

/// Name, and B-frames between two others.
const CLIPS: [(&str, u32); 2] = [("street.mp4", 3), ("street-no-b.mp4", 0)];

pub struct Clips {
    pub files: Vec<PathBuf>,
    /// What they show.
    pub source: String,
}

/// A street beside the repository, which needn't be there.
pub fn street(paths: &Paths) -> PathBuf {
    paths.root.join("../shared/media/vtest_h264.mp4")
}

/// Makes the clips in a folder, unless they are there already.
pub fn make(paths: &Paths, folder: &Path) -> Result<Clips> {
    heading("Clips");
    // Else the sample clip.
    let street = street(paths);
    let source = if street.exists() { street } else { paths.root.join("media/bikes.mp4") };
    let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    println!("  of {name}");
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let hash = sha256_of(&source)?.with_context(|| format!("{} isn't there: cargo xtask setup", source.display()))?;
    let mut files = Vec::new();
    for (clip, b_frames) in CLIPS {
        let (file, stamp) = (folder.join(clip), folder.join(format!("{clip}.of")));
        let made_of = format!("{hash} {FRAMES} {RATE} {b_frames}");
        if !(file.exists() && fs::read_to_string(&stamp).is_ok_and(|text| text == made_of)) {
            step(clip, || encode(&source, &file, b_frames))?;
            write_atomically(&stamp, made_of.as_bytes())?;
        }
        files.push(file);
    }
    Ok(Clips { files, source: name })
}

/// Each frame of the source once, as fast as makes 30 fps; the source again and again until there are enough.
fn encode(source: &Path, target: &Path, b_frames: u32) -> Result<()> {
    let (rate, frames) = measure(source)?;
    let times = FRAMES.div_ceil(frames.max(1)).max(1);
    let folder = target.parent().context("a clip lies in a folder")?;
    let parts = Scratch::in_folder(folder, "encode")?;
    let mut launch = Command::new("gst-launch-1.0");
    launch.args(["-q", "concat", "name=all"]);
    // The speed is what a camera's would be at that rate: nothing is shown twice.
    let speed = f64::from(RATE) / rate;
    launch.args(["!", "avdec_h264", "!", "videorate"]).arg(format!("rate={speed}"));
    launch.args(["!", "videoconvertscale", "!"]);
    launch.arg(format!("video/x-raw,format=I420,width=1920,height=1080,framerate={RATE}/1,pixel-aspect-ratio=1/1"));
    launch.args(["!", "x264enc", "bitrate=8000", "key-int-max=60", "speed-preset=medium"]);
    launch.arg(format!("bframes={b_frames}")).arg(format!("b-adapt={}", b_frames > 0));
    // Only the first part is wanted: it ends before the key frame at 20 s.
    let length = u64::from(FRAMES) * 1_000_000_000 / u64::from(RATE);
    launch.args(["!", "video/x-h264,profile=high", "!", "h264parse", "!", "splitmuxsink", "muxer=mp4mux"]);
    launch.arg(format!("max-size-time={length}")).arg(location(&parts.0.join("%02d.mp4"))?);
    for _ in 0..times {
        launch.arg("filesrc").arg(location(source)?);
        launch.args(["!", "qtdemux", "!", "h264parse", "!", "all."]);
    }
    run_quiet(&mut launch)?;
    let first = parts.0.join("00.mp4");
    let (_, made) = measure(&first)?;
    if made != FRAMES {
        bail!("the clip has {made} frames instead of {FRAMES}");
    }
    fs::rename(&first, target).with_context(|| target.display().to_string())
}

fn location(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(format!("location=\"{text}\""))
}

/// Frames per second, and how many there are.
fn measure(clip: &Path) -> Result<(f64, u32)> {
    let mut launch = Command::new("gst-launch-1.0");
    launch.args(["-v", "filesrc"]).arg(location(clip)?);
    launch.args(["!", "qtdemux", "!", "h264parse", "!", "identity", "silent=false", "!", "fakesink", "name=end"]);
    let text = run_quiet(&mut launch)?;
    let rate = frame_rate(&text).with_context(|| format!("{} has no frame rate", clip.display()))?;
    let frames = text.matches("last-message = chain").count();
    match u32::try_from(frames) {
        Ok(frames @ 1..) => Ok((rate, frames)),
        _ => bail!("{} has no frame: is it an MP4 with H.264?", clip.display()),
    }
}

/// The first `framerate=(fraction)N/D` in caps as they are printed.
fn frame_rate(text: &str) -> Option<f64> {
    let (_, rest) = text.split_once("framerate=(fraction)")?;
    let fraction: &str = rest.split(|c: char| !c.is_ascii_digit() && c != '/').next()?;
    let (n, d) = fraction.split_once('/')?;
    let (n, d): (f64, f64) = (n.parse().ok()?, d.parse().ok()?);
    (n > 0.0 && d > 0.0).then(|| n / d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_rate_is_read_off_caps() {
        let caps = "caps = video/x-h264, width=(int)768, framerate=(fraction)10/1, pixel-aspect-ratio=(fraction)1/1";
        assert_eq!(frame_rate(caps), Some(10.0));
        assert_eq!(frame_rate("framerate=(fraction)30000/1001"), Some(30000.0 / 1001.0));
        assert_eq!(frame_rate("framerate=(fraction)0/1"), None);
        assert_eq!(frame_rate("video/x-h264"), None);
    }
}
