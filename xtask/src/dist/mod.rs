//! `cargo xtask dist`: packages for Debian and Ubuntu, an archive for other systems, and what belongs to a release.

mod archive;
mod copyright;
mod crates;
mod debian;
mod facts;
mod installed;
mod sbom;
mod suite;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::{heading, run, step};
use crate::manifest::Manifest;
use crate::outcome::Outcome;
use crate::paths::Paths;
use crate::plugin::{self, Profile};
use crate::tools::{self, cargo_with_tools};
use crate::{models, roots};
use facts::Facts;
use suite::SUITES;
use tree::Tree;

pub use suite::Suite;

/// The models in the packages, under licences that allow to pass them on: the smallest detector of everyday things that
/// models.toml has, and a pose model for the persons that it finds.
const MODELS: [&str; 2] = ["nanodet", "movenet-lightning"];

/// The suites with these names; all if none is named.
pub fn suites(names: &[String]) -> Result<Vec<&'static Suite>> {
    if names.is_empty() {
        return Ok(SUITES.iter().collect());
    }
    let named = names.iter().map(|name| {
        let known = SUITES.iter().map(|suite| suite.name).collect::<Vec<_>>().join(", ");
        Suite::named(name).with_context(|| format!("no packages are made for '{name}', only for {known}"))
    });
    named.collect()
}

/// Makes everything in target/dist; with `test`, also installs each package in a bare root and checks the crates.
pub fn run_all(paths: &Paths, suites: &[&'static Suite], test: bool) -> Result<()> {
    require_debian_12()?;
    let out = make(paths, suites, Profile::Release, &paths.target().join("dist"))?;
    if test {
        heading("Archive");
        step("its plugin and program", || archive::check(paths, &out.archive))?;
        for (suite, package) in &out.packages {
            check_installed(paths, suite, package)?;
        }
        heading("Crates");
        crates::check(paths)?;
    }
    heading("Result");
    for file in fs::read_dir(&out.folder)? {
        let file = file?;
        println!("  {}  {:.1} MB", paths.short(&file.path()), file.metadata()?.len() as f64 / 1e6);
    }
    Ok(())
}

/// What `cargo xtask test` does: packs the build that its tests use for this machine's suite, and installs it in a bare root.
pub fn run_for_tests(paths: &Paths, outcome: &mut Outcome) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        if roots::in_ci() {
            bail!("packages are made and installed in roots, which needs root");
        }
        outcome.skip("the Debian package: roots need root".into());
        return Ok(());
    }
    if let Err(error) = require_debian_12() {
        outcome.skip(format!("the Debian package: {error:#}"));
        return Ok(());
    }
    let bookworm = &SUITES[0];
    let out = make(paths, &[bookworm], Profile::Dev, &paths.target().join("dist-for-tests"))?;
    step("the archive's plugin and program", || archive::check(paths, &out.archive))?;
    for (suite, package) in &out.packages {
        check_installed(paths, suite, package)?;
    }
    crates::check_contents(paths)
}

/// Licences, sources and versions of all crates; vulnerabilities are in the forge's checks, as their list is elsewhere.
pub fn check_crates(paths: &Paths) -> Result<()> {
    run(cargo_with_tools(paths)?.args(["deny", "--log-level", "error", "check", "licenses", "bans", "sources"]))
}

/// The C library of Debian 12 is the oldest that is supported, so that what is built there runs on all later systems.
fn require_debian_12() -> Result<()> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !release.lines().any(|line| line == "VERSION_CODENAME=bookworm") {
        bail!("packages are built on Debian 12, whose C library is the oldest of the supported systems");
    }
    Ok(())
}

struct Out {
    folder: PathBuf,
    archive: PathBuf,
    packages: Vec<(&'static Suite, PathBuf)>,
}

fn make(paths: &Paths, suites: &[&'static Suite], profile: Profile, folder: &Path) -> Result<Out> {
    let facts = Facts::find(paths)?;
    let manifest = Manifest::read(paths)?;
    models::install_library(paths, &manifest)?;
    models::install_models(paths, &manifest, &MODELS.map(String::from))?;
    tools::install(paths, &[tools::ABOUT, tools::CYCLONEDX])?;
    suite::make_roots(paths, suites)?;
    heading("Build");
    if profile == Profile::Release {
        plugin::build(paths, profile)?;
    }
    heading("Pack");
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let scratch = crate::package::scratch_in(&paths.target().join("tmp"), "dist")?;
    let crates = step("licences of all crates", || copyright::crates(paths))?;
    let bill = folder.join(format!("gst-plugin-tensorrt-{}.cdx.json", facts.version));
    step("software bill of materials", || sbom::write(paths, &manifest, &facts, &bill))?;
    let tree = step("files", || Tree::make(paths, &manifest, profile, &facts, &bill, &scratch.path().join("files")))?;
    let mut packages = Vec::new();
    for suite in suites {
        let package = step(&format!("package for {}", suite.name), || {
            debian::pack(paths, suite, &tree, &facts, &crates, scratch.path(), folder)
        })?;
        println!("    {}", package.summary);
        packages.push((*suite, package.file));
    }
    let archive = step("archive", || archive::pack(&tree, &facts, &crates, scratch.path(), folder))?;
    archive::write_sums(folder)?;
    Ok(Out { folder: folder.into(), archive, packages })
}

fn check_installed(paths: &Paths, suite: &Suite, package: &Path) -> Result<()> {
    match suite.root() {
        Some(root) => {
            heading(&format!("The package in a bare {}", suite.name));
            installed::check(paths, &root, package)
        }
        None => {
            println!("  {}: packed, and not run: its archive isn't one of Debian's", suite.name);
            Ok(())
        }
    }
}
