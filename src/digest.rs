//! SHA-256 of files, and what tells without reading whether one is as it was.

use crate::sync::lock;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, SystemTime};

/// SHA-256.
pub type Hash = [u8; 32];

/// What identifies a file's content without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified_s: i64,
    modified_ns: i64,
}

impl Stamp {
    /// # Errors
    /// The system's: the file isn't there, or mustn't be seen.
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
        })
    }

    /// A file changed this moment can change again without its stamp showing it.
    pub fn is_settled(&self) -> bool {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(self.modified_s.max(0) as u64);
        modified.elapsed().is_ok_and(|age| age > Duration::from_secs(2))
    }
}

/// Of a file. One that this process has read is read again only when it has changed: each camera's elements ask for the same
/// few models.
///
/// # Errors
/// The system's.
pub fn of_file(path: &Path) -> io::Result<Hash> {
    static KNOWN: LazyLock<Mutex<HashMap<Stamp, Hash>>> = LazyLock::new(Mutex::default);
    let stamp = Stamp::of(path)?;
    if let Some(hash) = lock(&KNOWN).get(&stamp) {
        return Ok(*hash);
    }
    let hash = read(path)?;
    if stamp.is_settled() {
        lock(&KNOWN).insert(stamp, hash);
    }
    Ok(hash)
}

fn read(path: &Path) -> io::Result<Hash> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            count => hasher.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn set_modified(path: &Path, at: SystemTime) {
        File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    }

    #[test]
    fn a_known_file_is_read_again_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let is = |content: &[u8]| {
            let hash: Hash = Sha256::digest(content).into();
            read(&path).unwrap() == hash && of_file(&path).unwrap() == hash
        };
        let write = |content: &[u8], age: u64| {
            std::fs::write(&path, content).unwrap();
            set_modified(&path, SystemTime::now() - Duration::from_secs(age));
        };
        write(b"first", 60);
        assert!(is(b"first") && is(b"first"));
        write(b"other", 30);
        assert!(is(b"other"), "of the same size");
        // Within one tick of the file system's clock, maybe.
        let stamp = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            Stamp::of(&path).unwrap()
        };
        assert!(!stamp(b"fresh").is_settled() && is(b"fresh"));
        stamp(b"later");
        assert!(is(b"later"));
    }

    /// Without reading it: what stands in memory is what comes.
    #[test]
    fn a_known_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let modified = SystemTime::now() - Duration::from_secs(60);
        let write = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            set_modified(&path, modified);
        };
        write(b"first");
        let first = of_file(&path).unwrap();
        write(b"other");
        assert_eq!(of_file(&path).unwrap(), first, "the same stamp");
        assert_ne!(read(&path).unwrap(), first);
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        assert_eq!(of_file(Path::new("/nonexistent")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(of_file(Path::new("/")).is_err());
    }
}
