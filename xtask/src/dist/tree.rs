//! The files of a release, as they are under a prefix such as /usr/local. The archive has them so; a package has them in Debian's
//! folders.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::MODELS;
use super::facts::Facts;
use crate::command::run_quiet;
use crate::manifest::Manifest;
use crate::package;
use crate::paths::Paths;
use crate::plugin::Profile;

/// Where a package has the shared data; config.json names it.
pub const DATA: &str = "/usr/share/gst-tensorrt";

/// The plugin's, relative to the prefix.
pub const PLUGIN: &str = "lib/gstreamer-1.0/libgsttensorrt.so";
pub const PROGRAM: &str = "bin/gst-trt";
/// Libraries that only this plugin opens: src/cpu/library/search.rs.
pub const PRIVATE: &str = "lib/gst-tensorrt";
pub const CONFIG: &str = "etc/gst-trt/config.json";
pub const DOC: &str = "share/doc/gst-plugin-tensorrt";
/// In [`DOC`], where ONNX Runtime is carried.
pub const NOTICES: &str = "onnxruntime-ThirdPartyNotices.txt";

pub struct Tree {
    pub folder: PathBuf,
    /// ONNX Runtime's licence.
    pub onnx_runtime: String,
}

impl Tree {
    /// Fills the folder.
    pub fn make(
        paths: &Paths,
        manifest: &Manifest,
        profile: Profile,
        facts: &Facts,
        bill: &Path,
        folder: &Path,
    ) -> Result<Self> {
        let built = paths.target().join(match profile {
            Profile::Dev => "debug",
            Profile::Release => "release",
        });
        let copy = |from: &Path, to: &str| copy(from, &folder.join(to));
        // Beside the tests of a debug build only the linker's own file is new.
        copy(&built.join("deps/libgsttensorrt.so"), PLUGIN)?;
        copy(&built.join("gst-trt"), PROGRAM)?;
        for name in [PLUGIN, PROGRAM] {
            // The same bytes in each package and in the archive, without what only a debugger needs.
            run_quiet(Command::new("strip").arg("--strip-unneeded").arg(folder.join(name)))?;
        }
        fs::set_permissions(folder.join(PROGRAM), fs::Permissions::from_mode(0o755))?;
        let version = run_quiet(Command::new(folder.join(PROGRAM)).arg("--version"))?;
        ensure!(version.trim().ends_with(&facts.version), "{version} is built, and {} packed", facts.version);
        run_quiet(Command::new(folder.join(PROGRAM)).arg("generate").arg(folder.join("share")))?;

        for name in MODELS {
            let model = manifest.model.get(name).with_context(|| format!("there is no model '{name}'"))?;
            let file = &model.asset.file;
            copy(&paths.root.join("models").join(file), &format!("share/gst-tensorrt/models/{file}"))?;
        }
        copy(&paths.root.join("packaging/config.json"), CONFIG)?;
        for name in ["config.schema.json", "objects.schema.json"] {
            copy(&paths.root.join("docs").join(name), &format!("share/gst-tensorrt/{name}"))?;
        }
        documentation(paths, &folder.join(DOC))?;
        copy(bill, &format!("{DOC}/gst-plugin-tensorrt.cdx.json"))?;
        let onnx_runtime = onnx_runtime(paths, manifest, folder)?;
        Ok(Self { folder: folder.into(), onnx_runtime })
    }
}

/// Copies README.md, the pages with all that they show and link to, and the launch strings and programs that they name.
fn documentation(paths: &Paths, doc: &Path) -> Result<()> {
    copy(&paths.root.join("README.md"), &doc.join("README.md"))?;
    for folder in ["pipelines", "examples"] {
        copy_all(&paths.root.join(folder), &doc.join(folder))?;
    }
    let pages = doc.join("docs");
    copy_all(&paths.root.join("docs/models"), &pages.join("models"))?;
    for entry in fs::read_dir(paths.root.join("docs"))? {
        let file = entry?.path();
        // Licences are in the copyright file.
        if file
            .extension()
            .is_some_and(|extension| ["md", "svg", "jpg", "json", "service"].iter().any(|e| extension == *e))
        {
            copy(&file, &pages.join(file.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

/// Copies ONNX Runtime and its notices, and returns its licence.
fn onnx_runtime(paths: &Paths, manifest: &Manifest, folder: &Path) -> Result<String> {
    let library = manifest.library.get("onnxruntime").context("models.toml has no [library.onnxruntime]")?;
    copy(&paths.data.join("lib").join(&library.file), &folder.join(PRIVATE).join(&library.file))?;
    let archive = package::fetch(paths, manifest.package(&library.package)?)?;
    let texts = package::extract(&archive, &library.notices)?;
    let [licence, notices] = &texts[..] else { anyhow::bail!("[library.onnxruntime] has two notices") };
    fs::write(folder.join(DOC).join(NOTICES), notices).context(NOTICES)?;
    Ok(String::from_utf8_lossy(licence).into_owned())
}

/// Copies a file that everyone may read and only root write.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let context = || format!("{} to {}", from.display(), to.display());
    fs::create_dir_all(to.parent().with_context(context)?).with_context(context)?;
    fs::copy(from, to).with_context(context)?;
    let program = to.parent().is_some_and(|folder| folder.ends_with("bin"));
    fs::set_permissions(to, fs::Permissions::from_mode(if program { 0o755 } else { 0o644 })).with_context(context)
}

/// Copies a folder with all that is in it.
pub fn copy_all(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &target)?;
        } else {
            copy(&entry.path(), &target)?;
        }
    }
    Ok(())
}
