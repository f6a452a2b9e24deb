//! Programs of crates.io that tasks run, each in one version.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::command::{heading, run, step};
use crate::paths::Paths;
use crate::plugin::cargo;

/// A program, most of which cargo runs as its subcommands.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    name: &'static str,
    version: &'static str,
    features: &'static [&'static str],
    default_features: bool,
}

pub const FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2", features: &[], default_features: true };
/// Collects the licences of all crates.
pub const ABOUT: Tool = Tool { name: "cargo-about", version: "0.9.3", features: &["cli"], default_features: true };
/// Writes the software bill of materials.
pub const CYCLONEDX: Tool = Tool { name: "cargo-cyclonedx", version: "0.5.9", features: &[], default_features: true };
/// Checks licences, sources and duplicates of crates.
pub const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2", features: &[], default_features: true };
/// Makes HTML of docs/. Its defaults would add a server and a watcher of files, and half of its crates.
pub const BOOK: Tool = Tool { name: "mdbook", version: "0.5.4", features: &["search"], default_features: false };

/// What `cargo xtask setup` installs. Those that only packages need are installed when one is made.
pub const FOR_TESTS: [Tool; 3] = [FUZZ, DENY, BOOK];

/// Settings of cargo that make a program quicker to compile than to run: each runs for seconds.
const QUICK: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
];

/// Installs the tools that aren't there yet.
pub fn install(paths: &Paths, tools: &[Tool]) -> Result<()> {
    heading("Tools of crates.io");
    // What cargo has installed there.
    let known = fs::read_to_string(folder(paths).join(".crates.toml")).unwrap_or_default();
    for tool in tools {
        if !is_listed(&known, tool) {
            let mut install = cargo(paths);
            install.args(["install", "--quiet", "--locked", "--force", tool.name, "--version", tool.version]);
            install.args(["--features", &tool.features.join(",")]).arg("--root").arg(folder(paths));
            install.args((!tool.default_features).then_some("--no-default-features"));
            // Tools have many crates in common.
            install.env("CARGO_TARGET_DIR", paths.target().join("tools")).envs(QUICK);
            step(&format!("{} {}", tool.name, tool.version), || run(&mut install))?;
        }
        println!("  {} {} exists", tool.name, tool.version);
    }
    Ok(())
}

fn is_listed(known: &str, tool: &Tool) -> bool {
    known.contains(&format!("\"{} {} (", tool.name, tool.version))
}

/// A command of cargo, which finds the tools.
pub fn cargo_with_tools(paths: &Paths) -> Result<Command> {
    let mut command = cargo(paths);
    command.env("PATH", search(paths)?);
    Ok(command)
}

/// A tool that isn't one of cargo's subcommands.
pub fn program(paths: &Paths, tool: &Tool) -> Command {
    Command::new(folder(paths).join("bin").join(tool.name))
}

fn search(paths: &Paths) -> Result<OsString> {
    let tools = [folder(paths).join("bin")].into_iter();
    Ok(env::join_paths(tools.chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())))?)
}

/// In the cache, to be shared by all clones.
fn folder(paths: &Paths) -> PathBuf {
    paths.cache.join("tools")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_installed_again() {
        let known = "[v1]\n\"cargo-fuzz 0.13.2 (registry+https://index.example)\" = [\"cargo-fuzz\"]\n";
        assert!(is_listed(known, &FUZZ));
        assert!(!is_listed(known, &Tool { version: "0.13.3", ..FUZZ }));
        assert!(!is_listed(known, &DENY));
    }
}
