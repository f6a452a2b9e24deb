//! The built plugin, and an environment in which GStreamer finds this build and no stale one.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{run, run_quiet};
use crate::paths::Paths;

const LIBRARY: &str = "libgsttensorrt.so";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Dev,
    Release,
}

pub struct Plugin {
    folder: PathBuf,
    registry: PathBuf,
}

/// The cargo that runs this task.
pub fn cargo(paths: &Paths) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&paths.root);
    cargo
}

/// Builds the plugin and checks that GStreamer loads it.
pub fn build(paths: &Paths, profile: Profile) -> Result<Plugin> {
    let mut build = cargo(paths);
    build.args(["build", "--package", "gst-plugin-tensorrt"]);
    if profile == Profile::Release {
        build.arg("--release");
    }
    run(&mut build)?;
    built(paths, profile)
}

/// The plugin as cargo has built it, alone or with its tests; checks that GStreamer loads it.
pub fn built(paths: &Paths, profile: Profile) -> Result<Plugin> {
    // A folder with only the plugin: GStreamer searches folders recursively, and cargo's contain thousands of files.
    let name = match profile {
        Profile::Dev => "debug",
        Profile::Release => "release",
    };
    let folder = paths.target().join("plugins").join(name);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    // The linker writes it here, also for its tests.
    replace_link(&paths.target().join(name).join("deps").join(LIBRARY), &folder.join(LIBRARY))?;
    let plugin = Plugin { registry: folder.join("registry.bin"), folder };
    let mut inspect = Command::new("gst-inspect-1.0");
    plugin.set_environment(&mut inspect);
    run_quiet(inspect.arg("tensorrt")).context("GStreamer can't load the built plugin")?;
    Ok(plugin)
}

/// Creates a symbolic link, replacing an existing file.
pub fn replace_link(target: &Path, link: &Path) -> Result<()> {
    match fs::remove_file(link) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context(link.display().to_string()),
        _ => symlink(target, link).with_context(|| link.display().to_string()),
    }
}

impl Plugin {
    /// Lets a process find the plugin, with a separate registry.
    pub fn set_environment(&self, command: &mut Command) {
        command.env("GST_PLUGIN_PATH", &self.folder).env("GST_REGISTRY", &self.registry);
    }
}
