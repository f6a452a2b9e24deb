//! Python and its virtual environments.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{heading, run_quiet, step};
use crate::package::sha256;
use crate::paths::Paths;
use crate::system;

/// The Python to use. The first in PATH is often one without the system's packages on a developer's machine.
pub fn interpreter() -> PathBuf {
    env::var_os("PYTHON").map_or_else(|| "/usr/bin/python3".into(), PathBuf::from)
}

/// Minor version of the interpreter, 11 for Python 3.11.
pub fn minor_version() -> Result<u32> {
    let code = "import sys; print(sys.version_info[0], sys.version_info[1])";
    let version = run_quiet(Command::new(interpreter()).args(["-c", code]))?;
    match version.split_whitespace().collect::<Vec<_>>()[..] {
        ["3", minor] => Ok(minor.parse()?),
        _ => bail!("{} is Python {}, but Python 3 is needed", interpreter().display(), version.trim()),
    }
}

/// Creates a virtual environment with only the given packages and what they depend on.
pub fn create(folder: &Path, requirements: &[String]) -> Result<()> {
    system::require_venv()?;
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    run_quiet(Command::new(interpreter()).args(["-m", "venv"]).arg(folder))?;
    install(folder, requirements, &[])
}

fn install(folder: &Path, requirements: &[String], options: &[&str]) -> Result<()> {
    if requirements.is_empty() {
        return Ok(());
    }
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
    // Most files are never imported: Python compiles the others on demand.
    run_quiet(pip.arg("--no-compile").args(options).args(requirements))?;
    Ok(())
}

/// Installs the Python packages of the tests' scripts where the tests look for them.
pub fn for_tests(paths: &Paths) -> Result<()> {
    heading("Python packages of the tests");
    let requirements = read_requirements(&paths.root.join("tests/reference/requirements.txt"))?;
    let alone = read_requirements(&paths.root.join("tests/reference/tracking.txt"))?;
    let folder = paths.root.join("target/test-venv");
    kept(&folder, "packages of tests/reference/*.txt, 150 MB", &requirements, &alone)?;
    println!("  {} exists", paths.short(&folder));
    Ok(())
}

/// The requirements in a file, without its comments.
pub fn read_requirements(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(String::from).collect())
}

/// A persistent virtual environment, which is recreated when the requirements or the interpreter change.
/// `alone` are installed without what they depend on.
pub fn kept(folder: &Path, what: &str, requirements: &[String], alone: &[String]) -> Result<PathBuf> {
    let version = run_quiet(Command::new(interpreter()).arg("--version"))?;
    let key = sha256(format!("{} {version} {requirements:?} {alone:?}", interpreter().display()).as_bytes());
    let stamp = folder.join("made-for");
    let python = folder.join("bin/python");
    if fs::read_to_string(&stamp).is_ok_and(|made_for| made_for == key) && python.exists() {
        return Ok(python);
    }
    step(what, || {
        create(folder, requirements)?;
        install(folder, alone, &["--no-deps"])
    })?;
    fs::write(&stamp, key).with_context(|| stamp.display().to_string())?;
    Ok(python)
}
