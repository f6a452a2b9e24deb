//! The user's folders, as the XDG base directory specification has them.

use std::path::PathBuf;

/// What is made again when it's gone: `$XDG_CACHE_HOME`, else `~/.cache`.
pub fn cache() -> PathBuf {
    folder("XDG_CACHE_HOME", ".cache")
}

/// What is kept: `$XDG_DATA_HOME`, else `~/.local/share`.
pub fn data() -> PathBuf {
    folder("XDG_DATA_HOME", ".local/share")
}

fn folder(variable: &str, in_home: &str) -> PathBuf {
    let named = std::env::var_os(variable).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    named.unwrap_or_else(|| std::env::home_dir().unwrap_or_default().join(in_home))
}
