//! One endless stream out of the same one again and again: its rounds follow each other without a gap in their timestamps.

use gst::ClockTime;
use gst::prelude::*;

/// Where the rounds are put.
#[derive(Debug)]
pub struct Splice {
    /// Of the round that is on.
    segment: gst::FormattedSegment<ClockTime>,
    /// Where this round begins.
    start: ClockTime,
    /// Running time of its first picture.
    first: Option<ClockTime>,
    /// Where it has come to.
    end: ClockTime,
    /// From one picture to the next, where pictures don't say how long they last.
    period: ClockTime,
    started: bool,
}

/// What becomes of an event.
#[derive(Debug)]
pub enum Fate {
    Pass,
    Replace(gst::Event),
    Drop,
    /// The round is over: the next one is due. Whether it had a picture.
    Over {
        had_pictures: bool,
    },
}

impl Splice {
    /// Puts the first picture at `start`.
    pub fn new(start: ClockTime) -> Self {
        Self {
            segment: gst::FormattedSegment::new(),
            start,
            first: None,
            end: start,
            period: ClockTime::from_mseconds(40),
            started: false,
        }
    }

    /// Gives a picture its place.
    pub fn place(&mut self, buffer: &mut gst::BufferRef) {
        let running = |time: Option<ClockTime>| time.map(|t| self.segment.to_running_time(t).unwrap_or(t));
        // A picture without a time follows the one before it.
        let pts = running(buffer.pts()).unwrap_or_else(|| self.first.unwrap_or_default() + (self.end - self.start));
        let dts = running(buffer.dts());
        let first = *self.first.get_or_insert(pts);
        let placed = self.start + pts.saturating_sub(first);
        buffer.set_pts(placed);
        // Decoding begins before the first picture is due.
        buffer.set_dts(dts.map(|dts| (self.start + dts).saturating_sub(first)));
        self.end = self.end.max(placed + buffer.duration().unwrap_or(self.period));
    }

    /// Takes an event of the stream.
    pub fn event(&mut self, event: &gst::EventRef) -> Fate {
        match event.view() {
            gst::EventView::Segment(segment) => {
                if let Some(segment) = segment.segment().downcast_ref::<ClockTime>() {
                    self.segment = segment.clone();
                }
                if std::mem::replace(&mut self.started, true) {
                    return Fate::Drop;
                }
                Fate::Replace(gst::event::Segment::new(&gst::FormattedSegment::<ClockTime>::new()))
            }
            gst::EventView::StreamStart(_) if self.started => Fate::Drop,
            gst::EventView::Caps(caps) => {
                let rate = caps.caps().structure(0).and_then(|s| s.get::<gst::Fraction>("framerate").ok());
                if let Some(rate) = rate.filter(|rate| rate.numer() > 0 && rate.denom() > 0) {
                    let (numerator, denominator) = (rate.numer() as u64, rate.denom() as u64);
                    self.period = ClockTime::SECOND.mul_div_round(denominator, numerator).unwrap_or(self.period);
                }
                Fate::Pass
            }
            gst::EventView::Eos(_) => {
                self.start = self.end;
                Fate::Over { had_pictures: self.first.take().is_some() }
            }
            _ => Fate::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(pts: Option<u64>, dts: Option<u64>) -> gst::Buffer {
        let mut buffer = gst::Buffer::new();
        let writable = buffer.get_mut().unwrap();
        writable.set_pts(pts.map(ClockTime::from_mseconds));
        writable.set_dts(dts.map(ClockTime::from_mseconds));
        buffer
    }

    fn place(splice: &mut Splice, pts: Option<u64>, dts: Option<u64>) -> (u64, Option<u64>) {
        let mut buffer = buffer(pts, dts);
        splice.place(buffer.get_mut().unwrap());
        (buffer.pts().unwrap().mseconds(), buffer.dts().map(|dts| dts.mseconds()))
    }

    #[test]
    fn rounds_follow_without_a_gap_also_with_reordered_pictures() {
        gst::init().unwrap();
        let mut splice = Splice::new(ClockTime::from_mseconds(1000));
        let caps = gst::Caps::builder("video/x-h264").field("framerate", gst::Fraction::new(50, 1)).build();
        for round in 0..3 {
            let start = 1000 + round * 80;
            assert_eq!(matches!(splice.event(&gst::event::StreamStart::new("a")), Fate::Pass), round == 0);
            splice.event(&gst::event::Caps::new(&caps));
            // As of a file whose edit list begins at 10 ms.
            let mut segment = gst::FormattedSegment::<ClockTime>::new();
            segment.set_start(ClockTime::from_mseconds(10));
            let fate = splice.event(&gst::event::Segment::new(&segment));
            assert_eq!(matches!(fate, Fate::Replace(_)), round == 0, "{fate:?}");
            // Coded as I P B B.
            assert_eq!(place(&mut splice, Some(30), Some(10)), (start, Some(start - 20)));
            assert_eq!(place(&mut splice, Some(90), Some(30)), (start + 60, Some(start)));
            assert_eq!(place(&mut splice, Some(50), None), (start + 20, None));
            assert_eq!(place(&mut splice, Some(70), None), (start + 40, None));
            assert!(matches!(splice.event(&gst::event::Eos::new()), Fate::Over { had_pictures: true }));
        }
        assert!(matches!(splice.event(&gst::event::Eos::new()), Fate::Over { had_pictures: false }));
    }

    #[test]
    fn pictures_without_times_follow_each_other() {
        gst::init().unwrap();
        let mut splice = Splice::new(ClockTime::ZERO);
        let placed = [0, 1, 2].map(|_| place(&mut splice, None, None).0);
        assert_eq!(placed, [0, 40, 80]);
        splice.event(&gst::event::Eos::new());
        assert_eq!(place(&mut splice, None, None).0, 120);
    }
}
