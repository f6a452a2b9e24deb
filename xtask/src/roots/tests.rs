//! The tests that are run in each root: the programs that were built on this machine.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{ROOTS, in_ci};
use crate::command::heading;
use crate::outcome::Outcome;
use crate::paths::Paths;
use crate::plugin::Plugin;
use crate::programs::{self, Program};
use crate::standin;

/// What `cargo xtask test` runs in each root: test programs, each with parts of its tests' names; without any, all its tests.
const SET: &[(&str, &[&str])] = &[
    ("surface", &[]),
    ("elements", &["metadata::", "analytics::", "pipeline::", "tensors::"]),
    // The launch strings of the documents, and the examples in Rust, Python and C.
    ("programs", &["docs::", "examples::", "python::"]),
    // Contexts, frames and streams of newer CUDA elements, on the stand-in GPU.
    ("standin", &[]),
    ("gpu_elements", &[]),
    ("gpu_pipelines", &["objects::"]),
];

/// Programs that `cargo xtask soak` doesn't run in the roots, which have neither cargo nor a compiler.
const NOT_IN_ROOTS: &[(&str, &str)] = &[
    ("xtask", "it runs cargo"),
    ("structure", "it reads the sources"),
    ("messages", "it reads the sources"),
    ("browser", "there is no browser in a root"),
    ("gstreamers", "it starts programs in the roots itself"),
    ("gpu_kernels", "it uses no GStreamer"),
];

/// Tests that can't pass in a root.
const SKIPPED: &[(&str, &str, &str)] = &[(
    "trixie",
    "docs::performance",
    "GStreamer 1.26.2's latency tracer waits for ever on a lock of its own, in any pipeline",
)];

/// Runs the small set of tests.
pub fn run_set(paths: &Paths, plugin: &Plugin, standin: &Path, outcome: &mut Outcome) -> Result<()> {
    run(paths, plugin, standin, outcome, |program| {
        SET.iter().find(|(name, _)| *name == program.name).map(|(_, filters)| *filters)
    })
}

/// Runs all tests.
pub fn run_all(paths: &Paths, plugin: &Plugin, standin: &Path, outcome: &mut Outcome) -> Result<()> {
    run(paths, plugin, standin, outcome, |program| {
        let run = !NOT_IN_ROOTS.iter().any(|(name, _)| *name == program.name);
        run.then_some(&[])
    })
}

fn run(
    paths: &Paths,
    plugin: &Plugin,
    standin: &Path,
    outcome: &mut Outcome,
    filters: impl Fn(&Program) -> Option<&'static [&'static str]>,
) -> Result<()> {
    let programs = programs::built(paths, &["--workspace"])?;
    for root in ROOTS {
        heading(&format!("Tests on GStreamer {}", root.gstreamer));
        if let Some(obstacle) = root.obstacle(paths) {
            ensure!(!in_ci(), "{obstacle}");
            outcome.skip(obstacle);
            continue;
        }
        for (_, test, reason) in SKIPPED.iter().filter(|(suite, ..)| *suite == root.suite) {
            outcome.skip(format!("{}: {test}: {reason}", root.suite));
        }
        for program in &programs {
            if let Some(filters) = filters(program) {
                let mut command = root.command(paths, plugin, &program.executable.clone().into())?;
                for (_, test, _) in SKIPPED.iter().filter(|(suite, ..)| *suite == root.suite) {
                    command.args(["--skip", test]);
                }
                command.args(filters).env("G_DEBUG", "fatal_warnings").env(standin::VARIABLE, standin);
                outcome.run(&mut command, Some(root.suite))?;
            }
        }
    }
    Ok(())
}
