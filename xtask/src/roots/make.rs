//! Makes roots by debootstrap and apt, once for each list of packages.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Root, folder, run_in};
use crate::command::run_quiet;
use crate::package::{scratch_in, sha256};
use crate::paths::Paths;

/// Names the mirror where apt doesn't know one of Debian's.
const MIRROR: &str = "DEBIAN_MIRROR";

/// This debootstrap may not know the suite yet; the steps are the same for all since 2023.
const SCRIPT: &str = "/usr/share/debootstrap/scripts/sid";

/// What the tests and the examples need beside a minimal Debian. The bad plugins bring Debian's ONNX Runtime.
const PACKAGES: [&str; 12] = [
    "gstreamer1.0-tools",
    "gstreamer1.0-plugins-base",
    "gstreamer1.0-plugins-good",
    "gstreamer1.0-plugins-bad",
    "gstreamer1.0-plugins-ugly",
    "gstreamer1.0-libav",
    "libgstrtspserver-1.0-0",
    "python3-gst-1.0",
    "gir1.2-gst-plugins-bad-1.0",
    "ca-certificates",
    "mosquitto",
    "mosquitto-clients",
];

/// Packages with GStreamer's headers, which are unpacked without the packages that they depend on, 170 MB: this machine's
/// compiler reads them.
const HEADERS: [&str; 3] =
    ["libgstreamer1.0-dev", "libgstreamer-plugins-base1.0-dev", "libgstreamer-plugins-bad1.0-dev"];

/// Files that are written before the packages are installed.
const FILES: [(&str, &str); 3] = [
    // Files that no test reads, and waiting for the disk after each file.
    (
        "etc/dpkg/dpkg.cfg.d/root",
        "force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\n",
    ),
    // No daemon is started.
    ("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
];

/// A root's file with its stamp; it is written last.
const STAMP: &str = "etc/made-for-tests";

/// What a root contains beside a minimal Debian.
#[derive(Debug)]
pub struct Recipe {
    /// The name of its folder.
    pub name: String,
    pub suite: &'static str,
    pub packages: &'static [&'static str],
    /// Packages that are unpacked without what they depend on.
    pub unpacked: &'static [&'static str],
    pub files: &'static [(&'static str, &'static str)],
    /// What decides the content: a root with another stamp is made anew.
    pub stamp: String,
}

/// The recipe of a root in which tests are run.
pub fn for_tests(root: &Root) -> Recipe {
    let stamp = sha256(format!("{root:?} {PACKAGES:?} {HEADERS:?} {FILES:?}").as_bytes());
    Recipe { name: root.suite.into(), suite: root.suite, packages: &PACKAGES, unpacked: &HEADERS, files: &FILES, stamp }
}

impl Recipe {
    pub fn folder(&self, paths: &Paths) -> PathBuf {
        folder(paths).join(&self.name)
    }

    pub fn is_made(&self, paths: &Paths) -> bool {
        fs::read_to_string(self.folder(paths).join(STAMP)).is_ok_and(|text| text == self.stamp)
    }
}

/// Makes a root; one with another stamp is replaced.
pub fn make(paths: &Paths, recipe: &Recipe) -> Result<()> {
    let scratch = scratch_in(&folder(paths), &recipe.name)?;
    let target = scratch.path();
    fs::set_permissions(target, fs::Permissions::from_mode(0o755))?;
    debootstrap(recipe.suite, target)?;
    for (name, text) in recipe.files {
        fs::write(target.join(name), text).with_context(|| (*name).to_owned())?;
    }
    fs::set_permissions(target.join("usr/sbin/policy-rc.d"), fs::Permissions::from_mode(0o755))?;
    let inside = |script: &str, words: &[&str]| {
        let mut command = run_in(paths, target);
        command.args(["env", "DEBIAN_FRONTEND=noninteractive", "sh", "-ec", script, "sh"]).args(words);
        run_quiet(&mut command).map(drop)
    };
    if !recipe.packages.is_empty() {
        inside("apt-get --quiet install --yes --no-install-recommends \"$@\"", recipe.packages)?;
    }
    if !recipe.unpacked.is_empty() {
        inside(
            "cd /var/cache/apt/archives; apt-get --quiet download \"$@\"; for name; do dpkg-deb --extract ${name}_*.deb /; done",
            recipe.unpacked,
        )?;
    }
    inside("apt-get clean; rm -r /var/lib/apt/lists", &[])?;
    fs::write(target.join(STAMP), &recipe.stamp).context(STAMP)?;
    let place = recipe.folder(paths);
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| place.display().to_string())?;
    }
    fs::rename(scratch.keep(), &place).with_context(|| place.display().to_string())
}

/// Installs a minimal Debian in an empty folder.
pub fn debootstrap(suite: &str, target: &Path) -> Result<()> {
    // What debootstrap mounts ends with it.
    let mut debootstrap = Command::new("unshare");
    debootstrap.args(["--mount", "--propagation", "private", "debootstrap", "--variant=minbase", "--components=main"]);
    debootstrap.arg(suite).arg(target).arg(mirror()?).arg(SCRIPT);
    run_quiet(debootstrap.env("PATH", path_with_sbin())).map(drop)
}

/// debootstrap is in sbin, which isn't in every PATH.
fn path_with_sbin() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// The mirror of Debian that is named, or that apt uses on this machine.
fn mirror() -> Result<String> {
    if let Ok(named) = std::env::var(MIRROR) {
        return Ok(named);
    }
    let mut apt = Command::new("apt-get");
    apt.args(["indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"]);
    let known = run_quiet(&mut apt).ok().and_then(|text| mirror_in(&text));
    known.with_context(|| format!("apt knows no mirror of Debian here: set {MIRROR} to the address of one"))
}

/// The first mirror of Debian among lines of label and address. There is no label before apt's first update.
fn mirror_in(text: &str) -> Option<String> {
    let mirrors = text.lines().filter_map(|line| {
        let (label, address) = line.split_once(' ')?;
        let address = address.trim_end_matches('/');
        let known = label == "Debian" || (label.is_empty() && address.ends_with("/debian"));
        let reachable = ["http://", "https://", "file:/"].iter().any(|scheme| address.starts_with(scheme));
        (known && reachable).then(|| address.to_owned())
    });
    mirrors.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_machines_own() {
        let text = "Debian-Security http://a.example/debian-security/\nDebian cdrom:[Debian]/\nDebian https://b.example/debian/\n";
        assert_eq!(mirror_in(text).as_deref(), Some("https://b.example/debian"));
        assert_eq!(mirror_in(" http://b.example/debian/\n").as_deref(), Some("http://b.example/debian"));
        assert_eq!(mirror_in("Ubuntu http://c.example/ubuntu/\n http://d.example/other/\n"), None);
    }

    #[test]
    fn another_root_has_another_stamp() {
        let [one, other] = super::super::ROOTS;
        assert!(for_tests(&one).stamp != for_tests(&other).stamp);
    }
}
