//! An application that embeds a pipeline and reads the detected objects from its buffers.
//!
//! ```text
//! cargo run --release --example detect media/bikes.mp4 models/yolov12n.onnx
//! ```
//!
//! A third argument has elements to put behind the detector, for example
//! `"videoconvert ! videoscale ! video/x-raw,width=320,height=240"`. On a GPU, use `nvh264dec` instead of `avdec_h264`, without `backend=cpu`.

use gst::prelude::*;
use gsttensorrt::meta;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (clip, model, behind) = match &arguments[..] {
        [clip, model] => (clip, model, "identity"),
        [clip, model, behind] => (clip, model, behind.as_str()),
        _ => return Err("usage: detect CLIP MODEL [ELEMENTS]".into()),
    };
    gst::init()?;
    // The elements are part of this program: no plugin file is needed.
    gsttensorrt::plugin_register_static()?;

    let pipeline = gst::parse::launch(&format!(
        "filesrc location=\"{clip}\" ! qtdemux ! h264parse ! avdec_h264 ! trtdetect backend=cpu model=\"{model}\" \
         ! {behind} ! fakesink name=end"
    ))?;
    let end = pipeline.downcast_ref::<gst::Bin>().and_then(|bin| bin.by_name("end")).ok_or("no end")?;
    let pad = end.static_pad("sink").ok_or("no pad")?;
    pad.add_probe(gst::PadProbeType::BUFFER, |pad, info| {
        if let (Some(buffer), Some(caps)) = (info.buffer(), pad.current_caps())
            && let Ok(video) = gst_video::VideoInfo::from_caps(&caps)
        {
            for object in &meta::read(buffer, video.width(), video.height()).objects {
                // Fractions of the frame, as everything in a record.
                let rect = object.rect.scaled(video.width() as f32, video.height() as f32);
                println!(
                    "{} {:.2} {:.0} {:.0} {:.0} {:.0}",
                    object.label, object.confidence, rect.x, rect.y, rect.w, rect.h
                );
            }
        }
        gst::PadProbeReturn::Ok
    });

    // If it fails, the bus has the reason.
    let _ = pipeline.set_state(gst::State::Playing);
    let bus = pipeline.bus().ok_or("no bus")?;
    let message = bus.timed_pop_filtered(None, &[gst::MessageType::Eos, gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null)?;
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => Err(error.error().into()),
        _ => Ok(()),
    }
}
