//! From the file's path to the plan.

use super::finding::{Finding, Findings, Severity};
use super::overrides::Overrides;
use super::plan::{Model, Plan};
use super::resolve::{Context, Purpose, resolve};
use super::text::parse;
use super::typed::typed;
use std::path::Path;

/// A valid file.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub plan: Plan,
    /// Warnings and notices.
    pub findings: Findings,
}

/// Reads and checks a file for running. Checks the files that it names; doesn't check GPUs and cameras.
///
/// # Errors
/// All errors, with the warnings and notices.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Loaded, Findings> {
    let (resolved, findings) = read(path, overrides, Purpose::Run);
    match resolved {
        Some((plan, _)) => Ok(Loaded { plan, findings }),
        None => Err(findings),
    }
}

/// Reads a file for `gst-trt build`, which needs no cameras. Returns the plan, and each model once.
///
/// # Errors
/// As for [`load`]; each model's ONNX must exist.
pub fn load_for_build(path: &Path, overrides: &Overrides) -> Result<(Loaded, Vec<Model>), Findings> {
    let (resolved, findings) = read(path, overrides, Purpose::Build);
    match resolved {
        Some((plan, models)) => Ok((Loaded { plan, findings }, models)),
        None => Err(findings),
    }
}

fn read(path: &Path, overrides: &Overrides, purpose: Purpose) -> (Option<(Plan, Vec<Model>)>, Findings) {
    match std::fs::read(path) {
        Ok(bytes) => read_text(path, &String::from_utf8_lossy(&bytes), overrides, purpose, false),
        Err(error) => {
            let rule = format!("the file can't be read: {error}");
            let finding = Finding {
                severity: Severity::Error,
                key: String::new(),
                value: None,
                rule,
                remedy: "name it with --config FILE".into(),
                origin: None,
            };
            (None, Findings { file: path.into(), pipeline: None, list: vec![finding] })
        }
    }
}

/// [`load`] with the text of a file that doesn't have to exist.
///
/// # Errors
/// As for [`load`].
pub fn load_text(path: &Path, text: &str, overrides: &Overrides) -> Result<Loaded, Findings> {
    let (resolved, findings) = read_text(path, text, overrides, Purpose::Run, false);
    match resolved {
        Some((plan, _)) => Ok(Loaded { plan, findings }),
        None => Err(findings),
    }
}

/// [`load_text`] with some of the cameras that the settings are for: what only others have isn't missed.
///
/// # Errors
/// As for [`load`].
pub fn load_part(path: &Path, text: &str, overrides: &Overrides) -> Result<Loaded, Findings> {
    let (resolved, findings) = read_text(path, text, overrides, Purpose::Run, true);
    match resolved {
        Some((plan, _)) => Ok(Loaded { plan, findings }),
        None => Err(findings),
    }
}

/// [`load_for_build`] with the text of a file that doesn't have to exist.
///
/// # Errors
/// As for [`load_for_build`].
pub fn load_text_for_build(path: &Path, text: &str, overrides: &Overrides) -> Result<(Loaded, Vec<Model>), Findings> {
    let (resolved, findings) = read_text(path, text, overrides, Purpose::Build, false);
    match resolved {
        Some((plan, models)) => Ok((Loaded { plan, findings }, models)),
        None => Err(findings),
    }
}

fn read_text(
    path: &Path,
    text: &str,
    overrides: &Overrides,
    purpose: Purpose,
    is_part: bool,
) -> (Option<(Plan, Vec<Model>)>, Findings) {
    let mut findings = Findings { file: path.into(), pipeline: None, list: Vec::new() };
    let mut tree = match parse(text) {
        Ok((tree, twice)) => {
            findings.list.extend(twice);
            tree
        }
        Err(error) => {
            findings.list.push(*error);
            return (None, findings);
        }
    };
    findings.list.extend(overrides.apply(&mut tree));
    let (file, written, wrong) = typed(&tree, &overrides.variables);
    findings.list.extend(wrong);
    let mut ctx = Context::new(&file, &written, &overrides.variables, path, purpose, findings);
    ctx.is_part = is_part;
    let resolved = resolve(&mut ctx);
    let mut findings = ctx.findings;
    findings.sort();
    (resolved, findings)
}
