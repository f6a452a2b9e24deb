//! SHA-256 of files, and stamps that show without reading whether a file has changed.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// What identifies a file's content without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified_s: i64,
    modified_ns: i64,
    /// Change of the content, the name or the permissions; unlike the modification time, no program can set it.
    changed_s: i64,
    changed_ns: i64,
}

impl Stamp {
    /// # Errors
    /// The file doesn't exist or isn't accessible.
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
            changed_s: metadata.ctime(),
            changed_ns: metadata.ctime_nsec(),
        })
    }

    /// False for a file that was changed a moment ago: it can change again without its stamp showing it.
    pub fn is_settled(&self) -> bool {
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(self.changed_s.max(0) as u64);
        changed.elapsed().is_ok_and(|age| age > SETTLES)
    }
}

/// The coarsest timestamp resolution of a file system.
const SETTLES: Duration = Duration::from_secs(2);

/// The hashes that this process has computed.
static KNOWN: LazyLock<Mutex<HashMap<Stamp, Hash>>> = LazyLock::new(Mutex::default);

/// Hashes a file. A file that this process has hashed before is read again only if it has changed: the elements of
/// every camera ask for the same few models.
///
/// # Errors
/// The file can't be read.
pub fn of_file(path: &Path) -> io::Result<Hash> {
    let stamp = Stamp::of(path)?;
    if let Some(hash) = KNOWN.lock().get(&stamp) {
        return Ok(*hash);
    }
    crate::regular_file(path)?;
    let hash = read(path)?;
    learn(&stamp, hash);
    Ok(hash)
}

/// Records that the file with this stamp has this hash, unless it was changed a moment ago.
pub fn learn(stamp: &Stamp, hash: Hash) {
    if stamp.is_settled() {
        KNOWN.lock().insert(stamp.clone(), hash);
    }
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

/// Parses what [`hex`] has written.
pub fn from_hex(text: &str) -> Option<Hash> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()).collect();
    bytes?.try_into().ok().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until everything that was changed before now counts as settled.
    fn settle() {
        std::thread::sleep(SETTLES + Duration::from_millis(1100));
    }

    #[test]
    fn a_known_file_is_read_again_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let is = |content: &[u8]| {
            let hash: Hash = Sha256::digest(content).into();
            read(&path).unwrap() == hash && of_file(&path).unwrap() == hash
        };
        std::fs::write(&path, b"first").unwrap();
        let modified = path.metadata().unwrap().modified().unwrap();
        settle();
        assert!(Stamp::of(&path).unwrap().is_settled() && is(b"first") && is(b"first"));
        // Same size and same modification time, as after `cp --preserve`.
        std::fs::write(&path, b"other").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert!(is(b"other"));
        // Possibly within one tick of the file system's clock.
        let stamp = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            Stamp::of(&path).unwrap()
        };
        assert!(!stamp(b"fresh").is_settled() && is(b"fresh"));
        stamp(b"later");
        assert!(is(b"later"));
    }

    /// The remembered hash is returned without reading the file.
    #[test]
    fn a_known_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"content").unwrap();
        let stamp = Stamp::of(&path).unwrap();
        learn(&stamp, [7; 32]);
        assert_ne!(of_file(&path).unwrap(), [7; 32], "it was changed this moment");
        settle();
        learn(&stamp, [7; 32]);
        assert_eq!(of_file(&path).unwrap(), [7; 32]);
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        assert_eq!(of_file(Path::new("/nonexistent")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(of_file(Path::new("/")).is_err());
    }

    #[test]
    fn hexadecimal_there_and_back() {
        let hash: Hash = Sha256::digest(b"content").into();
        assert_eq!(from_hex(&hex(&hash)), Some(hash));
        for wrong in ["", "0", "zz", &hex(&hash)[1..], &format!("{}00", hex(&hash))] {
            assert_eq!(from_hex(wrong), None, "{wrong}");
        }
    }
}
