//! Trackers, zones and lines.

use super::super::file;
use super::super::plan::{Camera, Content, Model, Pipeline, Tracker, Zones};
use super::super::text::join;
use super::Context;
use super::models::{self, Named};
use super::outputs::missing_parent;
use super::pipeline::batch_timeout;
use crate::options::{InferenceOptions, TrackingOptions};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracking::zones::{Crowding, Defaults, LineConfig, ZoneConfig, ZonesConfig, ZonesError};

/// The key that a setting comes from: the camera's own, or that in `processing`.
fn where_written(ctx: &Context, camera: &str, section: &str, key: &str) -> String {
    let own = join(&join(camera, section), key);
    if ctx.is_written(&own) { own } else { format!("processing.{section}.{key}") }
}

/// Whether a camera has zones or lines, or may get some while it runs.
fn has_places(camera: &file::Camera) -> bool {
    camera.zones.is_some() || camera.lines.is_some() || camera.zones_file.is_some()
}

/// `None`: it's off.
pub fn tracker(ctx: &mut Context, pipeline: Pipeline, path: &str, camera: &file::Camera) -> Option<Tracker> {
    let settings = camera.tracker.over(&ctx.file.processing.tracker);
    let wanted = settings != file::Tracker { enabled: settings.enabled, ..file::Tracker::default() };
    if !settings.enabled.unwrap_or(wanted || has_places(camera)) {
        return None;
    }
    let default = TrackingOptions::default();
    let options = TrackingOptions {
        algorithm: settings.algorithm.unwrap_or(default.algorithm),
        max_age: settings.max_age.unwrap_or(default.max_age),
        min_hits: settings.min_hits.unwrap_or(default.min_hits),
        iou: settings.iou.unwrap_or(default.iou),
        high_confidence: settings.high_confidence.unwrap_or(default.high_confidence),
        low_confidence: settings.low_confidence.unwrap_or(default.low_confidence),
        class_agnostic: settings.class_agnostic.unwrap_or(default.class_agnostic),
        reid_max_age: settings.reid_max_age_s.map_or(default.reid_max_age, Duration::from_secs_f64),
        reid_distance: settings.reid_distance.unwrap_or(default.reid_distance),
        ..default
    };
    if options.low_confidence > options.high_confidence {
        let (low, high) = (options.low_confidence, options.high_confidence);
        let key = where_written(ctx, path, "TRACKER", "LOW_CONFIDENCE");
        ctx.error(&key, format!("{low} is above HIGH_CONFIDENCE, {high}"), "lower it, or raise HIGH_CONFIDENCE");
    }
    let reid = settings.reid.as_deref().map(|onnx| reid(ctx, pipeline, path, onnx, settings.reid_engine.as_deref()));
    Some(Tracker { options, reid })
}

/// The model for re-identification.
fn reid(ctx: &mut Context, pipeline: Pipeline, path: &str, onnx: &str, engine: Option<&str>) -> Model {
    let precision = models::precision(ctx);
    let engine = engine.map_or_else(|| models::engine_named_after(Path::new(onnx), precision), str::to_owned);
    let named = Named {
        onnx_key: where_written(ctx, path, "TRACKER", "REID"),
        engine_key: where_written(ctx, path, "TRACKER", "REID_ENGINE"),
        onnx: ctx.path_of(onnx),
        engine: ctx.path_of(&engine),
        id: "tracker",
        off: "or remove the key".into(),
    };
    named.check(ctx, pipeline);
    let options = InferenceOptions {
        precision,
        workspace_size: models::workspace_size(ctx),
        batch_size: ctx.file.processing.gpu_batch_size,
        batch_timeout: batch_timeout(ctx),
        ..TrackingOptions::reid()
    };
    Model { id: named.id, onnx: named.onnx, engine: named.engine, options }
}

/// The zones and lines of the camera of this name; `None`: it has no such key.
pub fn zones(ctx: &mut Context, path: &str, camera: &file::Camera, name: &str) -> Option<Zones> {
    if !has_places(camera) {
        return None;
    }
    let counting = camera.counting.over(&ctx.file.processing.counting);
    let default = ZonesConfig::default();
    let base = ZonesConfig {
        merge_s: counting.merge_s.unwrap_or(default.merge_s),
        settle_s: counting.settle_s.unwrap_or(default.settle_s),
        margin: counting.margin.unwrap_or(default.margin),
        ..default
    };
    let config = match &camera.zones_file {
        Some(file) => from_file(ctx, path, camera, &ctx.path_of(file), &base),
        None => places(ctx, path, camera, &base),
    };
    let state_file = counting.state_file.as_deref().map(|file| state_file(ctx, path, file, name));
    Some(Zones { config, state_file })
}

fn state_file(ctx: &mut Context, path: &str, template: &str, name: &str) -> PathBuf {
    let key = where_written(ctx, path, "COUNTING", "STATE_FILE");
    let file = ctx.path_of(&template.replace("{camera}", name));
    if template.is_empty() || file.is_dir() {
        ctx.error(&key, "it names no file", "for example zones/{camera}.json");
    } else if let Some(folder) = missing_parent(&file) {
        ctx.error(&key, format!("there is no folder {}", folder.display()), format!("mkdir -p {}", folder.display()));
    }
    file
}

/// Zones and lines in a file of their own. What it doesn't say is as in `base`.
fn from_file(ctx: &mut Context, path: &str, camera: &file::Camera, file: &Path, base: &ZonesConfig) -> ZonesConfig {
    let key = join(path, "ZONES_FILE");
    if camera.zones.is_some() || camera.lines.is_some() {
        ctx.error(&key, "the camera has ZONES or LINES too", "remove one of them");
        return base.clone();
    }
    let text = match files::regular_file(file).and_then(|()| std::fs::read_to_string(file)) {
        Ok(text) => text,
        Err(error) => {
            let rule = format!("{} can't be read: {error}", file.display());
            ctx.error(&key, rule, "check the path (from the configuration's folder)");
            return base.clone();
        }
    };
    let &ZonesConfig { merge_s, settle_s, margin, .. } = base;
    let defaults = Defaults { merge_s, settle_s, margin, ..Defaults::default() };
    ZonesConfig::parse_with(&text, &defaults).unwrap_or_else(|error| {
        ctx.error(&key, format!("{}: {error}", file.display()), "docs/zones.md has the keys of such a file");
        base.clone()
    })
}

/// The camera's zones and lines. Each is checked by itself, so that all that are wrong are told.
fn places(ctx: &mut Context, path: &str, camera: &file::Camera, base: &ZonesConfig) -> ZonesConfig {
    let mut config = base.clone();
    for (index, zone) in camera.zones.iter().flatten().enumerate() {
        let place = ctx.written.item(&join(path, "ZONES"), index);
        if ctx.written.was_rejected(&join(&place, "POLYGON")) {
            continue;
        }
        let zone = zone_config(zone);
        let alone = ZonesConfig { zones: vec![zone.clone()], ..base.clone() };
        if check(ctx, &place, &alone) {
            config.zones.push(zone);
        }
    }
    for (index, line) in camera.lines.iter().flatten().enumerate() {
        let place = ctx.written.item(&join(path, "LINES"), index);
        let (Some(from), Some(to)) = (line.from, line.to) else {
            let lacks = if line.from.is_none() { "FROM" } else { "TO" };
            if !ctx.written.was_rejected(&join(&place, lacks)) {
                let remedy = "write [x, y], as fractions of the frame";
                ctx.error(&place, format!("{lacks} is missing, one end of the line"), remedy);
            }
            continue;
        };
        let line = line_config(line, (from, to));
        let alone = ZonesConfig { lines: vec![line.clone()], ..base.clone() };
        if check(ctx, &place, &alone) {
            config.lines.push(line);
        }
    }
    // What is left are names that are there twice.
    check(ctx, path, &config);
    config
}

fn check(ctx: &mut Context, key: &str, config: &ZonesConfig) -> bool {
    let Err(error) = config.check() else { return true };
    let (place, problem) = match error {
        ZonesError::Invalid { place, problem } => (place, problem),
        error => (String::new(), error.to_string()),
    };
    let (problem, remedy) = problem.rsplit_once(": ").unwrap_or((&problem, ""));
    ctx.error(key, format!("{place}: {problem}"), remedy);
    false
}

fn zone_config(zone: &file::Zone) -> ZoneConfig {
    ZoneConfig {
        name: zone.name.clone().unwrap_or_default(),
        polygon: zone.polygon.clone().unwrap_or_default(),
        anchor: zone.anchor.unwrap_or_default(),
        classes: zone.classes.clone(),
        forbidden: zone.forbidden.clone(),
        crowding: zone.crowding.map(|limit| Crowding { more_than: limit.more_than, for_s: limit.for_s }),
        loitering_s: zone.loitering_s,
    }
}

fn line_config(line: &file::Line, (from, to): ([f32; 2], [f32; 2])) -> LineConfig {
    let (name, classes) = (line.name.clone().unwrap_or_default(), line.classes.clone());
    LineConfig { name, from, to, anchor: line.anchor.unwrap_or_default(), classes }
}

/// Checks that no two cameras keep their totals in one file. `taken` has the files of the cameras before.
pub fn check_state_file(ctx: &mut Context, path: &str, camera: &Camera, taken: &mut HashMap<PathBuf, String>) {
    let Some(file) = camera.zones.as_ref().and_then(|zones| zones.state_file.clone()) else { return };
    if let Some(other) = taken.insert(file, camera.name.clone()) {
        let key = where_written(ctx, path, "COUNTING", "STATE_FILE");
        let rule = format!("{other} and {} would write one file", camera.name);
        ctx.error(&key, rule, "put {camera} into it, which is the camera's name");
    }
}

/// Checks that what counts has something to count.
pub fn check_camera(ctx: &mut Context, path: &str, camera: &Camera) {
    if camera.zones.is_some() && camera.tracker.is_none() {
        let key = where_written(ctx, path, "TRACKER", "ENABLED");
        ctx.error(&key, "zones and lines count tracked objects", "set it to true, or remove ZONES and LINES");
    }
    if camera.tracker.is_some() && camera.detection.is_none() && camera.pose.is_none() {
        let key = where_written(ctx, path, "TRACKER", "ENABLED");
        ctx.error(&key, "neither DETECTION nor POSE is enabled, so that there are no objects", "enable one of them");
    }
    check_events(ctx, path, camera);
}

/// Warns of each key that asks for events of a camera that has none.
fn check_events(ctx: &mut Context, path: &str, camera: &Camera) {
    if camera.zones.is_some() {
        return;
    }
    let outputs = &camera.outputs;
    let contents = [
        ("CONTENT", Some(outputs.content).filter(|_| !outputs.lines.is_empty())),
        ("MQTT.CONTENT", outputs.mqtt.as_ref().map(|mqtt| mqtt.content)),
        ("KAFKA.CONTENT", outputs.kafka.as_ref().map(|kafka| kafka.content)),
        ("REDIS.CONTENT", outputs.redis.as_ref().map(|redis| redis.content)),
    ];
    // Several outputs may have it from one key.
    let mut keys = BTreeSet::new();
    for (key, content) in contents {
        if content.is_some_and(Content::has_events) {
            let own = join(path, &format!("OUTPUTS.{key}"));
            keys.extend(
                [own, format!("outputs.{key}"), "outputs.CONTENT".into()].into_iter().find(|k| ctx.is_written(k)),
            );
        }
    }
    for key in keys {
        let rule = format!("{} has no zones or lines, so that it has no events", camera.name);
        ctx.warning(&key, rule, "give it ZONES or LINES, or set CONTENT to objects");
    }
}
