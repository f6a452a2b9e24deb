//! Files that are either whole or not there.

use super::hashes::file_error;
use crate::tensorrt::error::Error;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes beside `path` and renames: readers see the old file or the new one. A failure leaves nothing behind.
///
/// # Errors
/// No room, no permission.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.part", std::process::id()));
    let partial = PathBuf::from(partial);
    let write = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = File::create(&partial)?;
        file.write_all(content)?;
        // The rename must not reach the disk before the content.
        file.sync_all()?;
        std::fs::rename(&partial, path)
    };
    write().map_err(|error| {
        let _ = std::fs::remove_file(&partial);
        file_error(path, &error)
    })
}

/// `None` when it isn't there or isn't such JSON.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        // A folder can't be replaced by a file.
        let folder_there = folder.path().join("b");
        std::fs::create_dir(&folder_there).unwrap();
        assert!(write_atomically(&folder_there, b"x").unwrap_err().to_string().contains('b'));
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}
