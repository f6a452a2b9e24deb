//! Per-frame log lines at TRACE. Nothing is formatted while that level is off.

use super::imp::{CAT, Inference};
use crate::infer::{Frame, Ran};
use crate::meta::Inference as Run;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::time::Instant;

pub fn submitted(element: &Inference, frame: &Frame, regions: usize, at_once: bool) {
    gst::trace!(
        CAT,
        imp = element,
        "frame {}: submitted, {regions} region(s), {}",
        frame.buffer.pts().display(),
        if at_once { "for this thread if a lane is free" } else { "for a lane's thread" }
    );
}

pub fn skipped(element: &Inference, frame: &Frame, why: Run) {
    gst::trace!(CAT, imp = element, "frame {}: skipped: {why:?}", frame.buffer.pts().display());
}

/// Logs that the frame, which arrived at `arrival`, is about to be pushed downstream.
pub fn finished(element: &Inference, frame: &Frame, ran: Option<Ran>, objects: usize, arrival: Instant) {
    let Some(Ran { lane, batch, waited, took }) = ran else { return };
    gst::trace!(
        CAT,
        imp = element,
        "frame {}: finished, {objects} object(s); waited {waited:?}, ran {took:?} in a batch of {batch} on lane \
         {lane}, spent {:?} in the element",
        frame.buffer.pts().display(),
        arrival.elapsed()
    );
}
