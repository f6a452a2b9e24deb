//! SECTION:element-trtzones
//!
//! Tells who is in zones and who crosses lines: who entered and left, for how long it stayed, who loiters, what is
//! forbidden, and where there are too many. It works on metadata alone, in frames of any format and memory, and counts
//! objects with tracks, from `trttrack` or another tracker before it.
//!
//! Zones are polygons and lines have two ends, in fractions of the frame, as JSON in the property `zones` or a file
//! (`zones-file`); docs/zones.md has the keys. Counts are exact because each needs evidence: an object counts once it has been on
//! the other side of a border for a while and by a margin, so that a box that trembles on a line counts once. Tentative tracks
//! don't count, and predicted boxes are no evidence. An object that is lost and comes back with another id within `merge` is the
//! same. Totals go on over flushes and new streams, and when zones are changed while playing, where only those that are
//! other than before start anew; at EOS all objects leave. With `state-file` they go on over a restart.
//!
//! An event is in the record and the line of the frame in which it became certain (`events`, docs/json.md), and an element
//! message `trtzones-event` on the bus:
//!
//! | field | type | |
//! |---|---|---|
//! | `type` | string | `entered`, `left`, `loitering`, `forbidden`, `crowded`, `dispersed`, `crossed` |
//! | `zone`, or `line` for `crossed` | string | its name |
//! | `timestamp` | uint64 | when it happened, as the timestamp of a buffer, ns; up to `settle_s` or `merge` before it is told |
//! | `running-time` | uint64 | the same as running time; absent where the segment doesn't have it |
//! | `track-id` | uint64 | the object's; absent for `crowded` and `dispersed` |
//! | `label` | string | the object's class; as `track-id` |
//! | `direction` | string | of `crossed`: `in`, from left to right as seen from the line's first end towards the other, or `out` |
//! | `dwell` | uint64 | of `left`: how long it was inside, ns |
//! | `vanished` | boolean | of `left`: whether it was last seen inside |
//! | `count` | uint | of `crowded`: how many there are |
//! | `lasted` | uint64 | of `dispersed`: for how long there were too many, ns |
//!
//! What happens at EOS is on the bus, and in `trtpublish`'s lines of events, because no frame follows. Frames carry the zones and lines with their counts, and
//! `trtoverlay` draws them.
//!
//! ```sh
//! gst-launch-1.0 -m filesrc location=media/bikes.mp4 ! qtdemux ! h264parse ! avdec_h264 \
//!   ! trtdetect backend=cpu model=models/yolov12n.onnx confidence=0.1 ! trttrack \
//!   ! trtzones zones='{"lines": [{"name": "road", "from": [0.5, 0], "to": [0.5, 1]}]}' ! fakesink
//! ```
//!
//! Since: 0.1

mod imp;
mod places;
mod properties;
mod state_file;
mod structures;

use crate::options::ZonesOptions;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

glib::wrapper! {
    pub struct TrtZones(ObjectSubclass<imp::TrtZones>) @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Sets all options of an element. Returns `None` if it isn't a `trtzones`.
pub fn set_options(element: &gst::Element, options: &ZonesOptions) -> Option<()> {
    element.downcast_ref::<TrtZones>().map(|element| element.imp().set_options(options.clone()))
}

/// The properties in which two elements' options differ.
pub fn differences(a: &ZonesOptions, b: &ZonesOptions) -> Vec<&'static glib::ParamSpec> {
    properties::PROPERTIES.differences(a, b)
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "trtzones", gst::Rank::NONE, TrtZones::static_type())
}
