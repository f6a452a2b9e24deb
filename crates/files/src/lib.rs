//! Writing files atomically, and identifying files by their content.
//!
//! - [`whole_file`] writes a file so that readers see either the old content or the new.
//! - [`digest`] hashes files, and doesn't read an unchanged file twice.
//! - [`executable_stack`] finds libraries that newer C libraries don't open, and mends them.
//! - [`user_folder`] finds the user's folders for caches and data.

#![warn(missing_docs)]

pub mod digest;
pub mod executable_stack;
pub mod user_folder;
pub mod whole_file;
