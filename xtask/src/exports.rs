//! The narrow exports with which tests compare heads.

use std::process::Command;

use anyhow::Result;

use crate::command::{heading, run};
use crate::paths::Paths;
use crate::python;

/// Exports them anew, into tests/reference/exports. Needs the clips of `setup`, and installs torch.
pub fn make(paths: &Paths) -> Result<()> {
    heading("Exports of detectors and pose models");
    let folder = paths.root.join("tests/reference");
    let mut requirements = python::read_requirements(&folder.join("requirements.txt"))?;
    requirements.extend(python::read_requirements(&folder.join("export-requirements.txt"))?);
    let python =
        python::kept(&paths.root.join("target/export-venv"), "torch and transformers, 5 GB", &requirements, &[])?;
    let run_script = |name: &str| {
        let mut script = Command::new(&python);
        script.arg("-B").arg(folder.join(name));
        script.arg("--media").arg(paths.root.join("media")).arg("--out").arg(folder.join("exports"));
        run(&mut script)
    };
    run_script("export_models.py")?;
    run_script("export_poses.py")?;
    // Not the projects' own exporters, but graphs in the form of what those write.
    run_script("yolo_obb.py")?;
    run_script("segmentation.py")?;
    run_script("export_detectors.py")
}
