//! `gst-trt build --config`

use super::{Arguments, Builder, exit_code};
use gsttensorrt::check::{assign, gpu_names};
use gsttensorrt::config::{self, Model, Overrides, Pipeline, Plan};
use gsttensorrt::error::{Error, ErrorKind};
use std::path::Path;
use std::process::ExitCode;
use tensorrt::EngineCache;

pub fn run(file: &Path, arguments: &Arguments) -> Result<ExitCode, Error> {
    let (loaded, models) = match config::load_for_build(file, &Overrides::new(&arguments.set)) {
        Ok(loaded) => loaded,
        Err(findings) => {
            errln!("{findings}");
            return Ok(ExitCode::FAILURE);
        }
    };
    if !loaded.findings.list.is_empty() {
        errln!("{}", loaded.findings);
    }
    let plan = loaded.plan;
    if plan.pipeline == Pipeline::Cpu {
        outln!("{}: the CPU pipeline runs the ONNX files as they are, there is nothing to build", file.display());
        return Ok(ExitCode::SUCCESS);
    }
    let mut passed = true;
    for device in devices(&plan, &models, arguments)? {
        let library = arguments.library.as_deref().or(plan.tensorrt_library.as_deref());
        let cache = arguments.engine_cache.clone().or(plan.engine_cache.clone());
        let cache = cache.unwrap_or_else(EngineCache::default_folder);
        let builder = Builder::open(arguments, library, cache, device.id)?;
        for model in device.models {
            let settings = builder.settings(arguments, model.build_settings(builder.gpu()));
            let choice = model.options.choice()?;
            passed &= builder.build(&model.onnx, &settings, Some(&model.engine), &arguments.verify, choice)?;
        }
    }
    Ok(exit_code(passed))
}

/// A GPU, and the models whose engines are built on it.
struct OnDevice<'a> {
    id: u32,
    models: Vec<&'a Model>,
}

/// Finds the first GPU that runs each model. An engine is for one kind of GPU, so all GPUs of a model have to be of one
/// kind.
fn devices<'a>(plan: &Plan, models: &'a [Model], arguments: &Arguments) -> Result<Vec<OnDevice<'a>>, Error> {
    if arguments.compute_capability.is_some() || plan.cameras.is_empty() {
        return Ok(vec![OnDevice { id: 0, models: models.iter().collect() }]);
    }
    let gpus = gpu_names()?;
    let assigned = assign(&plan.cameras, &gpus, |_| None);
    let wrong: Vec<_> = plan
        .cameras
        .iter()
        .zip(&assigned)
        .filter_map(|(camera, gpu)| Some(format!("camera {}: {}", camera.name, gpu.as_ref().err()?)))
        .collect();
    if !wrong.is_empty() {
        return Err(Error::new(ErrorKind::Device, wrong.join("\n")));
    }
    let mut devices: Vec<OnDevice> = Vec::new();
    for model in models {
        let users = plan
            .cameras
            .iter()
            .zip(&assigned)
            .filter(|(camera, _)| camera.models().any(|own| own.engine == model.engine));
        let used: Vec<_> = users.filter_map(|(_, gpu)| gpus.iter().find(|known| Ok(known.id) == *gpu)).collect();
        let Some(first) = used.first() else { continue };
        if let Some(other) = used.iter().find(|gpu| gpu.name != first.name) {
            let text = format!(
                "{} would have to run on a {} and a {}, and an engine is for one kind of GPU: give the cameras of one of \
                 them an ENGINE of their own",
                model.engine.display(),
                first.name,
                other.name
            );
            return Err(Error::new(ErrorKind::Setting, text));
        }
        match devices.iter_mut().find(|device| device.id == first.id) {
            Some(device) => device.models.push(model),
            None => devices.push(OnDevice { id: first.id, models: vec![model] }),
        }
    }
    Ok(devices)
}
