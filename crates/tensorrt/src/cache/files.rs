//! The cache's files.

use crate::error::Error;
use files::whole_file;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Writes a file, and makes its folder: readers see the old file or the new one, whole.
///
/// # Errors
/// No room, no permission.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let made = std::fs::create_dir_all(folder).and_then(|()| whole_file::write_durably(path, content));
    made.map_err(|error| Error::file(path, &error))
}

/// `None` when it isn't there or isn't such JSON.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
