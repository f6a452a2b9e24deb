//! Writing files so that they are either complete or absent.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Names of files that are being written end with this, after their extension.
pub const PART: &str = ".part";

/// Writes a file so that a reader sees either the old or the complete new content. A failure leaves no file behind.
///
/// # Errors
/// The system call failed.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    write_with(path, content, |_| Ok(()))
}

/// Like [`write`](fn@write), but the guarantee also covers a loss of power.
///
/// # Errors
/// The system call failed.
pub fn write_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    // The rename must not reach the disk before the content.
    write_with(path, content, File::sync_all)
}

/// Like [`write_durably`], for a file that is there: it keeps its permissions, and its owner where that is permitted.
///
/// # Errors
/// There is no such file, or a system call failed.
pub fn replace_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    let before = path.metadata()?;
    write_with(path, content, |part| {
        // A program that isn't root may give a file to itself only.
        let _ = std::os::unix::fs::fchown(part, Some(before.uid()), Some(before.gid()));
        part.set_permissions(before.permissions())?;
        part.sync_all()
    })
}

fn write_with(path: &Path, content: &[u8], finish: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The name shows which file it belongs to, in case the process dies and leaves it behind.
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default();
    // The name is unique, and the permissions are those of a new file.
    let mut part = tempfile::Builder::new()
        .suffix(&format!("{extension}{PART}"))
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
    part.write_all(content)?;
    finish(part.as_file())?;
    part.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for (write, content) in [(write as fn(&Path, &[u8]) -> _, b"one"), (write_durably, b"two")] {
            write(&path, content).unwrap();
            assert_eq!((std::fs::read(&path).unwrap(), names(folder.path())), (content.to_vec(), vec!["a".to_owned()]));
        }
        let plain = folder.path().join("plain");
        std::fs::write(&plain, "").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain), "as any new file");
        // A folder can't be replaced by a file.
        let inner = folder.path().join("b");
        std::fs::create_dir(&inner).unwrap();
        assert!(write(&inner, b"x").is_err() && write(&folder.path().join("no/a"), b"x").is_err());
        assert_eq!(names(folder.path()), ["a", "b", "plain"]);
    }

    /// Cameras that start together write the same file: each write is whole, and none fails.
    #[test]
    fn writes_of_one_file_at_once_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::thread::scope(|scope| {
            for n in 0..8u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..25 {
                        write_durably(path, &vec![n; 100_000 + usize::from(n)]).unwrap();
                        let read = std::fs::read(path).unwrap();
                        let first = read[0];
                        assert_eq!(read.len(), 100_000 + usize::from(first));
                        assert!(read.iter().all(|byte| *byte == first));
                    }
                });
            }
        });
        assert_eq!(names(folder.path()), ["a"]);
    }
}
