//! Events and totals as GStreamer's structures.

use crate::infer::nanoseconds;
use crate::meta::{Event, EventKind};
use std::time::Duration;
use tracking::zones::{Counts, Direction, LineView, ZoneView, Zones};

/// The name of an event's structure.
pub const EVENT: &str = "trtzones-event";

/// An event as an element message has it. `segment` is that of the stream.
pub fn event(event: &Event, segment: Option<&gst::Segment>) -> gst::Structure {
    let timestamp = gst::ClockTime::from_nseconds(nanoseconds(event.time));
    let place = if event.kind.is_of_line() { "line" } else { "zone" };
    let mut structure = gst::Structure::builder(EVENT)
        .field("type", event.kind.name())
        .field(place, &*event.place)
        .field("timestamp", timestamp.nseconds())
        .build();
    let segment = segment.and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
    if let Some(running) = segment.and_then(|segment| segment.to_running_time(timestamp)) {
        structure.set("running-time", running.nseconds());
    }
    if let Some(object) = &event.object {
        structure.set("track-id", object.track);
        structure.set("label", &*object.class);
    }
    match event.kind {
        EventKind::Crossed(direction) => structure.set("direction", direction.name()),
        EventKind::Left { dwell, vanished } => {
            structure.set("dwell", nanoseconds(dwell));
            structure.set("vanished", vanished);
        }
        EventKind::Crowded { count } => structure.set("count", count),
        EventKind::Dispersed { lasted } => structure.set("lasted", nanoseconds(lasted)),
        EventKind::Entered | EventKind::Loitering | EventKind::Forbidden => {}
    }
    structure
}

/// The fields `zones` and `lines` of `stats`.
pub fn set_totals(stats: &mut gst::StructureRef, zones: &Zones) {
    stats.set("zones", gst::Array::new(zones.zones().map(|view| zone(&view))));
    stats.set("lines", gst::Array::new(zones.lines().map(|view| line(&view))));
}

fn zone(ZoneView { name, totals, occupancy, crowded }: &ZoneView) -> gst::Structure {
    let seconds = |seconds: f64| nanoseconds(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    gst::Structure::builder("zone")
        .field("name", *name)
        .field("occupancy", *occupancy)
        .field("crowded", *crowded)
        .field("entered", totals.entered.total())
        .field("left", totals.left.total())
        .field("vanished", totals.vanished)
        .field("loitered", totals.loitered)
        .field("forbidden", totals.forbidden)
        .field("crowds", totals.crowded)
        .field("dwell", seconds(totals.dwell_s))
        .field("longest-dwell", seconds(totals.longest_dwell_s))
        .field("entered-by-class", by_class(&totals.entered))
        .field("left-by-class", by_class(&totals.left))
        .build()
}

fn line(LineView { name, totals }: &LineView) -> gst::Structure {
    let (inwards, outwards) = (totals.of(Direction::In), totals.of(Direction::Out));
    gst::Structure::builder("line")
        .field("name", *name)
        .field("in", inwards.total())
        .field("out", outwards.total())
        .field("in-by-class", by_class(inwards))
        .field("out-by-class", by_class(outwards))
        .build()
}

fn by_class(counts: &Counts) -> gst::Array {
    let class = |(label, count): (&str, u64)| {
        gst::Structure::builder("class").field("label", label).field("count", count).build()
    };
    gst::Array::new(counts.iter().map(class))
}
