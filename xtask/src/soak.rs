//! `cargo xtask soak`: the checks that take long, each an ignored test of a file tests/soak_*.rs.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::command::{heading, run};
use crate::paths::Paths;
use crate::plugin::{self, Profile, cargo};
use crate::system::Purpose;
use crate::{python, setup};

pub fn run_all(paths: &Paths) -> Result<()> {
    setup(paths, Purpose::Test)?;
    heading("Build");
    let plugin = plugin::build(paths, Profile::Release)?;
    let files = soak_files(paths)?;
    if files.is_empty() {
        bail!("there is no tests/soak_*.rs");
    }
    heading("Soak");
    let mut test = cargo(paths);
    test.args(["test", "--release", "--no-fail-fast"]);
    for file in &files {
        test.args(["--test", file]);
    }
    // One at a time: most of them measure.
    test.args(["--", "--include-ignored", "--nocapture", "--test-threads=1"]);
    plugin.set_environment(&mut test);
    run(test.env("PYTHON", python::for_tests(paths)?))
}

fn soak_files(paths: &Paths) -> Result<Vec<String>> {
    let folder = paths.root.join("tests");
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".rs")?.to_string()));
    let mut files: Vec<String> = names.filter(|name| name.starts_with("soak_")).collect();
    files.sort();
    Ok(files)
}
