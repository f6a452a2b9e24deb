//! `cargo xtask soak`: runs the long checks, which are the ignored tests in tests/soak_*.rs, and the measurements of benches/,
//! each against its limit.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::command::{heading, run};
use crate::deploy;
use crate::dist;
use crate::fuzz;
use crate::outcome::Outcome;
use crate::paths::{Paths, stems};
use crate::plugin::{self, Profile, cargo};
use crate::roots;
use crate::setup;
use crate::standin;
use crate::system::Purpose;
use crate::times::Times;

const FUZZING: Duration = Duration::from_secs(300);
const TRACKING: &str = "gst-tensorrt-tracking";
const FLEET: &str = "gst-tensorrt-fleet";
/// All tests with what they print, one at a time, because most of them measure.
const SHOWN: [&str; 4] = ["--", "--include-ignored", "--nocapture", "--test-threads=1"];

pub fn run_all(paths: &Paths) -> Result<()> {
    setup(paths, Purpose::Soak, &mut Times::default())?;
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
    test.args(SHOWN);
    plugin.set_environment(&mut test);
    run(&mut test)?;
    run(cargo(paths).args(["test", "--release", "--package", TRACKING, "--test", "metrics"]).args(SHOWN))?;
    heading("Build of the tests that also run in the roots");
    let (plugin_in_roots, standin) = (plugin::build(paths, Profile::Dev)?, standin::build(paths)?);
    let mut outcome = Outcome::default();
    roots::run_all(paths, &plugin_in_roots, &standin, &mut outcome)?;
    outcome.finish()?;
    deploy::render(paths, true)?;
    deploy::build_and_run(paths)?;
    dist::run_all(paths, &dist::suites(&[])?, true)?;
    heading("Fuzzing");
    fuzz::run_all(paths, FUZZING)?;
    heading("Measurements");
    run(cargo(paths).args(["bench", "--package", TRACKING, "--bench", "tracking"]))?;
    run(cargo(paths).args(["bench", "--package", FLEET, "--bench", "fleet"]))?;
    let mut bench = cargo(paths);
    bench.args(["bench", "--no-fail-fast"]);
    for name in stems(&paths.root.join("benches"), ".rs")? {
        bench.args(["--bench", &name]);
    }
    plugin.set_environment(&mut bench);
    run(bench.env("PYTHON", paths.root.join("target/test-venv/bin/python")))
}

fn soak_files(paths: &Paths) -> Result<Vec<String>> {
    Ok(stems(&paths.root.join("tests"), ".rs")?.into_iter().filter(|name| name.starts_with("soak_")).collect())
}
