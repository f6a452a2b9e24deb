//! What all cameras do.

use crate::monitor::{Camera, Meter};
use crate::sync::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The meters of the cameras that there are, for the supervisor and for those who watch, on any thread.
#[derive(Debug, Clone, Default)]
pub struct Meters(Arc<Mutex<BTreeMap<String, Arc<Meter>>>>);

impl Meters {
    /// A camera's meter. One that starts anew goes on counting.
    pub(super) fn of(&self, camera: &str) -> Arc<Meter> {
        lock(&self.0).entry(camera.to_owned()).or_insert_with(|| Arc::new(Meter::new(camera))).clone()
    }

    /// The camera isn't configured any more.
    pub(super) fn forget(&self, camera: &str) {
        lock(&self.0).remove(camera);
    }

    /// Every camera as it is now, by name.
    pub fn snapshots(&self) -> Vec<Camera> {
        let meters: Vec<_> = lock(&self.0).values().cloned().collect();
        meters.iter().map(|meter| meter.snapshot()).collect()
    }
}
