//! Utilisation of the GPUs, by NVIDIA's management library (NVML), opened at run time.

use nvml_wrapper::Nvml;
use serde::{Deserialize, Serialize};

/// One GPU. Figures that the library doesn't have are `None`; a MIG instance has few.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Gpu {
    /// The driver's index: CUDA_VISIBLE_DEVICES doesn't change it.
    pub index: u32,
    pub name: Option<String>,
    pub uuid: Option<String>,
    /// Percent of the last sampling period in which a kernel ran.
    pub gpu_percent: Option<f64>,
    /// The utilisation of NVDEC in percent.
    pub decoder_percent: Option<f64>,
    /// Percent of the time in which memory was read or written.
    pub memory_percent: Option<f64>,
    /// MiB.
    pub memory_used_mib: Option<f64>,
    pub memory_total_mib: Option<f64>,
}

/// The library, if it is installed.
#[derive(Debug)]
pub struct Gpus(Option<Nvml>);

impl Gpus {
    /// Opens the library. Without a driver there are no GPUs, and that is no error.
    pub fn open() -> Self {
        Self(Nvml::init().ok())
    }

    pub fn sample(&self) -> Vec<Gpu> {
        let Some(nvml) = &self.0 else { return Vec::new() };
        let mib = |bytes: u64| bytes as f64 / 1048576.0;
        (0..nvml.device_count().unwrap_or(0))
            .map(|index| {
                let Ok(device) = nvml.device_by_index(index) else { return Gpu { index, ..Gpu::default() } };
                let busy = device.utilization_rates().ok();
                let memory = device.memory_info().ok();
                Gpu {
                    index,
                    name: device.name().ok(),
                    uuid: device.uuid().ok(),
                    gpu_percent: busy.as_ref().map(|busy| busy.gpu.into()),
                    decoder_percent: device.decoder_utilization().ok().map(|busy| busy.utilization.into()),
                    memory_percent: busy.as_ref().map(|busy| busy.memory.into()),
                    memory_used_mib: memory.as_ref().map(|memory| mib(memory.used)),
                    memory_total_mib: memory.as_ref().map(|memory| mib(memory.total)),
                }
            })
            .collect()
    }
}
