//! Files that are written whole, and what a file's content is.
//!
//! - [`whole_file`] writes a file so that readers see either the old content or the new.
//! - [`digest`] hashes files, and reads none twice that hasn't changed.

#![warn(missing_docs)]

pub mod digest;
pub mod whole_file;
