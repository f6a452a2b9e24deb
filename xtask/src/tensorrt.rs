//! TensorRT: the libraries that the tests open, and a complete one for a machine with a GPU.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{heading, step, succeeds};
use crate::manifest::{Manifest, Registry, TensorRt, Usage};
use crate::package::{self, sha256_of};
use crate::paths::Paths;

/// The manual ways to install TensorRT.
const OTHER_WAYS: &str = "  - apt install maven, then run this again: TensorRT 10.6, a download of 1.1 GB
  - apt install libnvinfer10 libnvonnxparsers10, from NVIDIA's CUDA repository
  - python3 -m pip install --no-deps --target DIR tensorrt-cu12-libs==10.16.1.11, and set GST_TENSORRT_LIBRARY to
    DIR/tensorrt_libs";

/// Installs the libraries that the tests open in the cache.
pub fn install_for_tests(paths: &Paths, manifest: &Manifest) -> Result<()> {
    heading("TensorRT for tests");
    install_all(paths, manifest, Usage::Test, &paths.cache)
}

/// Installs a complete TensorRT where the plugin looks for it; needs Maven.
pub fn install(paths: &Paths) -> Result<()> {
    heading("TensorRT");
    install_all(paths, &Manifest::read(paths)?, Usage::Run, &paths.data)
}

fn install_all(paths: &Paths, manifest: &Manifest, usage: Usage, parent: &Path) -> Result<()> {
    for tensorrt in manifest.tensorrt.values().filter(|tensorrt| tensorrt.usage == usage) {
        install_one(paths, manifest, tensorrt, &parent.join(&tensorrt.folder))?;
    }
    Ok(())
}

fn install_one(paths: &Paths, manifest: &Manifest, tensorrt: &TensorRt, folder: &Path) -> Result<()> {
    let mut missing = Vec::new();
    for member in &tensorrt.members {
        let target = target_of(&member.path, folder)?;
        if sha256_of(&target)?.is_some_and(|found| found == member.sha256) {
            println!("  {} exists", target.display());
        } else {
            missing.push((member, target));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let package = manifest.package(&tensorrt.package)?;
    if package.registry == Registry::Maven && !succeeds(Command::new("mvn").arg("--version")) {
        bail!(
            "fetching {} {} needs Maven, and mvn isn't installed. Ways to get TensorRT:\n{OTHER_WAYS}",
            package.name,
            package.version
        );
    }
    let archive = package::fetch(paths, package)?;
    for (member, target) in missing {
        step(&format!("unpacking {}", target.display()), || package::unpack(&archive, member, &target))?;
    }
    println!("  {}: {}", tensorrt.about, tensorrt.licence);
    Ok(())
}

fn target_of(member: &str, folder: &Path) -> Result<PathBuf> {
    Ok(folder.join(Path::new(member).file_name().with_context(|| format!("{member} names no file"))?))
}
