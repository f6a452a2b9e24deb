//! The plugin's version: in a release build with the commit and its date, which `gst-inspect-1.0 tensorrt` shows.

use std::env;
use std::process::Command;

fn main() {
    // Without these lines cargo recompiles everything after a change to any file of the package, including tests and documents.
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=Cargo.toml");
    gst_plugin_version_helper::info();
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        // Git writes this file at each commit and checkout. Outside a repository it doesn't exist, and the version names no commit.
        if let Some(log) = git_path("logs/HEAD") {
            println!("cargo:rerun-if-changed={log}");
        }
    } else {
        // Tests aren't relinked after each commit, so a debug build can't name its commit.
        println!("cargo:rustc-env=COMMIT_ID=dev");
    }
}

/// A file of the repository's git directory, if it is there.
fn git_path(name: &str) -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--git-path", name]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?.trim().to_string();
    (output.status.success() && std::path::Path::new(&path).is_file()).then_some(path)
}
