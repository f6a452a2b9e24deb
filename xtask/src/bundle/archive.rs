//! Packs a folder into a compressed archive, split into parts if it is large.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Maximum bytes per part, because some ways of copying files to such machines limit their size.
const LARGEST: u64 = 60_000_000;

const NAME: &str = "gpu-bundle.tar.gz";

/// Packs `root` under its own name; returns the files in order.
pub fn pack(root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    // Files of an earlier call.
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let file = entry?.path();
        if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(NAME)) {
            fs::remove_file(&file).with_context(|| file.display().to_string())?;
        }
    }
    let parts = Parts { folder: folder.into(), largest: LARGEST, file: None, left: 0, paths: Vec::new() };
    let mut tar = tar::Builder::new(GzEncoder::new(parts, Compression::best()));
    tar.follow_symlinks(false);
    let name = root.file_name().context("a folder's name")?;
    tar.append_dir_all(name, root).with_context(|| root.display().to_string())?;
    let parts = tar.into_inner()?.finish()?;
    parts.finish()
}

/// A writer that splits its output into files of limited size.
struct Parts {
    folder: PathBuf,
    largest: u64,
    file: Option<File>,
    /// Bytes left in the open file.
    left: u64,
    paths: Vec<PathBuf>,
}

impl Parts {
    /// A single part has no number in its name.
    fn finish(mut self) -> Result<Vec<PathBuf>> {
        self.file = None;
        if let [only] = &self.paths[..] {
            let whole = self.folder.join(NAME);
            fs::rename(only, &whole).with_context(|| whole.display().to_string())?;
            return Ok(vec![whole]);
        }
        Ok(self.paths)
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            self.file = None;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let path = self.folder.join(format!("{NAME}.{:02}", self.paths.len()));
                self.left = self.largest;
                self.paths.push(path.clone());
                none.insert(File::create(path)?)
            }
        };
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let written = file.write(&bytes[..most])?;
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), File::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(folder: &Path, largest: u64) -> Parts {
        Parts { folder: folder.into(), largest, file: None, left: 0, paths: Vec::new() }
    }

    #[test]
    fn parts_concatenate_to_the_archive() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..250).collect();
        let mut writer = parts(folder.path(), 100);
        writer.write_all(&bytes).unwrap();
        let paths = writer.finish().unwrap();
        let read: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        assert_eq!(read.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 50]);
        assert_eq!(read.concat(), bytes);
    }

    #[test]
    fn one_part_has_no_number() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = parts(folder.path(), 100);
        writer.write_all(b"little").unwrap();
        assert_eq!(writer.finish().unwrap(), [folder.path().join(NAME)]);
    }
}
