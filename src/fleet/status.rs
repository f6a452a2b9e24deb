//! What a host reports of itself.

use crate::monitor::{Camera, CameraState, Sample};
use ::fleet::{CameraStatus, CameraView, Doing, HostState, HostStatus};
use std::time::{SystemTime, UNIX_EPOCH};

/// What a process says of itself.
pub struct Process<'a> {
    pub host: &'a str,
    pub run: &'a str,
    pub state: HostState,
    pub capacity: Option<usize>,
}

/// The cameras of a host's partitions, with the figures of those that run.
pub fn cameras(views: &[CameraView], snapshots: &[Camera], sample: Option<&Sample>) -> Vec<CameraStatus> {
    let one = |view: &CameraView| {
        let name = &view.slot.camera;
        let mut status = CameraStatus {
            name: name.clone(),
            partition: view.slot.partition,
            epoch: view.epoch,
            ..CameraStatus::default()
        };
        if let Some(camera) = snapshots.iter().find(|camera| camera.name == *name && !camera.unserved) {
            (status.frames, status.drops) = (camera.frames, camera.drops);
            status.latency_p95 = camera.latency.p95;
            status.reason = camera.reason.clone();
            status.state = camera.state.name().to_owned();
        }
        let row = sample.and_then(|sample| sample.cameras.iter().find(|row| row.camera.name == *name));
        status.fps = row.filter(|_| view.epoch.is_some()).map_or(0.0, |row| row.fps);
        let (state, reason) = match &view.doing {
            Doing::Running => (None, None),
            Doing::Held => (Some("held"), Some("the group isn't heard".to_owned())),
            Doing::Waiting => (Some("waiting"), None),
            Doing::Stopping => (Some("stopping"), None),
            Doing::Unserved => (Some("unserved"), Some(NO_ROOM.to_owned())),
            Doing::Quarantined => (Some("quarantined"), Some(QUARANTINE.to_owned())),
            Doing::Unusable(reason) => (Some("unusable"), Some(reason.clone())),
        };
        if let Some(state) = state {
            (status.state, status.reason) = (state.to_owned(), reason);
        } else if status.state.is_empty() {
            status.state = CameraState::Starting.name().to_owned();
        }
        status
    };
    views.iter().map(one).collect()
}

const NO_ROOM: &str = "the host has no room for it: add a host, or set --max-cameras";
const QUARANTINE: &str = "two hosts ended while they started it: gst-trt fleet release, or a change of its record, makes hosts \
                          try it again";

/// Cameras that don't run, for this process's own metrics and monitor.
pub fn idle(views: &[CameraView]) -> Vec<Camera> {
    let one = |view: &CameraView| {
        let (state, reason, unserved) = match &view.doing {
            Doing::Unserved => (CameraState::Stopped, NO_ROOM.to_owned(), true),
            Doing::Quarantined => (CameraState::Failed, QUARANTINE.to_owned(), true),
            Doing::Unusable(reason) => (CameraState::Failed, reason.clone(), false),
            Doing::Running | Doing::Held | Doing::Waiting | Doing::Stopping => return None,
        };
        Some(Camera { name: view.slot.camera.clone(), state, reason: Some(reason), unserved, ..Camera::default() })
    };
    views.iter().filter_map(one).collect()
}

/// The whole report.
pub fn of(process: &Process, cameras: Vec<CameraStatus>, sample: Option<&Sample>) -> HostStatus {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let gpus = sample.into_iter().flat_map(|sample| &sample.gpus).filter_map(|gpu| gpu.gpu_percent);
    HostStatus {
        host: process.host.to_owned(),
        run: process.run.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        state: process.state,
        time: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        capacity: process.capacity,
        cpu_percent: sample.and_then(|sample| sample.machine.cpu_percent),
        gpu_percent: gpus.reduce(f64::max),
        cameras,
    }
}
