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

/// What `cargo xtask test` runs in each root: programs, and the beginnings of their tests' names; none are all tests.
const SET: &[(&str, &[&str])] = &[("elements", &["metadata::", "pipeline::"]), ("programs", &[])];

/// Programs that test nothing that depends on GStreamer, or need cargo.
const NOT_IN_ROOTS: &[&str] = &["xtask", "structure", "gpu_kernels"];

/// Runs the small set of tests.
pub fn run_set(paths: &Paths, plugin: &Plugin, standin: &Path, outcome: &mut Outcome) -> Result<()> {
    run(paths, plugin, standin, outcome, |program| {
        SET.iter().find(|(name, _)| *name == program.name).map(|(_, filters)| *filters)
    })
}

/// Runs all tests.
pub fn run_all(paths: &Paths, plugin: &Plugin, standin: &Path, outcome: &mut Outcome) -> Result<()> {
    run(paths, plugin, standin, outcome, |program| (!NOT_IN_ROOTS.contains(&program.name.as_str())).then_some(&[]))
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
        for program in &programs {
            if let Some(filters) = filters(program) {
                let mut command = root.command(paths, plugin, &program.executable.clone().into())?;
                command.args(filters).env("G_DEBUG", "fatal_warnings").env(standin::VARIABLE, standin);
                outcome.run(&mut command, Some(root.suite))?;
            }
        }
    }
    Ok(())
}
