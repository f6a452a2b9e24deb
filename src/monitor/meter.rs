//! Counts what a camera does while it runs.

use super::snapshot::{BUCKETS, Camera, CameraState};
use crate::infer::Latencies;
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// The counts of one camera. It's shared by its supervisor and its streaming threads: every method takes a lock
/// briefly.
#[derive(Debug)]
pub struct Meter(Mutex<State>);

#[derive(Debug)]
struct State {
    camera: Camera,
    /// Latencies since `since`, and those of the previous period.
    recent: [Latencies; 2],
    since: Instant,
}

impl Meter {
    /// Percentiles cover one to two periods.
    const PERIOD: Duration = Duration::from_secs(5);

    /// Makes a meter for a camera with this name, which is starting.
    pub fn new(name: impl Into<String>) -> Self {
        let camera = Camera { name: name.into(), ..Camera::default() };
        Self(Mutex::new(State { camera, recent: Default::default(), since: Instant::now() }))
    }

    /// The camera's name.
    pub fn name(&self) -> String {
        self.0.lock().camera.name.clone()
    }

    /// Records that a frame with `objects` came out at the end of the pipeline, `latency` after it had come in.
    pub fn frame(&self, latency: Duration, objects: u64) {
        self.frame_at(Instant::now(), latency, objects);
    }

    fn frame_at(&self, now: Instant, latency: Duration, objects: u64) {
        let mut state = self.0.lock();
        state.camera.frames += 1;
        state.camera.objects += objects;
        let seconds = latency.as_secs_f64();
        state.camera.latency.sum += seconds;
        let bucket = BUCKETS.iter().position(|most| seconds <= *most).unwrap_or(BUCKETS.len());
        if let Some(count) = state.camera.latency.counts.get_mut(bucket) {
            *count += 1;
        }
        state.turn(now);
        state.recent[0].record(latency);
    }

    /// Records that `count` frames were dropped.
    pub fn dropped(&self, count: u64) {
        self.0.lock().camera.drops += count;
    }

    /// Records that outputs dropped `count` lines.
    pub fn lines_dropped(&self, count: u64) {
        self.0.lock().camera.lines_dropped += count;
    }

    /// Records a new connection after a lost one.
    pub fn reconnected(&self) {
        self.0.lock().camera.reconnects += 1;
    }

    /// Sets how much of what the camera has sent is kept for clips.
    pub fn clip_buffer(&self, bytes: u64, length: Duration) {
        let clips = &mut self.0.lock().camera.clips;
        let clips = clips.get_or_insert_default();
        (clips.buffer_bytes, clips.buffer_s) = (bytes, length.as_secs_f64());
    }

    /// Records that a clip was written.
    pub fn clip_written(&self) {
        self.0.lock().camera.clips.get_or_insert_default().written += 1;
    }

    /// Records that this many clips weren't written.
    pub fn clips_lost(&self, count: u64) {
        self.0.lock().camera.clips.get_or_insert_default().lost += count;
    }

    /// Sets the state, and the reason for an abnormal one; without secrets.
    pub fn set_state(&self, state: CameraState, reason: Option<String>) {
        let camera = &mut self.0.lock().camera;
        camera.state = state;
        camera.reason = reason;
    }

    /// The counts as they are now.
    pub fn snapshot(&self) -> Camera {
        self.snapshot_at(Instant::now())
    }

    fn snapshot_at(&self, now: Instant) -> Camera {
        let mut state = self.0.lock();
        state.turn(now);
        let mut recent = Latencies::default();
        state.recent.iter().for_each(|latencies| recent.add(latencies));
        let mut camera = state.camera.clone();
        drop(state);
        if !recent.is_empty() {
            let percentiles = recent.percentiles();
            let milliseconds = |time: Duration| Some(time.as_secs_f64() * 1e3);
            camera.latency.p50 = milliseconds(percentiles.p50);
            camera.latency.p95 = milliseconds(percentiles.p95);
            camera.latency.p99 = milliseconds(percentiles.p99);
        }
        camera
    }
}

impl State {
    /// Begins the next period of latencies when the current one is over.
    fn turn(&mut self, now: Instant) {
        let periods = now.saturating_duration_since(self.since).as_secs() / Meter::PERIOD.as_secs();
        for _ in 0..periods.min(2) {
            self.recent.swap(0, 1);
            self.recent[0].clear();
        }
        if periods > 0 {
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_go_on_and_percentiles_are_of_late() {
        let meter = Meter::new("door");
        let start = meter.0.lock().since;
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(meter.snapshot_at(at(0)), Camera { name: "door".into(), ..Camera::default() });
        for _ in 0..100 {
            meter.frame_at(at(1), Duration::from_millis(10), 2);
        }
        for _ in 0..100 {
            meter.frame_at(at(6), Duration::from_millis(100), 0);
        }
        let near = |got: Option<f64>, expected: f64| (got.unwrap() - expected).abs() < expected / 50.0;
        let both = meter.snapshot_at(at(7)).latency;
        assert!(near(both.p50, 10.0) && near(both.p95, 100.0) && near(both.p99, 100.0), "{both:?}");
        let later = meter.snapshot_at(at(12)).latency;
        assert!(near(later.p50, 100.0), "{later:?}");
        let camera = meter.snapshot_at(at(60));
        assert_eq!((camera.latency.p50, camera.latency.p99), (None, None));
        assert_eq!((camera.frames, camera.objects, camera.latency.count()), (200, 200, 200));
        assert_eq!((camera.latency.counts[2], camera.latency.counts[7]), (100, 100));
        assert!((camera.latency.sum - 11.0).abs() < 1e-9);
    }

    #[test]
    fn what_takes_longest_has_a_bucket_too() {
        let meter = Meter::new("door");
        meter.frame(Duration::from_secs(3600), 0);
        meter.frame(Duration::ZERO, 0);
        let latency = meter.snapshot().latency;
        assert_eq!((latency.counts[0], latency.counts[BUCKETS.len()], latency.count()), (1, 1, 2));
    }

    #[test]
    fn a_snapshot_survives_json() {
        let meter = Meter::new("door");
        meter.frame(Duration::from_millis(7), 3);
        meter.dropped(4);
        meter.lines_dropped(5);
        meter.reconnected();
        meter.set_state(CameraState::Reconnecting, Some("no answer".into()));
        let camera = meter.snapshot();
        let json = serde_json::to_value(&camera).unwrap();
        assert_eq!(
            (&json["state"], &json["drops"], &json["reconnects"]),
            (&"reconnecting".into(), &4.into(), &1.into())
        );
        assert_eq!(serde_json::from_value::<Camera>(json).unwrap(), camera);
        for state in CameraState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }
}
