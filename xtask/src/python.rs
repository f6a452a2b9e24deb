//! Python and its virtual environments.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{run_quiet, step};
use crate::package::sha256;
use crate::paths::Paths;

/// The Python to use: not the first of PATH, which on a developer's machine is often one without the system's packages.
pub fn interpreter() -> PathBuf {
    env::var_os("PYTHON").map_or_else(|| "/usr/bin/python3".into(), PathBuf::from)
}

/// Minor version of the interpreter, 11 for Python 3.11.
pub fn minor_version() -> Result<u32> {
    let code = "import sys; print(sys.version_info[0], sys.version_info[1])";
    let version = run_quiet(Command::new(interpreter()).args(["-c", code]))?;
    match version.split_whitespace().collect::<Vec<_>>()[..] {
        ["3", minor] => Ok(minor.parse()?),
        _ => bail!("{} is Python {}, needed is 3", interpreter().display(), version.trim()),
    }
}

/// Which packages a virtual environment sees besides its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    Nothing,
    /// The system's: GStreamer's Python bindings are only there.
    System,
}

/// Makes a virtual environment with some packages in it.
pub fn create(folder: &Path, sees: Sees, requirements: &[String]) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let mut venv = Command::new(interpreter());
    venv.args(["-m", "venv"]).arg(folder);
    if sees == Sees::System {
        venv.arg("--system-site-packages");
    }
    run_quiet(&mut venv)?;
    if !requirements.is_empty() {
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
        if sees == Sees::Nothing {
            // Thrown away after one use: compiling would take longer than it saves.
            pip.arg("--no-compile");
        }
        run_quiet(pip.args(requirements))?;
    }
    Ok(())
}

/// A Python that has pip: the system's own may come without it.
pub fn with_pip(paths: &Paths) -> Result<PathBuf> {
    kept(&paths.cache.join("pip"), "a virtual environment for pip", Sees::Nothing, &[])
}

/// The Python of the tests: with what tests/reference/requirements.txt names and GStreamer's bindings.
pub fn for_tests(paths: &Paths) -> Result<PathBuf> {
    let list = paths.root.join("tests/reference/requirements.txt");
    let requirements = read_requirements(&list)?;
    kept(
        &paths.cache.join("test-python"),
        "Python packages of tests/reference/requirements.txt",
        Sees::System,
        &requirements,
    )
}

/// The requirements of a file, without its comments.
pub fn read_requirements(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(String::from).collect())
}

/// A virtual environment that is kept, and made anew when the requirements or the interpreter changed.
fn kept(folder: &Path, what: &str, sees: Sees, requirements: &[String]) -> Result<PathBuf> {
    let version = run_quiet(Command::new(interpreter()).arg("--version"))?;
    let key = sha256(format!("{} {version} {requirements:?}", interpreter().display()).as_bytes());
    let stamp = folder.join("made-for");
    let python = folder.join("bin/python");
    if fs::read_to_string(&stamp).is_ok_and(|made_for| made_for == key) && python.exists() {
        return Ok(python);
    }
    step(what, || create(folder, sees, requirements))?;
    fs::write(&stamp, key).with_context(|| stamp.display().to_string())?;
    Ok(python)
}
