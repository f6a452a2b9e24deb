//! The custom event that carries what an element finds out at EOS, when no frame follows that could have it.

use crate::meta::Record;
use gst::glib;
use std::sync::Arc;

const NAME: &str = "trt-final-record";
const FIELD: &str = "record";

#[derive(Debug, Clone, glib::Boxed)]
#[boxed_type(name = "GstTrtFinalRecord", allow_name_conflict)]
struct Final(Arc<Record>);

/// Returns the event, to be pushed before EOS.
pub fn event(record: Record) -> gst::Event {
    gst::event::CustomDownstream::new(gst::Structure::builder(NAME).field(FIELD, Final(Arc::new(record))).build())
}

/// The record of such an event; `None`: it is another one.
pub fn of(event: &gst::event::CustomDownstream) -> Option<Arc<Record>> {
    let structure = event.structure().filter(|structure| structure.name() == NAME)?;
    structure.get::<Final>(FIELD).ok().map(|found| found.0)
}
