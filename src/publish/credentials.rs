//! Accounts on servers, from the environment, and names for clients.

use crate::config::Secret;
use files::digest::hex;
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicU64, Ordering};

/// User name and password from the environment variables `PREFIX_USERNAME` and `PREFIX_PASSWORD`; the name is empty if there is
/// only a password.
///
/// # Errors
/// A variable isn't UTF-8.
pub fn from_environment(prefix: &str) -> Result<Option<(String, Secret)>, String> {
    if prefix.is_empty() {
        return Ok(None);
    }
    let variable = |end: &str| {
        let name = format!("{prefix}_{end}");
        match std::env::var(&name) {
            Ok(value) => Ok(Some(value)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(format!("the environment variable {name} isn't UTF-8")),
        }
    };
    Ok(match (variable("USERNAME")?, variable("PASSWORD")?) {
        (None, None) => None,
        (name, password) => Some((name.unwrap_or_default(), Secret::new(password.unwrap_or_default()))),
    })
}

/// Like [`from_environment`], for servers whose accounts have names.
///
/// # Errors
/// There is a password without a name.
pub fn named_from_environment(prefix: &str) -> Result<Option<(String, Secret)>, String> {
    match from_environment(prefix)? {
        Some((name, _)) if name.is_empty() => {
            Err(format!("the environment variable {prefix}_PASSWORD is set but {prefix}_USERNAME isn't"))
        }
        found => Ok(found),
    }
}

/// A name that no other client has: 22 letters and digits.
pub fn unique_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut hash = Sha256::new();
    for file in ["/etc/machine-id", "/proc/sys/kernel/hostname", "/proc/self/stat"] {
        hash.update(std::fs::read(file).unwrap_or_default());
    }
    hash.update(COUNT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    format!("gsttrt{:.16}", hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_short() {
        let (one, two) = (unique_id(), unique_id());
        assert_ne!(one, two);
        assert!(one.len() <= 23 && one.chars().all(|c| c.is_ascii_alphanumeric()), "{one}");
    }
}
