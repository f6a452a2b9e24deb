//! Checks whether the engines that a configuration names fit its models on this machine.

use super::{Check, ModelMemory, Verdict};
use crate::config::Model;
use cuda::Device;
use std::path::Path;
use tensorrt::{EngineCache, EngineFile, EngineFit, Error, Library, Loader};

/// What engines are checked against: TensorRT, and the GPU that they run on.
pub struct Here<'a> {
    pub library: &'static Library,
    pub device: Option<&'a Device>,
    pub cache: &'a EngineCache,
    /// `gst-trt build --config …`
    pub build: &'a str,
}

/// Checks a model's engine, and returns the memory that it takes on the GPU.
pub fn check(model: &Model, here: &Here) -> (Check, ModelMemory) {
    let name = format!("engine {}", model.engine.display());
    let size = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    let mut memory = ModelMemory { name: model.id.to_owned(), weights: size(&model.onnx), context: None };
    if model.engine.is_file() {
        memory.weights = size(&model.engine);
    }
    let limited = |found: String, remedy: &str| Check::new(&name, Verdict::Limited, found, remedy);
    let missing = |error: &Error| {
        Check::new(&name, Verdict::Missing, error.to_string(), &format!("build it again: {}", here.build))
    };
    let onnx = model.onnx.display();
    let there = model.onnx.is_file();
    let build_again = format!("the next start builds it again there; to build it ahead: {}", here.build);
    let check = match fit(model, here) {
        Ok(EngineFit::Missing) => {
            let found = format!("not built yet: the first start builds it from {onnx}");
            limited(found, &format!("build it ahead: {}", here.build))
        }
        Ok(EngineFit::Stale { other_model: true, text }) if there => {
            limited(format!("built from {text}"), &build_again)
        }
        Ok(EngineFit::Stale { text, .. }) if there => limited(format!("it doesn't fit: {text}"), &build_again),
        Ok(EngineFit::Stale { text, .. }) => {
            let (engine, onnx) = (model.engine.clone(), model.onnx.clone());
            missing(&Error::Misfit { engine, differences: text, onnx })
        }
        Ok(EngineFit::Unknown) if there => {
            let json = model.engine.with_extension("json");
            let found = format!("no record, {}, says whether it's of {onnx}", json.display());
            let remedy = format!(
                "it isn't used: the start builds one from the ONNX into the cache. To have it replaced: {}; to use it as it \
                 is, take the ONNX away",
                here.build
            );
            limited(found, &remedy)
        }
        Ok(EngineFit::Good | EngineFit::Unknown) => match load(model, here, &mut memory) {
            Ok(()) => Check::ok(name.as_str(), "fits the model, TensorRT and the GPU"),
            Err(error @ Error::Engine { .. }) if there => limited(error.to_string(), &build_again),
            Err(error) => missing(&error),
        },
        Err(error) => missing(&error),
    };
    (check, memory)
}

/// Whether a start would use the engine; it decides by the same function.
fn fit(model: &Model, here: &Here) -> Result<EngineFit, Error> {
    let gpu = here.device.map(|device| &device.facts);
    let settings = model.build_settings(gpu);
    let loader = Loader { library: here.library, gpu, cache: here.cache, settings: &settings, allocator: None };
    loader.fit(&model.onnx, &model.engine)
}

/// Checks that TensorRT loads the engine. Without a GPU there's nothing to load it on.
fn load(model: &Model, here: &Here, memory: &mut ModelMemory) -> Result<(), Error> {
    if here.device.is_some() {
        let file = EngineFile::open(&model.engine)?;
        let engine = here.library.runtime(None)?.deserialize(file.plan(), &model.engine)?;
        memory.context = Some(engine.device_memory());
    }
    Ok(())
}
