//! Describes the machine of the measurements.

use super::Arguments;
use super::report::Machine;
use cuda::{self, Device};
use gsttensorrt::infer::Backend;
use procfs::{CpuInfo, Current};
use std::fs;

pub fn describe(arguments: &Arguments) -> Machine {
    let (backend, device, driver) = match arguments.backend {
        Backend::TensorRt => {
            let name = Device::open(arguments.device).map(|device| device.facts.name).unwrap_or_default();
            let module = fs::read_to_string("/sys/module/nvidia/version").ok();
            let cuda = cuda::driver_version().ok().map(|(major, minor)| format!("CUDA {major}.{minor}"));
            let parts: Vec<_> = module.iter().map(|text| text.trim().to_owned()).chain(cuda).collect();
            ("tensorrt", name, Some(parts.join(", ")))
        }
        Backend::Cpu => ("cpu", processor(), None),
    };
    let name = |path: &std::path::Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Machine {
        backend: backend.into(),
        device,
        driver,
        gstreamer: gst::version_string().into(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        clip: name(&arguments.clip),
        latency_clip: name(arguments.latency_clip.as_ref().unwrap_or(&arguments.clip)),
        seconds: arguments.seconds,
        batch_timeout_ms: arguments.batch_timeout.as_secs_f64() * 1000.0,
    }
}

fn processor() -> String {
    let info = CpuInfo::current().ok();
    info.as_ref().and_then(|info| info.model_name(0)).unwrap_or("unknown processor").to_owned()
}
