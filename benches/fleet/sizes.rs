//! How large the records of a fleet are.

use super::growth::Fleet;
use fleet::{CameraRecord, CameraStatus, Claim, ClaimState, HostState, HostStatus};
use serde_json::{Value, json};

/// Records as they are written.
pub struct Sizes {
    /// A camera with some settings of its own.
    pub camera: Vec<u8>,
    pub claim: Vec<u8>,
    /// The status of a host with its share of the cameras.
    pub status: Vec<u8>,
    /// A line of results.
    pub line: Vec<u8>,
}

pub fn measure(fleet: &Fleet) -> Sizes {
    let camera = json!({
        "NAME": "hall-3-gate-0117", "URL": "rtsp://${CAMERA_USER}:${CAMERA_PASSWORD}@10.20.30.117:554/stream1",
        "WIDTH": 1920, "HEIGHT": 1080, "FPS": 15, "DETECTION": { "CONFIDENCE_THRESHOLD": 0.4, "CLASSES": ["person", "car"] },
    });
    let Value::Object(camera) = camera else { unreachable!("it's written as an object") };
    let claim = Claim {
        host: "fleet-gst-trt-117".into(),
        run: "0192f3c1-7a5e-7cc0-9d2f".into(),
        state: ClaimState::Settled,
        strikes: 0,
        epoch: Some(123_456),
        base: 0,
        record: 4711,
    };
    let row = |n: usize| CameraStatus {
        name: format!("hall-3-gate-{n:04}"),
        partition: n as i32,
        epoch: Some(123_456),
        state: "playing".into(),
        reason: None,
        fps: 14.98,
        frames: 12_345_678,
        drops: 12,
        latency_p95: Some(41.25),
    };
    let status = HostStatus {
        host: claim.host.clone(),
        run: claim.run.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        state: HostState::Serving,
        time: 1_790_000_000_000,
        capacity: Some(64),
        cpu_percent: Some(23.5),
        gpu_percent: Some(61.0),
        cameras: (0..fleet.cameras.div_ceil(fleet.hosts)).map(row).collect(),
    };
    Sizes {
        camera: CameraRecord { camera, base: 0 }.write(),
        claim: claim.write(),
        status: status.write(),
        line: line(fleet.objects),
    }
}

/// A line as docs/json.md has it, with tracked objects.
fn line(objects: usize) -> Vec<u8> {
    let object = |id: usize| {
        json!({
            "id": id, "label": "person", "class_id": 0, "confidence": 0.9123,
            "box": { "x": 804.53, "y": 211.25, "width": 120.02, "height": 380.75 }, "source": "detect",
            "track_id": 100_000 + id, "track": { "state": "tracked", "age": 1234, "velocity": { "x": 12.25, "y": -3.5 } },
        })
    };
    let line = json!({
        "stream": "hall-3-gate-0117", "frame": 1_234_567, "pts": 82_304_466_666_666_u64, "ntp": "2026-05-04T12:34:56.789000000Z",
        "width": 1920, "height": 1080, "inferred": { "detect": "done" }, "host": "fleet-gst-trt-117", "epoch": 123_456,
        "objects": (0..objects).map(object).collect::<Vec<_>>(),
    });
    line.to_string().into_bytes()
}

impl Sizes {
    pub fn print(&self) {
        println!("| record | bytes |\n|---|---|");
        for (name, record) in [
            ("a camera", &self.camera),
            ("a claim", &self.claim),
            ("the status of a host with its share of the cameras", &self.status),
            ("a line of results", &self.line),
        ] {
            println!("| {name} | {} |", record.len());
        }
    }
}
