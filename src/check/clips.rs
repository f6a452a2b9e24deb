//! Checks what clips of events need: elements, and a folder that can be written.

use super::{Check, StreamFacts, Verdict};
use crate::clips::{MEDIA, elements};
use crate::config::Camera;
use std::path::Path;

/// Checks the clips of a camera that sends this; `None` if it has none.
pub fn check(camera: &Camera, facts: &StreamFacts) -> Option<Check> {
    let clips = camera.outputs.clips.as_ref()?;
    let name = format!("camera {}: clips", camera.name);
    let media = facts.codec.map(|codec| codec.media());
    let of_camera = MEDIA.iter().filter(|medium| media.is_none_or(|media| media == medium.name));
    let lacks = |element: &&str| gst::ElementFactory::find(element).is_none();
    let missing: Vec<_> = of_camera.clone().flat_map(|medium| elements(medium.name)).filter(lacks).collect();
    if let Some(element) = missing.first() {
        let remedy = "install gstreamer1.0-plugins-good and gstreamer1.0-plugins-bad";
        return Some(Check::new(name, Verdict::Missing, format!("GStreamer has no {element}"), remedy));
    }
    let folder = clips.folder.join(&camera.name);
    if let Err(error) = is_writable(&folder) {
        let found = format!("{} can't be written: {error}", folder.display());
        return Some(Check::new(name, Verdict::Missing, found, "make the folder writable, or name another in FOLDER"));
    }
    if let Some(element) = of_camera.map(|medium| medium.timestamper).find(lacks) {
        let found =
            format!("GStreamer has no {element}: cameras that reorder pictures (B-frames) have clips that judder");
        let remedy = "install gstreamer1.0-plugins-bad 1.22 or later, or switch B-frames off in the camera";
        return Some(Check::new(name, Verdict::Limited, found, remedy));
    }
    let (before, after) = (clips.before.as_secs_f64(), clips.after.as_secs_f64());
    let found = format!("{}, from {before} s before an event to {after} s after it", folder.display());
    Some(Check::ok(name, found))
}

/// Whether files can be made in a folder, or in the one in which it will be.
fn is_writable(folder: &Path) -> std::io::Result<()> {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
    tempfile::tempfile_in(there).map(drop)
}
