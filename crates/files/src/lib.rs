//! Writing files atomically, and identifying files by their content.
//!
//! - [`whole_file`] writes a file so that readers see either the old content or the new.
//! - [`digest`] hashes files, and doesn't read an unchanged file twice.

#![warn(missing_docs)]

pub mod digest;
pub mod whole_file;
