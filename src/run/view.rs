//! What clients see of running cameras: single frames on request, the events of all, how each camera is set up.
//!
//! Without a request a camera does nothing for it: a probe that takes a frame is on the pipeline's last pad only while one is
//! waited for, and events, which are rare, are noted where frames are counted anyway.

use super::setup::CameraSetup;
use crate::elements::frame_size;
use crate::meta::{self, Event, Record};
use futures_channel::oneshot;
use gst::glib;
use gst::prelude::*;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

/// The views of all cameras, for the supervisor and for clients, on any thread.
#[derive(Debug, Clone, Default)]
pub struct Views {
    cameras: Arc<Mutex<BTreeMap<String, Arc<View>>>>,
    events: Arc<Mutex<EventLog>>,
}

/// One camera, for as long as it's configured.
#[derive(Debug)]
pub struct View {
    camera: Arc<str>,
    events: Arc<Mutex<EventLog>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    setup: Option<Arc<CameraSetup>>,
    /// The pad where all frames end, of the pipeline that was made last.
    end: glib::WeakRef<gst::Pad>,
    waiting: Vec<oneshot::Sender<ViewedFrame>>,
    /// A probe is on the pad, which serves all that wait.
    is_watched: bool,
}

/// A frame as it came out of the pipeline.
#[derive(Debug, Clone)]
pub struct ViewedFrame {
    /// It shares the frame's memory, which may belong to a decoder's pool: not to be kept.
    pub buffer: gst::Buffer,
    pub caps: gst::Caps,
    /// The GPU in whose memory it is.
    pub gpu: Option<u32>,
    /// Pixels.
    pub size: (u32, u32),
    pub record: Arc<Record>,
    /// When it came out.
    pub time: SystemTime,
}

/// An event in a zone or on a line of a camera.
#[derive(Debug, Clone)]
pub struct SeenEvent {
    /// Counts the events of all cameras, from 1.
    pub number: u64,
    pub camera: Arc<str>,
    /// When its frame came out of the pipeline.
    pub time: SystemTime,
    pub event: Event,
}

/// The last events.
#[derive(Debug, Default)]
struct EventLog {
    last: u64,
    events: VecDeque<SeenEvent>,
}

/// The most events that are kept.
pub const MOST_EVENTS: usize = 1000;

/// Frames of a camera that clients hold at once, if they take the next after they have dropped the one before.
pub const HELD_FRAMES: u32 = 1;

impl Views {
    /// The view of a camera that is there or comes.
    pub(super) fn of(&self, camera: &str) -> Arc<View> {
        let make = || Arc::new(View { camera: camera.into(), events: self.events.clone(), state: Mutex::default() });
        self.cameras.lock().entry(camera.to_owned()).or_insert_with(make).clone()
    }

    /// Removes a camera that isn't configured any more.
    pub(super) fn forget(&self, camera: &str) {
        self.cameras.lock().remove(camera);
    }

    /// The camera of this name, if there is one.
    pub fn get(&self, camera: &str) -> Option<Arc<View>> {
        self.cameras.lock().get(camera).cloned()
    }

    /// The number of the last event so far, and those of the kept ones with a greater number than `after`, oldest first.
    pub fn events(&self, after: u64) -> (u64, Vec<SeenEvent>) {
        let log = self.events.lock();
        (log.last, log.events.iter().filter(|event| event.number > after).cloned().collect())
    }
}

impl View {
    /// How the camera is set up.
    pub fn setup(&self) -> Option<Arc<CameraSetup>> {
        self.state.lock().setup.clone()
    }

    /// Width and height of the camera's frames in pixels, once one has come.
    pub fn size(&self) -> Option<(u32, u32)> {
        let end = self.state.lock().end.upgrade()?;
        frame_size(end.current_caps()?.as_ref())
    }

    /// The next frame that comes out of the pipeline; `None` if there is no pipeline. The receiver is cancelled when another
    /// pipeline takes its place.
    pub fn next(self: &Arc<Self>) -> Option<oneshot::Receiver<ViewedFrame>> {
        let (sender, receiver) = oneshot::channel();
        let end = {
            let mut state = self.state.lock();
            let end = state.end.upgrade()?;
            state.waiting.retain(|waiting| !waiting.is_canceled());
            state.waiting.push(sender);
            if std::mem::replace(&mut state.is_watched, true) {
                return Some(receiver);
            }
            end
        };
        let view = Arc::downgrade(self);
        end.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let Some(view) = view.upgrade()
                && let Some(buffer) = info.buffer()
            {
                view.take(pad, buffer);
            }
            gst::PadProbeReturn::Remove
        });
        Some(receiver)
    }

    /// Hands a frame to all that wait. This runs on the camera's streaming thread, and doesn't block.
    fn take(&self, pad: &gst::Pad, buffer: &gst::BufferRef) {
        let (waiting, gpu) = {
            let mut state = self.state.lock();
            if state.end.upgrade().as_ref() != Some(pad) {
                return;
            }
            state.is_watched = false;
            (std::mem::take(&mut state.waiting), state.setup.as_ref().and_then(|setup| setup.decoder.gpu()))
        };
        let Some(caps) = pad.current_caps() else { return };
        let Some(size) = frame_size(&caps) else { return };
        let record = meta::read(buffer, size.0, size.1);
        let frame = ViewedFrame { buffer: buffer.copy(), caps, gpu, size, record, time: SystemTime::now() };
        for sender in waiting {
            // A client that has gone needs no frame.
            let _ = sender.send(frame.clone());
        }
    }

    /// Records how the camera is set up now.
    pub(super) fn is_set_up(&self, setup: &Arc<CameraSetup>) {
        self.state.lock().setup = Some(setup.clone());
    }

    /// Another pipeline was made, whose frames end at this pad.
    pub(super) fn ends_at(&self, end: &gst::Pad) {
        let mut state = self.state.lock();
        (state.end, state.is_watched) = (end.downgrade(), false);
        // Those that wait for a frame of the pipeline before are cancelled.
        state.waiting.clear();
    }

    /// Notes the events of a frame.
    pub(super) fn note(&self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        let time = SystemTime::now();
        let mut log = self.events.lock();
        for event in events {
            log.last += 1;
            if log.events.len() >= MOST_EVENTS {
                log.events.pop_front();
            }
            let seen = SeenEvent { number: log.last, camera: self.camera.clone(), time, event: event.clone() };
            log.events.push_back(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::EventKind;
    use std::time::Duration;

    fn event() -> Event {
        Event { place: "hall".into(), kind: EventKind::Entered, time: Duration::from_secs(1), object: None, clip: None }
    }

    #[test]
    fn the_newest_events_are_kept_and_numbered() {
        let views = Views::default();
        let (door, yard) = (views.of("door"), views.of("yard"));
        door.note(&[event(), event()]);
        yard.note(&[event()]);
        let (last, events) = views.events(1);
        assert_eq!((last, events.iter().map(|event| event.number).collect::<Vec<_>>()), (3, vec![2, 3]));
        assert_eq!((&*events[0].camera, &*events[1].camera), ("door", "yard"));
        (0..MOST_EVENTS).for_each(|_| door.note(&[event()]));
        let (last, events) = views.events(0);
        assert_eq!((last, events.len(), events[0].number), (1003, MOST_EVENTS, 4));
    }

    #[test]
    fn a_frame_is_taken_only_while_one_is_waited_for() {
        gst::init().unwrap();
        let views = Views::default();
        let view = views.of("door");
        assert!(view.next().is_none(), "there is no pipeline");
        let pipeline = gst::parse::launch(
            "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=50/1 ! fakesink name=end sync=false",
        );
        let pipeline = pipeline.unwrap().downcast::<gst::Pipeline>().unwrap();
        let end = pipeline.by_name("end").unwrap().static_pad("sink").unwrap();
        view.ends_at(&end);
        pipeline.set_state(gst::State::Playing).unwrap();
        let glib = glib::MainContext::new();
        let (one, other) = (view.next().unwrap(), view.next().unwrap());
        drop(view.next());
        let (one, other) = (glib.block_on(one).unwrap(), glib.block_on(other).unwrap());
        assert_eq!((one.size, one.buffer.pts()), ((64, 48), other.buffer.pts()), "one frame serves all");
        assert!(!view.state.lock().is_watched && view.state.lock().waiting.is_empty());
        let later = glib.block_on(view.next().unwrap()).unwrap();
        // It may be asked for before the frame has left the pad.
        assert!(later.buffer.pts() >= one.buffer.pts());
        let waiting = view.next().unwrap();
        view.ends_at(&end);
        assert!(glib.block_on(waiting).is_err(), "the pipeline that it was to come from is gone");
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
