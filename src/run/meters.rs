//! The meters of all cameras.

use crate::monitor::{Camera, Count, Meter, Place};
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
    elements: CountingElements,
}

/// The elements of a camera's pipeline that count something.
#[derive(Debug, Clone, Default)]
pub struct CountingElements(Arc<Mutex<Followed>>);

#[derive(Debug, Default)]
struct Followed {
    outputs: Vec<Output>,
    zones: Option<glib::WeakRef<gst::Element>>,
}

/// An output, and the number of lines that it had dropped when it was last asked.
type Output = (glib::WeakRef<gst::Element>, u64);

impl CountingElements {
    /// Replaces the elements by those of these that count.
    pub fn follow(&self, elements: impl Iterator<Item = gst::Element>) {
        let mut followed = Followed::default();
        for element in elements {
            match element.factory().as_ref().map(|factory| factory.name()).as_deref() {
                Some("trtpublish") => followed.outputs.push((element.downgrade(), 0)),
                Some("trtzones") => followed.zones = Some(element.downgrade()),
                _ => {}
            }
        }
        *self.0.lock() = followed;
    }

    /// The number of lines that outputs have dropped since the last call.
    pub fn dropped_lines(&self) -> u64 {
        let mut sum = 0;
        for (element, counted) in &mut self.0.lock().outputs {
            let Some(element) = element.upgrade() else { continue };
            let dropped = element.property::<gst::Structure>("stats").get::<u64>("dropped").unwrap_or(0);
            sum += dropped.saturating_sub(*counted);
            *counted = dropped;
        }
        sum
    }

    /// What has been counted in zones and on lines.
    pub fn places(&self) -> Vec<Place> {
        let zones = self.0.lock().zones.as_ref().and_then(glib::WeakRef::upgrade);
        let Some(stats) = zones.map(|zones| zones.property::<gst::Structure>("stats")) else { return vec![] };
        let list = |name: &str| stats.get::<gst::Array>(name).map_or_else(|_| vec![], |list| list.as_slice().to_vec());
        let number = |place: &gst::Structure, field: &str| place.get::<u64>(field).unwrap_or_default();
        let zone = |place: &gst::Structure| Count::Zone {
            occupancy: place.get::<u32>("occupancy").unwrap_or_default(),
            entered: number(place, "entered"),
            left: number(place, "left"),
        };
        let line =
            |place: &gst::Structure| Count::Line { inwards: number(place, "in"), outwards: number(place, "out") };
        let place = |value: &glib::SendValue, count: &dyn Fn(&gst::Structure) -> Count| {
            let place = value.get::<gst::Structure>().ok()?;
            Some(Place { name: place.get::<String>("name").ok()?, count: count(&place) })
        };
        let zones = list("zones").into_iter().filter_map(|value| place(&value, &zone)).collect::<Vec<_>>();
        let lines = list("lines").into_iter().filter_map(|value| place(&value, &line));
        zones.into_iter().chain(lines).collect()
    }
}

impl Meters {
    /// Returns a camera's meter. A camera that is restarted keeps its counts.
    pub(super) fn of(&self, camera: &str) -> (Arc<Meter>, CountingElements) {
        let mut meters = self.running.lock();
        let entry = meters
            .entry(camera.to_owned())
            .or_insert_with(|| Entry { meter: Arc::new(Meter::new(camera)), elements: CountingElements::default() });
        (entry.meter.clone(), entry.elements.clone())
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
            entry.meter.lines_dropped(entry.elements.dropped_lines());
            Camera { places: entry.elements.places(), ..entry.meter.snapshot() }
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
