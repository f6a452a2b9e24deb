//! The Helm chart: its renderings are committed, so that a change of the chart shows what it changes in Kubernetes.
//!
//! helm takes minutes to compile, so `cargo xtask test` only checks that the renderings are those of the chart, by a hash of
//! what they are made from, and validates them; `cargo xtask chart` and the soak compile helm, lint the chart, and render it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::tools;
use crate::command::{heading, run_quiet, step, succeeds};
use crate::package::{scratch, sha256, write_atomically};
use crate::paths::{Paths, stems, walk};

const HELM: &str = "helm.sh/helm/v3/cmd/helm";
const HELM_VERSION: &str = "v3.22.0";
/// Of Kubernetes: what the chart is rendered for, and validated against.
const RENDERED_FOR: &str = "1.31.0";
const VALIDATED_FOR: [&str; 3] = ["1.27", "1.31", "1.35"];
/// Kinds of operators that aren't part of Kubernetes, for which there's no schema.
const FOREIGN: &str = "ServiceMonitor";

const CHART: &str = "deploy/helm/gst-trt";
/// The values that the chart is rendered with, one file for each rendering.
const VALUES: &str = "deploy/helm/values";
const RENDERED: &str = "deploy/helm/rendered";
const STAMP: &str = "# Rendered by cargo xtask chart from the content ";

/// Renders the chart with each file of values. With `check`, it only compares.
///
/// # Errors
/// helm can't be compiled, finds fault with the chart, or, with `check`, renders anything else than what is committed.
pub fn render(paths: &Paths, check: bool) -> Result<()> {
    heading("Helm chart");
    let helm = helm(paths)?;
    let for_kubernetes = ["--kube-version", RENDERED_FOR];
    for values in values(paths)? {
        let file = paths.root.join(VALUES).join(format!("{values}.yaml"));
        let mut lint = helm_command(&helm, paths);
        run_quiet(lint.args(["lint", "--strict", CHART, "--values"]).arg(&file).args(for_kubernetes))?;
        let mut template = helm_command(&helm, paths);
        template.args(["template", "fleet", CHART, "--namespace", "vision", "--values"]).arg(&file);
        let text = format!("{}\n{}", stamp(paths, &values)?, run_quiet(template.args(for_kubernetes))?);
        let target = rendering(paths, &values);
        if !check {
            write_atomically(&target, text.as_bytes())?;
        } else if fs::read_to_string(&target).ok().as_ref() != Some(&text) {
            bail!("{} isn't what helm renders: run cargo xtask chart", paths.short(&target));
        }
        println!("  {} {}", paths.short(&target), if check { "is what helm renders" } else { "written" });
    }
    wrong_values(&helm, paths)?;
    self::check(paths)
}

/// Values that the chart has to refuse, with a part of the message.
fn wrong_values(helm: &Path, paths: &Paths) -> Result<()> {
    for (values, says) in [
        (&[][..], "the address is missing"),
        (&["fleet=mqtt://broker"], "fleet"),
        (&["fleet=kafka://user:word@broker"], "fleet"),
        (&["fleet=kafka://broker", "replica=3"], "replica"),
        (&["fleet=kafka://broker", "apply.enabled=true"], "apply.config"),
    ] {
        let mut template = helm_command(helm, paths);
        template.args(["template", "fleet", CHART, "--kube-version", RENDERED_FOR]);
        for value in values {
            template.args(["--set", value]);
        }
        match run_quiet(&mut template) {
            Ok(_) => bail!("the chart accepts the values {values:?}"),
            Err(error) => {
                let message = error.to_string();
                ensure!(message.contains(says), "values {values:?}: the message doesn't say {says:?}: {message}");
            }
        }
    }
    Ok(())
}

/// Checks that the renderings are those of the chart and these values, and that Kubernetes accepts them.
pub fn check(paths: &Paths) -> Result<()> {
    let all = values(paths)?;
    ensure!(!all.is_empty(), "{VALUES} is empty");
    let validator = tools(paths)?.join("kubernetes-validate");
    for values in all {
        let file = rendering(paths, &values);
        let text = fs::read_to_string(&file).with_context(|| paths.short(&file).to_string())?;
        if text.lines().next() != Some(&stamp(paths, &values)?) {
            bail!("{} isn't of the chart and the values as they are: run cargo xtask chart", paths.short(&file));
        }
        for version in VALIDATED_FOR {
            // It reports on stderr, and takes a kind that it doesn't know for valid.
            let mut validate = Command::new(&validator);
            validate.args(["--strict", "--kubernetes-version", version]).arg(&file);
            let output = validate.output().with_context(|| validator.display().to_string())?;
            let report =
                String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            let unknown = |line: &&str| !line.starts_with("INFO") && !line.contains(&format!("kind {FOREIGN} "));
            let faults: Vec<&str> = report.lines().filter(unknown).collect();
            let passed = report.lines().filter(|line| line.contains(" passed for resource ")).count();
            let objects = text.lines().filter(|line| line.starts_with("kind: ") && !line.contains(FOREIGN)).count();
            if !output.status.success() || !faults.is_empty() || passed != objects {
                bail!("Kubernetes {version} rejects {}:\n  {report}", paths.short(&file));
            }
        }
        println!("  {}: valid for Kubernetes {}", paths.short(&file), VALIDATED_FOR.join(", "));
    }
    Ok(())
}

/// The names of the files of values.
fn values(paths: &Paths) -> Result<Vec<String>> {
    stems(&paths.root.join(VALUES), ".yaml")
}

fn rendering(paths: &Paths, values: &str) -> PathBuf {
    paths.root.join(RENDERED).join(format!("{values}.yaml"))
}

/// The first line of a rendering: a hash of all that it's made from.
fn stamp(paths: &Paths, values: &str) -> Result<String> {
    let mut files = walk(&paths.root.join(CHART))?;
    files.sort();
    files.push(paths.root.join(VALUES).join(format!("{values}.yaml")));
    let mut content = format!("{HELM_VERSION} {RENDERED_FOR}");
    for file in files {
        let text = fs::read(&file).with_context(|| file.display().to_string())?;
        content.push_str(&format!("\n{} {}", paths.short(&file), sha256(&text)));
    }
    Ok(format!("{STAMP}{}", sha256(content.as_bytes())))
}

/// helm of a fixed version, compiled into the cache.
fn helm(paths: &Paths) -> Result<PathBuf> {
    let target = paths.cache.join(format!("helm-{HELM_VERSION}"));
    if target.exists() {
        return Ok(target);
    }
    let go = ["go", "/usr/local/go/bin/go"].into_iter().find(|go| succeeds(Command::new(go).arg("version")));
    let go = go.context("helm is compiled by Go, which isn't installed: install Go 1.26 or newer")?;
    let scratch = scratch(paths, "helm")?;
    step(&format!("compiling helm {HELM_VERSION}"), || {
        let mut install = Command::new(go);
        install.args(["install", "-trimpath", &format!("{HELM}@{HELM_VERSION}")]).env("GOBIN", scratch.path());
        // The sources and intermediate files, 1 GB, are of no use afterwards.
        install.env("GOMODCACHE", scratch.path().join("modules")).env("GOCACHE", scratch.path().join("build"));
        run_quiet(install.env("GOFLAGS", "-modcacherw"))
    })?;
    fs::rename(scratch.path().join("helm"), &target).with_context(|| target.display().to_string())?;
    Ok(target)
}

fn helm_command(helm: &Path, paths: &Paths) -> Command {
    let mut command = Command::new(helm);
    // Neither a cluster nor a user's plugins and repositories.
    let nowhere = env::temp_dir().join("no-helm");
    for variable in ["HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME", "KUBECONFIG"] {
        command.env(variable, &nowhere);
    }
    command.current_dir(&paths.root);
    command
}
