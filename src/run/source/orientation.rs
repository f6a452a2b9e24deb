//! Files that a player shows rotated, such as a phone's: models are to see what people see.

use crate::check::{TURN, unturned};
use crate::elements::Orientation;
use crate::elements::make;
use crate::error::Error;
use gst::prelude::*;

/// What start_guard pictures in system memory as their stream's tags say. Upright ones pass untouched.
pub fn turn() -> Result<gst::Element, Error> {
    let turn = make("videoflip", "turn")?;
    turn.set_property_from_str("video-direction", "auto");
    Ok(turn)
}

/// Warns about pictures in GPU memory, decoded by the element of this pad, that should be rotated. The warning is given
/// here, in terms of the configuration: elements after it see the pictures as upright.
pub fn warn(decoded: &gst::Pad) {
    let orientation = Orientation::default();
    decoded.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |decoded, info| {
        let Some(gst::EventView::Tag(tag)) = info.event().map(|event| event.view()) else {
            return gst::PadProbeReturn::Ok;
        };
        if tag.tag().get::<gst::tags::ImageOrientation>().is_none() {
            return gst::PadProbeReturn::Ok;
        }
        if let Some(way) = orientation.tagged(tag.tag())
            && let Some(decoder) = decoded.parent_element()
        {
            gst::element_warning!(decoder, gst::StreamError::Format, ("{}; {TURN}", unturned(&way)));
        }
        let mut tags = tag.tag_owned();
        tags.make_mut().add::<gst::tags::ImageOrientation>(&"rotate-0", gst::TagMergeMode::Replace);
        info.data = Some(gst::PadProbeData::Event(gst::event::Tag::new(tags)));
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures of an element that stands for a decoder to GPU memory.
    #[test]
    fn pictures_that_can_not_be_turned_are_told_of_once() {
        gst::init().unwrap();
        let decoder = gst::ElementFactory::make("identity").name("decoder").build().unwrap();
        let bus = gst::Bus::new();
        decoder.set_bus(Some(&bus));
        let source = decoder.static_pad("src").unwrap();
        warn(&source);
        let end = gst::Pad::builder(gst::PadDirection::Sink).event_function(|_, _, _| true).build();
        source.link(&end).unwrap();
        source.set_active(true).unwrap();
        end.set_active(true).unwrap();
        assert!(source.push_event(gst::event::StreamStart::new("file")));
        for (way, told) in [("rotate-0", false), ("rotate-270", true), ("rotate-270", false), ("flip-rotate-90", true)]
        {
            let mut tags = gst::TagList::new();
            tags.make_mut().add::<gst::tags::ImageOrientation>(&way, gst::TagMergeMode::Replace);
            assert!(source.push_event(gst::event::Tag::new(tags)));
            let message = bus.pop_filtered(&[gst::MessageType::Warning]);
            assert_eq!(message.is_some(), told, "{way}");
            if let Some(gst::MessageView::Warning(warning)) = message.as_ref().map(|message| message.view()) {
                let text = warning.error().to_string();
                assert!(text.contains(way) && text.contains("ENABLE_NVDEC"), "{text}");
            }
            let tags = end.sticky_event::<gst::event::Tag>(0).unwrap().tag_owned();
            assert_eq!(tags.get::<gst::tags::ImageOrientation>().unwrap().get(), "rotate-0");
        }
    }
}
