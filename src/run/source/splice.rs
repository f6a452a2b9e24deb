//! One endless stream out of the same one again and again: its rounds follow each other without a gap in their timestamps.
//!
//! Coded pictures and the segments that they are in are moved together, so that a segment's running times are its
//! timestamps. What a segment doesn't show, such as the pictures between a key frame and the place at which an edit list
//! begins, lies outside of the moved segment too: decoders decode it, and leave it out.

use gst::ClockTime;

/// Nanoseconds on a line on which times may be negative.
type Time = i64;

/// From one picture to the next, where nothing says it.
const PERIOD: Time = 40_000_000;
/// Streams that have no constant rate may be coded with a rate that is their clock's: pictures aren't as short as this.
const SHORTEST: Time = 1_000_000;
/// Most pictures that can be shown before one that was decoded before them, in any stream of H.264 and H.265.
const MOST_REORDERED: Time = 16;

/// Where the rounds are put.
#[derive(Debug)]
pub struct Splice {
    /// Of the round that is on, as the file has it.
    segment: gst::FormattedSegment<ClockTime>,
    /// It wasn't passed on yet: where it goes is known with its first picture.
    pending: bool,
    /// The last segment event that was made here.
    made: Option<gst::Seqnum>,
    /// Where this round begins.
    start: Time,
    round: Option<Round>,
    /// The round before.
    before: Option<Round>,
    /// From one picture to the next, after the caps.
    period: Option<Time>,
    started: bool,
}

/// What becomes of an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    Pass,
    Drop,
    /// The round is over: the next one is due. Whether it had a picture.
    Over {
        had_pictures: bool,
    },
}

impl Splice {
    /// Puts the first picture at `start`, or a few pictures later where decoding begins before anything is shown.
    pub fn new(start: ClockTime) -> Self {
        Self {
            segment: gst::FormattedSegment::new(),
            pending: true,
            made: None,
            start: signed(start),
            round: None,
            before: None,
            period: None,
            started: false,
        }
    }

    /// Gives a picture its place. Returns the segment that goes before it.
    #[must_use]
    pub fn place(&mut self, buffer: &mut gst::BufferRef) -> Option<gst::Event> {
        let begin = self.segment.base().map_or(0, signed);
        let start = self.segment.start().map_or(0, signed);
        let running = |time: ClockTime| begin.saturating_add(signed(time).saturating_sub(start));
        let picture = Picture {
            pts: buffer.pts().map(running),
            dts: buffer.dts().map(running),
            duration: buffer.duration().map(signed).filter(|duration| *duration >= SHORTEST).or(self.period),
        };
        let round = match &mut self.round {
            Some(round) => round,
            none => none.insert(Round::new(begin, &picture, self.start, self.before.take())),
        };
        let segment = std::mem::replace(&mut self.pending, false).then(|| {
            let length = self.segment.stop().map(|stop| signed(stop).saturating_sub(start));
            round.enter(begin, length)
        });
        let (pts, dts) = round.place(&picture);
        buffer.set_pts(pts);
        buffer.set_dts(dts);
        let event = segment.map(|segment| gst::event::Segment::new(&segment))?;
        self.made = Some(event.seqnum());
        Some(event)
    }

    /// Takes an event of the stream.
    pub fn event(&mut self, event: &gst::EventRef) -> Fate {
        match event.view() {
            gst::EventView::Segment(_) if self.made == Some(event.seqnum()) => Fate::Pass,
            gst::EventView::Segment(segment) => {
                self.segment = segment.segment().downcast_ref().cloned().unwrap_or_else(gst::FormattedSegment::new);
                self.pending = true;
                Fate::Drop
            }
            // The delay with which an edit list begins isn't waited for.
            gst::EventView::Gap(_) => Fate::Drop,
            gst::EventView::StreamStart(_) if std::mem::replace(&mut self.started, true) => Fate::Drop,
            gst::EventView::Caps(caps) => {
                let rate = caps.caps().structure(0).and_then(|s| s.get::<gst::Fraction>("framerate").ok());
                let rate = rate.filter(|rate| rate.numer() > 0 && rate.denom() > 0);
                let period = rate.map(|rate| Time::from(rate.denom()) * 1_000_000_000 / Time::from(rate.numer()));
                self.period = period.filter(|period| *period >= SHORTEST);
                Fate::Pass
            }
            gst::EventView::Eos(_) => {
                let round = self.round.take().filter(|round| round.shown > 0);
                let had_pictures = round.is_some();
                if let Some(round) = round {
                    self.start = round.end().saturating_add(round.offset);
                    self.before = Some(round);
                }
                Fate::Over { had_pictures }
            }
            _ => Fate::Pass,
        }
    }
}

/// A coded picture's running times, as the file has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Picture {
    pts: Option<Time>,
    dts: Option<Time>,
    duration: Option<Time>,
}

/// What one reading of the file has come to; running times as the file has them.
#[derive(Debug)]
struct Round {
    /// The first time that it has room for.
    earliest: Time,
    /// What the times are moved by.
    offset: Time,
    /// Where the segment begins and ends that is on.
    begin: Time,
    stop: Option<Time>,
    /// Where its first segment begins, and the first picture in it: the same file begins with the same.
    first: (Time, Picture),
    /// How much later than it says a segment ends.
    late: Time,
    /// When the last picture was decoded.
    decoded: Option<Time>,
    /// Only the decoder knows when pictures are shown.
    decoding_only: bool,
    /// Pictures that are shown, the time of the first, of the last but one, and of the last with its duration.
    shown: u64,
    lowest: Time,
    last_but_one: Time,
    last: (Time, Option<Time>),
}

impl Round {
    /// A round that begins with this picture, in a segment that begins at `begin`; what is shown first goes to `start`.
    fn new(begin: Time, picture: &Picture, start: Time, before: Option<Self>) -> Self {
        let earliest = match (before, *picture) {
            (Some(before), _) if before.first == (begin, *picture) => before.lowest,
            // What comes before the segment isn't shown.
            (_, Picture { pts: Some(pts), .. }) if pts < begin => begin,
            // Others may be shown before this one, but none before this one is decoded.
            (_, Picture { dts: Some(dts), .. }) => begin.max(dts),
            (_, Picture { pts: Some(pts), duration, .. }) => {
                let longest = MOST_REORDERED.saturating_mul(duration.unwrap_or(PERIOD));
                begin.max(pts.saturating_sub(longest))
            }
            _ => begin,
        };
        Self {
            earliest,
            offset: start.saturating_sub(earliest),
            begin,
            stop: None,
            first: (begin, *picture),
            // Without an edit list a segment is as long as its pictures, and they begin later where they are reordered.
            late: picture.pts.map_or(0, |pts| pts.saturating_sub(begin).max(0)),
            decoded: None,
            decoding_only: false,
            shown: 0,
            lowest: Time::MAX,
            last_but_one: begin,
            last: (begin, None),
        }
    }

    /// Goes into a segment, and returns the one that it becomes.
    fn enter(&mut self, begin: Time, length: Option<Time>) -> gst::FormattedSegment<ClockTime> {
        self.begin = begin;
        self.stop = length.map(|length| begin.saturating_add(length).saturating_add(self.late));
        let start = self.placed(begin);
        let mut segment = gst::FormattedSegment::new();
        segment.set_start(start);
        segment.set_stop(self.stop.map(|stop| self.placed(stop)));
        segment.set_base(start);
        segment.set_time(start);
        segment.set_position(start);
        segment
    }

    /// A time in its place. None is before the pipeline's beginning: what would be isn't shown.
    fn placed(&self, time: Time) -> ClockTime {
        ClockTime::from_nseconds(u64::try_from(time.saturating_add(self.offset)).unwrap_or(0))
    }

    /// When a picture is shown and decoded, in its place.
    fn place(&mut self, picture: &Picture) -> (Option<ClockTime>, Option<ClockTime>) {
        let Picture { mut pts, mut dts, duration } = *picture;
        let is_first = self.decoded.is_none() && self.shown == 0;
        self.decoding_only |= pts.is_none() && dts.is_some();
        if is_first {
            // Of a stream without a time for this picture the decoder counts from here.
            dts = dts.or(pts.is_none().then_some(self.begin));
            pts = pts.or(dts);
        } else if self.decoding_only {
            // Where key frames alone have one it's when they are decoded.
            pts = None;
        }
        if pts.is_none()
            && let Some(decoded) = self.decoded
            && dts.is_none_or(|dts| dts < decoded.saturating_add(SHORTEST))
        {
            dts = Some(decoded.saturating_add(duration.unwrap_or(PERIOD)));
        }
        self.decoded = dts.or(self.decoded);
        let Some(time) = pts.or(dts) else { return (None, None) };
        self.take_note(time, duration);
        // A picture that is shown is decoded within its segment, and not before the round: sooner is as soon as possible.
        let due = dts.filter(|_| time >= self.begin).map(|dts| dts.max(self.begin).max(self.earliest));
        (pts.map(|pts| self.placed(pts)), due.map(|dts| self.placed(dts)))
    }

    /// Takes note of a picture if it's shown.
    fn take_note(&mut self, time: Time, duration: Option<Time>) {
        let is_over = time < self.begin && time.saturating_add(duration.unwrap_or(0)) <= self.begin;
        if is_over || self.stop.is_some_and(|stop| time >= stop) {
            return;
        }
        self.shown += 1;
        self.lowest = self.lowest.min(time.max(self.begin));
        if time >= self.last.0 {
            self.last_but_one = if self.shown > 1 { self.last.0 } else { time };
            self.last = (time, duration);
        } else {
            self.last_but_one = self.last_but_one.max(time);
        }
    }

    /// Where the last picture is shown no more. It's shown for at least as long as the one before it: parsers that aren't
    /// told how long take 40 ms for granted.
    fn end(&self) -> Time {
        let (last, duration) = self.last;
        let step = Some(last.saturating_sub(self.last_but_one)).filter(|step| *step > 0);
        let end = last.saturating_add(duration.max(step).unwrap_or(PERIOD));
        self.stop.map_or(end, |stop| end.min(stop))
    }
}

fn signed(time: ClockTime) -> Time {
    Time::try_from(time.nseconds()).unwrap_or(Time::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Start, stop and base of the segment before a picture, its PTS and its DTS, ms.
    type Placed = (Option<(u64, Option<u64>, u64)>, Option<u64>, Option<u64>);

    fn place(splice: &mut Splice, pts: Option<u64>, dts: Option<u64>) -> Placed {
        let mut buffer = gst::Buffer::new();
        let writable = buffer.get_mut().unwrap();
        writable.set_pts(pts.map(ClockTime::from_mseconds));
        writable.set_dts(dts.map(ClockTime::from_mseconds));
        let ms = |time: Option<ClockTime>| time.map(ClockTime::mseconds);
        let limits = splice.place(writable).map(|event| {
            assert_eq!(splice.event(&event), Fate::Pass);
            let gst::EventView::Segment(segment) = event.view() else { panic!("{event:?}") };
            let segment = segment.segment().downcast_ref::<ClockTime>().unwrap();
            (ms(segment.start()).unwrap(), ms(segment.stop()), ms(segment.base()).unwrap())
        });
        (limits, ms(buffer.pts()), ms(buffer.dts()))
    }

    fn begin(splice: &mut Splice, rate: i32, start: u64, stop: Option<u64>, base: u64) {
        splice.event(&gst::event::StreamStart::new("a"));
        let caps = gst::Caps::builder("video/x-h264").field("framerate", gst::Fraction::new(rate, 1)).build();
        assert_eq!(splice.event(&gst::event::Caps::new(&caps)), Fate::Pass);
        let mut segment = gst::FormattedSegment::<ClockTime>::new();
        segment.set_start(ClockTime::from_mseconds(start));
        segment.set_stop(stop.map(ClockTime::from_mseconds));
        segment.set_base(ClockTime::from_mseconds(base));
        assert_eq!(splice.event(&gst::event::Segment::new(&segment)), Fate::Drop);
    }

    fn end(splice: &mut Splice, had_pictures: bool) {
        assert_eq!(splice.event(&gst::event::Eos::new()), Fate::Over { had_pictures });
    }

    #[test]
    fn rounds_follow_without_a_gap_also_with_reordered_pictures() {
        gst::init().unwrap();
        let mut splice = Splice::new(ClockTime::from_mseconds(1000));
        for round in 0..3 {
            let start = 1000 + round * 80;
            begin(&mut splice, 50, 10, None, 0);
            // Coded as I P B B; decoding begins before the segment, and is due with it.
            let (segment, pts, dts) = place(&mut splice, Some(10), Some(0));
            assert_eq!(segment, Some((start, None, start)));
            assert_eq!((pts, dts), (Some(start), Some(start)));
            assert_eq!(place(&mut splice, Some(70), Some(20)), (None, Some(start + 60), Some(start + 10)));
            assert_eq!(place(&mut splice, Some(30), None), (None, Some(start + 20), None));
            assert_eq!(place(&mut splice, Some(50), None), (None, Some(start + 40), None));
            end(&mut splice, true);
        }
        end(&mut splice, false);
    }

    /// A key frame and the pictures after it that an edit list cuts away stay before the segment, those after its end
    /// behind it, and neither takes time.
    #[test]
    fn what_is_cut_away_stays_outside() {
        gst::init().unwrap();
        let mut splice = Splice::new(ClockTime::from_mseconds(5000));
        for round in 0..3 {
            let start = 5000 + round * 60;
            begin(&mut splice, 50, 500, Some(560), 0);
            let (segment, pts, _) = place(&mut splice, Some(460), Some(440));
            assert_eq!(segment, Some((start, Some(start + 60), start)));
            assert_eq!(pts, Some(start - 40));
            for n in 0..6 {
                let (_, pts, _) = place(&mut splice, Some(480 + 20 * n), Some(460 + 20 * n));
                assert_eq!(pts, Some(start + 20 * n - 20));
            }
            end(&mut splice, true);
        }
        begin(&mut splice, 50, 500, None, 0);
        let _ = place(&mut splice, Some(100), Some(100));
        end(&mut splice, false);
    }

    #[test]
    fn a_round_may_have_several_segments() {
        gst::init().unwrap();
        let mut splice = Splice::new(ClockTime::ZERO);
        for round in 0..2 {
            let start = round * 80;
            begin(&mut splice, 50, 400, Some(440), 1000);
            assert_eq!(place(&mut splice, Some(400), None).0, Some((start, Some(start + 40), start)));
            assert_eq!(place(&mut splice, Some(420), None).1, Some(start + 20));
            begin(&mut splice, 50, 0, Some(40), 1040);
            assert_eq!(place(&mut splice, Some(0), None).0, Some((start + 40, Some(start + 80), start + 40)));
            assert_eq!(place(&mut splice, Some(20), None).1, Some(start + 60));
            end(&mut splice, true);
        }
    }

    /// Pictures that are shown before the first one that is decoded, and a segment that has the pictures' duration but not
    /// their delay.
    #[test]
    fn pictures_may_be_shown_before_the_first_decoded() {
        gst::init().unwrap();
        let mut splice = Splice::new(ClockTime::from_mseconds(100));
        for round in 0..3 {
            // In the first round there is room for whatever may follow.
            let start = 120 + round * 60;
            begin(&mut splice, 50, 0, Some(60), 0);
            let (segment, pts, _) = place(&mut splice, Some(40), Some(0));
            assert_eq!((pts, segment.unwrap().1), (Some(start + 20), Some(start + 80)), "{round}");
            assert_eq!(place(&mut splice, Some(20), Some(20)).1, Some(start));
            assert_eq!(place(&mut splice, Some(60), Some(40)).1, Some(start + 40));
            end(&mut splice, true);
        }
    }

    #[test]
    fn times_of_decoding_alone_are_left_to_the_decoder() {
        gst::init().unwrap();
        let mut splice = Splice::new(ClockTime::ZERO);
        for round in 0..2 {
            let start = round * 80;
            begin(&mut splice, 50, 0, None, 0);
            assert_eq!(place(&mut splice, Some(0), Some(0)).1, Some(start));
            assert_eq!(place(&mut splice, None, Some(20)), (None, None, Some(start + 20)));
            assert_eq!(place(&mut splice, Some(40), Some(40)), (None, None, Some(start + 40)), "of a key frame");
            assert_eq!(place(&mut splice, None, Some(60)), (None, None, Some(start + 60)));
            end(&mut splice, true);
        }
    }

    #[test]
    fn pictures_without_times_follow_each_other() {
        gst::init().unwrap();
        for rate in [0, 1_000_000_000] {
            let mut splice = Splice::new(ClockTime::ZERO);
            for round in 0..2 {
                begin(&mut splice, rate, 0, None, 0);
                let placed = [0, 1, 2].map(|_| place(&mut splice, None, None).2);
                assert_eq!(placed, [0, 40, 80].map(|ms| Some(ms + round * 120)), "{rate}");
                end(&mut splice, true);
            }
        }
    }

    #[test]
    fn times_that_can_not_be_do_no_harm() {
        gst::init().unwrap();
        let most = u64::MAX / 1_000_000 - 1;
        for times in [[0, most, 1], [most, 0, most], [most, most, 0]] {
            let mut splice = Splice::new(ClockTime::from_mseconds(most));
            for _ in 0..2 {
                begin(&mut splice, 1, times[0], Some(times[1]), times[2]);
                for time in times {
                    let _ = place(&mut splice, Some(time), Some(time));
                    let _ = place(&mut splice, Some(time), None);
                    let _ = place(&mut splice, None, Some(time));
                }
                splice.event(&gst::event::Eos::new());
            }
        }
    }
}
