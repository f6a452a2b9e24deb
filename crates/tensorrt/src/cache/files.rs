//! Reading and writing the cache's files.

use crate::error::Error;
use files::whole_file;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Writes a file, and creates its folder: readers see either the old file or the complete new one.
///
/// # Errors
/// The disk is full, or permission is missing.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let made = std::fs::create_dir_all(folder).and_then(|()| whole_file::write_durably(path, content));
    made.map_err(|error| Error::file(path, &error))
}

/// `None` if the file is missing or isn't JSON of this type.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
