//! The start of a paced source: its pictures become due once its decoder returns the first one.
//!
//! Opening a decoder takes time, up to two seconds on a GPU that opens many at once. A stream that played at its own
//! speed meanwhile would pile up, and be dropped when the decoder is ready. So until the first decoded picture, coded
//! ones go on as the decoder takes them; from then on they play at the speed of their timestamps.

use super::running;
use gst::prelude::*;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;

/// Coded pictures in flight before the first decoded one: one that the decoder works on, and one that waits for it.
const AHEAD: u64 = 2;

/// Holds coded pictures back while the decoder opens.
#[derive(Debug, Clone, Default)]
pub struct PacedStart(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Coded pictures that have passed.
    entered: u64,
    /// Those of them that the decoder was given, or that were dropped on the way.
    taken: u64,
    /// The running times at which those that the decoder hasn't been given yet are due, by their own timestamps.
    ahead: VecDeque<Option<gst::ClockTime>>,
    /// The running time of the last one that the decoder was given.
    due: Option<gst::ClockTime>,
    /// The decoder has returned a picture, or the source is being closed: nothing is held back.
    begun: bool,
}

impl PacedStart {
    /// Makes `pace`, a clocksync in front of the decoder's `queue`, start when the first picture comes out at
    /// `decoded`.
    pub fn hold(&self, pace: &gst::Element, queue: &gst::Element, decoded: &gst::Pad) {
        pace.set_property("sync", false);
        if let Some(pad) = pace.static_pad("sink") {
            let this = self.clone();
            pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
                let due = |buffer: &gst::BufferRef| {
                    running::time(pad, buffer.dts()).or_else(|| running::time(pad, buffer.pts()))
                };
                match info.buffer().is_some_and(|buffer| this.enter(due(buffer))) {
                    true => gst::PadProbeReturn::Ok,
                    false => gst::PadProbeReturn::Remove,
                }
            });
        }
        if let Some(pad) = queue.static_pad("src") {
            let this = self.clone();
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| match this.taken() {
                true => gst::PadProbeReturn::Ok,
                false => gst::PadProbeReturn::Remove,
            });
        }
        let (this, pace) = (self.clone(), pace.downgrade());
        decoded.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            if let Some(pace) = pace.upgrade() {
                this.begin(&pace);
            }
            gst::PadProbeReturn::Remove
        });
    }

    /// Called when a coded picture comes to the clocksync; waits until the decoder has space for it. Returns whether
    /// later ones will be held back.
    fn enter(&self, due: Option<gst::ClockTime>) -> bool {
        let full = |state: &mut State| !state.begun && state.entered >= state.taken + AHEAD;
        let mut state = self.0.state.lock();
        self.0.changed.wait_while(&mut state, full);
        state.entered += 1;
        if !state.begun {
            state.ahead.push_back(due);
        }
        !state.begun
    }

    /// Called when a coded picture has left the queue, for the decoder or because it was dropped. Returns whether later
    /// calls are needed.
    pub fn taken(&self) -> bool {
        let mut state = self.0.state.lock();
        state.taken += 1;
        state.due = state.ahead.pop_front().flatten().or(state.due);
        self.0.changed.notify_all();
        !state.begun
    }

    /// Makes the next coded picture due as long from now as its timestamp is after that of the one that the decoder was
    /// given last.
    fn begin(&self, pace: &gst::Element) {
        let mut state = self.0.state.lock();
        if let (Some(now), Some(due)) = (pace.current_running_time(), state.due) {
            let nanoseconds = |time: gst::ClockTime| i64::try_from(time.nseconds()).unwrap_or(i64::MAX);
            pace.set_property("ts-offset", nanoseconds(now).saturating_sub(nanoseconds(due)));
        }
        pace.set_property("sync", true);
        state.begun = true;
        self.0.changed.notify_all();
    }

    /// Releases the waiting threads, because the source is being closed.
    pub fn end(&self) {
        self.0.state.lock().begun = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn coded_pictures_wait_for_the_decoder_and_go_when_the_source_ends() {
        let start = PacedStart::default();
        let (sender, entered) = mpsc::channel();
        let of = start.clone();
        let thread = std::thread::spawn(move || {
            for n in 0..6 {
                of.enter(Some(gst::ClockTime::from_mseconds(n * 40)));
                sender.send(n).unwrap();
            }
        });
        let next = |limit: u64| entered.recv_timeout(Duration::from_millis(limit)).ok();
        assert_eq!((next(5000), next(5000), next(100)), (Some(0), Some(1), None), "the decoder is opening");
        assert!(start.taken());
        assert_eq!((next(5000), next(100)), (Some(2), None), "it has taken one");
        start.end();
        assert_eq!((next(5000), next(5000), next(5000)), (Some(3), Some(4), Some(5)));
        thread.join().unwrap();
    }
}
