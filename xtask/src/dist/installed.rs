//! Installs a package in a copy of a bare root, and does with it what a person does.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{run, run_quiet};
use crate::manifest::Manifest;
use crate::models;
use crate::package::scratch_in;
use crate::paths::Paths;
use crate::roots::{Recipe, run_in};

/// The picture on which the models of the package find persons.
const PICTURE: &str = "bus";

pub fn check(paths: &Paths, root: &Recipe, package: &Path) -> Result<()> {
    models::install_clips(paths, &Manifest::read(paths)?, &[PICTURE.into()])?;
    let scratch = scratch_in(&paths.cache.join("roots"), "installed")?;
    let copy = scratch.path().join("root");
    run_quiet(Command::new("cp").args(["--archive", "--reflink=auto"]).arg(root.folder(paths)).arg(&copy))?;
    let mut script = run_in(paths, &copy);
    script.args(["env", "--unset=XDG_DATA_HOME", "--unset=XDG_CACHE_HOME", "HOME=/root", "bash"]);
    script.arg(paths.root.join("xtask/src/dist/installed.sh")).arg(package);
    script.arg(paths.root.join("media").join(format!("{PICTURE}.jpg")));
    script.env("ROOT_FOLDERS", paths.target());
    run(&mut script).with_context(|| format!("{} in a bare {}", package.display(), root.suite))
}
