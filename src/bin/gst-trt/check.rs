//! `gst-trt check`: what of the GPU's side is there.

use gsttensorrt::cuda::{self, Device, PrimaryContext};
use gsttensorrt::infer;
use gsttensorrt::tensorrt::Library;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Arguments {
    /// Prints JSON: an object with `ok` and the list `checks` (name, verdict, found, remedy).
    #[arg(long)]
    json: bool,
    /// TensorRT's library or its folder [default: $GST_TENSORRT_LIBRARY, then `cargo xtask setup`'s, then the loader's]
    #[arg(long)]
    library: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// It runs, but something is out of reach.
    Limited,
    Missing,
}

#[derive(Debug, Serialize)]
struct Check {
    name: String,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Serialize)]
struct Report {
    ok: bool,
    checks: Vec<Check>,
}

impl Check {
    fn new(name: impl Into<String>, verdict: Verdict, found: impl Into<String>, remedy: &str) -> Self {
        let remedy = Some(remedy.to_owned()).filter(|_| verdict != Verdict::Ok);
        Self { name: name.into(), verdict, found: found.into(), remedy }
    }

    /// An error's text has cause and remedy.
    fn missing(name: impl Into<String>, error: impl ToString) -> Self {
        Self { name: name.into(), verdict: Verdict::Missing, found: error.to_string(), remedy: None }
    }
}

/// Our kernels' PTX is of CUDA 11.8, which came with driver 520.
const LEAST_CUDA: (u32, u32) = (11, 8);
/// Pascal: what TensorRT 8 and our kernels are made for.
const LEAST_COMPUTE_CAPABILITY: (u32, u32) = (6, 0);
/// A model of middle size with its lanes.
const LEAST_FREE: u64 = 2 << 30;

pub fn run(arguments: &Arguments) -> Result<ExitCode, infer::Error> {
    let devices = Device::all();
    let mut checks = vec![driver(&devices)];
    for device in devices.iter().flatten() {
        checks.extend(gpu(device));
    }
    let capability = devices.iter().flatten().next().map(|device| device.facts.compute_capability);
    checks.extend(tensorrt(arguments, capability));
    let ok = checks.iter().all(|check| check.verdict != Verdict::Missing);
    if arguments.json {
        let report = serde_json::to_string_pretty(&Report { ok, checks });
        println!("{}", report.map_err(|error| infer::Error::new(infer::ErrorKind::Failed, error.to_string()))?);
    } else {
        checks.iter().for_each(print);
        println!(
            "{}",
            if ok { "backend=tensorrt can run here" } else { "backend=tensorrt can't run here; backend=cpu can" }
        );
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(check: &Check) {
    let mark = match check.verdict {
        Verdict::Ok => "ok     ",
        Verdict::Limited => "limited",
        Verdict::Missing => "missing",
    };
    println!("{mark}  {}: {}", check.name, check.found);
    if let Some(remedy) = &check.remedy {
        println!("         {remedy}");
    }
}

fn driver(devices: &Result<Vec<Device>, infer::Error>) -> Check {
    let name = "NVIDIA driver";
    if let Err(error) = devices {
        return Check::missing(name, error);
    }
    match cuda::driver_version() {
        Ok(version) => {
            let verdict = if version >= LEAST_CUDA { Verdict::Ok } else { Verdict::Missing };
            // The kernel module's own number, where the system shows it.
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
                    format!("{} to {}×{} ({} engines)", caps.codec, caps.max_width, caps.max_height, caps.engines)
                })
                .collect();
            let verdict = if h264 { Verdict::Ok } else { Verdict::Limited };
            let found = if found.is_empty() { "no codec".to_owned() } else { found.join(", ") };
            Check::new(name, verdict, found, "H.264 needs another decoder, and its frames an upload (cudaupload)")
        }
        // Inference works without.
        Err(error) => Check { name, verdict: Verdict::Limited, found: error.to_string(), remedy: None },
    }
}

fn tensorrt(arguments: &Arguments, capability: Option<(u32, u32)>) -> Vec<Check> {
    let library = match Library::open(arguments.library.as_deref()) {
        Ok(library) => library,
        Err(error) => return vec![Check::missing("TensorRT", error)],
    };
    let found = format!("{} at {}", library.version(), library.path().display());
    let mut checks = vec![Check::new("TensorRT", Verdict::Ok, found, "")];
    if !library.has_builder() {
        let remedy = "it loads engines but can't build them from ONNX: install the full TensorRT";
        checks.push(Check::new("builder", Verdict::Limited, "not in this library", remedy));
        return checks;
    }
    checks.push(match library.parser_path() {
        Ok(path) => Check::new("ONNX parser", Verdict::Ok, path.display().to_string(), ""),
        Err(error) => Check::missing("ONNX parser", error),
    });
    checks.push(match library.builder_resources(capability) {
        Ok(files) if files.is_empty() => Check::new("builder resource", Verdict::Ok, "in the library", ""),
        Ok(files) => {
            let names: Vec<_> =
                files.iter().filter_map(|file| file.file_name()).map(|name| name.to_string_lossy()).collect();
            // From 10.15 there is one for each kind of GPU, and a general one.
            let general = capability.is_some() && names.iter().all(|name| name.contains("_ptx"));
            let verdict = if general { Verdict::Limited } else { Verdict::Ok };
            let remedy = "building may need the one for this GPU: install the whole TensorRT of this version";
            Check::new("builder resource", verdict, names.join(", "), remedy)
        }
        Err(error) => Check::missing("builder resource", error),
    });
    checks
}
