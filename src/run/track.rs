//! Follows a camera's pictures from their arrival to the pipeline's end.

use super::CAT;
use super::channel::Reporter;
use super::lifecycle::Event;
use super::meters::OutputDrops;
use crate::infer::nanoseconds;
use crate::meta;
use crate::monitor::Meter;
use crate::sync::lock;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Shared by a camera's streaming threads and its supervisor.
#[derive(Debug)]
pub struct Track {
    meter: Arc<Meter>,
    outputs: OutputDrops,
    start: Instant,
    /// When pictures arrived that aren't out yet, by PTS; oldest first.
    arrivals: Mutex<VecDeque<(gst::ClockTime, Instant)>>,
    /// Of the last picture that the source gave, ns since `start`.
    came: AtomicU64,
    /// Of the last picture at the end, ns since `start`.
    went: AtomicU64,
    /// The source has given a picture since it was opened.
    playing: AtomicBool,
    /// One of them has come to the pipeline's end.
    shown: AtomicBool,
}

/// More pictures than can be on their way; a bound for those that a decoder keeps.
const MOST_ARRIVALS: usize = 512;

impl Track {
    pub fn new(meter: Arc<Meter>, outputs: OutputDrops) -> Self {
        Self {
            meter,
            outputs,
            start: Instant::now(),
            arrivals: Mutex::default(),
            came: AtomicU64::new(0),
            went: AtomicU64::new(0),
            playing: AtomicBool::new(false),
            shown: AtomicBool::new(false),
        }
    }

    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// What is published goes through these elements.
    pub fn publishes(&self, elements: impl Iterator<Item = gst::Element>) {
        self.outputs.follow(elements);
    }

    /// Counts what outputs have dropped since this was last done.
    pub fn count_dropped_lines(&self) {
        self.meter.lines_dropped(self.outputs.count());
    }

    fn now(&self) -> u64 {
        nanoseconds(self.start.elapsed())
    }

    /// A picture was left out, because what comes next is too far behind.
    pub fn dropped(&self, at: &str) {
        gst::debug!(CAT, "{}: a picture is left out {at}", self.meter.name());
        self.meter.dropped(1);
    }

    fn log(&self, what: &str) {
        gst::debug!(CAT, "{}: {what}", self.meter.name());
    }

    /// A new source was opened; the time of patience begins.
    pub fn opened(&self) {
        self.log("source opened");
        lock(&self.arrivals).clear();
        self.playing.store(false, Ordering::SeqCst);
        self.shown.store(false, Ordering::SeqCst);
        self.came.store(self.now(), Ordering::SeqCst);
        self.went.store(self.now(), Ordering::SeqCst);
    }

    /// A picture has arrived, coded or not.
    pub fn arrived(&self, pts: Option<gst::ClockTime>) {
        let Some(pts) = pts else { return };
        let mut arrivals = lock(&self.arrivals);
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

    /// The source gives a picture to the models.
    pub fn came(&self, pts: Option<gst::ClockTime>, reporter: &Reporter) {
        self.came.store(self.now(), Ordering::SeqCst);
        if !self.playing.swap(true, Ordering::SeqCst) {
            self.log("first decoded picture");
            reporter.event(Event::FirstPicture);
        }
        // What wasn't coded arrives here.
        if let Some(pts) = pts
            && !lock(&self.arrivals).iter().any(|(arrived, _)| *arrived == pts)
        {
            self.arrived(Some(pts));
        }
    }

    /// A picture is at the pipeline's end.
    pub fn went(&self, buffer: &gst::BufferRef) {
        self.went.store(self.now(), Ordering::SeqCst);
        if !self.shown.swap(true, Ordering::SeqCst) {
            self.log("first picture out of the models");
        }
        let objects = meta::record(buffer).map_or(0, |record| record.objects.len() as u64);
        let latency = buffer.pts().and_then(|pts| self.take_arrival(pts)).map_or(Duration::ZERO, |at| at.elapsed());
        self.meter.frame(latency, objects);
    }

    /// When the picture of this PTS arrived; in a burst several can have the same. Those before it went lost on their way,
    /// or are out: pictures leave in the order of their PTS.
    fn take_arrival(&self, pts: gst::ClockTime) -> Option<Instant> {
        let mut arrivals = lock(&self.arrivals);
        let found = arrivals.iter().find(|(arrived, _)| *arrived == pts).map(|(_, at)| *at);
        arrivals.retain(|(arrived, _)| *arrived >= pts);
        found
    }

    /// Whether the source has given a picture.
    pub fn is_playing(&self) -> bool {
        self.playing.load(Ordering::SeqCst)
    }

    /// How long the source has given no picture.
    pub fn silence(&self) -> Duration {
        Duration::from_nanos(self.now().saturating_sub(self.came.load(Ordering::SeqCst)))
    }

    /// How long pictures have been going in without one coming out.
    pub fn held(&self) -> Duration {
        let came = self.came.load(Ordering::SeqCst);
        Duration::from_nanos(came.saturating_sub(self.went.load(Ordering::SeqCst)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst::ClockTime;

    #[test]
    fn pictures_are_found_by_their_time_in_whatever_order_they_were_coded() {
        let track = Track::new(Arc::new(Meter::new("door")), OutputDrops::default());
        for seconds in [1, 3, 2, 4] {
            track.arrived(Some(ClockTime::from_seconds(seconds)));
        }
        track.arrived(None);
        for seconds in [1, 2, 4] {
            assert!(track.take_arrival(ClockTime::from_seconds(seconds)).is_some(), "{seconds}");
        }
        assert!(track.take_arrival(ClockTime::from_seconds(3)).is_none(), "4 is out, so 3 was dropped");
        assert!(track.take_arrival(ClockTime::from_seconds(4)).is_some(), "another of the same time");
        for n in 0..2 * MOST_ARRIVALS as u64 {
            track.arrived(Some(ClockTime::from_nseconds(n)));
        }
        assert_eq!(lock(&track.arrivals).len(), MOST_ARRIVALS);
    }
}
