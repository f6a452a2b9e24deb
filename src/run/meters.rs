//! The meters of all cameras.

use crate::monitor::{Camera, Meter};
use gst::glib;
use gst::prelude::*;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The meters of all configured cameras, for the supervisor and for the monitor, on any thread.
#[derive(Debug, Clone, Default)]
pub struct Meters {
    running: Arc<Mutex<BTreeMap<String, Entry>>>,
    /// Cameras that this process has and doesn't run.
    idle: Arc<Mutex<Vec<Camera>>>,
}

#[derive(Debug, Clone)]
struct Entry {
    meter: Arc<Meter>,
    outputs: OutputDrops,
}

/// Counts the lines that a camera's outputs drop.
#[derive(Debug, Clone, Default)]
pub struct OutputDrops(Arc<Mutex<Vec<Dropped>>>);

/// An output, and the number of lines that it had dropped when it was last asked.
type Dropped = (glib::WeakRef<gst::Element>, u64);

impl OutputDrops {
    /// Replaces the outputs by these elements.
    pub fn follow(&self, elements: impl Iterator<Item = gst::Element>) {
        let publishing = elements.filter(|e| e.factory().is_some_and(|factory| factory.name() == "trtpublish"));
        *self.0.lock() = publishing.map(|element| (element.downgrade(), 0)).collect();
    }

    /// The number of lines dropped since the last call.
    pub fn count(&self) -> u64 {
        let mut sum = 0;
        for (element, counted) in self.0.lock().iter_mut() {
            let Some(element) = element.upgrade() else { continue };
            let dropped = element.property::<gst::Structure>("stats").get::<u64>("dropped").unwrap_or(0);
            sum += dropped.saturating_sub(*counted);
            *counted = dropped;
        }
        sum
    }
}

impl Meters {
    /// Returns a camera's meter. A camera that is restarted keeps its counts.
    pub(super) fn of(&self, camera: &str) -> (Arc<Meter>, OutputDrops) {
        let mut meters = self.running.lock();
        let entry = meters
            .entry(camera.to_owned())
            .or_insert_with(|| Entry { meter: Arc::new(Meter::new(camera)), outputs: OutputDrops::default() });
        (entry.meter.clone(), entry.outputs.clone())
    }

    /// Removes a camera that isn't configured any more.
    pub(super) fn forget(&self, camera: &str) {
        self.running.lock().remove(camera);
    }

    /// Replaces the cameras that this process has and doesn't run.
    pub fn set_idle(&self, cameras: Vec<Camera>) {
        *self.idle.lock() = cameras;
    }

    /// Snapshots of all cameras, sorted by name.
    pub fn snapshots(&self) -> Vec<Camera> {
        let entries: Vec<_> = self.running.lock().values().cloned().collect();
        let snapshot = |entry: &Entry| {
            entry.meter.lines_dropped(entry.outputs.count());
            entry.meter.snapshot()
        };
        let mut snapshots: Vec<Camera> = entries.iter().map(snapshot).collect();
        let idle = self.idle.lock();
        let others = idle.iter().filter(|idle| !snapshots.iter().any(|running| running.name == idle.name));
        let others: Vec<Camera> = others.cloned().collect();
        snapshots.extend(others);
        snapshots.sort_by(|a, b| a.name.cmp(&b.name));
        snapshots
    }
}
