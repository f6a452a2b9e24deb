//! The software bill of materials, in CycloneDX's format: every crate that is compiled into plugin and program, and what is packed
//! beside them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::MODELS;
use super::facts::Facts;
use crate::command::run_quiet;
use crate::manifest::{Asset, Manifest, Registry};
use crate::paths::Paths;
use crate::tools::cargo_with_tools;

/// The name that cargo-cyclonedx gives its files.
const NAME: &str = "bill-of-materials";

pub fn write(paths: &Paths, manifest: &Manifest, facts: &Facts, target: &Path) -> Result<()> {
    let mut cyclonedx = cargo_with_tools(paths)?;
    cyclonedx.args(["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5", "--no-build-deps"]);
    cyclonedx.args(["--target", "x86_64-unknown-linux-gnu", "--override-filename", NAME]);
    let made = run_quiet(cyclonedx.env("SOURCE_DATE_EPOCH", facts.epoch.to_string()));
    let own = paths.root.join(format!("{NAME}.json"));
    let text = fs::read_to_string(&own);
    // It writes one for each crate of the workspace, among the sources.
    for file in members(paths)?.iter().map(|folder| folder.join(format!("{NAME}.json"))).chain([own.clone()]) {
        if file.exists() {
            fs::remove_file(&file).with_context(|| file.display().to_string())?;
        }
    }
    made?;
    // Where the sources were is no part of a release.
    let text = text.with_context(|| own.display().to_string())?.replace(&*paths.root.to_string_lossy(), "");
    let mut bill: Value = serde_json::from_str(&text).context("the bill of materials")?;
    let components = bill["components"].as_array_mut().context("a bill of materials has components")?;
    ensure!(components.len() > 100, "the bill of materials has {} components", components.len());
    let runtime = manifest.library.get("onnxruntime").context("models.toml has no [library.onnxruntime]")?;
    components.push(component(manifest, "library", runtime)?);
    for name in MODELS {
        let model = manifest.model.get(name).with_context(|| format!("there is no model '{name}'"))?;
        components.push(component(manifest, "machine-learning-model", &model.asset)?);
    }
    fs::write(target, serde_json::to_string_pretty(&bill)? + "\n").with_context(|| target.display().to_string())
}

/// The folders of the workspace's other members.
fn members(paths: &Paths) -> Result<Vec<PathBuf>> {
    let crates = fs::read_dir(paths.root.join("crates")).context("crates")?;
    let crates = crates.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(["standin", "xtask"].map(|name| paths.root.join(name)).into_iter().chain(crates).collect())
}

/// A file of models.toml: what it is, and the package that it was taken from.
fn component(manifest: &Manifest, kind: &str, asset: &Asset) -> Result<Value> {
    let package = manifest.package(&asset.package)?;
    let registry = match package.registry {
        Registry::Cargo => "cargo",
        Registry::Maven => "maven",
        Registry::Npm => "npm",
        Registry::Pypi => "pypi",
    };
    // "Apache-2.0 (MoveNet, Google)" begins with the licence's identifier.
    let licence = asset.licence.split(' ').next().unwrap_or_default();
    Ok(json!({
        "type": kind,
        "name": asset.file,
        "version": package.version,
        "description": asset.about,
        "licenses": [{ "license": { "id": licence } }],
        "purl": format!("pkg:{registry}/{}@{}", package.name.replace('@', "%40"), package.version),
    }))
}
