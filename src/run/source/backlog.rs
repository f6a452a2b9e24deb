//! The start of a camera's source: pictures that came while its decoder was being opened aren't dropped.
//!
//! The decoder quickly works off what has piled up, and the models take longer: the queue in front of them would drop
//! most of it. So that queue blocks the decoder, until no coded pictures are queued any more.

use super::super::CAT;
use crate::scheduling::{CatchUp, Queued};
use gst::prelude::*;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Instant;

/// The queue in front of the models, while it drops nothing.
#[derive(Debug, Clone, Default)]
pub struct Backlog(Arc<Mutex<Option<Held>>>);

#[derive(Debug)]
struct Held {
    pictures: gst::Element,
    start: CatchUp,
}

impl Backlog {
    /// Makes `pictures`, the queue in front of the models, drop nothing until there is space in it again and `coded`,
    /// the queue in front of the decoder, is empty behind the first picture that comes out at `decoded`.
    pub fn hold(&self, pictures: &gst::Element, coded: &gst::Element, decoded: &gst::Pad) {
        pictures.set_property_from_str("leaky", "no");
        *self.0.lock() = Some(Held { pictures: pictures.clone(), start: CatchUp::default() });
        let this = self.clone();
        decoded.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            if let Some(held) = &mut *this.0.lock() {
                held.start.first_picture(Instant::now());
            }
            gst::PadProbeReturn::Remove
        });
        let (this, queue) = (self.clone(), coded.downgrade());
        if let Some(pad) = coded.static_pad("src") {
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                let coded = queue.upgrade().map_or(0, |queue| waiting(&queue));
                let is_over = match &*this.0.lock() {
                    Some(Held { pictures, start }) => {
                        let most_pictures = pictures.property("max-size-buffers");
                        let queued = Queued { coded, pictures: waiting(pictures), most_pictures };
                        start.is_over(Instant::now(), queued)
                    }
                    None => return gst::PadProbeReturn::Remove,
                };
                if is_over {
                    this.end();
                }
                gst::PadProbeReturn::Ok
            });
        }
    }

    /// Makes the queue drop again, and releases a decoder that waits for space in it.
    pub fn end(&self) {
        if let Some(Held { pictures, .. }) = self.0.lock().take() {
            gst::debug!(
                CAT,
                obj = pictures,
                "the models have caught up, or won't: the oldest picture makes room again"
            );
            pictures.set_property_from_str("leaky", "downstream");
            // The queue checks this property when its size is set.
            let most: u32 = pictures.property("max-size-buffers");
            pictures.set_property("max-size-buffers", most);
        }
    }
}

/// The number of buffers in a queue.
fn waiting(queue: &gst::Element) -> u32 {
    queue.property("current-level-buffers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// Makes the decoder open until the other 59 of 60 pictures wait for it.
    fn open_slowly(decoder: &gst::Element, coded: &gst::Element) {
        let coded = coded.clone();
        decoder.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let start = Instant::now();
            while waiting(&coded) < 59 && start.elapsed() < Duration::from_secs(30) {
                std::thread::sleep(Duration::from_millis(1));
            }
            gst::PadProbeReturn::Remove
        });
    }

    /// Plays a camera that sends 60 pictures at once, to models that take 2 ms each; returns how many come through.
    fn come_through(held: bool) -> (usize, gst::Element, Backlog) {
        gst::init().unwrap();
        let text = "fakesrc num-buffers=60 ! queue name=coded max-size-buffers=100 ! identity name=decoder ! \
                    queue name=pictures leaky=downstream max-size-buffers=3 max-size-time=0 ! \
                    identity sleep-time=2000 ! fakesink name=end sync=false";
        let pipeline = gst::parse::launch(text).unwrap().downcast::<gst::Pipeline>().unwrap();
        let by_name = |name| pipeline.by_name(name).unwrap();
        open_slowly(&by_name("decoder"), &by_name("coded"));
        let backlog = Backlog::default();
        if held {
            backlog.hold(&by_name("pictures"), &by_name("coded"), &by_name("decoder").static_pad("src").unwrap());
        }
        let count = Arc::<AtomicUsize>::default();
        let counter = count.clone();
        by_name("end").static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            counter.fetch_add(1, Ordering::SeqCst);
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        let end = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &end).unwrap();
        assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
        let pictures = by_name("pictures");
        pipeline.set_state(gst::State::Null).unwrap();
        (count.load(Ordering::SeqCst), pictures, backlog)
    }

    fn leaky(queue: &gst::Element) -> String {
        let value = queue.property_value("leaky");
        gst::glib::EnumValue::from_value(&value).unwrap().1.nick().to_owned()
    }

    #[test]
    fn a_backlog_is_worked_off_whole_and_then_the_oldest_makes_room_again() {
        let (without, ..) = come_through(false);
        assert!(without < 60, "models as slow as that can't: {without}");
        let (with, pictures, backlog) = come_through(true);
        assert_eq!(with, 60);
        // As when the source is closed before that happens.
        backlog.end();
        assert_eq!(leaky(&pictures), "downstream");
    }

    #[test]
    fn a_decoder_that_waits_goes_on_when_the_source_ends() {
        gst::init().unwrap();
        let text = "fakesrc num-buffers=60 ! queue name=coded max-size-buffers=100 ! identity name=decoder ! \
                    queue name=pictures leaky=downstream max-size-buffers=3 max-size-time=0 ! \
                    identity sleep-time=60000000 ! fakesink";
        let pipeline = gst::parse::launch(text).unwrap().downcast::<gst::Pipeline>().unwrap();
        let by_name = |name| pipeline.by_name(name).unwrap();
        let (pictures, decoded) = (by_name("pictures"), by_name("decoder").static_pad("src").unwrap());
        open_slowly(&by_name("decoder"), &by_name("coded"));
        let backlog = Backlog::default();
        backlog.hold(&pictures, &by_name("coded"), &decoded);
        let went = Arc::<AtomicUsize>::default();
        let counter = went.clone();
        decoded.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            counter.fetch_add(1, Ordering::SeqCst);
            gst::PadProbeReturn::Ok
        });
        // Never prerolls: its models hang.
        let _ = pipeline.set_state(gst::State::Playing);
        let reaches = |wanted: usize, limit: Duration| {
            let start = Instant::now();
            while went.load(Ordering::SeqCst) < wanted && start.elapsed() < limit {
                std::thread::sleep(Duration::from_millis(5));
            }
            went.load(Ordering::SeqCst) >= wanted
        };
        assert!(reaches(5, Duration::from_secs(30)) && !reaches(10, Duration::from_millis(200)), "it waits");
        backlog.end();
        assert!(reaches(60, Duration::from_secs(30)), "the oldest make room");
        std::mem::forget(pipeline);
    }
}
