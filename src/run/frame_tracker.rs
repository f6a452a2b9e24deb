//! Tracks a camera's pictures from their arrival to the end of the pipeline.

use super::CAT;
use super::channel::Reporter;
use super::frame_intervals::FrameIntervals;
use super::lifecycle::{Event, Patience};
use super::meters::CountingElements;
use super::setup::CameraSetup;
use super::view::{HELD_FRAMES, View};
use crate::infer::nanoseconds;
use crate::meta;
use crate::monitor::Meter;
use gst::prelude::*;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shared by a camera's streaming threads and its supervisor.
#[derive(Debug)]
pub struct FrameTracker {
    meter: Arc<Meter>,
    elements: CountingElements,
    /// Where clients may look at the camera.
    view: Option<Arc<View>>,
    start: Instant,
    /// The arrival times of pictures in flight, by PTS; oldest first.
    arrivals: Mutex<VecDeque<(gst::ClockTime, Instant)>>,
    /// When the source last delivered a picture, ns since `start`.
    came: AtomicU64,
    /// When the last picture reached the end, ns since `start`.
    went: AtomicU64,
    /// When the first picture came after one reached the end, ns since `start`.
    entered: AtomicU64,
    /// The source has delivered a picture since it was opened.
    playing: AtomicBool,
    /// One of these has reached the end of the pipeline.
    shown: AtomicBool,
    frame_intervals: Mutex<FrameIntervals>,
    /// The time until which the source's silence is explained, ns since `start`.
    accounted: AtomicU64,
    /// Coded pictures that were due since the decoder last returned one.
    undecoded: AtomicU32,
    /// The missing key frame has been reported.
    told_no_key_frame: AtomicBool,
}

/// The most coded pictures that a decoder takes before it returns the first: 16 that may be reordered, and as many on
/// its threads.
const MOST_UNDECODED: u32 = 32;

/// More pictures than can be in flight; a bound for decoders that keep some.
const MOST_ARRIVALS: usize = 512;

impl FrameTracker {
    pub fn new(meter: Arc<Meter>, elements: CountingElements, view: Option<Arc<View>>) -> Self {
        Self {
            meter,
            elements,
            view,
            start: Instant::now(),
            arrivals: Mutex::default(),
            came: AtomicU64::new(0),
            went: AtomicU64::new(0),
            entered: AtomicU64::new(0),
            playing: AtomicBool::new(false),
            shown: AtomicBool::new(false),
            frame_intervals: Mutex::default(),
            accounted: AtomicU64::new(0),
            undecoded: AtomicU32::new(0),
            told_no_key_frame: AtomicBool::new(false),
        }
    }

    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Some of these elements count what is to be shown.
    pub fn follows(&self, elements: impl Iterator<Item = gst::Element>) {
        self.elements.follow(elements);
    }

    /// Records how the camera is set up now.
    pub fn is_set_up(&self, setup: &Arc<CameraSetup>) {
        self.view.iter().for_each(|view| view.is_set_up(setup));
    }

    /// Another pipeline was made, whose frames end at this pad.
    pub fn ends_at(&self, end: &gst::Pad) {
        self.view.iter().for_each(|view| view.ends_at(end));
    }

    /// The most frames that those who look at the camera hold.
    pub fn held_frames(&self) -> u32 {
        self.view.as_ref().map_or(0, |_| HELD_FRAMES)
    }

    /// Counts what outputs have dropped since the last call.
    pub fn count_dropped_lines(&self) {
        self.meter.lines_dropped(self.elements.dropped_lines());
    }

    fn now(&self) -> u64 {
        nanoseconds(self.start.elapsed())
    }

    /// Records that a picture was dropped, because the next stage is too far behind.
    pub fn dropped(&self, at: &str) {
        gst::debug!(CAT, "{}: a picture is left out {at}", self.meter.name());
        self.meter.dropped(1);
    }

    fn log(&self, what: &str) {
        gst::debug!(CAT, "{}: {what}", self.meter.name());
    }

    /// Records that a new source was opened; its timeouts begin.
    pub fn opened(&self) {
        self.log("source opened");
        self.arrivals.lock().clear();
        *self.frame_intervals.lock() = FrameIntervals::default();
        self.playing.store(false, Ordering::SeqCst);
        self.shown.store(false, Ordering::SeqCst);
        self.undecoded.store(0, Ordering::SeqCst);
        let now = self.now();
        for time in [&self.came, &self.went, &self.entered, &self.accounted] {
            time.store(now, Ordering::SeqCst);
        }
    }

    /// Records the frame interval that the source declares.
    pub fn told(&self, interval: Duration) {
        self.frame_intervals.lock().tell(interval);
    }

    /// Records that a coded picture has come that can't be decoded for lack of a key frame. That isn't silence.
    pub fn waits_for_key_frame(&self) {
        self.accounted.fetch_max(self.now(), Ordering::SeqCst);
    }

    /// Whether the camera's missing key frames have yet to be reported; true once.
    pub fn tells_no_key_frame(&self) -> bool {
        !self.told_no_key_frame.swap(true, Ordering::SeqCst)
    }

    /// Records that a file's next picture is due after this time. A decoder that returns nothing isn't waited for
    /// forever.
    pub fn due(&self, after: Duration) {
        if self.undecoded.fetch_add(1, Ordering::SeqCst) < MOST_UNDECODED {
            self.accounted.fetch_max(self.now().saturating_add(nanoseconds(after)), Ordering::SeqCst);
        }
    }

    /// Records that a picture has arrived, coded or not.
    pub fn arrived(&self, pts: Option<gst::ClockTime>) {
        let Some(pts) = pts else { return };
        let mut arrivals = self.arrivals.lock();
        if arrivals.back().is_some_and(|(last, _)| *last == pts) {
            return;
        }
        if arrivals.len() >= MOST_ARRIVALS {
            arrivals.pop_front();
        }
        if arrivals.is_empty() && !self.is_playing() {
            self.log("first coded picture");
        }
        arrivals.push_back((pts, Instant::now()));
    }

    /// Records that the source delivers a picture to the models.
    pub fn came(&self, pts: Option<gst::ClockTime>, reporter: &Reporter) {
        let now = self.now();
        let before = self.came.swap(now, Ordering::SeqCst);
        if self.went.load(Ordering::SeqCst) >= before {
            // No picture was in flight.
            self.entered.store(now, Ordering::SeqCst);
        }
        self.undecoded.store(0, Ordering::SeqCst);
        self.frame_intervals.lock().picture(Duration::from_nanos(now));
        if !self.playing.swap(true, Ordering::SeqCst) {
            self.log("first decoded picture");
            reporter.event(Event::FirstPicture);
        }
        // A picture that wasn't coded arrives here.
        if let Some(pts) = pts
            && !self.arrivals.lock().iter().any(|(arrived, _)| *arrived == pts)
        {
            self.arrived(Some(pts));
        }
    }

    /// Records that a picture is at the end of the pipeline.
    pub fn went(&self, buffer: &gst::BufferRef) {
        self.went.store(self.now(), Ordering::SeqCst);
        if !self.shown.swap(true, Ordering::SeqCst) {
            self.log("first picture out of the models");
        }
        let record = meta::record(buffer);
        let objects = record.as_ref().map_or(0, |record| record.objects.len() as u64);
        if let (Some(view), Some(record)) = (&self.view, &record) {
            view.note(&record.events);
        }
        let latency = buffer.pts().and_then(|pts| self.take_arrival(pts)).map_or(Duration::ZERO, |at| at.elapsed());
        gst::trace!(
            CAT,
            "{}: picture {} is out after {latency:?}, with {objects} object(s)",
            self.meter.name(),
            buffer.pts().display()
        );
        self.meter.frame(latency, objects);
    }

    /// Returns when the picture with this PTS arrived; in a burst several can have the same. Earlier ones were lost on
    /// the way or are out: pictures leave in the order of their PTS.
    fn take_arrival(&self, pts: gst::ClockTime) -> Option<Instant> {
        let mut arrivals = self.arrivals.lock();
        let found = arrivals.iter().find(|(arrived, _)| *arrived == pts).map(|(_, at)| *at);
        arrivals.retain(|(arrived, _)| *arrived >= pts);
        found
    }

    /// Whether the source has delivered a picture.
    pub fn is_playing(&self) -> bool {
        self.playing.load(Ordering::SeqCst)
    }

    /// The longest silence of the source to accept.
    pub fn longest_silence(&self, patience: &Patience) -> Duration {
        self.frame_intervals.lock().longest_silence(patience)
    }

    /// How much time is left of a silence of at most `longest`.
    pub fn silence_left(&self, longest: Duration) -> Duration {
        let since = self.came.load(Ordering::SeqCst).max(self.accounted.load(Ordering::SeqCst));
        Duration::from_nanos(since.saturating_add(nanoseconds(longest)).saturating_sub(self.now()))
    }

    /// How long pictures have been entering the models without one coming out.
    pub fn held(&self) -> Duration {
        let first = self.entered.load(Ordering::SeqCst).max(self.went.load(Ordering::SeqCst));
        Duration::from_nanos(self.came.load(Ordering::SeqCst).saturating_sub(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst::ClockTime;

    #[test]
    fn pictures_are_found_by_their_time_in_whatever_order_they_were_coded() {
        let tracker = FrameTracker::new(Arc::new(Meter::new("door")), CountingElements::default(), None);
        for seconds in [1, 3, 2, 4] {
            tracker.arrived(Some(ClockTime::from_seconds(seconds)));
        }
        tracker.arrived(None);
        for seconds in [1, 2, 4] {
            assert!(tracker.take_arrival(ClockTime::from_seconds(seconds)).is_some(), "{seconds}");
        }
        assert!(tracker.take_arrival(ClockTime::from_seconds(3)).is_none(), "4 is out, so 3 was dropped");
        assert!(tracker.take_arrival(ClockTime::from_seconds(4)).is_some(), "another of the same time");
        for n in 0..2 * MOST_ARRIVALS as u64 {
            tracker.arrived(Some(ClockTime::from_nseconds(n)));
        }
        assert_eq!(tracker.arrivals.lock().len(), MOST_ARRIVALS);
    }

    #[test]
    fn a_silence_that_is_accounted_for_is_none() {
        const LONGEST: Duration = Duration::from_secs(60);
        let tracker = FrameTracker::new(Arc::new(Meter::new("door")), CountingElements::default(), None);
        tracker.opened();
        assert!(tracker.silence_left(LONGEST) <= LONGEST);
        assert_eq!(tracker.silence_left(Duration::ZERO), Duration::ZERO);
        // A file whose next picture comes in an hour.
        let hour = 60 * LONGEST;
        tracker.due(hour);
        let left = tracker.silence_left(LONGEST);
        assert!(left > hour && left <= hour + LONGEST, "{left:?}");
        tracker.opened();
        std::thread::sleep(Duration::from_millis(30));
        assert!(tracker.silence_left(LONGEST) <= LONGEST - Duration::from_millis(30));
        tracker.waits_for_key_frame();
        assert!(tracker.silence_left(LONGEST) > LONGEST - Duration::from_millis(30));
        assert!(tracker.tells_no_key_frame() && !tracker.tells_no_key_frame());
    }

    #[test]
    fn a_file_that_can_not_be_decoded_is_not_waited_for_without_end() {
        let tracker = FrameTracker::new(Arc::new(Meter::new("door")), CountingElements::default(), None);
        tracker.opened();
        let minute = Duration::from_secs(60);
        (0..1000).for_each(|n| tracker.due(n * minute));
        let longest = MOST_UNDECODED * minute;
        assert!(tracker.silence_left(Duration::ZERO) < longest);
        // The decoder returns pictures again.
        let (sender, _receiver) = super::super::channel::channel();
        tracker.came(None, &Reporter { camera: 1, source: Some(1), sender });
        tracker.due(2 * longest);
        assert!(tracker.silence_left(Duration::ZERO) > longest);
    }

    #[test]
    fn a_slow_camera_s_models_are_not_taken_to_hang() {
        gst::init().unwrap();
        let tracker = FrameTracker::new(Arc::new(Meter::new("door")), CountingElements::default(), None);
        tracker.opened();
        let (sender, _receiver) = super::super::channel::channel();
        let reporter = Reporter { camera: 1, source: Some(1), sender };
        let pause = Duration::from_millis(50);
        for _ in 0..3 {
            tracker.came(None, &reporter);
            assert_eq!(tracker.held(), Duration::ZERO);
            tracker.went(gst::Buffer::new().as_ref());
            std::thread::sleep(pause);
        }
        // Now the models hang.
        for _ in 0..3 {
            tracker.came(None, &reporter);
            std::thread::sleep(pause);
        }
        assert!(tracker.held() >= 2 * pause, "{:?}", tracker.held());
    }
}
