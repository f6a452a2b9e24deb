//! Debian roots with newer GStreamers than this machine's, in which the plugin and the tests that were built here are run.

mod make;
mod tests;

pub use make::{Recipe, debootstrap, make};
pub use tests::{run_all, run_set};

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{heading, step};
use crate::outcome::Outcome;
use crate::paths::Paths;
use crate::plugin::{self, Plugin, Profile};
use crate::{programs, standin};

/// A root, named after its suite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Root {
    pub suite: &'static str,
    pub gstreamer: &'static str,
}

pub const ROOTS: [Root; 2] = [Root { suite: "trixie", gstreamer: "1.26" }, Root { suite: "forky", gstreamer: "1.28" }];

impl Root {
    /// The root with this suite or this GStreamer.
    pub fn named(name: &str) -> Option<Self> {
        ROOTS.into_iter().find(|root| root.suite == name || root.gstreamer == name)
    }

    pub fn folder(&self, paths: &Paths) -> PathBuf {
        folder(paths).join(self.suite)
    }

    /// Why nothing can be run in it; `None` if something can.
    pub fn obstacle(&self, paths: &Paths) -> Option<String> {
        let what = format!("GStreamer {} in Debian {}", self.gstreamer, self.suite);
        if !nix::unistd::geteuid().is_root() {
            return Some(format!("{what} needs root, which alone may mount folders in it"));
        }
        (!make::for_tests(self).is_made(paths))
            .then(|| format!("{what} isn't there: cargo xtask roots makes it, or says why it can't"))
    }

    /// A command in this root, which finds the plugin and this machine's files.
    fn command(&self, paths: &Paths, plugin: &Plugin, program: &OsString) -> Result<Command> {
        let mut command = run_in(paths, &self.folder(paths));
        command.arg(program);
        plugin.set_environment(&mut command);
        // GStreamers don't share a registry.
        command.env("GST_REGISTRY", paths.target().join("plugins").join(format!("{}.registry", self.suite)));
        let shared = paths.root.join("../shared");
        let folders = [&paths.root, &shared, &paths.target(), &paths.cache, &paths.data];
        let folders = folders.into_iter().filter_map(|folder| folder.canonicalize().ok());
        command.env("ROOT_FOLDERS", env::join_paths(folders).context("a folder has a colon in its name")?);
        // The root may have another home.
        for (variable, folder) in [("XDG_CACHE_HOME", &paths.cache), ("XDG_DATA_HOME", &paths.data)] {
            command.env(variable, folder.parent().context("the folder has no parent")?);
        }
        Ok(command)
    }
}

/// The folder of all roots.
fn folder(paths: &Paths) -> PathBuf {
    paths.cache.join("roots")
}

/// Runs a program in a root; its arguments follow.
pub fn run_in(paths: &Paths, root: &Path) -> Command {
    let mut command = Command::new(paths.root.join("xtask/src/roots/run-in-root"));
    command.arg(root).current_dir(&paths.root);
    command
}

/// True in CI, where what is skipped elsewhere fails.
pub fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// Makes the roots that aren't there.
pub fn make_all(paths: &Paths) -> Result<()> {
    heading("Debian roots with other GStreamers");
    for root in ROOTS.iter().filter(|root| make::for_tests(root).is_made(paths)) {
        println!("  {} exists", root.folder(paths).display());
    }
    let missing: Vec<Root> = ROOTS.into_iter().filter(|root| !make::for_tests(root).is_made(paths)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("making them needs root: run cargo xtask roots as root");
    }
    let what = missing.iter().map(|root| format!("{} with GStreamer {}", root.suite, root.gstreamer));
    let what = format!("{}, 300 MB to download each", what.collect::<Vec<_>>().join(" and "));
    step(&what, || make_together(paths, &missing.iter().map(make::for_tests).collect::<Vec<_>>()))
}

/// Makes roots side by side: most of the time debootstrap and apt wait for the network and the disk.
pub fn make_together(paths: &Paths, recipes: &[Recipe]) -> Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = recipes.iter().map(|recipe| scope.spawn(|| make(paths, recipe))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Like [`make_all`], but a root that can't be made fails only in CI: elsewhere its tests are skipped.
pub fn make_where_possible(paths: &Paths) -> Result<()> {
    match make_all(paths) {
        Err(error) if !in_ci() => {
            println!("  tests in the roots will be skipped: {error:#}");
            Ok(())
        }
        result => result,
    }
}

/// `cargo xtask roots --tests`: runs the small set of tests in the roots.
pub fn run_tests(paths: &Paths) -> Result<()> {
    make_all(paths)?;
    heading("Build");
    let standin = standin::build(paths)?;
    let built = programs::built(paths, &["--workspace"])?;
    let (plugin, mut outcome) = (plugin::built(paths, Profile::Dev)?, Outcome::default());
    heading("Examples for the roots");
    // The test that runs them on this machine compiles them.
    for program in built.iter().filter(|program| program.name == "programs") {
        let mut command = Command::new(&program.executable);
        plugin.set_environment(command.arg("examples::").current_dir(&paths.root));
        outcome.run(&mut command, None)?;
    }
    run_set(paths, &plugin, &standin, &mut outcome)?;
    outcome.finish()
}

/// `cargo xtask roots`: makes the roots, and runs a command in all, or in the one with this name.
pub fn run_in_roots(paths: &Paths, only: Option<Root>, words: &[OsString]) -> Result<()> {
    make_all(paths)?;
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    heading("Build");
    let plugin = plugin::build(paths, Profile::Dev)?;
    let mut failed = Vec::new();
    for root in ROOTS.iter().filter(|root| only.is_none_or(|only| only == **root)) {
        heading(&format!("GStreamer {}", root.gstreamer));
        let mut command = root.command(paths, &plugin, program)?;
        let status = command.args(arguments).status().context("run-in-root")?;
        if !status.success() {
            failed.push(format!("{}: {} ended with {status}", root.suite, program.to_string_lossy()));
        }
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    Ok(())
}
