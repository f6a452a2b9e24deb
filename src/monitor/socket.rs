//! How `gst-trt monitor` finds and reads a `gst-trt run`: a Unix socket in the user's runtime folder, on which each reader
//! gets a sample a period as a line of JSON.
//!
//! It's used instead of the metrics' address because it's always there, is for the same user only, and needs no port.

use super::sample::Sample;
use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder of the sockets: `$XDG_RUNTIME_DIR/gst-tensorrt`; without that variable, as in services, the user's own
/// folder in `/tmp`.
pub fn folder() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute()) {
        Some(folder) => folder.join("gst-tensorrt"),
        None => PathBuf::from(format!("/tmp/gst-tensorrt-{}", nix::unistd::geteuid())),
    }
}

/// The socket of a process in `folder`.
pub fn path(folder: &Path, pid: u32) -> PathBuf {
    folder.join(format!("run-{pid}.sock"))
}

/// Sends samples to readers. Dropping it removes the socket.
pub struct Server {
    path: PathBuf,
    listener: UnixListener,
    readers: Vec<UnixStream>,
}

impl Server {
    /// # Errors
    /// The folder isn't private to this user, or the socket can't be created.
    pub fn start(folder: &Path) -> io::Result<Self> {
        prepare(folder)?;
        let path = path(folder, std::process::id());
        // A socket of an earlier process with the same id.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { path, listener, readers: Vec::new() })
    }

    /// Sends `line` to all connected readers; a reader that doesn't keep up is disconnected.
    pub fn send(&mut self, line: &[u8]) {
        while let Ok((reader, _)) = self.listener.accept() {
            if reader.set_nonblocking(true).is_ok() {
                self.readers.push(reader);
            }
        }
        // A line that fits into the socket's buffer, at least 200 KB, is written whole.
        self.readers.retain_mut(|reader| reader.write(line).is_ok_and(|written| written == line.len()));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Creates the folder if it doesn't exist, and checks that no other user can write to it.
fn prepare(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(folder)?;
    let ours = found.is_dir() && found.uid() == nix::unistd::geteuid().as_raw() && found.mode() & 0o022 == 0;
    let refuse =
        || io::Error::new(ErrorKind::PermissionDenied, format!("{} isn't private to this user", folder.display()));
    if ours { Ok(()) } else { Err(refuse()) }
}

/// The processes that can be watched, with their sockets; sockets of dead processes are removed.
pub fn running(folder: &Path) -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let pid = name.strip_prefix("run-")?.strip_suffix(".sock")?.parse().ok()?;
            match UnixStream::connect(entry.path()) {
                Ok(_) => Some((pid, entry.path())),
                Err(error) => {
                    if error.kind() == ErrorKind::ConnectionRefused {
                        let _ = fs::remove_file(entry.path());
                    }
                    None
                }
            }
        })
        .collect();
    found.sort();
    found
}

/// Reads the samples of a running process, until it ends.
pub struct Reader(BufReader<UnixStream>);

impl Reader {
    /// # Errors
    /// No process listens on the socket.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        // Longer than the longest sampling period.
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        Ok(Self(BufReader::new(stream)))
    }
}

impl Iterator for Reader {
    type Item = io::Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).map_err(io::Error::from)),
            Err(error) => Some(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sampler;
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn readers_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("gst-tensorrt");
        let mut server = Server::start(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        let pid = std::process::id();
        let found = running(&folder);
        assert_eq!(found, [(pid, path(&folder, pid))]);
        let sample = Sampler::new(15.0, false).sample(Vec::new());
        let mut line = serde_json::to_vec(&sample).unwrap();
        line.push(b'\n');

        let mut reader = Reader::connect(&found[0].1).unwrap();
        let leaving = Reader::connect(&found[0].1).unwrap();
        let _idle = Reader::connect(&found[0].1).unwrap();
        server.send(&line);
        drop(leaving);
        assert_eq!(reader.next().unwrap().unwrap().process.unwrap().pid, pid);
        // A reader that never reads is disconnected in the end, and blocks no other.
        for _ in 0..10_000 {
            server.send(&line);
            reader.next().unwrap().unwrap();
        }
        assert_eq!(server.readers.len(), 1);
        drop(server);
        assert!(reader.next().is_none());
        assert!(running(&folder).is_empty());
    }

    #[test]
    fn what_a_dead_process_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        drop(UnixListener::bind(path(folder.path(), 1)).unwrap());
        assert!(path(folder.path(), 1).exists());
        assert!(running(folder.path()).is_empty());
        assert!(!path(folder.path(), 1).exists());
        assert!(running(Path::new("/no/such/folder")).is_empty());
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = Server::start(folder.path()).err().unwrap();
        assert!(error.to_string().contains("isn't private to this user"), "{error}");
    }
}
