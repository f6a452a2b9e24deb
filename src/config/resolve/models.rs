//! Models: files, thresholds, where they look.

use super::super::file;
use super::super::plan::{Camera, Model, Pipeline};
use super::super::text::join;
use super::{Context, Purpose, pipeline};
use crate::infer::Precision;
use crate::options::{InferenceOptions, InferenceRegion, Size};
use model::Rect;
use model::head::NormalizationChoice;
use std::path::{Path, PathBuf};

/// One of a camera's models.
#[derive(Clone, Copy)]
pub(super) struct Role {
    key: &'static str,
    id: &'static str,
    /// The guide's model; empty: there is none.
    onnx: &'static str,
}

pub(super) const DETECTION: Role = Role { key: "DETECTION", id: "detection", onnx: "models/yolo12m.onnx" };
pub(super) const POSE: Role = Role { key: "POSE", id: "pose", onnx: "models/yolo11m-pose.onnx" };
pub(super) const CLASSIFICATION: Role = Role { key: "CLASSIFICATION", id: "classification", onnx: "" };
/// The folder of the guide's engines.
const ENGINES: &str = "models/engines";

/// A camera's path and settings.
type Own<'a> = Option<(&'a str, &'a file::Camera)>;

/// `None`: it's off.
pub fn detection(ctx: &mut Context, pipeline: Pipeline, camera: Own) -> Option<Model> {
    model(ctx, pipeline, DETECTION, camera.map(|(path, camera)| (path, &camera.detection)))
}

/// `None`: it's off.
pub fn pose(ctx: &mut Context, pipeline: Pipeline, camera: Own) -> Option<Model> {
    model(ctx, pipeline, POSE, camera.map(|(path, camera)| (path, &camera.pose)))
}

/// `None`: it's off.
pub fn classification(ctx: &mut Context, pipeline: Pipeline, camera: Own) -> Option<Model> {
    model(ctx, pipeline, CLASSIFICATION, camera.map(|(path, camera)| (path, &camera.classification)))
}

/// Every model, once for each engine, for `build`. Without cameras those of `models`.
pub fn all(ctx: &mut Context, pipeline: Pipeline, cameras: &[Camera]) -> Vec<Model> {
    let mut models: Vec<Model> = Vec::new();
    let global: Vec<Model> = if cameras.is_empty() {
        let all = [detection(ctx, pipeline, None), pose(ctx, pipeline, None), classification(ctx, pipeline, None)];
        all.into_iter().flatten().collect()
    } else {
        Vec::new()
    };
    for model in cameras.iter().flat_map(Camera::models).chain(&global) {
        match models.iter().find(|known| known.engine == model.engine) {
            None => models.push(model.clone()),
            Some(known) if known.onnx != model.onnx && pipeline == Pipeline::UnifiedGpu => {
                let rule = format!(
                    "{} would be the engine of both {} and {}",
                    model.engine.display(),
                    known.onnx.display(),
                    model.onnx.display()
                );
                ctx.error("models", rule, "give one of them an ENGINE of its own");
            }
            Some(_) => {}
        }
    }
    models
}

/// Checks what a camera's models must have in common.
pub fn check_camera(ctx: &mut Context, path: &str, camera: &Camera) {
    if camera.models().next().is_none() {
        ctx.error(
            path,
            "none of DETECTION, POSE and CLASSIFICATION is enabled, so that there is nothing to do",
            "enable one of them",
        );
    }
    if camera.detection.is_none()
        && camera.pose.is_none()
        && camera.classification.as_ref().is_some_and(|model| model.options.region == InferenceRegion::Objects)
    {
        let key = where_written(ctx, Some(path), CLASSIFICATION, "LOOK_AT");
        ctx.error(
            &key,
            "objects are what DETECTION and POSE find, and neither is enabled",
            "set LOOK_AT to frame, or enable DETECTION",
        );
    }
    if camera.detection.is_none()
        && camera.pose.as_ref().is_some_and(|pose| pose.options.region != InferenceRegion::Frame)
    {
        let key = where_written(ctx, Some(path), POSE, "LOOK_AT");
        ctx.error(
            &key,
            "objects are what DETECTION finds, and it isn't enabled",
            "set LOOK_AT to frame, or enable DETECTION",
        );
    }
}

/// The key that a setting comes from: the camera's own, or that in `models`.
pub(super) fn where_written(ctx: &Context, camera: Option<&str>, role: Role, key: &str) -> String {
    let own = camera.map(|path| join(&join(path, role.key), key));
    own.filter(|own| ctx.is_written(own)).unwrap_or_else(|| format!("models.{}.{key}", role.key))
}

fn model(ctx: &mut Context, pipeline: Pipeline, role: Role, camera: Option<(&str, &file::Model)>) -> Option<Model> {
    let file = ctx.file;
    let global = match role.id {
        "pose" => &file.models.pose,
        "classification" => &file.models.classification,
        _ => &file.models.detection,
    };
    let settings = camera.map_or_else(|| global.clone(), |(_, own)| own.over(global));
    let path = camera.map(|(path, _)| path);
    let key = |ctx: &Context, key: &str| where_written(ctx, path, role, key);
    if settings.onnx.is_none() && role.onnx.is_empty() {
        if settings.enabled == Some(true) {
            let enabled = key(ctx, "ENABLED");
            ctx.error(&enabled, "it has no ONNX", format!("set {} to the model's path", key(ctx, "ONNX")));
        }
        return None;
    }
    if settings.enabled == Some(false) {
        return None;
    }
    if settings.top_k.is_some() && role.id != CLASSIFICATION.id {
        let key = key(ctx, "TOP_K");
        ctx.warning(&key, "it applies only to CLASSIFICATION", "remove it; MAX_DETECTIONS limits objects");
    }
    let (onnx, engine) = files(ctx, pipeline, role, path, &settings);
    let labels = settings.labels.as_deref().map(|labels| ctx.path_of(labels));
    if let Some(labels) = labels.as_ref().filter(|labels| !labels.is_file()) {
        let key = key(ctx, "LABELS");
        ctx.error(
            &key,
            format!("there is no file {}", labels.display()),
            "check the path, or remove the key for the model's own names",
        );
    }
    let normalization = settings.normalization.as_deref().unwrap_or("auto").parse::<NormalizationChoice>();
    let normalization = normalization.unwrap_or_else(|rule| {
        let key = key(ctx, "NORMALIZATION");
        ctx.error(&key, rule, "write one of these, or remove the key for what the head's family does");
        NormalizationChoice::Auto
    });
    let classes = settings.classes.unwrap_or_default();
    let class_confidence: Vec<_> =
        settings.class_confidence.unwrap_or_default().into_iter().map(|(class, least)| (class, least.0)).collect();
    let object_classes = settings.object_classes.unwrap_or_default();
    check_labels(ctx, &key(ctx, "CLASSES"), &classes);
    check_labels(ctx, &key(ctx, "CLASS_CONFIDENCE"), class_confidence.iter().map(|(class, _)| class));
    check_labels(ctx, &key(ctx, "OBJECT_CLASSES"), &object_classes);
    let default = match role.id {
        "classification" => InferenceOptions::for_classification(),
        _ => InferenceOptions::default(),
    };
    let region = settings.look_at.unwrap_or(default.region);
    let object_classes = look(ctx, role, path, region, object_classes);
    let roi = regions(ctx, &key(ctx, "REGIONS"), &settings.regions.unwrap_or_default());
    let size = |size: Option<[u32; 2]>| size.map_or(Size::default(), |[width, height]| Size { width, height });
    let (min_size, max_size) = (size(settings.min_size), size(settings.max_size));
    let empty = |least: u32, most: u32| most != 0 && least > most;
    if empty(min_size.width, max_size.width) || empty(min_size.height, max_size.height) {
        let key = key(ctx, "MIN_SIZE");
        ctx.error(
            &key,
            "it exceeds MAX_SIZE, so that no box fits",
            "make MIN_SIZE smaller, or MAX_SIZE greater (0: no limit)",
        );
    }
    let options = InferenceOptions {
        labels,
        head: settings.head.unwrap_or(default.head),
        normalization: normalization.into(),
        resize: settings.resize.unwrap_or(default.resize),
        color: settings.color.unwrap_or(default.color),
        precision: precision(ctx),
        workspace_size: workspace_size(ctx),
        batch_size: file.processing.gpu_batch_size,
        batch_timeout: pipeline::batch_timeout(ctx),
        interval: settings.interval.unwrap_or(default.interval),
        skip_when_busy: settings.skip_when_busy.unwrap_or(default.skip_when_busy),
        region,
        object_classes: trimmed(object_classes).into(),
        roi: roi.into(),
        confidence: settings.confidence.unwrap_or(default.confidence),
        class_confidence: class_confidence.into(),
        iou: settings.iou.unwrap_or(default.iou),
        classes: classes.into(),
        max_detections: settings.max_detections.unwrap_or(default.max_detections),
        min_size: min_size.into(),
        max_size: max_size.into(),
        top_k: settings.top_k.unwrap_or(default.top_k),
        ..default
    };
    Some(Model { id: role.id, onnx, engine, options })
}

/// Objects are compared by their exact labels, and in a file labels may be surrounded by spaces.
fn trimmed(labels: Vec<String>) -> Vec<String> {
    labels.iter().map(|label| label.trim().to_owned()).collect()
}

/// MiB. The guide's GB is a GiB for TensorRT, as in the previous system.
pub(super) fn workspace_size(ctx: &Context) -> u32 {
    (ctx.file.models.tensorrt_workspace_size * 1024.0).round().max(1.0) as u32
}

pub(super) fn precision(ctx: &Context) -> Precision {
    if ctx.file.models.tensorrt_fp16 { Precision::Fp16 } else { Precision::Fp32 }
}

fn files(
    ctx: &mut Context,
    pipeline: Pipeline,
    role: Role,
    camera: Option<&str>,
    settings: &file::Model,
) -> (PathBuf, PathBuf) {
    let text = settings.onnx.as_deref().unwrap_or(role.onnx);
    let engine = match &settings.engine {
        Some(engine) => engine.clone(),
        None => engine_of(role, Path::new(text), precision(ctx)),
    };
    let named = Named {
        onnx_key: where_written(ctx, camera, role, "ONNX"),
        engine_key: where_written(ctx, camera, role, "ENGINE"),
        onnx: ctx.path_of(text),
        engine: ctx.path_of(&engine),
        id: role.id,
        off: format!("or switch the model off: \"{}\": {{ \"ENABLED\": false }}", role.key),
    };
    named.check(ctx, pipeline);
    (named.onnx, named.engine)
}

/// A model's files, and the keys that they come from.
pub(super) struct Named {
    pub onnx_key: String,
    pub engine_key: String,
    pub onnx: PathBuf,
    pub engine: PathBuf,
    /// The model's id.
    pub id: &'static str,
    /// How to do without it.
    pub off: String,
}

impl Named {
    /// The ONNX and the engine: one of them must exist; which one depends on the purpose.
    pub fn check(&self, ctx: &mut Context, pipeline: Pipeline) {
        let Self { onnx_key, engine_key, onnx, engine, id, off } = self;
        if !has_extension(onnx, &["onnx"]) {
            return ctx.error(
                onnx_key,
                "it names no .onnx file",
                format!("engines go into {}; {} is what they are built from", last(engine_key), last(onnx_key)),
            );
        }
        if !has_extension(engine, &["engine", "plan"]) {
            let example = format!("for example {ENGINES}/{id}_fp16.engine");
            return ctx.error(engine_key, "it names no .engine or .plan file", example);
        }
        let (has_onnx, has_engine) = (onnx.is_file(), engine.is_file());
        match (pipeline, ctx.purpose) {
            (Pipeline::Cpu, _) | (_, Purpose::Build) if !has_onnx => {
                let remedy = format!("put the model there, set {} to the model's path, {off}", last(onnx_key));
                ctx.error(onnx_key, format!("there is no file {}", onnx.display()), remedy);
            }
            (Pipeline::UnifiedGpu, Purpose::Run) if !has_onnx && !has_engine => {
                let rule =
                    format!("TensorRT engine not found: neither {} nor {} exists", engine.display(), onnx.display());
                let remedy = format!(
                    "put the ONNX there and run `{}`, set {} to the model's path, {off}",
                    ctx.build_command(),
                    last(onnx_key)
                );
                ctx.error(engine_key, rule, remedy);
            }
            (Pipeline::UnifiedGpu, Purpose::Run) if !has_engine => {
                let rule = format!(
                    "{} isn't built yet: the first start builds an engine from {}, which takes minutes; `{}` does it now",
                    engine.display(),
                    onnx.display(),
                    ctx.build_command()
                );
                ctx.notice(engine_key, rule);
            }
            _ => {}
        }
    }
}

/// The last part of a key.
fn last(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(_, last)| last)
}

/// The guide's names for the guide's models, the ONNX file's name for others.
fn engine_of(role: Role, onnx: &Path, precision: Precision) -> String {
    if onnx == Path::new(role.onnx) { engine_named(role.id, precision) } else { engine_named_after(onnx, precision) }
}

/// The engine of a model that isn't the guide's.
pub(super) fn engine_named_after(onnx: &Path, precision: Precision) -> String {
    engine_named(&onnx.file_stem().unwrap_or_default().to_string_lossy(), precision)
}

fn engine_named(name: &str, precision: Precision) -> String {
    let precision = if precision == Precision::Fp32 { "fp32" } else { "fp16" };
    format!("{ENGINES}/{name}_{precision}.engine")
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|found| extensions.iter().any(|extension| found.eq_ignore_ascii_case(extension)))
}

/// Checks the form of a list of labels, independent of the model's.
fn check_labels<'a>(ctx: &mut Context, key: &str, labels: impl IntoIterator<Item = &'a String>) {
    for label in labels.into_iter().filter(|label| label.trim().is_empty()) {
        let rule = format!("{label:?} is no label: a class without a name is called class N, N being its number");
        ctx.error(key, rule, "write one label an item, or its number");
    }
}

/// The labels of the objects on which a model runs.
fn look(
    ctx: &mut Context,
    role: Role,
    camera: Option<&str>,
    region: InferenceRegion,
    object_classes: Vec<String>,
) -> Vec<String> {
    let key = |ctx: &Context, key: &str| where_written(ctx, camera, role, key);
    match region {
        InferenceRegion::Frame if object_classes.is_empty() => {}
        InferenceRegion::Frame => {
            let key = key(ctx, "OBJECT_CLASSES");
            ctx.warning(
                &key,
                "it applies only with LOOK_AT objects",
                "set LOOK_AT to objects, or remove it; CLASSES selects what is found",
            );
            return Vec::new();
        }
        InferenceRegion::Objects if role.id == DETECTION.id => {
            let key = key(ctx, "LOOK_AT");
            ctx.error(&key, "DETECTION runs first, so that there are no objects yet", "set it to frame");
        }
        InferenceRegion::Objects => {}
    }
    object_classes
}

fn regions(ctx: &mut Context, key: &str, regions: &[[f32; 4]]) -> Vec<Rect> {
    let mut found = Vec::with_capacity(regions.len());
    for &[x, y, w, h] in regions {
        match Rect::part_of_frame(x, y, w, h) {
            Some(region) => found.push(region),
            None => ctx.error(
                key,
                format!(
                    "[{x}, {y}, {w}, {h}] isn't inside the frame: left, top, width, height as fractions of it, 0 to 1"
                ),
                "for example [0, 0.5, 1, 0.5] for its lower half",
            ),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_have_the_guides_names_or_their_models() {
        for (role, onnx, precision, engine) in [
            (DETECTION, "models/yolo12m.onnx", Precision::Fp16, "models/engines/detection_fp16.engine"),
            (POSE, "models/yolo11m-pose.onnx", Precision::Fp16, "models/engines/pose_fp16.engine"),
            (POSE, "models/yolo11m-pose.onnx", Precision::Fp32, "models/engines/pose_fp32.engine"),
            (DETECTION, "other/yolo11n.onnx", Precision::Fp16, "models/engines/yolo11n_fp16.engine"),
        ] {
            assert_eq!(engine_of(role, Path::new(onnx), precision), engine);
        }
    }
}
