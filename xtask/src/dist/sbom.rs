//! The software bill of materials, in CycloneDX's format: every crate that is compiled into plugin and program.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::facts::Facts;
use crate::command::run_quiet;
use crate::paths::Paths;
use crate::tools::cargo_with_tools;

/// The name that cargo-cyclonedx gives its file, beside each Cargo.toml of the workspace.
const NAME: &str = "bill-of-materials";

pub fn write(paths: &Paths, facts: &Facts, target: &Path) -> Result<()> {
    let mut cyclonedx = cargo_with_tools(paths)?;
    cyclonedx.args(["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5", "--no-build-deps"]);
    cyclonedx.args(["--target", "x86_64-unknown-linux-gnu", "--override-filename", NAME]);
    let made = run_quiet(cyclonedx.env("SOURCE_DATE_EPOCH", facts.epoch.to_string()));
    let own = paths.root.join(format!("{NAME}.json"));
    let text = fs::read_to_string(&own);
    // It writes one for each crate of the workspace, in the sources' folders.
    for folder in ["crates/cuda", "crates/files", "crates/model", "crates/tensorrt", "crates/tracking", "standin", "xtask"] {
        let _ = fs::remove_file(paths.root.join(folder).join(format!("{NAME}.json")));
    }
    let _ = fs::remove_file(&own);
    made?;
    let text = text.with_context(|| own.display().to_string())?;
    let bill: Value = serde_json::from_str(&text).context("the bill of materials")?;
    let components = bill["components"].as_array().map_or(0, Vec::len);
    ensure!(components > 100, "the bill of materials has {components} components");
    // Paths of this machine are nobody else's.
    let root = paths.root.to_string_lossy();
    fs::write(target, text.replace(&*root, "")).with_context(|| target.display().to_string())
}
