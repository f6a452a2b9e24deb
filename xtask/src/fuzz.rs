//! Fuzzing: parsers of external text must accept any text without crashing.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::{heading, run, run_quiet, step};
use crate::paths::Paths;
use crate::plugin::cargo;

const VERSION: &str = "0.13.2";

/// The fuzz targets of fuzz/fuzz_targets/, each with the folder of its seed inputs.
const TARGETS: [(&str, &str); 1] = [("config", "tests/configs")];

/// Installs cargo-fuzz where [`run_all`] looks for it, unless it exists.
pub fn install(paths: &Paths) -> Result<()> {
    heading("Fuzzer");
    let program = folder(paths).join("bin/cargo-fuzz");
    let is_there = run_quiet(Command::new(&program).arg("--version")).is_ok_and(|version| version.contains(VERSION));
    if !is_there {
        let mut install = cargo(paths);
        install.args(["install", "--quiet", "--locked", "--force", "cargo-fuzz", "--version", VERSION, "--root"]);
        step(&format!("cargo-fuzz {VERSION}"), || run(install.arg(folder(paths))))?;
    }
    println!("  {} exists", program.display());
    Ok(())
}

/// Runs each target for `time`. The corpus is kept for the next run.
pub fn run_all(paths: &Paths, time: Duration) -> Result<()> {
    for (target, seeds) in TARGETS {
        let corpus = paths.target().join("fuzz-corpus").join(target);
        fs::create_dir_all(&corpus).with_context(|| corpus.display().to_string())?;
        let tools = [folder(paths).join("bin")].into_iter();
        let search = env::join_paths(tools.chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())))?;
        let mut fuzz = cargo(paths);
        // A sanitizer needs a nightly compiler; the fuzzed code is safe Rust, which panics on errors.
        fuzz.args(["fuzz", "run", "--sanitizer", "none", "--target-dir"]).arg(paths.target().join("fuzz"));
        fuzz.arg(target).arg(&corpus).arg(paths.root.join(seeds)).arg("--");
        fuzz.arg(format!("-max_total_time={}", time.as_secs())).args(["-timeout=10", "-print_funcs=0", "-verbosity=0"]);
        fuzz.arg("-print_final_stats=1");
        run(fuzz.env("PATH", search))?;
    }
    Ok(())
}

/// In the cache, to be shared by all clones.
fn folder(paths: &Paths) -> PathBuf {
    paths.cache.join("tools")
}
