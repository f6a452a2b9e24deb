//! Whether the engines that a file names are those that its models need here.

use super::{Check, ModelMemory, Verdict};
use crate::config::Model;
use crate::cuda::Device;
use crate::tensorrt::{EngineCache, EngineFile, Error, Library};
use std::path::Path;

/// Where engines are looked at from: TensorRT, and the GPU that they run on.
pub struct Here<'a> {
    pub library: &'static Library,
    pub device: Option<&'a Device>,
    pub cache: &'a EngineCache,
    /// `gst-trt build --config …`
    pub build: &'a str,
}

/// A model's engine, and what it takes on the GPU.
pub fn check(model: &Model, here: &Here) -> (Check, ModelMemory) {
    let name = format!("engine {}", model.engine.display());
    let size = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    let mut memory = ModelMemory { name: model.id.to_owned(), weights: size(&model.onnx), context: None };
    if !model.engine.is_file() {
        let found = format!("not built yet: the first start builds it from {}", model.onnx.display());
        return (Check::new(name, Verdict::Limited, found, &format!("build it ahead: {}", here.build)), memory);
    }
    memory.weights = size(&model.engine);
    let check = match look(model, here, &mut memory) {
        Ok(Differences { text, .. }) if text.is_empty() => Check::ok(name, "fits the model, TensorRT and the GPU"),
        Ok(Differences { text, other_model }) => {
            let found = if other_model {
                format!("built from another ONNX: {text}")
            } else {
                format!("built with other settings: {text}")
            };
            Check::new(name, Verdict::Limited, found, &format!("build it again: {}", here.build))
        }
        Err(error) => Check::new(name, Verdict::Missing, error.to_string(), &format!("build it again: {}", here.build)),
    };
    (check, memory)
}

/// What an engine's record says differently.
struct Differences {
    text: String,
    other_model: bool,
}

fn look(model: &Model, here: &Here, memory: &mut ModelMemory) -> Result<Differences, Error> {
    let gpu = here.device.map(|device| &device.facts);
    let file = EngineFile::open(&model.engine)?;
    file.check(&model.engine, here.library.version(), gpu)?;
    let mut found = Differences { text: String::new(), other_model: false };
    // An engine that others made has no record, and an ONNX needn't be there for one.
    if let (Some(record), true) = (&file.record, model.onnx.is_file()) {
        let wanted = here.cache.facts(here.library, gpu, &model.onnx, &model.build_settings(gpu))?;
        let differences = record.facts.differences(&wanted);
        found.other_model = differences.iter().any(|difference| difference.field == "onnx");
        let short = |difference: &crate::tensorrt::Difference| match difference.field.as_str() {
            // A hash tells nobody anything.
            "onnx" => model.onnx.display().to_string(),
            _ => difference.to_string(),
        };
        found.text = differences.iter().map(short).collect::<Vec<_>>().join("; ");
    }
    // Without a GPU there's nothing to load it on.
    if gpu.is_some() {
        let engine = here.library.runtime(None)?.deserialize(file.plan(), &model.engine)?;
        memory.context = Some(engine.device_memory());
    }
    Ok(found)
}
