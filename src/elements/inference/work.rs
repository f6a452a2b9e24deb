//! A frame on its way through an element that runs a model.

use super::opened::Opened;
use super::regions::Region;
use super::settings::Resolved;
use crate::elements::stage::Work;
use crate::infer::{Frame, Ticket};
use crate::meta::{Inference as Run, Record};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// A frame in flight between the pads.
pub struct FrameWork {
    pub frame: Arc<Frame>,
    pub arrival: Instant,
    pub action: Action,
    pub model: Arc<Opened>,
    pub settings: Arc<Resolved>,
}

/// What is done with the frame.
pub enum Action {
    Skip(Run),
    Infer { ticket: Ticket, regions: Vec<Region>, before: Arc<Record>, _waiting: Waiting },
}

/// Counts one frame as waiting for the engine until it is dropped.
pub struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    pub fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Work for FrameWork {
    fn ready(&self) -> bool {
        match &self.action {
            Action::Skip(_) => true,
            Action::Infer { ticket, .. } => ticket.ready(),
        }
    }
}
