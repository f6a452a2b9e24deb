//! Fuzzing: parsers of external text must accept any text without crashing.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::run;
use crate::paths::Paths;
use crate::tools::cargo_with_tools;

/// The fuzz targets of fuzz/fuzz_targets/, each with the folder of its seed inputs.
const TARGETS: [(&str, &str); 1] = [("config", "tests/configs")];

/// Runs each target for `time`. The corpus is kept for the next run.
pub fn run_all(paths: &Paths, time: Duration) -> Result<()> {
    for (target, seeds) in TARGETS {
        let corpus = paths.target().join("fuzz-corpus").join(target);
        fs::create_dir_all(&corpus).with_context(|| corpus.display().to_string())?;
        let mut fuzz = cargo_with_tools(paths)?;
        // A sanitizer needs a nightly compiler; the fuzzed code is safe Rust, which panics on errors.
        fuzz.args(["fuzz", "run", "--sanitizer", "none", "--target-dir"]).arg(paths.target().join("fuzz"));
        fuzz.arg(target).arg(&corpus).arg(paths.root.join(seeds)).arg("--");
        fuzz.arg(format!("-max_total_time={}", time.as_secs())).args(["-timeout=10", "-print_funcs=0", "-verbosity=0"]);
        fuzz.arg("-print_final_stats=1");
        run(&mut fuzz)?;
    }
    Ok(())
}
