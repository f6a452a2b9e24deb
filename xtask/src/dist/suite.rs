//! The releases of Debian and Ubuntu that packages are made for.

use anyhow::{Context, Result, bail};

use crate::command::{heading, step};
use crate::package::sha256;
use crate::paths::Paths;
use crate::roots::{Recipe, make_together};

/// A release.
#[derive(Debug)]
pub struct Suite {
    pub name: &'static str,
    /// In the package's version, such that upgrading the system upgrades the package.
    pub version: &'static str,
    /// The suite of Debian in whose root it's packed.
    pub packed_in: &'static str,
}

/// The first is that of the machine that builds. Ubuntu 24.04 has GStreamer 1.24 and glibc 2.39 but no ONNX Runtime, as Debian 12,
/// with whose packages its dependencies are computed.
pub const SUITES: [Suite; 3] = [
    Suite { name: "bookworm", version: "deb12", packed_in: "bookworm" },
    Suite { name: "trixie", version: "deb13", packed_in: "trixie" },
    Suite { name: "noble", version: "ubuntu24.04", packed_in: "bookworm" },
];

/// Files of the roots: nothing waits for the disk after each file, and no daemon is started.
const FILES: [(&str, &str); 3] = [
    ("etc/dpkg/dpkg.cfg.d/root", "force-unsafe-io\n"),
    ("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
];

/// What packs: debhelper's programs and lintian.
const PACKERS: [&str; 3] = ["debhelper", "dpkg-dev", "lintian"];

impl Suite {
    pub fn named(name: &str) -> Option<&'static Self> {
        SUITES.iter().find(|suite| suite.name == name)
    }

    /// The bare root in which its package can be installed; `None` where none can be made.
    pub fn root(&self) -> Option<Recipe> {
        (self.name == self.packed_in).then(|| recipe("bare", self.packed_in, &[]))
    }

    /// The root in which it's packed.
    pub fn packing_root(&self) -> Recipe {
        recipe("packing", self.packed_in, &PACKERS)
    }
}

/// The suite in whose root the packages are that Debian has renamed for 64-bit times, as Ubuntu 24.04 has.
pub fn renamed() -> &'static Suite {
    &SUITES[1]
}

fn recipe(name: &str, suite: &'static str, packages: &'static [&'static str]) -> Recipe {
    let stamp = sha256(format!("{name} {suite} {packages:?} {FILES:?}").as_bytes());
    Recipe { name: format!("{name}-{suite}"), suite, packages, unpacked: &[], files: &FILES, stamp }
}

/// Makes the roots that these suites need and that aren't there.
pub fn make_roots(paths: &Paths, suites: &[&'static Suite]) -> Result<()> {
    heading("Roots");
    let renamed = suites.iter().any(|suite| suite.root().is_none()).then(|| renamed().packing_root());
    let mut recipes: Vec<Recipe> = suites.iter().flat_map(|suite| suite.root()).chain(renamed).collect();
    recipes.extend(suites.iter().map(|suite| suite.packing_root()));
    recipes.sort_by(|a, b| a.name.cmp(&b.name));
    recipes.dedup_by(|a, b| a.name == b.name);
    recipes.retain(|recipe| !recipe.is_made(paths));
    if recipes.is_empty() {
        println!("  all exist");
        return Ok(());
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("packages are made and installed in roots: run this as root");
    }
    let names: Vec<_> = recipes.iter().map(|recipe| recipe.name.as_str()).collect();
    step(&names.join(", "), || make_together(paths, &recipes)).context("roots")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_release_has_a_later_version() {
        let newer = |older: &str, newer: &str| {
            let mut dpkg = std::process::Command::new("dpkg");
            dpkg.args(["--compare-versions", &format!("0.2.0-1~{older}"), "lt", &format!("0.2.0-1~{newer}")]);
            dpkg.status().unwrap().success()
        };
        assert!(newer(SUITES[0].version, SUITES[1].version));
    }

    #[test]
    fn roots_have_different_names() {
        let mut names: Vec<_> = SUITES[..2].iter().map(|suite| suite.packing_root().name).collect();
        names.extend(SUITES.iter().filter_map(Suite::root).map(|recipe| recipe.name));
        names.sort();
        assert_eq!(names, ["bare-bookworm", "bare-trixie", "packing-bookworm", "packing-trixie"]);
    }
}
