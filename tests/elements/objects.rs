//! Objects and frames for tests that put records on buffers themselves.

use gsttensorrt::meta::Object;
use model::Rect;

pub const WIDTH: u32 = 320;
pub const HEIGHT: u32 = 240;

/// An object of the model `det`, without a parent and keypoints.
pub fn object(id: u32, label: &str, rect: Rect) -> Object {
    Object {
        id,
        rect,
        class_id: Some(id + 10),
        label: label.into(),
        confidence: 0.75,
        source: "det".into(),
        ..Object::default()
    }
}

/// An RGB frame.
pub fn frame() -> gst::Buffer {
    gst::init().unwrap();
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, WIDTH, HEIGHT).build().unwrap();
    gst::Buffer::with_size(info.size()).unwrap()
}

/// The output of `elements` for such a frame.
pub fn through(elements: &str, buffer: gst::Buffer) -> gst::Buffer {
    let mut harness = gst_check::Harness::new_parse(elements);
    harness.set_src_caps_str(&format!("video/x-raw,format=RGB,width={WIDTH},height={HEIGHT},framerate=30/1"));
    harness.push_and_pull(buffer).unwrap()
}
