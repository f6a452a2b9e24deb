//! The crates as they would be published.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::command::{run, run_quiet, step};
use crate::paths::Paths;
use crate::plugin::cargo;

/// Largest size of a crate, compressed, in bytes.
const LARGEST: u64 = 2_000_000;
/// Members that aren't published.
const OWN: [&str; 4] = ["--exclude", "xtask", "--exclude", "standin"];

/// Packs all crates as they are, and looks at what is in them.
pub fn check_contents(paths: &Paths) -> Result<()> {
    step("contents of the crates", || {
        let mut package = cargo(paths);
        package.args(["package", "--quiet", "--workspace", "--no-verify", "--allow-dirty"]).args(OWN);
        run_quiet(&mut package)?;
        let folder = paths.target().join("package");
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        let files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        let crates = files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "crate"));
        for file in crates {
            let size = fs::metadata(file)?.len();
            ensure!(size < LARGEST, "{} has {size} bytes, and may have {LARGEST}", file.display());
        }
        let mut list = cargo(paths);
        list.args(["package", "--quiet", "--list", "--allow-dirty", "--package", "gst-plugin-tensorrt"]);
        let listed = run_quiet(&mut list)?;
        let foreign = listed.lines().find(|file| file.starts_with("tests/") || file.ends_with(".onnx"));
        ensure!(foreign.is_none(), "the crate contains {}: see `include` in Cargo.toml", foreign.unwrap_or_default());
        Ok(())
    })
}

/// Also compiles each crate from its package, against the packages of the others.
pub fn check(paths: &Paths) -> Result<()> {
    check_contents(paths)?;
    run(cargo(paths).args(["publish", "--workspace", "--dry-run"]))
}
