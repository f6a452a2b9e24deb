//! Packs the part of a Debian root that the bundle's scripts and tests need: GStreamer, a shell with its programs, and every
//! library, the C library included.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::gstreamer::{NEEDED, OPENED, PLUGINS, libraries};
use super::{copy_to, strip_symbols};
use crate::command::run_quiet;
use crate::paths::{Paths, walk};
use crate::roots::{self, Root};

/// Where all libraries are.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// Plugins that only newer GStreamers are tested with.
const NEWER: &[&str] = &["compositor", "de265", "jpegformat", "videobox", "videocrop", "x264", "x265"];

/// FFmpeg's libraries would be two thirds of the root; without them other software decoders serve.
const LEFT_OUT: &str = "libav";

/// What the scripts call, and what is of use in a shell.
const PROGRAMS: &[&str] = &[
    "awk",
    "basename",
    "bash",
    "cat",
    "cp",
    "cut",
    "date",
    "dirname",
    "env",
    "find",
    "grep",
    "gst-inspect-1.0",
    "gst-launch-1.0",
    "head",
    "ldd",
    "kill",
    "ln",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "nice",
    "nproc",
    "ps",
    "readlink",
    "rm",
    "sed",
    "sh",
    "sleep",
    "sort",
    "tail",
    "tee",
    "timeout",
    "tr",
    "uname",
    "uniq",
    "wc",
];

/// Libraries that TensorRT needs and GStreamer may not.
const FOR_TENSORRT: [&str; 6] =
    ["libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1", "libstdc++.so.6"];

const LOADER: &str = "ld-linux-x86-64.so.2";

const FILES: [(&str, &str); 4] = [
    ("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"),
    ("etc/group", "root:x:0:\n"),
    ("etc/hosts", "127.0.0.1 localhost\n"),
    ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];

/// Copies to `target` what `programs` need too.
pub fn pack(paths: &Paths, root: &Root, programs: &[PathBuf], target: &Path) -> Result<()> {
    let source = root.folder(paths);
    for folder in ["dev", "proc", "sys", "tmp", "run", "root", "etc", "usr/bin", "usr/sbin", "usr/lib64"] {
        let folder = target.join(folder);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    for link in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{link}"), target.join(link))?;
    }
    for (name, text) in FILES {
        fs::write(target.join(name), text).context(name)?;
    }
    let mut files = Vec::new();
    let plugins = Path::new(LIBRARIES).join("gstreamer-1.0");
    for plugin in PLUGINS.iter().chain(NEWER).filter(|plugin| **plugin != LEFT_OUT) {
        let file = plugins.join(format!("libgst{plugin}.so"));
        match source.join(&file).exists() {
            true => files.push(file),
            false if NEEDED.contains(plugin) => bail!("{} has no {}", source.display(), file.display()),
            false => {}
        }
    }
    files.extend(PROGRAMS.iter().map(|program| Path::new("usr/bin").join(program)));
    files.extend(OPENED.iter().chain(&FOR_TENSORRT).map(|library| Path::new(LIBRARIES).join(library)));
    files.push(Path::new(LIBRARIES).join("gstreamer1.0/gstreamer-1.0/gst-plugin-scanner"));
    let inside = files.iter().map(|file| Path::new("/").join(file)).chain(programs.iter().cloned());
    for library in needed(paths, &source, inside)? {
        files.push(Path::new(LIBRARIES).join(library.file_name().context("a library")?));
    }
    let locale = Path::new("usr/lib/locale/C.utf8");
    for entry in walk(&source.join(locale))? {
        let file = entry.strip_prefix(&source).context("a file of the locale")?;
        copy_to(&entry, &target.join(file), false)?;
    }
    for file in files.iter().collect::<BTreeSet<_>>() {
        // Links are resolved as paths in the root: bash's sh, Debian's alternatives.
        let from = resolved(&source, file)?;
        copy_to(&from, &target.join(file), false)?;
        // Scripts have no symbols.
        let _ = strip_symbols(&target.join(file));
    }
    copy_to(&resolved(&source, &Path::new("usr/lib64").join(LOADER))?, &target.join("usr/lib64").join(LOADER), false)?;
    fs::set_permissions(target.join("tmp"), fs::Permissions::from_mode(0o1777)).context("tmp")
}

/// Every library that these files of the root need, directly or indirectly.
fn needed(paths: &Paths, root: &Path, files: impl Iterator<Item = PathBuf>) -> Result<BTreeSet<PathBuf>> {
    let mut ldd = roots::run_in(paths, root);
    ldd.env("ROOT_FOLDERS", paths.target());
    // ldd fails for scripts, and goes on.
    ldd.args(["sh", "-c", "ldd \"$@\" 2>/dev/null || true", "sh"]).args(files);
    let text = run_quiet(&mut ldd)?;
    if let Some(missing) = text.lines().find(|line| line.contains("=> not found") && !line.contains("libcuda.so")) {
        bail!("in {}: {}", root.display(), missing.trim());
    }
    Ok(libraries(&text).collect())
}

/// The file that a path in the root leads to.
fn resolved(root: &Path, path: &Path) -> Result<PathBuf> {
    let mut path = root.join(path);
    for _ in 0..8 {
        let Ok(link) = fs::read_link(&path) else { return Ok(path) };
        path = match link.strip_prefix("/") {
            Ok(absolute) => root.join(absolute),
            Err(_) => path.parent().context("a link in a folder")?.join(link),
        };
    }
    bail!("{} is a link to itself", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roots::ROOTS;
    use std::io::Write;

    /// The packed root is all that its programs need: the scripts' first steps run in it.
    #[test]
    fn a_packed_root_runs_by_itself() {
        let paths = Paths::find().unwrap();
        for root in ROOTS {
            if let Some(obstacle) = root.obstacle(&paths) {
                let _ = writeln!(std::io::stderr(), "skipped: a packed root: {obstacle}");
                continue;
            }
            let folder = tempfile::tempdir_in(paths.target()).unwrap();
            let target = folder.path().join(root.gstreamer);
            pack(&paths, &root, &[std::env::current_exe().unwrap()], &target).unwrap();
            let ran = |words: &[&str]| run_quiet(roots::run_in(&paths, &target).args(words)).unwrap();
            assert!(ran(&["gst-launch-1.0", "--version"]).contains(&format!("GStreamer {}.", root.gstreamer)));
            ran(&[
                "gst-launch-1.0",
                "-q",
                "videotestsrc",
                "num-buffers=3",
                "!",
                "jpegenc",
                "!",
                "jpegdec",
                "!",
                "fakesink",
            ]);
            let text = ran(&[
                "bash",
                "-c",
                "echo ä | tee /dev/null | sed s/./b/ | awk '{print $1}'; timeout 5 nproc >/dev/null; /bin/kill -0 $$",
            ]);
            // In the locale C the letter would have two characters.
            assert_eq!(text, "b\n");
        }
    }
}
