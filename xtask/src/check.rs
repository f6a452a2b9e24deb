//! `cargo xtask test`: runs everything that a change must pass.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{heading, line, run, succeeds};
use crate::fuzz;
use crate::paths::Paths;
use crate::plugin::{self, Profile, cargo};
use crate::setup;
use crate::standin;
use crate::system::Purpose;
use crate::times::Times;

/// Fuzzing time per target; `cargo xtask soak` takes longer.
const FUZZING: Duration = Duration::from_secs(20);

pub fn run_all(paths: &Paths) -> Result<()> {
    let mut times = Times::default();
    setup(paths, Purpose::Test, &mut times)?;
    require_component(paths, "fmt", "rustfmt")?;
    require_component(paths, "clippy", "clippy")?;

    heading("Format");
    times.measure("format", || {
        run(cargo(paths).args(["fmt", "--all", "--", "--check"]))?;
        run(cargo(paths).args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--", "--check"]))
    })?;
    heading("Lints");
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    times.measure("lints", || run(cargo(paths).args(clippy)))?;
    heading("Documentation");
    let doc = ["doc", "--workspace", "--no-deps"];
    times.measure("documentation", || run(cargo(paths).args(doc).env("RUSTDOCFLAGS", "--deny warnings")))?;
    heading("Build");
    // One build for everything: the plugin alone would enable fewer features of its dependencies, and be recompiled for its tests.
    let plugin = times.measure("build", || {
        run(cargo(paths).args(["test", "--workspace", "--no-run"]))?;
        plugin::built(paths, Profile::Dev)
    })?;
    let standin = times.measure("stand-in", || standin::build(paths))?;
    heading("Tests");
    let mut test = cargo(paths);
    test.args(["test", "--workspace", "--no-fail-fast"]);
    plugin.set_environment(&mut test);
    test.env("G_DEBUG", "fatal_warnings").env(standin::VARIABLE, standin);
    let outcome = times.measure("tests", || Outcome::of(&mut test))?;

    heading("Fuzzing");
    let fuzzed = times.measure("fuzzing", || fuzz::run_all(paths, FUZZING));

    times.print();
    heading("Skipped");
    outcome.print_skipped();
    heading("Results");
    outcome.results.iter().for_each(|result| println!("{result}"));
    for line in &outcome.crash_output {
        println!("  {line}");
    }
    if !outcome.passed {
        let failed = if outcome.failed.is_empty() { "see above".into() } else { outcome.failed.join(", ") };
        bail!("cargo test failed: {failed}");
    }
    fuzzed
}

fn require_component(paths: &Paths, subcommand: &str, component: &str) -> Result<()> {
    if !succeeds(cargo(paths).args([subcommand, "--version"])) {
        bail!("cargo {subcommand} is missing: rustup component add {component}");
    }
    Ok(())
}

/// The relevant lines of a `cargo test` run, for the summary at its end.
#[derive(Default)]
struct Outcome {
    passed: bool,
    /// The summary line of each test binary.
    results: Vec<String>,
    failed: Vec<String>,
    /// The last lines of test binaries that were killed by a signal, with the C library's or GLib's reason.
    crash_output: Vec<String>,
    skipped: Vec<String>,
    latest: VecDeque<String>,
}

/// Number of lines kept of a test binary that crashed.
const CRASH_LINES: usize = 12;

impl Outcome {
    /// Runs the tests, prints their output and keeps the relevant lines.
    fn of(command: &mut Command) -> Result<Self> {
        println!("  {}", line(command));
        // One pipe for both streams keeps their lines in order: tests report skips on stderr.
        let (output, input) = std::io::pipe().context("a pipe")?;
        let mut child = command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input).spawn()?;
        // The command also holds the writing ends, which would keep the pipe open for ever.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut outcome = Self::default();
        for text in BufReader::new(output).split(b'\n') {
            let text = text?;
            let text = String::from_utf8_lossy(&text);
            println!("{text}");
            outcome.note(&text);
        }
        outcome.passed = child.wait()?.success();
        Ok(outcome)
    }

    fn note(&mut self, text: &str) {
        if text.starts_with("test result: ") {
            self.results.push(text.to_string());
        } else if text.contains("process didn't exit successfully") && text.contains("(signal: ") {
            // The binary ended before it could report the failed test.
            self.failed.push(text.trim().to_string());
            self.crash_output.extend(self.latest.drain(..));
        } else if let Some(at) = text.find("skipped: ") {
            // A test's own line can follow the harness's "test NAME ... " on the same line.
            self.skipped.push(text[at..].trim_start_matches("skipped: ").to_string());
        } else if let Some(test) = text.strip_prefix("test ") {
            if let Some((name, reason)) = test.split_once(" ... ignored") {
                self.skipped.push(format!("{name}: ignored{reason}"));
            } else if let Some(name) = test.strip_suffix(" ... FAILED") {
                self.failed.push(name.to_string());
            }
        }
        if self.latest.len() == CRASH_LINES {
            self.latest.pop_front();
        }
        self.latest.push_back(text.to_string());
    }

    fn print_skipped(&self) {
        if self.skipped.is_empty() {
            println!("  nothing");
        }
        self.skipped.iter().for_each(|skipped| println!("  {skipped}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_is_kept() {
        let printed = "\
running 4 tests
test a ... ok
test b ... FAILED
test gpu ... ignored, needs a GPU
test c ... skipped: c: media/x.mp4 is missing: cargo xtask setup
ok
test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
  process didn't exit successfully: `target/debug/deps/c` (exit status: 101)
running 1 test
corrupted size vs. prev_size
  process didn't exit successfully: `target/debug/deps/d` (signal: 5, SIGTRAP: trace/breakpoint trap)
";
        let mut outcome = Outcome::default();
        printed.lines().for_each(|line| outcome.note(line));
        let crashed =
            "process didn't exit successfully: `target/debug/deps/d` (signal: 5, SIGTRAP: trace/breakpoint trap)";
        assert_eq!(outcome.failed, ["b", crashed]);
        assert_eq!(outcome.skipped, ["gpu: ignored, needs a GPU", "c: media/x.mp4 is missing: cargo xtask setup"]);
        assert_eq!(outcome.results.len(), 1);
        assert!(outcome.crash_output.ends_with(&["running 1 test".into(), "corrupted size vs. prev_size".into()]));
    }
}
