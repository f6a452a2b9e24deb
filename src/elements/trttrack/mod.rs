//! SECTION:element-trttrack
//!
//! Gives objects ids that stay from frame to frame. It works on metadata alone: on the objects of `trtdetect` and `trtpose`
//! and of other programs' detectors, in frames of any format and memory. The pixels aren't read, unless there is a model for
//! re-identification, so that `bot-sort` has no camera motion compensation.
//!
//! An object that is found gets a `track_id`, which is unique in the life of the process and never used again, and the
//! state of its track: tentative until it has been found in `min-hits` consecutive frames, then confirmed. In frames that no
//! model saw, because of `interval` or `skip-when-busy`, confirmed objects are added where they are expected, with the state
//! predicted and without keypoints and masks; a model at every third frame still has boxes on every one. An object that a
//! model looked for in vain isn't shown; its track goes on for `max-age` frames.
//!
//! Each detector's objects are tracked by themselves: classes of two models never mix. So `trtpose attach=match` and `trtclassify`
//! belong behind `trttrack`, where they work on predicted boxes too. Objects that were found in another
//! object's box (`parent`) aren't tracked. A frame in which another program's detector found nothing counts as skipped by it,
//! if it finds objects only in every second frame or less often.
//!
//! All tracks end with a new stream, a flush, a segment that begins elsewhere, and a buffer with the flag DISCONT whose timestamp
//! goes back or jumps by more than `max-age` frames; not when the caps change. Leaky queues and `videorate` set that flag where
//! they drop frames, and there tracks go on. The framerate of the caps is the unit of time, or else what the first
//! frames have.
//!
//! With `reid=model.onnx` a model for re-identification (any output `[batch, values]`, docs/models.md) tells what objects look
//! like, and an object that was hidden or had left the picture gets its id again where it comes back within `reid-max-age`.
//! Frames must then be in the memory of `backend`, as for `trtdetect`. The model runs only on objects of which the tracker can't
//! be sure by their places: new ones, ones that come back, ones close to others, and every `reid-interval` each of the others.
//! Elements with the same model share its batches. With `bot-sort` looks also take part in the assignment from frame to frame.
//!
//! Ids are in the record, in the lines of `trtpublish` (`track_id`, `track`), in `trtoverlay` (`color-by=track`), in ROI metas
//! as DL Streamer has them (the structure `object_id`), and in analytics metadata as `GstAnalyticsTrackingMtd`. docs/interop.md
//! has the details.
//!
//! ```sh
//! gst-launch-1.0 -q filesrc location=media/bikes.mp4 ! qtdemux ! h264parse ! avdec_h264 \
//!   ! trtdetect backend=cpu model=models/yolov12n.onnx interval=2 confidence=0.1 ! trttrack ! trtpublish ! fakesink
//! ```
//!
//! Since: 0.1

mod clock;
mod doubt;
mod imp;
mod properties;
mod reid;
mod stream;

use super::inference::Opened;
use crate::options::TrackingOptions;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::Arc;

glib::wrapper! {
    pub struct TrtTrack(ObjectSubclass<imp::TrtTrack>) @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

impl TrtTrack {
    fn reid(&self) -> &reid::Reid {
        &self.imp().reid
    }
}

/// The model for re-identification of an element in PAUSED.
pub fn opened(element: &gst::Element) -> Option<Arc<Opened>> {
    element.downcast_ref::<TrtTrack>()?.reid().opened()
}

/// Sets all options of an element. Returns `None` if it isn't a `trttrack`.
pub fn set_options(element: &gst::Element, options: &TrackingOptions) -> Option<()> {
    element.downcast_ref::<TrtTrack>().map(|element| element.imp().set_options(options.clone()))
}

/// The properties in which two elements' options differ.
pub fn differences(a: &TrackingOptions, b: &TrackingOptions) -> Vec<&'static glib::ParamSpec> {
    properties::PROPERTIES.differences(a, b)
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "trttrack", gst::Rank::NONE, TrtTrack::static_type())
}
