//! The stand-in GPU: builds it, links it under the names of the libraries that it replaces, and runs commands on it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{heading, run};
use crate::paths::Paths;
use crate::plugin::{self, Profile, cargo, replace_link};

/// One library replaces all of them.
const LIBRARY: &str = "libstandin.so";
const NAMES: [&str; 5] = [
    "libcuda.so.1",
    "libnvcuvid.so.1",
    "libnvinfer.so.10",
    "libnvinfer_builder_resource.so.10.6.0",
    "libnvonnxparser.so.10",
];

/// The variable that tells the tests the stand-in's folder; with it they fail where they would otherwise skip.
pub const VARIABLE: &str = "GST_TENSORRT_STANDIN";

/// Builds the stand-in and returns its folder, `standin` in cargo's target folder.
pub fn build(paths: &Paths) -> Result<PathBuf> {
    run(cargo(paths).args(["build", "--package", "standin"]))?;
    let folder = paths.target().join("standin");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    // Copied and renamed, so that a process that has the old library open keeps it.
    let (library, fresh) = (folder.join(LIBRARY), folder.join("fresh"));
    let built = paths.target().join("debug").join(LIBRARY);
    fs::copy(&built, &fresh).with_context(|| built.display().to_string())?;
    fs::rename(&fresh, &library).with_context(|| library.display().to_string())?;
    for name in NAMES {
        replace_link(LIBRARY.as_ref(), &folder.join(name))?;
    }
    Ok(folder)
}

/// Runs a command on the stand-in, with the plugin.
pub fn run_on(paths: &Paths, words: &[OsString]) -> Result<()> {
    heading("Build");
    let plugin = plugin::build(paths, Profile::Dev)?;
    let folder = build(paths)?;
    let Some((program, arguments)) = words.split_first() else {
        println!("  {} is ready; to run a command on it: cargo xtask standin -- gst-launch-1.0 …", folder.display());
        return Ok(());
    };
    let mut command = Command::new(program);
    command.args(arguments);
    plugin.set_environment(&mut command);
    let mut search = vec![folder.clone()];
    search.extend(env::split_paths(&env::var_os("LD_LIBRARY_PATH").unwrap_or_default()));
    command.env("LD_LIBRARY_PATH", env::join_paths(search)?);
    command.env("GST_TENSORRT_LIBRARY", &folder);
    // A separate registry, because GStreamer has no CUDA elements without a GPU. Engines can't be shared with a GPU either.
    command.env("GST_REGISTRY", folder.join("registry.bin"));
    command.env("XDG_CACHE_HOME", folder.join("cache"));
    heading("Stand-in GPU");
    let status = command.status().with_context(|| program.to_string_lossy().into_owned())?;
    if !status.success() {
        bail!("{} ended with {status}", program.to_string_lossy());
    }
    Ok(())
}
