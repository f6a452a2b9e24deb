//! What `gst-trt check` prints, and the web page shows.

use super::{Check, Probe, Request, Verdict, machine, plan};
use crate::config::{Finding, Findings, Loaded, Pipeline};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The verdicts on a machine, or on a configuration on it.
#[derive(Debug, Serialize)]
pub struct Report {
    pub ok: bool,
    pub checks: Vec<Check>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigReport>,
}

/// What is found about the file.
#[derive(Debug, Serialize)]
pub struct ConfigReport {
    pub file: PathBuf,
    /// `gpu` or `cpu`; null: the file doesn't say.
    pub pipeline: Option<&'static str>,
    /// Names.
    pub cameras: Vec<String>,
    pub findings: Vec<Finding>,
}

impl Report {
    /// Checks the machine. `library` is TensorRT's, or its folder.
    pub fn of_machine(library: Option<&Path>) -> Self {
        let checks = machine(library);
        Self { ok: nothing_is_missing(&checks), checks, config: None }
    }

    /// Checks whether this machine can run what was loaded; `probe` asks cameras what they send.
    pub fn of_config(loaded: Result<Loaded, Findings>, library: Option<&Path>, probe: Option<&Probe>) -> Self {
        let (loaded, findings) = match loaded {
            Ok(loaded) => (Some(loaded.plan), loaded.findings),
            Err(findings) => (None, findings),
        };
        let mut checks = Vec::new();
        let library = library.or(loaded.as_ref().and_then(|plan| plan.tensorrt_library.as_deref()));
        // The CPU pipeline doesn't depend on the GPU.
        if findings.pipeline == Some(Pipeline::UnifiedGpu) {
            checks.extend(machine(library));
        }
        if let Some(loaded) = &loaded {
            checks.extend(plan(loaded, &Request { probe, library, config: &findings.file }));
        }
        let config = ConfigReport {
            pipeline: findings.pipeline.map(|pipeline| match pipeline {
                Pipeline::UnifiedGpu => "gpu",
                Pipeline::Cpu => "cpu",
            }),
            cameras: loaded.iter().flat_map(|plan| &plan.cameras).map(|camera| camera.name.clone()).collect(),
            file: findings.file,
            findings: findings.list,
        };
        Self { ok: loaded.is_some() && nothing_is_missing(&checks), checks, config: Some(config) }
    }
}

fn nothing_is_missing(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.verdict != Verdict::Missing)
}
