//! `gst-trt build`

mod configured;
mod verify;

use crate::progress::Progress;
use cuda::{Device, PrimaryContext};
use gsttensorrt::error;
use gsttensorrt::infer::Backend;
use model::GpuFacts;
use model::head::ModelChoice;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use tensorrt::{
    BuildControl, BuildSettings, CachedEngine, Cancel, DEFAULT_LIMIT, EngineCache, EnginePrecision, Flavour,
    HardwareCompatibility, Library, write_engine,
};

#[derive(clap::Args)]
pub struct Arguments {
    /// ONNX models.
    #[arg(required_unless_present = "config")]
    models: Vec<PathBuf>,
    /// A config.json: builds the engine of each of its models, with its settings, to where it names them.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["models", "precision", "workspace", "batch", "device", "output"])]
    config: Option<PathBuf>,
    /// Overrides a key of the configuration, for example models.TENSORRT_WORKSPACE_SIZE=1.
    #[arg(long, value_name = "KEY=VALUE", requires = "config")]
    set: Vec<String>,
    /// Arithmetic: fp32, fp16, or int8 (the ONNX has quantize and dequantize nodes).
    #[arg(long, default_value = "fp16", value_parser = precision)]
    precision: EnginePrecision,
    /// Most device memory of a layer, MiB.
    #[arg(long, default_value_t = 2048)]
    workspace: u32,
    /// Most images a batch, for models with a dynamic batch.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Image size for models with a dynamic one: 640, or HEIGHTxWIDTH.
    #[arg(long, value_parser = size)]
    size: Option<(u32, u32)>,
    /// 0 (fastest build) to 5 (fastest engine).
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=5))]
    optimization_level: u8,
    /// The engine runs on every GPU from Ampere on; slower.
    #[arg(long)]
    hardware_compatible: bool,
    /// GPU to build on, after CUDA_VISIBLE_DEVICES.
    #[arg(long, default_value_t = 0)]
    device: u32,
    /// With TensorRT-RTX, the GPU to build for on a machine without one, for example 8.6.
    #[arg(long, value_parser = compute_capability)]
    compute_capability: Option<(u32, u32)>,
    /// Also writes the engine here, with a .json beside it. One model only.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Folder of the engine cache [default: $XDG_CACHE_HOME/gst-tensorrt]
    #[arg(long)]
    engine_cache: Option<PathBuf>,
    /// TensorRT's library or its folder [default: $GST_TENSORRT_LIBRARY, then `cargo xtask setup`'s, then the loader's]
    #[arg(long)]
    library: Option<PathBuf>,
    #[command(flatten)]
    verify: verify::VerifyArguments,
}

fn precision(text: &str) -> Result<EnginePrecision, String> {
    match text {
        "fp32" => Ok(EnginePrecision::Fp32),
        "fp16" => Ok(EnginePrecision::Fp16),
        "int8" => Ok(EnginePrecision::Int8),
        _ => Err("fp32, fp16 or int8".into()),
    }
}

/// Height and width.
fn size(text: &str) -> Result<(u32, u32), String> {
    let (height, width) = text.split_once('x').unwrap_or((text, text));
    match (height.parse(), width.parse()) {
        (Ok(height @ 1..), Ok(width @ 1..)) => Ok((height, width)),
        _ => Err("640 or 480x640 (height, width)".into()),
    }
}

fn compute_capability(text: &str) -> Result<(u32, u32), String> {
    let parts = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    parts.ok_or_else(|| "for example 8.6".into())
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, error::Error> {
    if arguments.output.is_some() && arguments.models.len() > 1 {
        return Err(error::Error::new(error::ErrorKind::Setting, "-o takes one model"));
    }
    if let Some(config) = &arguments.config {
        return configured::run(config, arguments);
    }
    let choice = arguments.verify.choice()?;
    if arguments.verify.backend == Backend::Cpu {
        if arguments.precision != EnginePrecision::Fp16 {
            return Err(error::Error::new(
                error::ErrorKind::Setting,
                "--backend cpu simulates FP16: leave out --precision",
            ));
        }
        let cancel = cancel_on_signals()?;
        let mut passed = true;
        for model in &arguments.models {
            passed &= arguments.verify.simulate(model, choice, &cancel)?;
        }
        return Ok(exit_code(passed));
    }
    let folder = arguments.engine_cache.clone().unwrap_or_else(EngineCache::default_folder);
    let builder = Builder::open(arguments, arguments.library.as_deref(), folder, arguments.device)?;
    let settings = BuildSettings {
        precision: arguments.precision,
        batch_size: arguments.batch,
        workspace: arguments.workspace,
        ..builder.settings(arguments, BuildSettings::for_gpu(builder.gpu()))
    };
    let mut passed = true;
    for model in &arguments.models {
        passed &= builder.build(model, &settings, arguments.output.as_deref(), &arguments.verify, choice)?;
    }
    Ok(exit_code(passed))
}

fn exit_code(passed: bool) -> ExitCode {
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Builds engines for one GPU.
struct Builder {
    library: &'static Library,
    /// `None`: the GPU isn't in this machine.
    device: Option<Device>,
    _context: Option<PrimaryContext>,
    cache: EngineCache,
    cancel: Cancel,
}

impl Builder {
    fn open(arguments: &Arguments, library: Option<&Path>, cache: PathBuf, device: u32) -> Result<Self, error::Error> {
        let library = Library::open(library)?;
        // TensorRT-RTX needs no GPU when it's told which to build for.
        let without = library.version().flavour == Flavour::Rtx && arguments.compute_capability.is_some();
        let device = if without { None } else { Some(open_device(device, library)?) };
        let context = device.as_ref().map(PrimaryContext::enter).transpose()?;
        let cache = EngineCache::new(cache, DEFAULT_LIMIT);
        Ok(Self { library, device, _context: context, cache, cancel: cancel_on_signals()? })
    }

    fn gpu(&self) -> Option<&GpuFacts> {
        self.device.as_ref().map(|device| &device.facts)
    }

    /// `settings`, with the command line's options that apply to every model.
    fn settings(&self, arguments: &Arguments, settings: BuildSettings) -> BuildSettings {
        BuildSettings {
            optimization_level: arguments.optimization_level,
            size: arguments.size,
            hardware_compatibility: if arguments.hardware_compatible {
                HardwareCompatibility::AmperePlus
            } else {
                HardwareCompatibility::None
            },
            compute_capability: arguments.compute_capability.or(settings.compute_capability),
            ..settings
        }
    }

    /// Builds one engine, or takes it from the cache, verifies it if that was asked for, and reports it. Returns whether
    /// it agrees; an engine that doesn't isn't written to `output`.
    fn build(
        &self,
        model: &Path,
        settings: &BuildSettings,
        output: Option<&Path>,
        verify: &verify::VerifyArguments,
        choice: ModelChoice,
    ) -> Result<bool, error::Error> {
        // Before the build, which takes longer.
        let mut verification = verify.begin(self, model, settings, choice)?;
        let mut engine = self.engine(model, settings)?;
        let passed = match &mut verification {
            Some(verification) => verification.of(self, settings, &mut engine)?,
            None => true,
        };
        if let Some(output) = output {
            if !passed {
                errln!("{} isn't written", output.display());
                return Ok(false);
            }
            write_engine(output, &engine.plan, &engine.record)?;
            outln!("{}", output.display());
        }
        Ok(passed)
    }

    /// An engine of the cache, built if it isn't there, and reported.
    fn engine(&self, model: &Path, settings: &BuildSettings) -> Result<CachedEngine, error::Error> {
        let start = Instant::now();
        let engine = self.cached(model, settings)?;
        let done = if engine.built { "built" } else { "was in the cache" };
        let size = engine.plan.len() as f64 / 1048576.0;
        outln!(
            "{}: {done}, {size:.1} MiB, {:.2} s: {}",
            model.display(),
            start.elapsed().as_secs_f64(),
            engine.path.display()
        );
        Ok(engine)
    }

    fn cached(&self, model: &Path, settings: &BuildSettings) -> Result<CachedEngine, error::Error> {
        let name = model.file_name().unwrap_or_default().to_string_lossy();
        let progress = Progress::new(&name);
        let control = BuildControl {
            cancel: Cancel::clone(&self.cancel),
            on_progress: Some(progress.on_progress()),
            on_note: Some(Arc::new(|text| errln!("{text}"))),
            ..BuildControl::default()
        };
        let engine = self.cache.get_or_build(self.library, self.gpu(), model, settings, &control);
        if engine.as_ref().map_or(true, |engine| engine.built) {
            progress.finish();
        }
        Ok(engine?)
    }
}

fn open_device(id: u32, library: &Library) -> Result<Device, error::Error> {
    Device::open(id).map_err(|error| {
        let mut error = error::Error::from(error);
        if library.version().flavour == Flavour::Rtx {
            error
                .message
                .push_str("; TensorRT-RTX builds without a GPU when it's told for which: --compute-capability");
        }
        error
    })
}

/// The first Ctrl-C stops the build, the second the program.
fn cancel_on_signals() -> Result<Cancel, error::Error> {
    let cancel = Cancel::default();
    for signal in [SIGINT, SIGTERM] {
        // Checks the flag first and sets it second, so that only the second signal exits.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Cancel::clone(&cancel))
            .and_then(|_| signal_hook::flag::register(signal, Cancel::clone(&cancel)))
            .map_err(|error| {
                error::Error::new(error::ErrorKind::Failed, format!("signals can't be caught: {error}"))
            })?;
    }
    Ok(cancel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("640"), Ok((640, 640)));
        assert_eq!(size("480x640"), Ok((480, 640)));
        for bad in ["", "x", "0", "640x", "640x0", "-1", "a"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn compute_capabilities() {
        assert_eq!(compute_capability("8.6"), Ok((8, 6)));
        assert!(compute_capability("86").is_err());
    }
}
