//! The archive for systems without a package, and the check sums of everything.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::copyright;
use super::facts::Facts;
use super::tree::{self, Tree};
use crate::command::run_quiet;
use crate::package::sha256_of;
use crate::paths::Paths;

/// Packs the files under a folder with the release's name. They may be unpacked anywhere.
pub fn pack(tree: &Tree, facts: &Facts, crates: &str, scratch: &Path, out: &Path) -> Result<PathBuf> {
    let paths = Paths::find()?;
    let name = format!("gst-plugin-tensorrt-{}-x86_64-linux", facts.version);
    let folder = scratch.join(&name);
    tree::copy_all(&tree.folder, &folder)?;
    // Relative paths start at the file's folder.
    let config = folder.join(tree::CONFIG);
    let text = fs::read_to_string(&config).context(tree::CONFIG)?;
    let text = text.replace(tree::DATA, "../../share/gst-tensorrt").replace("/etc/gst-trt", "etc/gst-trt");
    fs::write(&config, text).context(tree::CONFIG)?;
    let doc = folder.join(tree::DOC);
    for unit in ["gst-trt.service", "gst-trt-fleet.service"] {
        tree::copy(&paths.root.join("docs").join(unit), &doc.join(unit))?;
    }
    tree::copy(&paths.root.join("CHANGELOG.md"), &doc.join("CHANGELOG.md"))?;
    fs::write(doc.join("copyright"), copyright::file(&paths, crates, Some(&tree.onnx_runtime))?)
        .context("copyright")?;
    copyright::write_common(&paths, &doc)?;

    let archive = out.join(format!("{name}.tar.gz"));
    let file = File::create(&archive).with_context(|| archive.display().to_string())?;
    let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::best()));
    append(&mut tar, &folder, Path::new(&name), facts.epoch)?;
    tar.into_inner()?.finish()?;
    Ok(archive)
}

/// Appends a folder with everything in it, such that equal files give an equal archive.
fn append(tar: &mut tar::Builder<impl std::io::Write>, folder: &Path, name: &Path, epoch: u64) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    for file in files {
        let name = name.join(file.file_name().context("a name")?);
        if file.is_dir() {
            append(tar, &file, &name, epoch)?;
            continue;
        }
        let mut header = tar::Header::new_gnu();
        header.set_metadata_in_mode(&fs::metadata(&file)?, tar::HeaderMode::Deterministic);
        header.set_mtime(epoch);
        tar.append_data(&mut header, &name, File::open(&file)?).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// Unpacks the archive, and runs its plugin and its program with what is in it alone.
pub fn check(paths: &Paths, archive: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    run_quiet(
        Command::new("tar")
            .args(["--extract", "--strip-components=1", "--file"])
            .arg(archive)
            .arg("-C")
            .arg(folder.path()),
    )?;
    let file = |name: &str| folder.path().join(name);
    let alone = |program: &Path| {
        let mut command = Command::new(program);
        command.current_dir(&paths.root).env("GST_PLUGIN_PATH", file("lib/gstreamer-1.0")).env("GST_DEBUG", "trtcpu:4");
        command
            .env("GST_REGISTRY", file("registry.bin"))
            .env("XDG_DATA_HOME", file("nothing"))
            .env_remove("ORT_DYLIB_PATH");
        command
    };
    let model = format!("model={}", file("share/gst-tensorrt/models/nanodet.onnx").display());
    let mut launch = alone("gst-launch-1.0".as_ref());
    launch.args(["-q", "videotestsrc", "num-buffers=3", "!", "trtdetect", "backend=cpu", &model, "!", "fakesink"]);
    let said = launch.output()?;
    let log = String::from_utf8_lossy(&said.stderr);
    let private = file(tree::PRIVATE);
    ensure!(
        said.status.success() && log.contains(&*private.to_string_lossy()),
        "the archive's plugin doesn't run: {log}"
    );
    run_quiet(alone(&file(tree::PROGRAM)).args(["check", "--config"]).arg(file(tree::CONFIG))).map(drop)
}

/// Writes SHA256SUMS, which `sha256sum --check` reads.
pub fn write_sums(folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut lines = Vec::new();
    for entry in entries {
        let file = entry?.path();
        let name = file.file_name().context("a name")?.to_string_lossy().into_owned();
        let sum = sha256_of(&file)?.with_context(|| file.display().to_string())?;
        lines.push((name.clone(), format!("{sum}  {name}\n")));
    }
    lines.sort();
    let text: String = lines.into_iter().map(|(_, line)| line).collect();
    fs::write(folder.join("SHA256SUMS"), text).context("SHA256SUMS")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(times: [u64; 2]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        for (name, seconds) in ["b", "a/c"].into_iter().zip(times) {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, name).unwrap();
            let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
        }
        let mut tar = tar::Builder::new(Vec::new());
        append(&mut tar, folder.path(), Path::new("x"), 1_000_000_000).unwrap();
        tar.into_inner().unwrap()
    }

    #[test]
    fn equal_files_give_an_equal_archive() {
        let bytes = packed([1, 2]);
        assert_eq!(bytes, packed([3, 4]));
        let mut tar = tar::Archive::new(&bytes[..]);
        let names: Vec<_> = tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
        assert_eq!(names, [Path::new("x/a/c"), Path::new("x/b")]);
    }

    #[test]
    fn check_sums_are_read_by_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "text").unwrap();
        write_sums(folder.path()).unwrap();
        run_quiet(Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(folder.path())).unwrap();
    }
}
