//! Writing files atomically, and identifying files by their content.
//!
//! - [`whole_file`] writes a file so that readers see either the old content or the new.
//! - [`digest`] hashes files, and doesn't read an unchanged file twice.
//! - [`executable_stack`] finds libraries that newer C libraries don't open, and mends them.
//! - [`foreign_format`] says what a file is that should have been a model.
//! - [`regular_file`] refuses what would block a reader, or never end.
//! - [`user_folder`] finds the user's folders for caches and data.

#![warn(missing_docs)]

pub mod digest;
pub mod executable_stack;
mod foreign;
pub mod user_folder;
pub mod whole_file;

pub use foreign::foreign_format;

use std::io;
use std::path::Path;

/// Checks that a path leads to a regular file: reading a named pipe blocks until there is a writer, and a device may never end.
///
/// # Errors
/// It doesn't exist, isn't accessible, or isn't a regular file.
pub fn regular_file(path: &Path) -> io::Result<()> {
    let metadata = path.metadata()?;
    if metadata.is_file() {
        return Ok(());
    }
    let what = if metadata.is_dir() { "is a folder, not a file" } else { "isn't a file" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}
