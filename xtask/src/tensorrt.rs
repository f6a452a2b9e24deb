//! TensorRT: the libraries that the tests open, and a complete one for a machine with a GPU.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use files::executable_stack;

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
        if is_installed(&target, &member.sha256)? {
            println!("  {} exists", target.display());
            allow_opening(&target)?;
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
        allow_opening(&target)?;
    }
    println!("  {}: {}", tensorrt.about, tensorrt.licence);
    Ok(())
}

/// Whether the file has this hash, or had it before [`allow_opening`].
fn is_installed(file: &Path, sha256: &str) -> Result<bool> {
    let Some(found) = sha256_of(file)? else { return Ok(false) };
    // An error: not a library that allow_opening changed.
    Ok(found == sha256
        || executable_stack::read_before_clearing(file)
            .and_then(package::sha256_of_content)
            .is_ok_and(|before| before == sha256))
}

/// TensorRT's builder resource asks for an executable stack, which it doesn't need, and which glibc from 2.41 on (Debian 13)
/// gives to no library that is opened at run time.
fn allow_opening(library: &Path) -> Result<()> {
    if executable_stack::clear(library).with_context(|| library.display().to_string())? {
        println!("  {} asked for an executable stack: its flag is cleared", library.display());
    }
    Ok(())
}

fn target_of(member: &str, folder: &Path) -> Result<PathBuf> {
    Ok(folder.join(Path::new(member).file_name().with_context(|| format!("{member} names no file"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of a library with one program header, PT_GNU_STACK, with these flags.
    fn library(flags: u8) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (bytes[32], bytes[54], bytes[56]) = (64, 56, 1);
        bytes[64..72].copy_from_slice(&[0x51, 0xe5, 0x74, 0x64, flags, 0, 0, 0]);
        bytes
    }

    #[test]
    fn a_library_whose_flag_was_cleared_is_not_fetched_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("libnvinfer_builder_resource.so.10.6.0");
        let shipped = package::sha256(&library(7));
        assert!(!is_installed(&file, &shipped).unwrap());
        std::fs::write(&file, library(7)).unwrap();
        assert!(is_installed(&file, &shipped).unwrap());
        for _ in 0..2 {
            allow_opening(&file).unwrap();
            assert_eq!(std::fs::read(&file).unwrap(), library(6));
            assert!(is_installed(&file, &shipped).unwrap());
        }
        let mut damaged = library(6);
        damaged[80] = 1;
        std::fs::write(&file, damaged).unwrap();
        assert!(!is_installed(&file, &shipped).unwrap());
        std::fs::write(&file, "no library").unwrap();
        assert!(!is_installed(&file, &shipped).unwrap());
    }
}
