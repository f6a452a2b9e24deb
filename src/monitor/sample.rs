//! Samples of the whole system.

use super::cpu::{CpuTimes, machine_memory, process_cpu, process_memory};
use super::gpu::{Gpu, Gpus};
use super::snapshot::Camera;
use gst::glib;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The figures of one moment; rates are over the time since the previous sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// UTC, ISO 8601.
    pub time: String,
    /// Seconds since the previous sample.
    pub interval: f64,
    /// `None` where only the machine is watched.
    pub process: Option<Process>,
    pub machine: Machine,
    pub cameras: Vec<CameraRow>,
    /// Empty without a driver.
    pub gpus: Vec<Gpu>,
    /// Warnings, with what to check.
    pub warnings: Vec<String>,
}

/// The process that runs the cameras.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    /// CPU usage in percent of the whole machine.
    pub cpu_percent: Option<f64>,
    /// Cores that it keeps busy.
    pub cores: f64,
    /// CPU milliseconds for each frame that came out; `None` without frames.
    pub core_ms_per_frame: Option<f64>,
    pub memory_mib: Option<f64>,
    /// CPU time since the program's start, seconds.
    pub cpu_seconds: f64,
}

/// The machine that it runs on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// CPU usage in percent of all cores; what `psutil.cpu_percent` shows.
    pub cpu_percent: Option<f64>,
    pub cores: Option<u32>,
    pub memory_used_mib: Option<f64>,
    pub memory_total_mib: Option<f64>,
}

/// A camera, and its rates since the previous sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraRow {
    #[serde(flatten)]
    pub camera: Camera,
    /// Frames per second that came out.
    pub fps: f64,
    /// Frames per second that were dropped.
    pub drops_per_second: f64,
}

/// Takes samples.
pub struct Sampler {
    gpus: Gpus,
    /// Above this CPU usage of the machine, percent, a sample has a warning.
    cpu_warning: f64,
    machine_only: bool,
    before: Before,
}

struct Before {
    time: Instant,
    machine: Option<CpuTimes>,
    process: Duration,
    /// Frames and drops, by camera.
    cameras: HashMap<String, (u64, u64)>,
}

impl Sampler {
    /// Makes a sampler of this process, the machine and its GPUs; with `machine_only` without the process.
    pub fn new(cpu_warning: f64, machine_only: bool) -> Self {
        let before =
            Before { time: Instant::now(), machine: CpuTimes::now(), process: process_cpu(), cameras: HashMap::new() };
        Self { gpus: Gpus::open(), cpu_warning, machine_only, before }
    }

    /// Takes a sample of the time since the previous one, with these cameras.
    pub fn sample(&mut self, cameras: Vec<Camera>) -> Sample {
        let now = Before {
            time: Instant::now(),
            machine: CpuTimes::now(),
            process: process_cpu(),
            cameras: cameras.iter().map(|c| (c.name.clone(), (c.frames, c.drops))).collect(),
        };
        // Two samples at one instant have no rate.
        let seconds = now.time.saturating_duration_since(self.before.time).as_secs_f64().max(1e-6);
        let rows: Vec<_> = cameras.into_iter().map(|camera| self.row(camera, seconds)).collect();
        let machine = self.machine(now.machine);
        let process = (!self.machine_only).then(|| self.process(&now, seconds, &rows));
        let mut warnings = Vec::new();
        if let Some(percent) = machine.cpu_percent.filter(|percent| *percent > self.cpu_warning) {
            warnings.push(format!(
                "CPU usage higher than expected: {percent:.1} % of the machine, limit {} %; look for \"CPU fallback\" in the \
                 log, and for other programs",
                self.cpu_warning
            ));
        }
        self.before = now;
        Sample { time: utc(), interval: seconds, process, machine, cameras: rows, gpus: self.gpus.sample(), warnings }
    }

    fn row(&self, camera: Camera, seconds: f64) -> CameraRow {
        // A new camera has done everything since it was added.
        let (frames, drops) = self.before.cameras.get(&camera.name).copied().unwrap_or_default();
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        CameraRow { fps: rate(camera.frames, frames), drops_per_second: rate(camera.drops, drops), camera }
    }

    fn machine(&self, now: Option<CpuTimes>) -> Machine {
        let memory = machine_memory();
        Machine {
            cpu_percent: now.zip(self.before.machine).and_then(|(now, before)| now.percent_since(&before)),
            cores: now.map(|now| now.cores),
            memory_used_mib: memory.map(|(used, _)| mib(used)),
            memory_total_mib: memory.map(|(_, total)| mib(total)),
        }
    }

    fn process(&self, now: &Before, seconds: f64, rows: &[CameraRow]) -> Process {
        let busy = now.process.saturating_sub(self.before.process).as_secs_f64();
        let frames = rows.iter().map(|row| row.fps * seconds).sum::<f64>();
        let cores = now.machine.map(|machine| machine.cores).filter(|cores| *cores > 0);
        Process {
            pid: std::process::id(),
            cpu_percent: cores.map(|cores| busy / seconds / f64::from(cores) * 100.0),
            cores: busy / seconds,
            core_ms_per_frame: (frames > 0.0).then(|| busy * 1e3 / frames),
            memory_mib: process_memory().map(mib),
            cpu_seconds: now.process.as_secs_f64(),
        }
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1048576.0
}

fn utc() -> String {
    let time = glib::DateTime::now_utc().ok();
    let text = time
        .and_then(|time| Some(format!("{}.{:03}Z", time.format("%Y-%m-%dT%H:%M:%S").ok()?, time.microsecond() / 1000)));
    text.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(name: &str, frames: u64, drops: u64) -> Camera {
        Camera { name: name.into(), frames, drops, ..Camera::default() }
    }

    #[test]
    fn rates_are_over_the_time_between() {
        let mut sampler = Sampler::new(1000.0, false);
        sampler.sample(vec![camera("door", 100, 0)]);
        std::thread::sleep(Duration::from_millis(100));
        let sample = sampler.sample(vec![camera("door", 110, 5), camera("yard", 3, 0)]);
        assert!(sample.interval >= 0.1, "{sample:?}");
        let [door, yard] = &sample.cameras[..] else { panic!("{sample:?}") };
        assert!((door.fps * sample.interval - 10.0).abs() < 1e-6);
        assert!((door.drops_per_second * sample.interval - 5.0).abs() < 1e-6);
        assert!((yard.fps * sample.interval - 3.0).abs() < 1e-6);
        let process = sample.process.as_ref().unwrap();
        let per_frame = process.core_ms_per_frame.unwrap();
        assert!((per_frame * 13.0 - process.cores * sample.interval * 1e3).abs() < 1e-6);
        assert!(sample.warnings.is_empty());
        // Counters that restart, when a camera was removed and added again, don't give negative rates.
        let sample = sampler.sample(vec![camera("door", 2, 0)]);
        assert_eq!((sample.cameras[0].fps, sample.process.unwrap().core_ms_per_frame), (0.0, None));
    }

    #[test]
    fn much_cpu_is_a_warning() {
        let mut sampler = Sampler::new(-1.0, true);
        std::thread::sleep(Duration::from_millis(50));
        let sample = sampler.sample(Vec::new());
        assert!(sample.warnings[0].starts_with("CPU usage higher than expected: "), "{sample:?}");
        assert_eq!(sample.process, None);
    }

    #[test]
    fn a_sample_survives_json() {
        let mut sampler = Sampler::new(15.0, false);
        let sample = sampler.sample(vec![camera("door", 1, 2)]);
        let json = serde_json::to_value(&sample).unwrap();
        assert_eq!((&json["cameras"][0]["name"], &json["cameras"][0]["drops"]), (&"door".into(), &2.into()));
        let back: Sample = serde_json::from_value(json).unwrap();
        assert_eq!((back.cameras, back.gpus), (sample.cameras, sample.gpus));
    }
}
