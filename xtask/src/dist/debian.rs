//! A package for Debian or Ubuntu, packed by debhelper in a root of the suite, so that its dependencies are that suite's own packages.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::facts::Facts;
use super::suite::{Suite, renamed};
use super::tree::{self, Tree};
use super::{copyright, tree::copy_all};
use crate::command::run_quiet;
use crate::paths::Paths;
use crate::roots::run_in;

const NAME: &str = "gst-plugin-tensorrt";
const PLUGINS: &str = "usr/lib/x86_64-linux-gnu/gstreamer-1.0";

pub struct Package {
    pub file: PathBuf,
    /// What it depends on, for the reader.
    pub summary: String,
}

/// Packs the files for a suite, and has lintian check the package.
///
/// # Errors
/// Lintian finds an error; or a library isn't among the suite's packages.
pub fn pack(
    paths: &Paths,
    suite: &Suite,
    tree: &Tree,
    facts: &Facts,
    crates: &str,
    scratch: &Path,
    out: &Path,
) -> Result<Package> {
    let work = scratch.join(suite.name);
    let libraries = libraries(tree)?;
    install(paths, suite, &libraries)?;
    let of_suite = onnx_runtime(paths, suite)?;
    fill(tree, &work.join("tree"), of_suite.is_none())?;
    fs::copy(paths.root.join("CHANGELOG.md"), work.join("CHANGELOG.md")).context("CHANGELOG.md")?;
    describe(paths, suite, tree, facts, crates, of_suite.as_deref(), &work.join("debian"))?;
    let t64 = if suite.root().is_none() { renamed_packages(paths, &libraries)? } else { String::new() };
    let script =
        "cd \"$1\"; debian/rules binary; cd ..; lintian --allow-root --fail-on error --tag-display-limit 0 *.deb";
    let mut make = inside(paths, suite, script, &[&work.to_string_lossy()]);
    make.env("T64", t64)
        .env("ONNXRUNTIME", of_suite.as_deref().unwrap_or_default())
        .env("SOURCE_DATE_EPOCH", facts.epoch.to_string());
    let printed = run_quiet(&mut make)?;
    let file = only_package(scratch)?;
    let target = out.join(file.file_name().context("a package")?);
    fs::copy(&file, &target).with_context(|| target.display().to_string())?;
    fs::remove_file(&file).with_context(|| file.display().to_string())?;
    let depends = run_quiet(Command::new("dpkg-deb").arg("--field").arg(&target).arg("Depends"))?;
    let tags: Vec<_> = printed.lines().filter(|line| line.starts_with(['W', 'E'])).collect();
    let tags = if tags.is_empty() { String::new() } else { format!("\n    lintian: {}", tags.join("\n    ")) };
    Ok(Package { file: target, summary: format!("Depends: {}{tags}", depends.trim()) })
}

/// A shell script in the suite's root, with arguments.
fn inside(paths: &Paths, suite: &Suite, script: &str, arguments: &[&str]) -> Command {
    let mut command = run_in(paths, &suite.packing_root().folder(paths));
    command.args(["env", "DEBIAN_FRONTEND=noninteractive", "sh", "-ec", script, "sh"]).args(arguments);
    command.env("ROOT_FOLDERS", paths.target());
    command
}

/// The packages of this machine that have the libraries which plugin and program are linked to.
fn libraries(tree: &Tree) -> Result<Vec<String>> {
    let mut packages = Vec::new();
    for name in [tree::PLUGIN, tree::PROGRAM] {
        let file = tree.folder.join(name);
        for library in loaded(&run_quiet(Command::new("ldd").arg(&file))?, &needed(&file)?) {
            let library = fs::canonicalize(&library).with_context(|| library.clone())?;
            let owner = owner(&library).with_context(|| format!("{} belongs to no package", library.display()))?;
            packages.push(owner);
        }
    }
    packages.sort();
    packages.dedup();
    ensure!(!packages.is_empty(), "the plugin is linked to no library");
    Ok(packages)
}

/// The sonames that a file names itself.
fn needed(file: &Path) -> Result<Vec<String>> {
    let text = run_quiet(Command::new("readelf").arg("--dynamic").arg(file).env("LC_ALL", "C"))?;
    let names = text.lines().filter_map(|line| line.split_once("(NEEDED)")?.1.split_once('[')?.1.split_once(']'));
    Ok(names.map(|(name, _)| name.to_owned()).collect())
}

/// The paths that ldd prints for some sonames; the dynamic loader has none.
fn loaded(ldd: &str, sonames: &[String]) -> Vec<String> {
    let lines = ldd.lines().filter_map(|line| line.trim().split_once(" => "));
    let named = lines.filter(|(name, _)| sonames.iter().any(|soname| soname == name));
    named.filter_map(|(_, path)| Some(path.split_once(" (")?.0.to_owned())).collect()
}

/// The package that a file belongs to. It may be registered under /lib while that is a link to /usr/lib.
fn owner(file: &Path) -> Option<String> {
    let merged = Path::new("/").join(file.strip_prefix("/usr").unwrap_or(file));
    let found =
        [file, &merged].into_iter().find_map(|file| run_quiet(Command::new("dpkg").arg("--search").arg(file)).ok());
    Some(found?.split_once(':')?.0.to_owned())
}

/// Installs libraries in the suite's root, under the names that they have there.
fn install(paths: &Paths, suite: &Suite, libraries: &[String]) -> Result<()> {
    let script = "apt-get --quiet update; apt-get --quiet install --yes --no-install-recommends \"$@\"";
    let names: Vec<_> = libraries.iter().map(String::as_str).collect();
    run_quiet(&mut inside(paths, suite, script, &names)).map(drop)
}

/// The suite's own package of ONNX Runtime. Ubuntu 24.04, which is packed in Debian 12, has none either.
fn onnx_runtime(paths: &Paths, suite: &Suite) -> Result<Option<String>> {
    let script = "apt-cache search --names-only '^libonnxruntime[0-9.]*$'";
    let found = run_quiet(&mut inside(paths, suite, script, &[]))?;
    Ok(found.lines().filter_map(|line| line.split_once(' ')).map(|(name, _)| name.to_owned()).max())
}

/// Which of these packages are called NAMEt64 where Debian has renamed them.
fn renamed_packages(paths: &Paths, libraries: &[String]) -> Result<String> {
    let script = "apt-get --quiet update >&2; for name; do ! apt-cache show \"${name}t64\" >/dev/null 2>&1 || echo \"$name\"; done";
    let names: Vec<_> = libraries.iter().map(String::as_str).collect();
    let found = run_quiet(&mut inside(paths, renamed(), script, &names))?;
    Ok(found.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The files in Debian's folders.
fn fill(tree: &Tree, target: &Path, with_onnx_runtime: bool) -> Result<()> {
    let from = |name: &str| tree.folder.join(name);
    tree::copy(&from(tree::PLUGIN), &target.join(PLUGINS).join("libgsttensorrt.so"))?;
    tree::copy(&from(tree::PROGRAM), &target.join("usr/bin/gst-trt"))?;
    tree::copy(&from(tree::CONFIG), &target.join(tree::CONFIG))?;
    copy_all(&from("share"), &target.join("usr/share"))?;
    let zsh = target.join("usr/share/zsh");
    fs::rename(zsh.join("site-functions"), zsh.join("vendor-completions")).context("completions for zsh")?;
    if with_onnx_runtime {
        copy_all(&from(tree::PRIVATE), &target.join("usr").join(tree::PRIVATE))
    } else {
        let notices = target.join("usr").join(tree::DOC).join(tree::NOTICES);
        fs::remove_file(&notices).with_context(|| notices.display().to_string())
    }
}

/// The folder debian/.
fn describe(
    paths: &Paths,
    suite: &Suite,
    tree: &Tree,
    facts: &Facts,
    crates: &str,
    of_suite: Option<&str>,
    folder: &Path,
) -> Result<()> {
    let packaging = paths.root.join("packaging/debian");
    let read = |name: &str| fs::read_to_string(packaging.join(name)).with_context(|| name.to_owned());
    let version = format!("{}-1~{}", facts.version, suite.version);
    let carried = of_suite.is_none().then_some(tree.onnx_runtime.as_str());
    let overrides = if carried.is_some() { read("lintian-overrides")? } else { String::new() };
    let unit = fs::read_to_string(paths.root.join("docs/gst-trt.service")).context("gst-trt.service")?;
    let files = [
        ("control", read("control")?.replace("@MAINTAINER@", &facts.maintainer)),
        ("rules", read("rules")?),
        ("postrm", read("postrm")?),
        ("copyright", copyright::file(paths, crates, carried)?),
        ("changelog", changelog(&version, suite, facts)),
        (&format!("{NAME}.gst-trt.service"), unit),
        (&format!("{NAME}.lintian-overrides"), overrides),
    ];
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (name, text) in files.iter().filter(|(_, text)| !text.is_empty()) {
        fs::write(folder.join(name), text).with_context(|| (*name).to_owned())?;
    }
    fs::set_permissions(folder.join("rules"), fs::Permissions::from_mode(0o755)).context("rules")
}

fn changelog(version: &str, suite: &Suite, facts: &Facts) -> String {
    format!(
        "{NAME} ({version}) {}; urgency=medium\n\n  * Release {}. changelog.gz says what is new.\n\n -- {}  {}\n",
        suite.name, facts.version, facts.maintainer, facts.date
    )
}

/// The package that debhelper has left beside its folder.
fn only_package(folder: &Path) -> Result<PathBuf> {
    let files = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = files.filter_map(|entry| Some(entry.ok()?.path()));
    files.find(|file| file.extension().is_some_and(|extension| extension == "deb")).context("debhelper made no package")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_libraries_that_a_file_names_itself_are_its_dependencies() {
        let ldd = "\tlinux-vdso.so.1 (0x00007ff)\n\tlibgstbase-1.0.so.0 => /lib/x86_64-linux-gnu/libgstbase-1.0.so.0 (0x00007f)\n\
                   \tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let needed = ["libgstbase-1.0.so.0".to_owned(), "ld-linux-x86-64.so.2".to_owned()];
        assert_eq!(loaded(ldd, &needed), ["/lib/x86_64-linux-gnu/libgstbase-1.0.so.0"]);
    }

    #[test]
    fn the_c_library_has_a_package() {
        let file = fs::canonicalize("/lib/x86_64-linux-gnu/libc.so.6").unwrap();
        assert_eq!(owner(&file).as_deref(), Some("libc6"));
    }
}
