//! Checks whether each model can be opened, and has a head that its element supports: what `gst-trt run` finds out at
//! its start.

use super::{Check, Verdict};
use crate::backend;
use crate::config::{Camera, Model, Plan};
use crate::elements::{ElementSetup, Task, models, opened_as};
use crate::error::{self, ErrorKind};
use crate::infer::{self, ModelSettings};
use crate::{cpu, gpu, register_elements};
use gst::prelude::*;
use model::head::Trust;
use tensorrt::ModelContent;

fn name(model: &Model) -> String {
    format!("model {}", model.onnx.display())
}

/// For the CPU pipeline: each model is opened by its element, with its settings.
pub fn on_cpu(plan: &Plan) -> Vec<Check> {
    if let Err(error) = register_elements() {
        return vec![Check::missing("elements", error)];
    }
    let mut checks = Vec::new();
    // Elements are kept open, so that they share a model as they do when they run.
    let mut opened: Vec<(ElementSetup, gst::Element)> = Vec::new();
    for camera in &plan.cameras {
        let elements = models(plan, camera, 0);
        let runs = |model: &'_ Model| elements.iter().find(|element| element.name == model.id).cloned();
        for (model, setup) in camera.models().filter_map(|model| Some((model, runs(model)?))) {
            if opened.iter().any(|(known, _)| *known == setup) {
                continue;
            }
            let check = match open(&setup) {
                Ok(element) => {
                    let found = opened_as(&element).unwrap_or_default();
                    opened.push((setup, element));
                    Check::ok(name(model), found)
                }
                Err(error) => Check::missing(name(model), error),
            };
            add(&mut checks, check);
        }
    }
    for (_, element) in opened {
        // Nothing prevents the change from PAUSED.
        let _ = element.set_state(gst::State::Null);
    }
    checks
}

/// Adds a check unless the same is there from another camera.
fn add(checks: &mut Vec<Check>, check: Check) {
    if !checks.contains(&check) {
        checks.push(check);
    }
}

/// Opens a model as its element does.
///
/// # Errors
/// The element's error.
fn open(setup: &ElementSetup) -> Result<gst::Element, String> {
    let element = setup.make().map_err(|error| error.message)?;
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    if element.set_state(gst::State::Paused).is_ok() {
        return Ok(element);
    }
    let said = bus.pop_filtered(&[gst::MessageType::Error]);
    let _ = element.set_state(gst::State::Null);
    match said.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => Err(error.error().message().to_owned()),
        _ => Err(format!("{} doesn't start with it", setup.options.factory())),
    }
}

/// For the GPU pipeline, without building an engine: checks the files, and where ONNX Runtime is installed runs the
/// ONNX on the CPU.
pub fn on_gpu(plan: &Plan) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut seen: Vec<(&Model, Task)> = Vec::new();
    for (model, task) in plan.cameras.iter().flat_map(tasks) {
        let same = |(known, of): &(&Model, Task)| {
            *of == task
                && (&known.onnx, &known.engine) == (&model.onnx, &model.engine)
                && known.options.choice().ok() == model.options.choice().ok()
        };
        if !seen.iter().any(same) {
            seen.push((model, task));
            add(&mut checks, recognised(model, task));
        }
    }
    checks
}

fn tasks(camera: &Camera) -> impl Iterator<Item = (&Model, Task)> {
    let detection = camera.detection.iter().map(|model| (model, Task::Detection));
    let pose = camera.pose.iter().map(|model| (model, Task::Pose));
    let reid = camera.tracker.iter().filter_map(|tracker| tracker.reid.as_ref());
    let of_objects = camera.classification.iter().chain(reid).map(|model| (model, Task::Classification));
    detection.chain(pose).chain(of_objects)
}

fn recognised(model: &Model, task: Task) -> Check {
    let name = name(model);
    let has_onnx = model.onnx.is_file();
    let file = if has_onnx { &model.onnx } else { &model.engine };
    let recognised = model.options.choice().and_then(|choice| backend::recognised(file, choice));
    let found = match recognised {
        Ok(found) => found,
        Err(error) if error.kind == ErrorKind::Setting => {
            return Check::new(
                name,
                Verdict::Unknown,
                "its engine alone doesn't say what it is",
                "put the ONNX beside it",
            );
        }
        Err(error) => return Check::missing(name, error),
    };
    if let Err(error) = task.check(file, &*found.head, found.reading.doubt()) {
        return Check::missing(name, error);
    }
    if let Err(what) = gpu::decoded_here(&found) {
        return Check::missing(name, what);
    }
    // Problems of the files beside it.
    if has_onnx && let Err(error) = ModelContent::of(&model.onnx, None) {
        return Check::missing(name, error);
    }
    let shown = match has_onnx.then(|| examine(model)) {
        Some(Ok(ran)) => ran,
        Some(Err(error)) => return Check::missing(name, error),
        None => false,
    };
    let text = found.head.describe();
    if found.reading.trust == Trust::Open && !shown {
        let remedy = "cargo xtask setup gets ONNX Runtime, with which check can run it";
        return Check::new(
            name,
            Verdict::Unknown,
            format!("a {text}, unless its outputs show another when it runs"),
            remedy,
        );
    }
    Check::ok(name, text)
}

/// Runs the ONNX on the CPU, and returns whether that was possible: not without ONNX Runtime, nor where it can't load a
/// model that TensorRT may load.
///
/// # Errors
/// The outputs don't fit the head.
fn examine(model: &Model) -> Result<bool, error::Error> {
    if cpu::load_library().is_err() {
        return Ok(false);
    }
    let settings = ModelSettings {
        backend: infer::Backend::Cpu,
        model: model.onnx.clone(),
        choice: model.options.choice()?,
        ..ModelSettings::default()
    };
    let lanes = backend::open_engine(&settings).and_then(|engine| engine.lanes());
    let Some(mut lane) = lanes.ok().and_then(|lanes| lanes.into_iter().next()) else { return Ok(false) };
    match lane.examine() {
        Err(error) if error.kind == ErrorKind::Model => Err(error),
        examined => Ok(examined.is_ok()),
    }
}
