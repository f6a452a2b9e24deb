//! A `trtpublish` whose frames a test pushes.

use super::running::register;
use gst::prelude::*;
use gst_check::Harness;
use serde_json::Value;

const CAPS: &str = "video/x-raw,format=GRAY8,width=64,height=32,framerate=30/1";

/// An element with a bus; the test pushes its buffers.
pub struct Publish {
    harness: Harness,
    pub element: gst::Element,
    pub bus: gst::Bus,
    pub frames: u64,
}

impl Publish {
    pub fn new(properties: &str) -> Self {
        register();
        let element = gst::parse::launch(&format!("trtpublish {properties}")).unwrap();
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
        harness.set_src_caps_str(CAPS);
        Self { harness, element, bus, frames: 0 }
    }

    pub fn push(&mut self, count: u64) {
        for _ in 0..count {
            let mut buffer = gst::Buffer::with_size(64 * 32).unwrap();
            buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(self.frames));
            let _ = self.harness.push(buffer);
            self.frames += 1;
        }
    }

    /// Returns when the element has passed the event on. More frames may follow.
    pub fn eos(&mut self) {
        assert!(self.harness.push_event(gst::event::Eos::new()));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(self.harness.push_event(gst::event::FlushStart::new()));
        assert!(self.harness.push_event(gst::event::FlushStop::new(true)));
        assert!(self.harness.push_event(gst::event::Segment::new(&segment)));
    }

    pub fn stat(&self, name: &str) -> u64 {
        self.element.property::<gst::Structure>("stats").get(name).unwrap()
    }

    /// The next error or warning.
    #[track_caller]
    pub fn message(&self) -> (gst::MessageType, gst::glib::Error) {
        let kinds = [gst::MessageType::Error, gst::MessageType::Warning];
        let message = self.bus.timed_pop_filtered(gst::ClockTime::from_seconds(20), &kinds).expect("nothing is said");
        match message.view() {
            gst::MessageView::Error(error) => (gst::MessageType::Error, error.error()),
            gst::MessageView::Warning(warning) => (gst::MessageType::Warning, warning.error()),
            _ => unreachable!(),
        }
    }

    #[track_caller]
    pub fn quiet(&self) {
        let kinds = [gst::MessageType::Error, gst::MessageType::Warning];
        let message = self.bus.pop_filtered(&kinds);
        let said = message.as_ref().map(|message| match message.view() {
            gst::MessageView::Error(error) => error.error().to_string(),
            gst::MessageView::Warning(warning) => warning.error().to_string(),
            _ => unreachable!(),
        });
        assert_eq!(said, None);
    }
}

/// The frame's number in a line.
pub fn number(line: &str) -> u64 {
    let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
    line["frame"].as_u64().unwrap()
}
