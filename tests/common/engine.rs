//! Runs models on the CPU engine without elements.

use gsttensorrt::cpu;
use gsttensorrt::error::Error;
use gsttensorrt::infer::{Backend, Engine, Frame, ModelSettings, Output, Slot};
use model::{Detection, Params, Rect};
use std::path::Path;
use std::sync::Arc;

pub fn settings(model: &Path, batch_size: u32) -> ModelSettings {
    ModelSettings { backend: Backend::Cpu, model: model.to_owned(), batch_size, ..ModelSettings::default() }
}

/// Opens a model; the error is that of the engine.
pub fn try_open(model: &Path, batch_size: u32) -> Result<Arc<dyn Engine>, Error> {
    cpu::open(&settings(model, batch_size))
}

pub fn open(model: &Path, batch_size: u32) -> Arc<dyn Engine> {
    try_open(model, batch_size).unwrap_or_else(|e| panic!("{}: {e}", model.display()))
}

/// A slot with the whole frame.
pub fn slot(frame: Frame, params: &Arc<Params>) -> Slot {
    let region = Rect::new(0.0, 0.0, frame.info.width() as f32, frame.info.height() as f32);
    Slot { frame: Arc::new(frame), region, tensor: None, params: params.clone(), output: Output::default() }
}

/// Runs all frames as one batch on the first lane; returns the objects in each, normalised to the frame.
pub fn run(engine: &Arc<dyn Engine>, frames: Vec<Frame>, params: Params) -> Vec<Vec<Detection>> {
    let params = Arc::new(params);
    let mut lanes = engine.lanes().unwrap();
    let mut slots: Vec<_> = frames.into_iter().map(|f| slot(f, &params)).collect();
    lanes[0].run(&mut slots).unwrap();
    slots.into_iter().map(|s| s.output.detections).collect()
}
