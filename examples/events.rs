//! An application that embeds a pipeline and reads what happens in zones and on lines from its bus.
//!
//! ```text
//! cargo run --release --example events media/bikes.mp4 models/yolov12n.onnx pipelines/zones.json
//! ```
//!
//! docs/zones.md has the fields of the messages. The events of a frame are also in its record, `meta::read(…).events`, except
//! those of the stream's end. On a GPU, use `nvh264dec` instead of `avdec_h264`, without `backend=cpu`.

use gst::prelude::*;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [clip, model, zones] = &arguments[..] else { return Err("usage: events CLIP MODEL ZONES".into()) };
    gst::init()?;
    // The elements are part of this program: no plugin file is needed.
    gsttensorrt::plugin_register_static()?;

    // The model looks at every third frame; uncertain objects keep tracks from breaking off.
    let pipeline = gst::parse::launch(&format!(
        "filesrc location=\"{clip}\" ! qtdemux ! h264parse ! avdec_h264 \
         ! trtdetect backend=cpu model=\"{model}\" confidence=0.1 interval=2 ! trttrack ! trtzones zones-file=\"{zones}\" ! fakesink"
    ))?;
    // If it fails, the bus has the reason.
    let _ = pipeline.set_state(gst::State::Playing);
    let bus = pipeline.bus().ok_or("no bus")?;
    let mut result = Ok(());
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::Element(element) => {
                if let Some(event) = element.structure().filter(|structure| structure.name() == "trtzones-event") {
                    println!("{}", describe(event)?);
                }
            }
            gst::MessageView::Error(error) => {
                result = Err(error.error().into());
                break;
            }
            gst::MessageView::Eos(_) => break,
            _ => {}
        }
    }
    pipeline.set_state(gst::State::Null)?;
    result
}

/// When and where it happened, what, and to which object.
fn describe(event: &gst::StructureRef) -> Result<String, Box<dyn Error>> {
    let milliseconds = |field: &str| Ok::<_, Box<dyn Error>>(event.get::<u64>(field)? / 1_000_000);
    let place = event.get::<&str>("zone").or_else(|_| event.get("line"))?;
    let mut text = format!("{} ms, {place}: {}", milliseconds("timestamp")?, event.get::<&str>("type")?);
    if let Ok(direction) = event.get::<&str>("direction") {
        text += &format!(" {direction}");
    }
    if let Ok(label) = event.get::<&str>("label") {
        text += &format!(", {label} {}", event.get::<u64>("track-id")?);
    }
    if event.has_field("dwell") {
        text += &format!(", after {} ms", milliseconds("dwell")?);
    }
    if event.has_field("lasted") {
        text += &format!(", after {} ms", milliseconds("lasted")?);
    }
    if let Ok(count) = event.get::<u32>("count") {
        text += &format!(", {count} objects");
    }
    Ok(text)
}
