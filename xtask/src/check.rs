//! `cargo xtask test`: runs everything that a change must pass.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::book;
use crate::command::{heading, run, succeeds};
use crate::deploy;
use crate::dist;
use crate::fuzz;
use crate::outcome::Outcome;
use crate::paths::Paths;
use crate::plugin::{self, Profile, cargo};
use crate::roots;
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
    heading("Licences and sources of the crates");
    times.measure("crates", || dist::check_crates(paths))?;
    heading("Documentation");
    let doc = ["doc", "--workspace", "--no-deps"];
    times.measure("documentation", || run(cargo(paths).args(doc).env("RUSTDOCFLAGS", "--deny warnings")))?;
    times.measure("book", || book::build(paths))?;
    times.measure("image and chart", || {
        deploy::lint(paths)?;
        heading("Helm chart");
        deploy::check_chart(paths)
    })?;
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
    test.env("G_DEBUG", "fatal_warnings").env(standin::VARIABLE, &standin);
    let mut outcome = Outcome::default();
    times.measure("tests", || outcome.run(&mut test, None))?;
    times.measure("tests in roots", || roots::run_set(paths, &plugin, &standin, &mut outcome))?;

    heading("Debian package");
    times.measure("package", || dist::run_for_tests(paths, &mut outcome))?;

    heading("Fuzzing");
    let fuzzed = times.measure("fuzzing", || fuzz::run_all(paths, FUZZING));

    times.print();
    outcome.finish()?;
    fuzzed
}

fn require_component(paths: &Paths, subcommand: &str, component: &str) -> Result<()> {
    if !succeeds(cargo(paths).args([subcommand, "--version"])) {
        bail!("cargo {subcommand} is missing: rustup component add {component}");
    }
    Ok(())
}
