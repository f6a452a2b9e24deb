//! Events, and what has been counted, as JSON: within a frame's line, and as lines of their own.

use super::json::{self, iso8601, seconds};
use crate::meta::{Counted, Event, EventKind, Tally};
use std::time::Duration;
use tracking::zones::{Counts, Direction, ZoneTotals};

/// What lines of events say of their stream.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The stream's name.
    pub stream: &'a str,
    /// From a frame's presentation timestamp to its time since 1970-01-01 UTC, ns, if the stream says so.
    pub to_utc: Option<i128>,
}

impl Moment<'_> {
    fn utc(&self, time: Duration) -> Option<String> {
        let ns = i128::try_from(time.as_nanos()).ok()?.checked_add(self.to_utc?)?;
        iso8601(u64::try_from(ns).ok()?)
    }
}

/// Appends an event as one line, including the newline.
pub fn write_event_line(out: &mut Vec<u8>, moment: &Moment, event: &Event) {
    out.extend_from_slice(br#"{"stream":"#);
    json::text(out, moment.stream);
    out.push(b',');
    write_fields(out, event);
    end(out, moment.utc(event.time));
}

/// Appends what has been counted in a zone or on a line up to `time`, a presentation timestamp, as one line, including the newline.
pub fn write_totals_line(out: &mut Vec<u8>, moment: &Moment, time: Option<Duration>, tally: &Tally) {
    out.extend_from_slice(br#"{"stream":"#);
    json::text(out, moment.stream);
    out.extend_from_slice(br#","type":"totals""#);
    write_place(out, matches!(tally.counted, Counted::Line(_)), &tally.place);
    out.extend_from_slice(br#","pts":"#);
    match time {
        Some(time) => write_time(out, time),
        None => out.extend_from_slice(b"null"),
    }
    match &tally.counted {
        Counted::Zone { occupancy, crowded, totals } => {
            write_number(out, "occupancy", *occupancy);
            out.extend_from_slice(if *crowded { br#","crowded":true"# } else { br#","crowded":false"# });
            write_zone(out, totals);
        }
        Counted::Line(totals) => {
            let (inwards, outwards) = (totals.of(Direction::In), totals.of(Direction::Out));
            write_number(out, "in", inwards.total());
            write_number(out, "out", outwards.total());
            write_classes(out, "in_by_class", inwards);
            write_classes(out, "out_by_class", outwards);
        }
    }
    end(out, time.and_then(|time| moment.utc(time)));
}

/// Appends an event as an object.
pub fn write_event(out: &mut Vec<u8>, event: &Event) {
    out.push(b'{');
    write_fields(out, event);
    out.push(b'}');
}

fn end(out: &mut Vec<u8>, utc: Option<String>) {
    if let Some(utc) = utc {
        out.extend_from_slice(br#","ntp":"#);
        json::text(out, &utc);
    }
    out.extend_from_slice(b"}\n");
}

fn write_fields(out: &mut Vec<u8>, event: &Event) {
    out.extend_from_slice(br#""type":"#);
    json::text(out, event.kind.name());
    write_place(out, event.kind.is_of_line(), &event.place);
    out.extend_from_slice(br#","pts":"#);
    write_time(out, event.time);
    if let Some(object) = &event.object {
        write_number(out, "track_id", object.track);
        out.extend_from_slice(br#","label":"#);
        json::text(out, &object.class);
    }
    match event.kind {
        EventKind::Crossed(direction) => {
            out.extend_from_slice(br#","direction":"#);
            json::text(out, direction.name());
        }
        EventKind::Left { dwell, vanished } => {
            out.extend_from_slice(br#","dwell_s":"#);
            seconds(out, dwell);
            out.extend_from_slice(if vanished { br#","vanished":true"# } else { br#","vanished":false"# });
        }
        EventKind::Crowded { count } => write_number(out, "count", count),
        EventKind::Dispersed { lasted } => {
            out.extend_from_slice(br#","lasted_s":"#);
            seconds(out, lasted);
        }
        EventKind::Entered | EventKind::Loitering | EventKind::Forbidden => {}
    }
    if let Some(clip) = &event.clip {
        write_key(out, "clip");
        json::text(out, clip);
    }
}

fn write_zone(out: &mut Vec<u8>, totals: &ZoneTotals) {
    write_number(out, "entered", totals.entered.total());
    write_number(out, "left", totals.left.total());
    write_number(out, "vanished", totals.vanished);
    write_number(out, "loitered", totals.loitered);
    write_number(out, "forbidden", totals.forbidden);
    write_number(out, "crowds", totals.crowded);
    for (key, time) in [("dwell_s", totals.dwell_s), ("longest_dwell_s", totals.longest_dwell_s)] {
        write_key(out, key);
        seconds(out, Duration::try_from_secs_f64(time).unwrap_or_default());
    }
    write_classes(out, "entered_by_class", &totals.entered);
    write_classes(out, "left_by_class", &totals.left);
}

fn write_place(out: &mut Vec<u8>, is_line: bool, name: &str) {
    write_key(out, if is_line { "line" } else { "zone" });
    json::text(out, name);
}

fn write_time(out: &mut Vec<u8>, time: Duration) {
    json::whole(out, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
}

fn write_classes(out: &mut Vec<u8>, key: &str, counts: &Counts) {
    write_key(out, key);
    out.push(b'{');
    json::list(out, counts.iter(), |out, (class, count)| {
        json::text(out, class);
        out.push(b':');
        json::whole(out, count);
    });
    out.push(b'}');
}

fn write_number(out: &mut Vec<u8>, key: &str, number: impl itoa::Integer) {
    write_key(out, key);
    json::whole(out, number);
}

/// Appends the key of a value that isn't the first.
fn write_key(out: &mut Vec<u8>, key: &str) {
    out.push(b',');
    json::text(out, key);
    out.push(b':');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::EventObject;
    use model::Rect;
    use tracking::State;
    use tracking::zones::{Object, Zones, ZonesConfig};

    fn line(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_event_has_the_time_at_which_it_happened() {
        let event = Event {
            time: Duration::from_secs(2),
            place: "a \"b\"".into(),
            kind: EventKind::Crossed(Direction::Out),
            object: Some(EventObject { track: 7, class: "car".into() }),
            clip: None,
        };
        let start = 1_777_898_096_000_000_789_i128;
        let moment = Moment { stream: "door", to_utc: Some(start - 1_000_000_000) };
        assert_eq!(
            line(|out| write_event_line(out, &moment, &event)),
            "{\"stream\":\"door\",\"type\":\"crossed\",\"line\":\"a \\\"b\\\"\",\"pts\":2000000000,\"track_id\":7,\
             \"label\":\"car\",\"direction\":\"out\",\"ntp\":\"2026-05-04T12:34:57.000000789Z\"}\n"
        );
        // Before 1970, and beyond what has a name.
        for to_utc in [Some(-3_000_000_000), Some(i128::MAX), None] {
            let moment = Moment { to_utc, ..moment };
            assert!(!line(|out| write_event_line(out, &moment, &event)).contains("ntp"), "{to_utc:?}");
        }
    }

    #[test]
    fn totals_are_those_of_their_zone_or_line() {
        let text = r#"{"settle_s": 0,
            "zones": [{"name": "hall", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]], "crowding": {"more_than": 0}}],
            "lines": [{"name": "road", "from": [0.5, 0], "to": [0.5, 1]}]}"#;
        let mut zones = Zones::new(&ZonesConfig::parse(text).unwrap(), 1.0).unwrap();
        for frame in 0..10_u8 {
            let rect = Rect::new(0.1 + 0.08 * f32::from(frame), 0.4, 0.1, 0.2);
            let object = Object { track: 1, state: State::Confirmed, class: "car", rect, feet: None };
            zones.update(Duration::from_millis(100) * u32::from(frame), &[object]);
        }
        let tallies: Vec<_> = zones.tallies().collect();
        let moment = Moment { stream: "door", to_utc: None };
        let text = |index: usize, time| line(|out| write_totals_line(out, &moment, time, &tallies[index]));
        assert_eq!(
            text(0, Some(Duration::from_millis(900))),
            "{\"stream\":\"door\",\"type\":\"totals\",\"zone\":\"hall\",\"pts\":900000000,\"occupancy\":1,\"crowded\":true,\
             \"entered\":1,\"left\":0,\"vanished\":0,\"loitered\":0,\"forbidden\":0,\"crowds\":1,\"dwell_s\":0.000,\
             \"longest_dwell_s\":0.000,\"entered_by_class\":{\"car\":1},\"left_by_class\":{}}\n"
        );
        let crossed = text(1, None);
        assert!(
            crossed.starts_with("{\"stream\":\"door\",\"type\":\"totals\",\"line\":\"road\",\"pts\":null,"),
            "{crossed}"
        );
        let counts = crossed.split_once("null,").unwrap().1;
        // Seen from above downwards, the right is the left.
        assert_eq!(counts, "\"in\":0,\"out\":1,\"in_by_class\":{},\"out_by_class\":{\"car\":1}}\n");
    }
}
