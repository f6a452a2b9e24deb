//! The project's folders: the repository, the user's cache and the user's data.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub struct Paths {
    /// The repository's root.
    pub root: PathBuf,
    /// Downloads, converted models and tools: everything that can be created again.
    pub cache: PathBuf,
    /// Libraries of ONNX Runtime and TensorRT, where the plugin looks for them.
    pub data: PathBuf,
}

impl Paths {
    pub fn find() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.parent().context("xtask is not in a repository")?.to_path_buf();
        Ok(Self {
            root,
            cache: xdg("XDG_CACHE_HOME", ".cache")?.join("gst-tensorrt"),
            data: xdg("XDG_DATA_HOME", ".local/share")?.join("gst-tensorrt"),
        })
    }

    /// Cargo's target folder; a relative `CARGO_TARGET_DIR` starts at the repository's root, where cargo is run.
    pub fn target(&self) -> PathBuf {
        self.root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
    }

    /// A path for display: relative if it is in the repository.
    pub fn short<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}

/// The names of a folder's files with this ending, without it, sorted.
pub fn stems(folder: &Path, ending: &str) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(ending)?.to_owned()));
    let mut stems: Vec<String> = names.collect();
    stems.sort();
    Ok(stems)
}

/// All files in a folder and the folders in it.
pub fn walk(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        match path.is_dir() {
            true => files.extend(walk(&path)?),
            false => files.push(path),
        }
    }
    Ok(files)
}

/// A base directory of the XDG specification, which requires relative paths to be ignored.
fn xdg(variable: &str, default: &str) -> Result<PathBuf> {
    match env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(path) => Ok(path),
        None => {
            let home = env::var_os("HOME").filter(|home| !home.is_empty());
            let home = home.with_context(|| format!("neither {variable} nor HOME is set: set one of them"))?;
            Ok(Path::new(&home).join(default))
        }
    }
}
