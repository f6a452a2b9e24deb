//! Checks the driver, GPUs, NVDEC and TensorRT.

use super::{Check, Verdict};
use crate::error;
use cuda::{self, Device, PrimaryContext};
use std::path::{Path, PathBuf};
use tensorrt::{Error, Library};

/// The kernels' PTX is of CUDA 11.8, which came with driver 520.
const LEAST_CUDA: (u32, u32) = (11, 8);
/// Pascal, the oldest that TensorRT 8 and the kernels support.
const LEAST_COMPUTE_CAPABILITY: (u32, u32) = (6, 0);
/// Enough for a medium-sized model with its lanes.
const LEAST_FREE: u64 = 2 << 30;

/// Checks the GPU side of the machine. `library`: TensorRT's library or its folder; `None`: as the elements find it.
pub fn machine(library: Option<&Path>) -> Vec<Check> {
    let devices = Device::all().map_err(error::Error::from);
    let mut checks = vec![driver(&devices)];
    for device in devices.iter().flatten() {
        checks.extend(gpu(device));
    }
    let capability = devices.iter().flatten().next().map(|device| device.facts.compute_capability);
    checks.extend(tensorrt(library, capability));
    checks
}

fn driver(devices: &Result<Vec<Device>, error::Error>) -> Check {
    let name = "NVIDIA driver";
    if let Err(error) = devices {
        return Check::missing(name, error);
    }
    match cuda::driver_version() {
        Ok(version) => {
            let verdict = if version >= LEAST_CUDA { Verdict::Ok } else { Verdict::Missing };
            // The version of the kernel module, where the system shows it.
            let module = std::fs::read_to_string("/sys/module/nvidia/version").unwrap_or_default();
            let found = format!("{} serves CUDA {}.{}", module.trim(), version.0, version.1);
            Check::new(name, verdict, found.trim_start(), "install driver 520 or later")
        }
        Err(error) => Check::missing(name, error),
    }
}

fn gpu(device: &Device) -> Vec<Check> {
    let (id, facts) = (device.id, &device.facts);
    let (major, minor) = facts.compute_capability;
    let fits = facts.compute_capability >= LEAST_COMPUTE_CAPABILITY;
    let found =
        format!("{}, compute capability {major}.{minor}, {} multiprocessors", facts.name, facts.multiprocessors);
    let verdict = if fits { Verdict::Ok } else { Verdict::Missing };
    let mut checks =
        vec![Check::new(format!("GPU {id}"), verdict, found, "needs a GPU of compute capability 6.0 or later")];
    match PrimaryContext::enter(device) {
        Ok(context) => checks.extend([memory(id, &context), decoder(id)]),
        Err(error) => checks.push(Check::missing(format!("GPU {id} context"), error)),
    }
    checks
}

fn memory(id: u32, context: &PrimaryContext) -> Check {
    let name = format!("GPU {id} memory");
    match context.memory() {
        Ok((free, total)) => {
            let verdict = if free >= LEAST_FREE { Verdict::Ok } else { Verdict::Limited };
            let found = format!("{} MiB free of {} MiB", free >> 20, total >> 20);
            Check::new(
                name,
                verdict,
                found,
                "end other programs on the GPU (nvidia-smi lists them), or use smaller models",
            )
        }
        Err(error) => Check::missing(name, error),
    }
}

fn decoder(id: u32) -> Check {
    let name = format!("GPU {id} NVDEC");
    match cuda::codecs() {
        Ok(codecs) => {
            let h264 = codecs.iter().any(|caps| caps.codec == "H.264");
            let found: Vec<String> = codecs
                .iter()
                .map(|caps| {
                    let depth = if caps.depth == 8 { String::new() } else { format!(" {} bit", caps.depth) };
                    format!(
                        "{}{depth} to {}×{} ({} engines)",
                        caps.codec, caps.max_width, caps.max_height, caps.engines
                    )
                })
                .collect();
            let verdict = if h264 { Verdict::Ok } else { Verdict::Limited };
            let found = if found.is_empty() { "no codec".to_owned() } else { found.join(", ") };
            Check::new(name, verdict, found, "decode H.264 with another decoder and upload its frames (cudaupload)")
        }
        // Inference works without NVDEC.
        Err(error) => Check { name, verdict: Verdict::Limited, found: error.to_string(), remedy: None },
    }
}

fn tensorrt(library: Option<&Path>, capability: Option<(u32, u32)>) -> Vec<Check> {
    let library = match Library::open(library) {
        Ok(library) => library,
        Err(error) => return vec![Check::missing("TensorRT", error)],
    };
    let found = format!("{} at {}", library.version(), library.path().display());
    let mut checks = vec![Check::ok("TensorRT", found)];
    if !library.has_builder() {
        let remedy = "it loads engines but can't build them from ONNX: install the full TensorRT";
        checks.push(Check::new("builder", Verdict::Limited, "not in this library", remedy));
        return checks;
    }
    checks.push(match library.parser_path() {
        Ok(path) => Check::ok("ONNX parser", path.display().to_string()),
        Err(error) => runs_only("ONNX parser", &error),
    });
    checks.push(match library.builder_resources(capability) {
        Ok(files) => builder_resource(&files, capability.is_some(), tensorrt::executable_stack_refusal),
        Err(error) => runs_only("builder resource", &error),
    });
    checks
}

/// Checks the files with the builder's kernels, which the builder opens. `refusal`: why the C library would not open a file.
fn builder_resource(files: &[PathBuf], gpu_is_known: bool, refusal: impl Fn(&Path) -> Option<Error>) -> Check {
    let name = "builder resource";
    if files.is_empty() {
        return Check::ok(name, "in the library");
    }
    if let Some(error) = files.iter().find_map(|file| refusal(file)) {
        return runs_only(name, &error);
    }
    let names: Vec<_> = files.iter().filter_map(|file| file.file_name()).map(|name| name.to_string_lossy()).collect();
    // From 10.15 on there is one for each kind of GPU, and a generic one.
    let general = gpu_is_known && names.iter().all(|name| name.contains("_ptx"));
    let verdict = if general { Verdict::Limited } else { Verdict::Ok };
    let remedy = "building may need the one for this GPU: install the whole TensorRT of this version";
    Check::new(name, verdict, names.join(", "), remedy)
}

/// The verdict on something that only building needs.
fn runs_only(name: &str, error: &Error) -> Check {
    Check::new(name, Verdict::Limited, error.to_string(), "engines that were built before still run")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_resource_that_cannot_be_opened_is_found_before_a_build() {
        let files = ["/t/libnvinfer_builder_resource_ptx.so.10.15.1", "/t/libnvinfer_builder_resource_sm90.so.10.15.1"];
        let files = files.map(PathBuf::from);
        let refused = |file: &Path| {
            let refused = file.ends_with("libnvinfer_builder_resource_sm90.so.10.15.1");
            refused.then(|| Error::ExecutableStack { file: file.into(), glibc: "2.41".into() })
        };
        let check = builder_resource(&files, true, refused);
        assert_eq!(check.verdict, Verdict::Limited);
        for part in ["_sm90.so.10.15.1", "executable stack", "glibc 2.41", "execstack=2", "setup --tensorrt"] {
            assert!(check.found.contains(part), "{part}: {}", check.found);
        }
        assert_eq!(builder_resource(&files, true, |_| None).verdict, Verdict::Ok);
        assert_eq!(builder_resource(&files[..1], true, |_| None).verdict, Verdict::Limited);
        assert_eq!(builder_resource(&[], true, |_| None).verdict, Verdict::Ok);
    }
}
