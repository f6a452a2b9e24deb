//! The configuration's file, and what is changed beside it while the program runs.

use crate::config::{self, Finding, Findings, Loaded, Overrides, Severity};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A config.json with its overrides, and the cameras that were added or removed without writing it.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    path: PathBuf,
    set: Vec<String>,
    beside: Arc<Mutex<Beside>>,
    /// Held while the file or what is beside it is changed.
    edit: Arc<tokio::sync::Mutex<()>>,
}

/// What differs from the file until the program ends.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Beside {
    pub added: BTreeMap<String, AddedCamera>,
    pub removed: BTreeSet<String>,
}

/// A camera that was added by the API.
#[derive(Debug, Clone, PartialEq)]
pub struct AddedCamera {
    /// As `URL` in the file.
    pub url: String,
    /// The name for people.
    pub title: String,
}

impl ConfigFile {
    /// A file with the values of `--set`.
    pub fn new(path: PathBuf, set: Vec<String>) -> Self {
        Self { path, set, beside: Arc::default(), edit: Arc::default() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The environment and `--set`, as they are now.
    pub fn overrides(&self) -> Overrides {
        Overrides::new(&self.set)
    }

    /// Reads the file as it is now, with what differs from it.
    ///
    /// # Errors
    /// As for [`config::load`].
    pub fn load(&self) -> Result<Loaded, Findings> {
        self.load_with(&self.beside.lock().clone())
    }

    /// The same with something else beside the file.
    pub(super) fn load_with(&self, beside: &Beside) -> Result<Loaded, Findings> {
        let overrides = self.overrides();
        let mut loaded = config::load(&self.path, &overrides)?;
        loaded.plan.cameras.retain(|camera| !beside.removed.contains(&camera.name));
        if beside.added.is_empty() {
            return Ok(loaded);
        }
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let (shared, _) = config::split(&self.path, &text)?;
        let cameras: Vec<Map<String, Value>> =
            beside.added.iter().map(|(name, camera)| of_file(name, camera)).collect();
        let added = config::load_part(&self.path, &config::joined(&shared.settings, &cameras), &overrides)?;
        let fails = |rule: String, remedy: &str| {
            let (severity, key, value, origin) = (Severity::Error, String::new(), None, None);
            let finding = Finding { severity, key, value, rule, remedy: remedy.into(), origin };
            Err(Findings { file: self.path.clone(), pipeline: loaded.findings.pipeline, list: vec![finding] })
        };
        for name in beside.added.keys() {
            if loaded.plan.cameras.iter().any(|camera| camera.name == *name) {
                return fails(format!("the file has a camera {name} too"), "remove one of them");
            }
            if !added.plan.cameras.iter().any(|camera| camera.name == *name) {
                return fails(
                    format!("{name} can't be added: --set or the environment has its own cameras"),
                    "remove that",
                );
            }
        }
        if loaded.plan.cameras.len() + added.plan.cameras.len() > loaded.plan.max_cameras {
            let rule = format!("processing.UNIFIED_PIPELINE_THREADS allows {} cameras", loaded.plan.max_cameras);
            return fails(rule, "raise it");
        }
        loaded.plan.cameras.extend(added.plan.cameras);
        Ok(loaded)
    }

    /// What differs from the file.
    pub(super) fn beside(&self) -> Beside {
        self.beside.lock().clone()
    }

    pub(super) fn set_beside(&self, beside: Beside) {
        *self.beside.lock() = beside;
    }

    /// Whether a camera was added by the API.
    pub(super) fn has_added(&self, camera: &str) -> bool {
        self.beside.lock().added.contains_key(camera)
    }

    /// Waits until no other change is under way.
    pub(super) async fn editing(&self) -> tokio::sync::OwnedMutexGuard<()> {
        self.edit.clone().lock_owned().await
    }
}

/// An added camera as the file would have it.
fn of_file(name: &str, camera: &AddedCamera) -> Map<String, Value> {
    let Value::Object(camera) = json!({ "NAME": name, "URL": camera.url }) else { return Map::new() };
    camera
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_are_added_and_removed_beside_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models/yolo.onnx");
        let text = format!(
            r#"{{ "processing": {{ "USE_UNIFIED_GPU_PIPELINE": false, "FORCE_GPU_ONLY": false }},
                "models": {{ "DETECTION": {{ "ONNX": "{model}", "CONFIDENCE": 0.7 }}, "POSE": {{ "ENABLED": false }} }},
                "cameras": {{ "RTSP_STREAMS": ["test:ball", "test:snow"] }} }}"#
        );
        std::fs::write(&path, &text).unwrap();
        let file = ConfigFile::new(path.clone(), vec![]);
        let names = |file: &ConfigFile| {
            let cameras = file.load().unwrap().plan.cameras;
            cameras.into_iter().map(|camera| camera.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&file), ["test-ball", "test-snow"]);
        let mut beside = Beside::default();
        beside.removed.insert("test-ball".into());
        let camera = AddedCamera { url: "test:smpte".into(), title: "Front".into() };
        beside.added.insert("front".into(), camera.clone());
        file.set_beside(beside.clone());
        assert_eq!(names(&file), ["test-snow", "front"]);
        let front = file.load().unwrap().plan.cameras.pop().unwrap();
        assert_eq!(front.detection.unwrap().options.confidence, 0.7, "it has the file's defaults");
        beside.added.insert("test-snow".into(), camera);
        assert!(file.load_with(&beside).unwrap_err().to_string().contains("has a camera test-snow too"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}
