//! The plugin's version: in a release build with the commit and its date, which `gst-inspect-1.0 tensorrt` shows.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    // Without these lines cargo recompiles everything after a change to any file of the package, including tests and documents.
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=Cargo.toml");
    println!("cargo:rerun-if-changed={PAGE}");
    write_assets();
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

/// The files of the web page.
const PAGE: &str = "src/web/page";

/// Writes a table of the page's files for `src/web/assets.rs`: their names, sorted, and their contents.
fn write_assets() {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join(PAGE);
    let mut names = Vec::new();
    find_files(&root, "", &mut names);
    names.sort();
    let mut table = String::from("const ASSETS: &[(&str, &[u8])] = &[\n");
    for name in names {
        let path = root.join(&name);
        writeln!(table, "    ({name:?}, include_bytes!({path:?})),").expect("a string can be written to");
    }
    table.push_str("];\n");
    let target = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("assets.rs");
    fs::write(&target, table).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
}

/// Appends the names of all files in a folder and in those below it.
fn find_files(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            find_files(&entry.path(), &format!("{name}/"), names);
        } else {
            names.push(name);
        }
    }
}

/// A file of the repository's git directory, if it is there.
fn git_path(name: &str) -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--git-path", name]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?.trim().to_string();
    (output.status.success() && std::path::Path::new(&path).is_file()).then_some(path)
}
