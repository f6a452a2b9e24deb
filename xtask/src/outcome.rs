//! What test runs print, kept for the summary at their end.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{heading, line};

/// The relevant lines of test runs, for the summary at their end.
#[derive(Default)]
pub struct Outcome {
    /// The commands that failed.
    commands: Vec<String>,
    /// The summary line of each test program.
    results: Vec<String>,
    failed: Vec<String>,
    /// The last lines of test programs that were killed by a signal, with the C library's or GLib's reason.
    crash_output: Vec<String>,
    skipped: Vec<String>,
    latest: VecDeque<String>,
    /// The system on which the tests run, unless it's this machine's.
    system: Option<&'static str>,
}

/// Number of lines kept of a test binary that crashed.
const CRASH_LINES: usize = 12;

/// How long nothing may be printed before it's checked whether the tests have ended.
const QUIET: Duration = Duration::from_secs(2);

impl Outcome {
    /// Runs tests, prints their output and keeps the relevant lines.
    pub fn run(&mut self, command: &mut Command, system: Option<&'static str>) -> Result<()> {
        self.system = system;
        println!("  {}", line(command));
        // One pipe for both streams keeps their lines in order: tests report skips on stderr.
        let (output, input) = std::io::pipe().context("a pipe")?;
        let mut child = command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input).spawn()?;
        // The command also holds the writing ends, which would keep the pipe open for ever.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).split(b'\n').map_while(std::io::Result::ok);
            lines.map(|text| sender.send(text)).take_while(std::result::Result::is_ok).for_each(drop);
        });
        loop {
            match lines.recv_timeout(QUIET) {
                Ok(text) => {
                    let text = String::from_utf8_lossy(&text);
                    println!("{text}");
                    self.note(&text);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                // A server that an aborted test has started may live on, and hold the pipe.
                Err(RecvTimeoutError::Timeout) if child.try_wait()?.is_some() => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        if !child.wait()?.success() {
            self.commands.push(line(command));
        }
        Ok(())
    }

    /// Notes what isn't run at all.
    pub fn skip(&mut self, what: String) {
        println!("  skipped: {what}");
        self.skipped.push(what);
    }

    /// A line for the summary, with the system's name if it isn't this machine's.
    fn labelled(&self, text: &str) -> String {
        self.system.map_or_else(|| text.to_owned(), |system| format!("{system}: {text}"))
    }

    fn note(&mut self, text: &str) {
        if text.starts_with("test result: ") {
            self.results.push(self.labelled(text));
        } else if text.contains("process didn't exit successfully") && text.contains("(signal: ") {
            // The binary ended before it could report the failed test.
            self.failed.push(self.labelled(text.trim()));
            self.crash_output.extend(self.latest.drain(..));
        } else if let Some(at) = text.find("skipped: ") {
            // A test's own line can follow the harness's "test NAME ... " on the same line.
            self.skipped.push(self.labelled(text[at..].trim_start_matches("skipped: ")));
        } else if let Some(test) = text.strip_prefix("test ") {
            if let Some((name, reason)) = test.split_once(" ... ignored") {
                // What is ignored is the same in each system.
                if self.system.is_none() {
                    self.skipped.push(format!("{name}: ignored{reason}"));
                }
            } else if let Some(name) = test.strip_suffix(" ... FAILED") {
                self.failed.push(self.labelled(name));
            }
        }
        if self.latest.len() == CRASH_LINES {
            self.latest.pop_front();
        }
        self.latest.push_back(text.to_string());
    }

    /// Prints the summary.
    ///
    /// # Errors
    /// A test failed.
    pub fn finish(&self) -> Result<()> {
        heading("Skipped");
        if self.skipped.is_empty() {
            println!("  nothing");
        }
        self.skipped.iter().for_each(|skipped| println!("  {skipped}"));
        heading("Results");
        self.results.iter().for_each(|result| println!("{result}"));
        for line in &self.crash_output {
            println!("  {line}");
        }
        if self.commands.is_empty() {
            return Ok(());
        }
        let failed = if self.failed.is_empty() { &self.commands } else { &self.failed };
        bail!("tests failed: {}", failed.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_outlives_the_tests_is_not_waited_for() {
        let mut outcome = Outcome::default();
        let start = std::time::Instant::now();
        outcome.run(Command::new("sh").args(["-c", "sleep 30 & echo 'test a ... FAILED'; exit 3"]), None).unwrap();
        assert!(start.elapsed() < Duration::from_secs(20));
        assert_eq!((outcome.failed.len(), outcome.commands.len()), (1, 1));
    }

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
        outcome.system = Some("trixie");
        outcome.note("test e ... FAILED");
        outcome.note("test f ... ignored, needs a GPU");
        assert_eq!(outcome.failed.last().unwrap(), "trixie: e");
        assert!(outcome.crash_output.ends_with(&["running 1 test".into(), "corrupted size vs. prev_size".into()]));
    }
}
