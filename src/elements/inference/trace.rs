//! What the log says of each frame, at TRACE. Nothing is formatted while it's off.

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
        if at_once { "to be run by this thread if a lane is free" } else { "for a lane's thread" }
    );
}

pub fn skipped(element: &Inference, frame: &Frame, why: Run) {
    gst::trace!(CAT, imp = element, "frame {}: not looked at: {why:?}", frame.buffer.pts().display());
}

/// The frame, which arrived at `arrival`, is about to be pushed on.
pub fn finished(element: &Inference, frame: &Frame, ran: Option<Ran>, objects: usize, arrival: Instant) {
    let Some(Ran { lane, batch, waited, took }) = ran else { return };
    gst::trace!(
        CAT,
        imp = element,
        "frame {}: finished, {objects} object(s); waited {waited:?}, ran {took:?} in a batch of {batch} on lane {lane}, was {:?} \
         in the element",
        frame.buffer.pts().display(),
        arrival.elapsed()
    );
}
