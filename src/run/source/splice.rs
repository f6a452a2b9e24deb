//! Loops a stream endlessly: its rounds follow each other without a gap in their timestamps.
//!
//! Pictures that aren't shown have to be decoded too, such as those between a key frame and the position at which an
//! edit list begins. So decoding has a timeline of its own that never goes back: timestamps are on that timeline.
//! Segments say which part of it is shown, and at which running times.

use gst::ClockTime;

/// Nanoseconds on a timeline that includes negative times.
type Time = i64;

/// The frame interval if the stream doesn't declare one.
const PERIOD: Time = 40_000_000;
/// Streams without a constant rate may declare their clock's rate: intervals shorter than this aren't believed.
const SHORTEST: Time = 1_000_000;
/// The most pictures that can be shown before one that was decoded before them, in any stream of H.264 and H.265.
const MOST_REORDERED: Time = 16;

/// Places the rounds on the timeline.
#[derive(Debug)]
pub struct Splice {
    /// The segment of the current round, as in the file.
    segment: gst::FormattedSegment<ClockTime>,
    /// The segment hasn't been passed on yet: its position is known with its first picture.
    pending: bool,
    /// The last segment event that was made here.
    made: Option<gst::Seqnum>,
    /// The running time at which this round begins.
    start: Time,
    /// The position that the decoder's timeline has reached.
    decoded: Time,
    round: Option<Round>,
    /// The previous round.
    before: Option<Round>,
    /// The frame interval according to the caps.
    period: Option<Time>,
    started: bool,
}

/// What happens to an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    Pass,
    Drop,
    /// The round is over and the next one is due.
    Over {
        had_pictures: bool,
    },
}

impl Splice {
    /// Places the first picture at `start`, or a few pictures later where decoding begins before anything is shown.
    pub fn new(start: ClockTime) -> Self {
        Self {
            segment: gst::FormattedSegment::new(),
            pending: true,
            made: None,
            start: signed(start),
            decoded: 0,
            round: None,
            before: None,
            period: None,
            started: false,
        }
    }

    /// Places a picture. Returns the segment that goes before it.
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
            round.enter(begin, length, &picture, self.decoded)
        });
        let (pts, dts) = round.place(&picture);
        for time in [pts, dts].into_iter().flatten() {
            self.decoded = self.decoded.max(time.saturating_add(picture.duration.unwrap_or(0)));
        }
        buffer.set_pts(pts.map(unsigned));
        buffer.set_dts(dts.map(unsigned));
        let event = segment.map(|segment| gst::event::Segment::new(&segment))?;
        self.made = Some(event.seqnum());
        Some(event)
    }

    /// Handles an event of the stream.
    pub fn event(&mut self, event: &gst::EventRef) -> Fate {
        match event.view() {
            gst::EventView::Segment(_) if self.made == Some(event.seqnum()) => Fate::Pass,
            gst::EventView::Segment(segment) => {
                self.segment = segment.segment().downcast_ref().cloned().unwrap_or_else(gst::FormattedSegment::new);
                self.pending = true;
                Fate::Drop
            }
            // The delay at the beginning of an edit list isn't waited for.
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
                    self.start = round.end().saturating_add(round.to_running);
                    self.before = Some(round);
                }
                Fate::Over { had_pictures }
            }
            _ => Fate::Pass,
        }
    }
}

/// A coded picture's running times, as in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Picture {
    pts: Option<Time>,
    dts: Option<Time>,
    duration: Option<Time>,
}

/// The state of one pass through the file; running times as in the file.
#[derive(Debug)]
struct Round {
    /// The earliest time that it has space for.
    earliest: Time,
    /// The offset to the running time here.
    to_running: Time,
    /// The offset to the decoder's timeline, in this segment.
    to_line: Time,
    /// Where the current segment begins and ends.
    begin: Time,
    stop: Option<Time>,
    /// Where its first segment begins, and the first picture in it: the same file begins with the same ones.
    first: (Time, Picture),
    /// How much later than declared a segment ends.
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
    /// Makes a round that begins with this picture, in a segment that begins at `begin`; the first shown picture is
    /// placed at `start`.
    fn new(begin: Time, picture: &Picture, start: Time, before: Option<Self>) -> Self {
        let earliest = match (before, *picture) {
            (Some(before), _) if before.first == (begin, *picture) => before.lowest,
            // Pictures before the segment aren't shown.
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
            to_running: start.saturating_sub(earliest),
            to_line: 0,
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

    /// Enters a segment with this picture, and returns the resulting segment.
    fn enter(
        &mut self,
        begin: Time,
        length: Option<Time>,
        picture: &Picture,
        decoded: Time,
    ) -> gst::FormattedSegment<ClockTime> {
        self.begin = begin;
        self.stop = length.map(|length| begin.saturating_add(length).saturating_add(self.late));
        // Leaves space for pictures that are shown before the first decoded one.
        let first = picture.pts.into_iter().chain(picture.dts).min().unwrap_or(begin);
        let room = MOST_REORDERED.saturating_mul(picture.duration.unwrap_or(PERIOD));
        self.to_line = decoded.saturating_add(room).saturating_sub(first);
        let begin = begin.max(self.earliest);
        let start = unsigned(self.on_line(begin));
        let mut segment = gst::FormattedSegment::new();
        segment.set_start(start);
        segment.set_stop(self.stop.map(|stop| unsigned(self.on_line(stop))));
        segment.set_base(unsigned(begin.saturating_add(self.to_running)));
        segment.set_time(start);
        segment.set_position(start);
        segment
    }

    fn on_line(&self, time: Time) -> Time {
        time.saturating_add(self.to_line)
    }

    /// When a picture is shown and decoded, on the decoder's timeline.
    fn place(&mut self, picture: &Picture) -> (Option<Time>, Option<Time>) {
        let Picture { mut pts, mut dts, duration } = *picture;
        let is_first = self.decoded.is_none() && self.shown == 0;
        self.decoding_only |= pts.is_none() && dts.is_some();
        if is_first {
            // Without a time for this picture, the decoder counts from here.
            dts = dts.or(pts.is_none().then_some(self.begin));
            pts = pts.or(dts);
        } else if self.decoding_only {
            // Where only key frames have a PTS, it's the time when they are decoded.
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
        // All decoding times are kept: a parser invents those that are missing or repeated, and moves the PTS to them.
        (pts.map(|pts| self.on_line(pts)), dts.map(|dts| self.on_line(dts)))
    }

    /// Records a picture if it's shown.
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

    /// When the last picture's display ends. It's shown for at least as long as the previous one: parsers that aren't
    /// told a duration assume 40 ms.
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

fn unsigned(time: Time) -> ClockTime {
    ClockTime::from_nseconds(u64::try_from(time).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A splice and the elements after it.
    struct Test {
        splice: Splice,
        /// The current segment.
        segment: gst::FormattedSegment<ClockTime>,
        /// The last timestamp of the previous segments, and of all.
        ended: Option<ClockTime>,
        last: Option<ClockTime>,
    }

    impl Test {
        fn new(start: u64) -> Self {
            gst::init().unwrap();
            let splice = Splice::new(ClockTime::from_mseconds(start));
            Self { splice, segment: gst::FormattedSegment::new(), ended: None, last: None }
        }

        /// Sends a segment with these limits, ms, at the beginning of a round or within it.
        fn segment(&mut self, start: u64, stop: Option<u64>, base: u64) {
            let mut segment = gst::FormattedSegment::<ClockTime>::new();
            segment.set_start(ClockTime::from_mseconds(start));
            segment.set_stop(stop.map(ClockTime::from_mseconds));
            segment.set_base(ClockTime::from_mseconds(base));
            assert_eq!(self.splice.event(&gst::event::Segment::new(&segment)), Fate::Drop);
        }

        /// Begins a round at this rate.
        fn begin(&mut self, rate: i32) {
            self.splice.event(&gst::event::StreamStart::new("a"));
            let caps = gst::Caps::builder("video/x-h264").field("framerate", gst::Fraction::new(rate, 1)).build();
            assert_eq!(self.splice.event(&gst::event::Caps::new(&caps)), Fate::Pass);
        }

        fn end(&mut self, had_pictures: bool) {
            assert_eq!(self.splice.event(&gst::event::Eos::new()), Fate::Over { had_pictures });
        }

        /// Places a picture, and returns the running times of its PTS and its DTS, ms; `None` also where it isn't
        /// shown.
        fn place(&mut self, pts: Option<u64>, dts: Option<u64>) -> (Option<u64>, Option<u64>) {
            let mut buffer = gst::Buffer::new();
            let writable = buffer.get_mut().unwrap();
            writable.set_pts(pts.map(ClockTime::from_mseconds));
            writable.set_dts(dts.map(ClockTime::from_mseconds));
            if let Some(event) = self.splice.place(writable) {
                assert_eq!(self.splice.event(&event), Fate::Pass);
                let gst::EventView::Segment(segment) = event.view() else { panic!("{event:?}") };
                self.segment = segment.segment().downcast_ref::<ClockTime>().unwrap().clone();
                self.ended = self.last;
            }
            for time in buffer.pts().into_iter().chain(buffer.dts()) {
                assert!(self.ended.is_none_or(|ended| time > ended), "the decoder's line goes back");
                self.last = self.last.max(Some(time));
            }
            let shown = |time: Option<ClockTime>| {
                let time = time.filter(|time| self.segment.stop().is_none_or(|stop| *time < stop))?;
                Some(self.segment.to_running_time(time)?.mseconds())
            };
            (shown(buffer.pts()), shown(buffer.dts()))
        }
    }

    #[test]
    fn rounds_follow_without_a_gap_also_with_reordered_pictures() {
        let mut test = Test::new(1000);
        for start in [1000, 1080, 1160] {
            test.begin(50);
            test.segment(10, None, 0);
            // Coded as I P B B; decoding begins before the segment.
            assert_eq!(test.place(Some(10), Some(0)), (Some(start), None));
            assert_eq!(test.place(Some(70), Some(20)), (Some(start + 60), Some(start + 10)));
            assert_eq!(test.place(Some(30), None), (Some(start + 20), None));
            assert_eq!(test.place(Some(50), None), (Some(start + 40), None));
            test.end(true);
        }
        test.end(false);
    }

    /// The key frame and the pictures after it that an edit list cuts off, and those behind its end.
    #[test]
    fn what_is_cut_away_is_not_shown_and_takes_no_time() {
        let mut test = Test::new(0);
        for start in [0, 60, 120] {
            test.begin(50);
            test.segment(500, Some(560), 0);
            let shown: Vec<_> = (0..7).map(|n| test.place(Some(460 + 20 * n), Some(440 + 20 * n)).0).collect();
            assert_eq!(shown, [None, None, Some(start), Some(start + 20), Some(start + 40), None, None]);
            test.end(true);
        }
        test.begin(50);
        test.segment(500, None, 0);
        assert_eq!(test.place(Some(100), Some(100)), (None, None));
        test.end(false);
    }

    #[test]
    fn a_round_may_have_several_segments() {
        let mut test = Test::new(0);
        for start in [0, 80] {
            test.begin(50);
            test.segment(400, Some(440), 1000);
            assert_eq!(test.place(Some(400), None).0, Some(start));
            assert_eq!(test.place(Some(420), None).0, Some(start + 20));
            test.segment(0, Some(40), 1040);
            assert_eq!(test.place(Some(0), None).0, Some(start + 40));
            assert_eq!(test.place(Some(20), None).0, Some(start + 60));
            test.end(true);
        }
    }

    /// Pictures that are shown before the first decoded one, and a segment that has the pictures' duration but not
    /// their delay.
    #[test]
    fn pictures_may_be_shown_before_the_first_decoded() {
        let mut test = Test::new(100);
        // In the first round there is space for any pictures that may follow.
        for start in [120, 180, 240] {
            test.begin(50);
            test.segment(0, Some(60), 0);
            assert_eq!(test.place(Some(40), Some(0)).0, Some(start + 20));
            assert_eq!(test.place(Some(20), Some(20)).0, Some(start));
            assert_eq!(test.place(Some(60), Some(40)).0, Some(start + 40));
            test.end(true);
        }
    }

    /// Like a recording that continues the times of another.
    #[test]
    fn times_may_begin_long_after_the_segment() {
        let mut test = Test::new(0);
        let hour = 3_600_000;
        test.begin(50);
        test.segment(0, None, 0);
        let room = 16 * 20;
        assert_eq!(test.place(Some(hour), None).0, Some(room), "room for those that may come before it");
        assert_eq!(test.place(Some(hour + 20), None).0, Some(room + 20));
        test.end(true);
        test.begin(50);
        test.segment(0, None, 0);
        assert_eq!(test.place(Some(hour), None).0, Some(room + 40));
    }

    #[test]
    fn times_of_decoding_alone_are_left_to_the_decoder() {
        let mut test = Test::new(0);
        for start in [0, 80] {
            test.begin(50);
            test.segment(0, None, 0);
            assert_eq!(test.place(Some(0), Some(0)), (Some(start), Some(start)));
            assert_eq!(test.place(None, Some(20)), (None, Some(start + 20)));
            assert_eq!(test.place(Some(40), Some(40)), (None, Some(start + 40)), "of a key frame");
            assert_eq!(test.place(None, Some(60)), (None, Some(start + 60)));
            test.end(true);
        }
    }

    /// Also where a parser takes the stream's clock for its rate.
    #[test]
    fn pictures_without_times_follow_each_other() {
        for (rate, step) in [(0, None), (0, Some(0)), (1_000_000_000, Some(0))] {
            let mut test = Test::new(0);
            for start in [0, 120] {
                test.begin(rate);
                test.segment(0, None, 0);
                let placed: Vec<_> = (0..3).map(|_| test.place(None, step).1).collect();
                assert_eq!(placed, [0, 40, 80].map(|ms| Some(ms + start)), "{rate} {step:?}");
                test.end(true);
            }
        }
    }

    /// A parser that isn't told the rate assumes 25 a second.
    #[test]
    fn the_last_picture_is_shown_as_long_as_the_one_before_it() {
        let mut test = Test::new(0);
        for start in [0, 300] {
            test.begin(25);
            test.segment(0, None, 0);
            let placed: Vec<_> = (0..3).map(|n| test.place(Some(100 * n), Some(100 * n)).0).collect();
            assert_eq!(placed, [0, 100, 200].map(|ms| Some(ms + start)));
            test.end(true);
        }
    }

    #[test]
    fn times_that_can_not_be_do_no_harm() {
        gst::init().unwrap();
        let most = ClockTime::from_nseconds(u64::MAX - 1);
        for times in
            [[ClockTime::ZERO, most, ClockTime::SECOND], [most, ClockTime::ZERO, most], [most, most, ClockTime::ZERO]]
        {
            let mut splice = Splice::new(most);
            for _ in 0..2 {
                let mut segment = gst::FormattedSegment::<ClockTime>::new();
                segment.set_start(times[0]);
                segment.set_stop(times[1].max(times[0]));
                segment.set_base(times[2]);
                splice.event(&gst::event::Segment::new(&segment));
                for (pts, dts) in
                    times.iter().flat_map(|time| [(Some(*time), Some(*time)), (Some(*time), None), (None, Some(*time))])
                {
                    let mut buffer = gst::Buffer::new();
                    let writable = buffer.get_mut().unwrap();
                    writable.set_pts(pts);
                    writable.set_dts(dts);
                    let _ = splice.place(writable);
                }
                splice.event(&gst::event::Eos::new());
            }
        }
    }
}
