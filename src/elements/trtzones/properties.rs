//! The properties of `trtzones`.

use crate::elements::property::as_value::{itself, path, some_text, time};
use crate::elements::property::{Properties, property};
use crate::infer::nanoseconds;
use crate::options::ZonesOptions;
use gst::glib;
use gst::prelude::*;
use std::sync::LazyLock;

pub static PROPERTIES: LazyLock<Properties<ZonesOptions>> = LazyLock::new(|| {
    let default = ZonesOptions::default();
    Properties::<ZonesOptions>::new([
        property!(
            glib::ParamSpecString::builder("zones")
                .nick("Zones")
                .blurb(
                    "Zones and lines as JSON, in fractions of the frame: {\"zones\": [{\"name\": …, \"polygon\": [[x, y], \
                     …]}], \"lines\": [{\"name\": …, \"from\": [x, y], \"to\": [x, y]}]}; docs/zones.md has all keys. A \
                     change while playing starts anew only what it changes",
                )
                .mutable_playing(),
            zones as some_text
        ),
        property!(
            glib::ParamSpecString::builder("zones-file")
                .nick("Zones file")
                .blurb("Path of a file with what zones has; it is read when it is set, and again when it is set again")
                .mutable_playing(),
            zones_file as path
        ),
        property!(
            glib::ParamSpecUInt64::builder("merge")
                .nick("Merge")
                .blurb(
                    "An object that gets another id within this time in nanoseconds after it was last seen is the \
                     same, unless the JSON has merge_s",
                )
                .default_value(nanoseconds(default.merge))
                .mutable_playing(),
            merge as time
        ),
        property!(
            glib::ParamSpecEnum::builder_with_default("anchor", default.anchor)
                .nick("Anchor")
                .blurb("Which part of an object is in a zone or crosses a line, for those whose JSON has no anchor")
                .mutable_playing(),
            anchor as itself
        ),
        property!(
            glib::ParamSpecString::builder("state-file")
                .nick("State file")
                .blurb(
                    "Path of a file in which totals are kept from one run to the next, one for each element; it is \
                     written within a second after a total changes, and when the element stops",
                )
                .mutable_ready(),
            state_file as path
        ),
        property!(
            glib::ParamSpecBoolean::builder("attach-zones")
                .nick("Attach zones")
                .blurb("Attach zones, lines and their counts to each frame, so that trtoverlay draws them")
                .default_value(default.attach_zones)
                .mutable_playing(),
            attach_zones as itself
        ),
    ])
    .with_stats(
        "frames and events since READY→PAUSED (uint64); zones, an array of structures with name, occupancy (uint), \
         crowded (boolean), entered, left, vanished, loitered, forbidden and crowds (uint64), dwell and longest-dwell of \
         those that left (ns, uint64), entered-by-class and left-by-class (arrays of structures with label and count); \
         lines, an array of structures with name, in, out, in-by-class and out-by-class",
    )
});
