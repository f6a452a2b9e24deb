//! Packs this machine's GStreamer so that it runs from any folder: plugins, tools, and every library that they need except the
//! system's own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{copy_into, strip_symbols};
use crate::command::run_quiet;

/// Plugins by file name, without `libgst`.
pub const PLUGINS: &[&str] = &[
    "app",
    "autodetect",
    "coreelements",
    "coretracers",
    "debug",
    "isomp4",
    "jpeg",
    "libav",
    "multifile",
    "nvcodec",
    "openh264",
    "playback",
    "png",
    "rawparse",
    "rtp",
    "rtpmanager",
    "rtsp",
    "tcp",
    "typefindfunctions",
    "udp",
    "videoconvertscale",
    "videofilter",
    "videoparsersbad",
    "videorate",
    "videotestsrc",
];

/// Without these plugins nothing in the bundle runs.
pub const NEEDED: [&str; 5] = ["app", "coreelements", "isomp4", "nvcodec", "videoparsersbad"];

/// Libraries that are opened by name at run time, so the linker doesn't list them as dependencies.
pub const OPENED: [&str; 1] = ["libgstcuda-1.0.so.0"];

/// Libraries of glibc and of the driver, which must be the target machine's own.
const SYSTEM: [&str; 11] = [
    "ld-linux-x86-64.so",
    "libc.so",
    "libcuda.so",
    "libdl.so",
    "libm.so",
    "libnsl.so",
    "libnvcuvid.so",
    "libpthread.so",
    "libresolv.so",
    "librt.so",
    "libutil.so",
];

/// Fills a folder with `bin`, `lib` and `lib/gstreamer-1.0`.
pub fn pack(root: &Path) -> Result<()> {
    let (bin, lib) = (root.join("bin"), root.join("lib"));
    let folder = variable("pluginsdir")?;
    let mut packed = Vec::new();
    for &plugin in PLUGINS {
        let file = folder.join(format!("libgst{plugin}.so"));
        if file.exists() {
            copy_into(&file, &lib.join("gstreamer-1.0"), true)?;
            packed.push(file);
        } else if NEEDED.contains(&plugin) {
            bail!("{} doesn't exist: run cargo xtask setup", file.display());
        }
    }
    let tools = variable("toolsdir")?;
    for tool in ["gst-launch-1.0", "gst-inspect-1.0"] {
        copy_into(&tools.join(tool), &bin, true)?;
        packed.push(tools.join(tool));
    }
    let scanner = variable("pluginscannerdir")?.join("gst-plugin-scanner");
    copy_into(&scanner, &bin, true)?;
    packed.push(scanner);
    let libraries = folder.parent().context("the plugin folder has no parent folder")?;
    packed.extend(OPENED.map(|name| libraries.join(name)));
    for library in OPENED {
        copy_into(&libraries.join(library), &lib, true)?;
    }
    for library in needed(&packed)? {
        let target = lib.join(library.file_name().context("a library")?);
        if !target.exists() {
            fs::copy(&library, &target).with_context(|| library.display().to_string())?;
            strip_symbols(&target)?;
        }
    }
    Ok(())
}

/// A folder that GStreamer's pkg-config file names.
fn variable(name: &str) -> Result<PathBuf> {
    let text = run_quiet(Command::new("pkg-config").arg(format!("--variable={name}")).arg("gstreamer-1.0"))?;
    let path = PathBuf::from(text.trim());
    if !path.is_dir() {
        bail!("pkg-config's {name} of gstreamer-1.0 is {}, which is not a folder", path.display());
    }
    Ok(path)
}

/// Every library that these files need, directly or indirectly.
fn needed(files: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let mut all = BTreeSet::new();
    for file in files {
        // ldd also lists indirect dependencies.
        let text = run_quiet(Command::new("ldd").arg(file))?;
        all.extend(libraries(&text).filter(|library| !is_the_systems(library)));
    }
    Ok(all)
}

/// The paths in the output of `ldd`.
pub fn libraries(text: &str) -> impl Iterator<Item = PathBuf> {
    text.lines().filter_map(|line| {
        let path = line.split_once("=> ")?.1.split(" (").next()?.trim();
        path.starts_with('/').then(|| path.into())
    })
}

fn is_the_systems(library: &Path) -> bool {
    let name = library.file_name().unwrap_or_default().to_string_lossy();
    SYSTEM.iter().any(|system| name.starts_with(system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_libraries_stay_out() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                    \tlibgstreamer-1.0.so.0 => /usr/lib/libgstreamer-1.0.so.0 (0x00007f)\n\
                    \tlibm.so.6 => /lib/libm.so.6 (0x00007f)\n\
                    \tlibmount.so.1 => /lib/libmount.so.1 (0x00007f)\n\
                    \tlibcuda.so.1 => not found\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expected = ["/usr/lib/libgstreamer-1.0.so.0", "/lib/libmount.so.1"].map(PathBuf::from);
        assert_eq!(libraries(text).filter(|library| !is_the_systems(library)).collect::<Vec<_>>(), expected);
    }
}
