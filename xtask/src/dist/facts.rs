//! Version and date of a release.

use std::env;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::command::run_quiet;
use crate::paths::Paths;

/// What files of a release say of it.
pub struct Facts {
    pub version: String,
    /// Seconds since 1970, by which two builds of one commit are equal: `SOURCE_DATE_EPOCH`, or else the commit's time.
    pub epoch: u64,
    /// The same as mail and Debian's changelogs write it.
    pub date: String,
    /// As Debian's programs find it, in `DEBFULLNAME` and `DEBEMAIL`.
    pub maintainer: String,
}

#[derive(Deserialize)]
struct CargoToml {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    version: String,
}

impl Facts {
    /// # Errors
    /// CHANGELOG.md doesn't begin with this version.
    pub fn find(paths: &Paths) -> Result<Self> {
        let text = fs::read_to_string(paths.root.join("Cargo.toml")).context("Cargo.toml")?;
        let version = toml::from_str::<CargoToml>(&text).context("Cargo.toml")?.package.version;
        let changes = fs::read_to_string(paths.root.join("CHANGELOG.md")).context("CHANGELOG.md")?;
        let newest = newest_release(&changes).context("CHANGELOG.md has no line '## [VERSION] - DATE'")?;
        ensure!(newest == version, "CHANGELOG.md's newest release is {newest}, Cargo.toml's version {version}");
        let epoch = match env::var("SOURCE_DATE_EPOCH") {
            Ok(epoch) => epoch,
            Err(_) => {
                let mut log = Command::new("git");
                run_quiet(log.args(["log", "--max-count=1", "--format=%ct"]).current_dir(&paths.root))?
            }
        };
        let epoch = epoch.trim().parse().context("SOURCE_DATE_EPOCH is a number of seconds")?;
        let mut date = Command::new("date");
        date.args(["--utc", "--rfc-email", "--date"]).arg(format!("@{epoch}"));
        let date = run_quiet(date.env("LC_ALL", "C"))?.trim().to_owned();
        let variable = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
        let (name, address) = ("gst-plugin-tensorrt maintainers", "maintainers@gst-plugin-tensorrt.example.org");
        let maintainer = format!("{} <{}>", variable("DEBFULLNAME", name), variable("DEBEMAIL", address));
        Ok(Self { version, epoch, date, maintainer })
    }
}

/// The version in the first heading of a release.
fn newest_release(changes: &str) -> Option<&str> {
    let headings = changes.lines().filter_map(|line| line.strip_prefix("## [")?.split_once("] - "));
    headings.map(|(version, _)| version).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_isnt_released_is_no_release() {
        let text =
            "# Changelog\n\n## [Unreleased]\n\n### Added\n- a\n\n## [0.2.0] - 2026-11-30\n\n## [0.1.0] - 2026-01-01\n";
        assert_eq!(newest_release(text), Some("0.2.0"));
        assert_eq!(newest_release("# Changelog\n"), None);
    }

    #[test]
    fn the_changelog_has_this_version() {
        let facts = Facts::find(&Paths::find().unwrap()).unwrap();
        assert!(facts.epoch > 1_700_000_000 && facts.date.ends_with("+0000"), "{} {}", facts.epoch, facts.date);
    }
}
