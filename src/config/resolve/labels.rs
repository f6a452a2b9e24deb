//! Checks the labels in the file against those of its models: a label that no model has is without effect.

use super::super::plan::{Camera, Model, Pipeline};
use super::models::{CLASSIFICATION, DETECTION, POSE, Role, where_written};
use super::{Context, outputs};
use crate::backend;
use crate::infer;
use model::Labels;
use model::head::ModelChoice;
use std::path::PathBuf;
use std::sync::Arc;

/// What determines a model's labels: its file, its labels file, its head.
pub type Key = (PathBuf, Option<PathBuf>, ModelChoice);

/// Checks the classes in a camera's settings. Models whose labels can't be read are skipped: opening such a model
/// reports it.
pub fn check(ctx: &mut Context, path: &str, camera: &Camera, pipeline: Pipeline) {
    for (role, model) in
        [(DETECTION, &camera.detection), (POSE, &camera.pose), (CLASSIFICATION, &camera.classification)]
    {
        if let Some(model) = model {
            check_model(ctx, path, role, model, pipeline);
        }
    }
    check_objects(ctx, path, camera, pipeline);
    check_pictures(ctx, path, camera, pipeline);
    check_zones(ctx, path, camera, pipeline);
}

fn check_model(ctx: &mut Context, path: &str, role: Role, model: &Model, pipeline: Pipeline) {
    let key = |ctx: &Context, key: &str| where_written(ctx, Some(path), role, key);
    let classes: Vec<(&str, &String)> = model
        .options
        .classes
        .value()
        .iter()
        .map(|class| ("CLASSES", class))
        .chain(model.options.class_confidence.value().iter().map(|(class, _)| ("CLASS_CONFIDENCE", class)))
        .collect();
    if classes.is_empty() && model.options.labels.is_none() {
        return;
    }
    let Some(labels) = labels(ctx, Some((path, role)), model, pipeline) else { return };
    for (name, class) in classes {
        let class = class.trim();
        let number = class.parse::<usize>().is_ok_and(|id| id < labels.len());
        if !class.is_empty() && !number && labels.ids(class).next().is_none() {
            let key = key(ctx, name);
            let rule = format!("{class:?} is none of the model's {} classes ({})", labels.len(), labels.some());
            ctx.error(&key, rule, meant(&labels, class, true));
        }
    }
}

/// `OBJECT_CLASSES` are labels of what detection finds.
fn check_objects(ctx: &mut Context, path: &str, camera: &Camera, pipeline: Pipeline) {
    for (role, model) in [(POSE, &camera.pose), (CLASSIFICATION, &camera.classification)] {
        if let (Some(detection), Some(model)) = (&camera.detection, model) {
            check_objects_of(ctx, path, role, (detection, model), pipeline);
        }
    }
}

fn check_objects_of(
    ctx: &mut Context,
    path: &str,
    role: Role,
    (detection, model): (&Model, &Model),
    pipeline: Pipeline,
) {
    let wanted = model.options.object_classes.value();
    if wanted.is_empty() {
        return;
    }
    let Some(labels) = labels(ctx, None, detection, pipeline) else { return };
    for label in wanted.iter().map(|label| label.trim()).filter(|label| !label.is_empty()) {
        if labels.ids(label).next().is_none() {
            let key = where_written(ctx, Some(path), role, "OBJECT_CLASSES");
            let rule = format!("detection finds no {label:?}, only {}", labels.some());
            ctx.warning(&key, rule, meant(&labels, label, false));
        }
    }
}

/// `PICTURES.CLASSES` are labels of what any model finds.
fn check_pictures(ctx: &mut Context, path: &str, camera: &Camera, pipeline: Pipeline) {
    let Some(pictures) = camera.outputs.pictures.as_ref().filter(|pictures| !pictures.classes.is_empty()) else {
        return;
    };
    let mut all = Labels::default();
    for model in camera.models() {
        let Some(labels) = labels(ctx, None, model, pipeline) else { return };
        all.0.extend(labels.0.iter().cloned());
    }
    for label in &pictures.classes {
        if all.ids(label).next().is_none() {
            let key = outputs::pictures_key(ctx, path, "CLASSES");
            let rule = format!("no model finds {label:?}, only {}", all.some());
            ctx.warning(&key, rule, meant(&all, label, false));
        }
    }
}

/// Classes of zones and lines are labels of what is tracked.
fn check_zones(ctx: &mut Context, path: &str, camera: &Camera, pipeline: Pipeline) {
    let Some(zones) = &camera.zones else { return };
    let of_zones = zones.config.zones.iter().map(|zone| (&zone.name, zone.classes.iter().chain(&zone.forbidden)));
    let of_lines = zones.config.lines.iter().map(|line| (&line.name, line.classes.iter().chain(&[])));
    let wanted: Vec<(&String, &String)> =
        of_zones.chain(of_lines).flat_map(|(name, classes)| classes.map(move |class| (name, class))).collect();
    let mut all = Labels::default();
    for model in camera.detection.iter().chain(&camera.pose).filter(|_| !wanted.is_empty()) {
        let Some(labels) = labels(ctx, None, model, pipeline) else { return };
        all.0.extend(labels.0.iter().cloned());
    }
    for (place, label) in wanted {
        if all.ids(label).next().is_none() {
            let rule = format!("{place}: no model finds {label:?}, only {}", all.some());
            ctx.warning(path, rule, meant(&all, label, false));
        }
    }
}

/// The remedy: what to write instead. `numbers`: whether class numbers are allowed too.
fn meant(labels: &Labels, class: &str, numbers: bool) -> String {
    if class.contains(',') && class.split(',').all(|part| labels.ids(part.trim()).next().is_some()) {
        return "write one label an item".into();
    }
    if let Some(near) = labels.nearest(class) {
        return format!("did you mean {near:?}?");
    }
    match class.trim().parse::<u32>() {
        Ok(id) if numbers => format!("there is no class {id}: the last one is {}", labels.len().saturating_sub(1)),
        Ok(id) if (id as usize) < labels.len() => {
            format!("labels are written here, not numbers: class {id} is {:?}", labels.get(id))
        }
        _ => "write one of the labels, or remove it".into(),
    }
}

/// A model's labels, read from its file once. `told`: where to report a labels file that doesn't fit.
fn labels(ctx: &mut Context, told: Option<(&str, Role)>, model: &Model, pipeline: Pipeline) -> Option<Arc<Labels>> {
    // An engine is built from the ONNX; without the ONNX it has a record of its own.
    let file = if pipeline == Pipeline::Cpu || model.onnx.is_file() { &model.onnx } else { &model.engine };
    // An invalid choice is reported as its key's.
    let choice = model.options.choice().ok()?;
    let key: Key = (file.clone(), model.options.labels.clone(), choice);
    if let Some(known) = ctx.labels.get(&key) {
        return known.clone();
    }
    let head = backend::recognised(file, choice).ok().map(|recognised| recognised.head);
    let found = match head.map(|head| infer::labels(model.options.labels.as_deref(), &*head)) {
        None => None,
        Some(Ok(labels)) => Some(Arc::new(labels)),
        Some(Err(error)) => {
            if let Some((path, role)) = told {
                let key = where_written(ctx, Some(path), role, "LABELS");
                ctx.error(&key, error.message, "remove the key for the model's own names");
            }
            None
        }
    };
    // A problem that couldn't be reported is checked again where it can.
    if found.is_some() || told.is_some() {
        ctx.labels.insert(key, found.clone());
    }
    found
}
