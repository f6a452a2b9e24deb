//! The figures of the last 15 minutes.

use super::access::parameter;
use super::answer::{Refusal, json};
use super::{Outcome, Site};
use crate::monitor::Sample;
use hyper::{StatusCode, Uri};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How far back it goes.
const LENGTH: Duration = Duration::from_secs(15 * 60);
/// The least time between two points: a chart has no room for more.
const STEP: Duration = Duration::from_secs(2);
/// A step that a late thread has shortened a little is whole.
const SLACK: Duration = Duration::from_millis(100);

/// What a monitor has measured, on any thread.
#[derive(Clone, Default)]
pub struct History(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    last: Option<Arc<Sample>>,
    points: VecDeque<(Instant, Point)>,
}

/// The figures of one moment; what isn't known is `None`.
#[derive(Debug, Clone, Serialize)]
struct Point {
    time: String,
    cpu_percent: Option<f64>,
    machine_cpu_percent: Option<f64>,
    memory_mib: Option<f64>,
    machine_memory_used_mib: Option<f64>,
    machine_memory_total_mib: Option<f64>,
    gpus: Vec<Gpu>,
    fps: Option<f64>,
    latency_p50_ms: Option<f64>,
    latency_p99_ms: Option<f64>,
    #[serde(skip)]
    cameras: Vec<(Arc<str>, Figures)>,
}

#[derive(Debug, Clone, Serialize)]
struct Gpu {
    index: u32,
    gpu_percent: Option<f64>,
    nvdec_percent: Option<f64>,
    memory_used_mib: Option<f64>,
    memory_total_mib: Option<f64>,
}

/// Of one camera.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Figures {
    fps: f64,
    latency_p50_ms: Option<f64>,
    latency_p99_ms: Option<f64>,
}

impl History {
    /// Keeps a sample.
    pub fn add(&self, sample: &Sample) {
        self.add_at(Instant::now(), sample);
    }

    fn add_at(&self, now: Instant, sample: &Sample) {
        let mut kept = self.0.lock();
        kept.last = Some(Arc::new(sample.clone()));
        if kept.points.back().is_some_and(|(last, _)| now.duration_since(*last) + SLACK < STEP) {
            return;
        }
        while kept.points.front().is_some_and(|(first, _)| now.duration_since(*first) > LENGTH) {
            kept.points.pop_front();
        }
        let before = kept.points.back().map_or(&[][..], |(_, point)| &point.cameras);
        let point = point(sample, before);
        kept.points.push_back((now, point));
    }

    /// The last sample.
    pub fn last(&self) -> Option<Arc<Sample>> {
        self.0.lock().last.clone()
    }

    fn points(&self) -> Vec<Point> {
        self.0.lock().points.iter().map(|(_, point)| point.clone()).collect()
    }
}

fn point(sample: &Sample, before: &[(Arc<str>, Figures)]) -> Point {
    let latencies = |of: fn(&crate::monitor::Latency) -> Option<f64>| {
        let mut all: Vec<f64> = sample.cameras.iter().filter_map(|row| of(&row.camera.latency)).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let (medians, slowest) = (latencies(|latency| latency.p50), latencies(|latency| latency.p99));
    let process = sample.process.as_ref();
    let cameras = sample.cameras.iter().map(|row| {
        let known = before.iter().find(|(name, _)| **name == *row.camera.name).map(|(name, _)| name.clone());
        let latency = &row.camera.latency;
        let figures = Figures { fps: row.fps, latency_p50_ms: latency.p50, latency_p99_ms: latency.p99 };
        (known.unwrap_or_else(|| row.camera.name.as_str().into()), figures)
    });
    let gpu = |gpu: &crate::monitor::Gpu| Gpu {
        index: gpu.index,
        gpu_percent: gpu.gpu_percent,
        nvdec_percent: gpu.decoder_percent,
        memory_used_mib: gpu.memory_used_mib,
        memory_total_mib: gpu.memory_total_mib,
    };
    Point {
        time: sample.time.clone(),
        cpu_percent: process.and_then(|process| process.cpu_percent),
        machine_cpu_percent: sample.machine.cpu_percent,
        memory_mib: process.and_then(|process| process.memory_mib),
        machine_memory_used_mib: sample.machine.memory_used_mib,
        machine_memory_total_mib: sample.machine.memory_total_mib,
        gpus: sample.gpus.iter().map(gpu).collect(),
        fps: Some(sample.cameras.iter().map(|row| row.fps).sum()),
        latency_p50_ms: medians.get(medians.len() / 2).copied(),
        latency_p99_ms: slowest.last().copied(),
        cameras: cameras.collect(),
    }
}

pub fn get(site: &Site, uri: &Uri) -> Outcome {
    #[derive(Serialize)]
    struct OfCamera {
        #[serde(flatten)]
        point: Point,
        camera: Option<Figures>,
    }
    #[derive(Serialize)]
    struct Points<T> {
        points: Vec<T>,
    }
    let points = site.sources.history.points();
    let Some(camera) = parameter(uri, "camera") else { return json(StatusCode::OK, &Points { points }) };
    if !site.sources.meters.snapshots().iter().any(|known| known.name == camera) {
        return Err(Refusal::not_found(format!("there is no camera {camera:?}")));
    }
    let of_camera = |point: Point| {
        let figures = point.cameras.iter().find(|(name, _)| **name == *camera).map(|(_, figures)| *figures);
        OfCamera { point, camera: figures }
    };
    json(StatusCode::OK, &Points { points: points.into_iter().map(of_camera).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::{Camera, Latency, Sampler};

    #[test]
    fn a_bounded_number_of_points_is_kept() {
        let history = History::default();
        let latency = |p50, p99| Latency { p50, p99, ..Latency::default() };
        let camera = |name: &str, latency| Camera { name: name.into(), latency, ..Camera::default() };
        let cameras = vec![
            camera("door", latency(Some(5.0), Some(9.0))),
            camera("hall", latency(Some(7.0), Some(70.0))),
            camera("new", latency(None, None)),
        ];
        let mut sample = Sampler::new(1000.0, false).sample(cameras);
        sample.gpus = vec![crate::monitor::Gpu { index: 1, decoder_percent: Some(3.0), ..Default::default() }];
        let start = Instant::now();
        for second in 0..3600 {
            history.add_at(start + Duration::from_secs(second), &sample);
        }
        let points = history.points();
        assert_eq!(points.len(), 451);
        let json = serde_json::to_value(&points[0]).unwrap();
        assert_eq!((&json["latency_p50_ms"], &json["latency_p99_ms"]), (&7.0.into(), &70.0.into()));
        let gpu = &json["gpus"][0];
        assert_eq!((&gpu["nvdec_percent"], &gpu["gpu_percent"]), (&3.0.into(), &serde_json::Value::Null));
        assert_eq!(points[0].cameras[2].1.latency_p99_ms, None);
        assert!(Arc::ptr_eq(&points[0].cameras[0].0, &points[9].cameras[0].0), "names aren't copied");
    }
}
