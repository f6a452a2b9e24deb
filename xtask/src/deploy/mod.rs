//! What a fleet is deployed with: the container image and the Helm chart.

mod chart;
mod image;

pub use chart::{check as check_chart, render};
pub use image::{build_and_run, lint};

use std::path::PathBuf;

use anyhow::Result;

use crate::paths::Paths;
use crate::python;

/// The folder with the programs of the linters.
fn tools(paths: &Paths) -> Result<PathBuf> {
    let requirements = python::read_requirements(&paths.root.join("tests/reference/deploy.txt"))?;
    let folder = paths.root.join("target/deploy-venv");
    python::kept(&folder, "linters of tests/reference/deploy.txt, 30 MB", &requirements, &[])?;
    Ok(folder.join("bin"))
}
