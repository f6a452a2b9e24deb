//! From the file's keys to the plan: the rules between keys, defaults that depend on others, units.
//!
//! Every part continues after an error, so that all errors are reported at once.

mod address;
mod cameras;
mod clips;
mod labels;
mod models;
mod outputs;
mod pipeline;
mod servers;
mod tracking;

pub use cameras::names;

use super::file::File;
use super::finding::{Finding, Findings, Origin, Severity};
use super::plan::{Model, Plan, Threads};
use super::typed::Written;
use super::variables::Variables;
use model::Labels;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The purpose for which a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Cameras are needed, and for each model something to run.
    Run,
    /// Every model's ONNX is needed; cameras aren't.
    Build,
}

/// A file, and the findings about it so far.
pub struct Context<'a> {
    pub file: &'a File,
    pub written: &'a Written,
    pub variables: &'a Variables,
    /// The folder that relative paths start from: the file's own.
    pub folder: &'a Path,
    /// The file's path, for remedies.
    pub path: &'a Path,
    pub purpose: Purpose,
    /// Whether the cameras are some of those that the settings are for.
    pub is_part: bool,
    pub findings: Findings,
    /// The labels of models that were read; `None`: they can't be read.
    labels: HashMap<labels::Key, Option<Arc<Labels>>>,
    /// The findings that have been reported.
    said: HashSet<Finding>,
}

impl<'a> Context<'a> {
    pub fn new(
        file: &'a File,
        written: &'a Written,
        variables: &'a Variables,
        path: &'a Path,
        purpose: Purpose,
        findings: Findings,
    ) -> Self {
        let folder = path.parent().unwrap_or(Path::new(""));
        Self {
            file,
            written,
            variables,
            folder,
            path,
            purpose,
            is_part: false,
            findings,
            labels: HashMap::new(),
            said: HashSet::new(),
        }
    }

    pub fn error(&mut self, key: &str, rule: impl Into<String>, remedy: impl Into<String>) {
        self.say(Severity::Error, key, rule.into(), remedy.into());
    }

    pub fn warning(&mut self, key: &str, rule: impl Into<String>, remedy: impl Into<String>) {
        self.say(Severity::Warning, key, rule.into(), remedy.into());
    }

    pub fn notice(&mut self, key: &str, rule: impl Into<String>) {
        self.say(Severity::Notice, key, rule.into(), String::new());
    }

    fn say(&mut self, severity: Severity, key: &str, rule: String, remedy: String) {
        let written = self.written.get(key);
        let finding = Finding {
            severity,
            key: key.to_owned(),
            value: written.map(|(_, shown)| shown.to_owned()),
            rule,
            remedy,
            origin: self.nearest_origin(key),
        };
        // A finding that every camera inherits is reported once.
        if self.said.insert(finding.clone()) {
            self.findings.list.push(finding);
        }
    }

    /// The position of a key, or else of the object that would contain it.
    fn nearest_origin(&self, key: &str) -> Option<Origin> {
        let mut path = key;
        loop {
            if let Some((origin, _)) = self.written.get(path).filter(|_| !path.is_empty()) {
                return Some(origin.clone());
            }
            path = path.rsplit_once('.')?.0;
        }
    }

    pub fn is_written(&self, key: &str) -> bool {
        self.written.get(key).is_some()
    }

    /// Resolves a path in the file relative to the file's folder.
    pub fn path_of(&self, text: &str) -> PathBuf {
        self.folder.join(text)
    }

    /// `gst-trt build --config config.json`
    pub fn build_command(&self) -> String {
        format!("gst-trt build --config {}", self.path.display())
    }
}

/// Returns the plan, and for [`Purpose::Build`] also the models to build; `None` when there are errors.
pub fn resolve(ctx: &mut Context) -> Option<(Plan, Vec<Model>)> {
    let file = ctx.file;
    let chosen = pipeline::choose(ctx);
    ctx.findings.pipeline = Some(chosen.pipeline);
    let cameras = cameras::cameras(ctx, chosen.pipeline);
    let models = models::all(ctx, chosen.pipeline, &cameras);
    let (processing, waits) = (&file.processing, &file.cameras);
    let max_cameras = pipeline::max_cameras(ctx, chosen.pipeline, cameras.len());
    pipeline::check_timing(ctx, &cameras);
    let plan = Plan {
        pipeline: chosen.pipeline,
        decoder: chosen.decoder,
        max_cameras,
        queue_size: processing.max_queue_size,
        decoder_surfaces: processing.nvdec_buffer_size,
        frame_memory: pipeline::frame_memory(ctx, chosen.pipeline, &cameras),
        threads: Threads {
            affinity: processing.use_thread_affinity,
            priority: processing.thread_priority,
            decoder_priority: processing.decoder_thread_priority,
        },
        reconnect: super::plan::Reconnect {
            first: Duration::from_millis(500),
            longest: Duration::from_secs_f64(waits.reconnect_max_s),
            stall: Duration::from_secs_f64(waits.stall_timeout_s),
        },
        tensorrt_library: file.models.tensorrt_library.as_deref().map(|path| ctx.path_of(path)),
        engine_cache: file.models.engine_cache.as_deref().map(|path| ctx.path_of(path)),
        monitoring: outputs::monitoring(ctx),
        cameras,
    };
    (!ctx.findings.has_errors()).then_some((plan, models))
}
