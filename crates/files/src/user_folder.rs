//! The user's folders, according to the XDG base directory specification.

use std::path::PathBuf;

/// The folder for data that can be regenerated: `$XDG_CACHE_HOME`, or else `~/.cache`.
pub fn cache() -> PathBuf {
    folder("XDG_CACHE_HOME", ".cache")
}

/// The folder for permanent data: `$XDG_DATA_HOME`, or else `~/.local/share`.
pub fn data() -> PathBuf {
    folder("XDG_DATA_HOME", ".local/share")
}

fn folder(variable: &str, in_home: &str) -> PathBuf {
    let named = std::env::var_os(variable).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    named.unwrap_or_else(|| std::env::home_dir().unwrap_or_default().join(in_home))
}
