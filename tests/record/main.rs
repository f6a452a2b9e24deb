//! Recording of pictures and videos.

mod appearances;
mod changes;
#[path = "../common/mod.rs"]
mod common;
mod files;
