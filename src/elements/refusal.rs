//! The error for frames that an element can't accept: what arrives, what it accepts, and which element to insert.

use super::{caps, upstream};
use crate::error::{Error, ErrorKind};
use gst::prelude::*;

/// `came` is what upstream offers to `sink` and `taken` what the element `whose` accepts; the two don't intersect.
pub fn error(whose: &str, sink: &gst::Pad, came: &gst::CapsRef, taken: &gst::CapsRef) -> Error {
    let name = producer(sink).map_or_else(|| "upstream".into(), |element| format!("upstream {}", element.name()));
    let takes = taken.iter_with_features().map(|(frames, features)| describe(frames, features)).collect::<Vec<_>>();
    let (takes, offers, remedy) = (takes.join(" or "), offer(came), remedy(came, taken));
    Error::new(ErrorKind::Setting, format!("{whose} takes {takes}, {name} offers {offers}: {remedy}"))
}

/// The upstream element that makes the frames. Elements that pass frames on unchanged (capsfilter, queue, tee) are
/// skipped; if there is no other, the first element of the stream is returned.
fn producer(sink: &gst::Pad) -> Option<gst::Element> {
    let mut first = None;
    for (_, element) in upstream::pads(sink) {
        if !upstream::is_a(&element, "Generic") {
            return Some(element);
        }
        first = Some(element);
    }
    first
}

/// The caps that an upstream element has fixed, unless a converter behind it could still change them.
pub fn settled(sink: &gst::Pad) -> Option<gst::Caps> {
    let mut converted = false;
    upstream::pads(sink)
        .map_while(|(pad, element)| {
            let of_converter = std::mem::replace(&mut converted, upstream::is_a(&element, "Converter"));
            (!of_converter).then(|| pad.current_caps())
        })
        .flatten()
        .next()
}

fn is_system(features: &gst::CapsFeaturesRef) -> bool {
    !features.is_any() && features.is_equal(&gst::CAPS_FEATURES_MEMORY_SYSTEM_MEMORY)
}

/// `video/x-raw(memory:CUDAMemory) as NV12, I420 or RGBA`
fn describe(frames: &gst::StructureRef, features: &gst::CapsFeaturesRef) -> String {
    let memory = if is_system(features) { " in system memory".into() } else { format!("({features})") };
    let name = frames.name();
    let list = frames.get::<gst::List>("format").ok();
    let mut formats: Vec<&str> =
        list.iter().flat_map(|list| list.iter()).filter_map(|format| format.get().ok()).collect();
    formats.extend(frames.get::<&str>("format").ok());
    match formats.as_slice() {
        [] => format!("{name}{memory}"),
        [format] => format!("{name}{memory} as {format}"),
        [rest @ .., last] => format!("{name}{memory} as {} or {last}", rest.join(", ")),
    }
}

/// The offered format and size if the caps are fixed, else the caps.
fn offer(came: &gst::CapsRef) -> String {
    let only = came.iter_with_features().next().filter(|_| came.size() == 1);
    let size = |frames: &gst::StructureRef| Some((frames.get::<i32>("width").ok()?, frames.get::<i32>("height").ok()?));
    match only {
        Some((frames, features)) if came.is_fixed() && frames.has_field("format") => {
            let size = size(frames).map_or_else(String::new, |(width, height)| format!(", {width}×{height}"));
            format!("{}{size}", describe(frames, features))
        }
        _ => came.to_string(),
    }
}

/// The element that converts `came` to `taken`.
fn remedy(came: &gst::CapsRef, taken: &gst::CapsRef) -> &'static str {
    let is_raw = came.structure(0).is_some_and(|frames| frames.name() == "video/x-raw");
    let has = |caps: &gst::CapsRef, wanted: &dyn Fn(&gst::CapsFeaturesRef) -> bool| {
        caps.iter_with_features().any(|(_, features)| wanted(features))
    };
    let cuda = |features: &gst::CapsFeaturesRef| features.contains(caps::CUDA_MEMORY);
    let (takes_cuda, takes_system) = (has(taken, &cuda), has(taken, &is_system));
    match (is_raw, has(came, &cuda), has(came, &is_system)) {
        (false, ..) => {
            "put a decoder before it, such as avdec_h264 (system memory), nvh264dec (GPU memory) or decodebin"
        }
        (_, true, _) if takes_cuda => "put cudaconvert before it",
        (_, true, _) => "use cudadownload, and videoconvert if the format isn't taken, or set backend=tensorrt",
        (_, _, true) if takes_system => "put videoconvert before it",
        (_, _, true) => "use nvh264dec (or cudaupload), or set backend=cpu",
        _ if takes_system => {
            "put an element before it that copies the frames to system memory, such as gldownload or vapostproc"
        }
        _ => {
            "put an element before it that copies the frames to system memory, such as gldownload or vapostproc, \
             and then cudaupload"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::Backend;

    /// The error for a pad that isn't linked.
    fn refusal(came: &str, taken: &gst::Caps) -> String {
        let ours = gst::ElementFactory::make("identity").build().unwrap();
        let came = came.parse::<gst::Caps>().unwrap();
        error("trtdetect", &ours.static_pad("sink").unwrap(), &came, taken).message
    }

    #[test]
    fn the_format_the_formats_and_the_converter_are_named() {
        gst::init().unwrap();
        let (cpu, gpu) = (caps::of_backend(Backend::Cpu), caps::of_backend(Backend::TensorRt));
        let size = "width=(int)32,height=(int)16,framerate=(fraction)25/1";
        let cases = [
            (format!("video/x-raw,format=I422_10LE,{size}"), &cpu, "as I422_10LE, 32×16: put videoconvert before it"),
            (format!("video/x-raw,format=GRAY16_LE,{size}"), &caps::template(), "put videoconvert before it"),
            (format!("video/x-raw,format=NV12,{size}"), &gpu, "as NV12, 32×16: use nvh264dec (or cudaupload), or set"),
            (format!("video/x-raw(memory:CUDAMemory),format=Y444,{size}"), &gpu, "as Y444, 32×16: put cudaconvert"),
            (format!("video/x-raw(memory:CUDAMemory),format=NV12,{size}"), &cpu, "use cudadownload"),
            (format!("video/x-raw(memory:GLMemory),format=RGBA,{size}"), &cpu, "(memory:GLMemory) as RGBA, 32×16: put"),
            (format!("video/x-raw(memory:GLMemory),format=RGBA,{size}"), &gpu, "and then cudaupload"),
            (format!("video/x-h264,{size}"), &cpu, "put a decoder before it"),
            ("video/x-raw,format={ I422_10LE, Y444 }".into(), &cpu, "Y444 }: put videoconvert before it"),
        ];
        for (came, taken, part) in cases {
            let text = refusal(&came, taken);
            assert!(
                text.starts_with("trtdetect takes video/x-raw") && text.contains("upstream offers video/x-"),
                "{text}"
            );
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = refusal("video/x-raw,format=v210", &cpu);
        assert!(
            text.contains("in system memory as NV12, I420, RGB, BGR, RGBA, BGRA, RGBx or BGRx, upstream"),
            "{text}"
        );
    }
}
