//! Writes lines to a file on disk.

use super::output::Output;
use super::subject::Subject;
use super::write_lock::WriteLock;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Appends lines to a file, and follows its path: when the file was moved or deleted, the path is opened again.
pub struct FileOutput {
    name: String,
    /// `None` for a file that was passed in open, such as standard output.
    path: Option<PathBuf>,
    file: File,
    /// Shared with the other writers of this file.
    lock: Arc<WriteLock>,
    /// When the path was last checked.
    looked: Instant,
}

impl FileOutput {
    pub const GATHER: Duration = Duration::from_millis(100);
    /// The shortest time between two checks of the path: lines aren't written more often while they are gathered.
    const LOOK: Duration = Self::GATHER;

    /// # Errors
    /// From the system.
    pub fn new(name: String, path: PathBuf, file: File) -> io::Result<Self> {
        Ok(Self { path: Some(path), ..Self::unnamed(name, file)? })
    }

    /// Makes an output of an open file without a path.
    ///
    /// # Errors
    /// From the system.
    pub fn unnamed(name: String, file: File) -> io::Result<Self> {
        Ok(Self { name, path: None, lock: WriteLock::of(&file)?, file, looked: Instant::now() })
    }

    /// Opens whatever this path names for writing at its end.
    ///
    /// # Errors
    /// From the system.
    pub fn open_path(path: &Path, append: bool) -> io::Result<File> {
        use nix::fcntl::OFlag;
        // O_APPEND: a file that another program truncates, as copying log rotation does, must not get a hole of zeros
        // up to the old end. O_NONBLOCK: a named pipe without a reader is an error, and doesn't hold up the start of
        // the pipeline.
        let flags = OFlag::O_APPEND | OFlag::O_NONBLOCK;
        OpenOptions::new().write(true).create(true).truncate(!append).custom_flags(flags.bits()).open(path)
    }

    /// Opens the path again if it names another file or none, because the file was moved or deleted.
    fn follow(&mut self) -> io::Result<()> {
        self.looked = Instant::now();
        let Some(path) = &self.path else { return Ok(()) };
        match (path.metadata(), self.file.metadata()?) {
            (Ok(named), own) if (named.dev(), named.ino()) == (own.dev(), own.ino()) => return Ok(()),
            (Err(error), _) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                // The path isn't accessible, so nothing says that the file has moved.
                return Ok(());
            }
            _ => {}
        }
        let file = Self::open_path(path, true)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("the path now names something other than a file"));
        }
        self.lock = WriteLock::of(&file)?;
        self.file = file;
        Ok(())
    }

    /// Truncates the last bytes, which are the beginning of a line that doesn't fit. Returns whether that was possible.
    fn cut(&mut self, bytes: usize) -> bool {
        let end = self.file.stream_position().ok();
        let length = self.file.metadata().ok().map(|metadata| metadata.len());
        // If another program has appended to the file or truncated it meanwhile, its data must not be lost.
        match end.filter(|end| Some(*end) == length).and_then(|end| end.checked_sub(bytes as u64)) {
            Some(length) => self.file.set_len(length).is_ok(),
            None => false,
        }
    }
}

impl Output for FileOutput {
    fn name(&self) -> &str {
        &self.name
    }

    fn can_stall(&self) -> bool {
        false
    }

    fn gather(&self) -> Duration {
        Self::GATHER
    }

    fn write(&mut self, lines: &mut &[u8], _: &Subject, give_up: &AtomicBool) -> io::Result<()> {
        if self.looked.elapsed() >= Self::LOOK {
            self.follow()?;
        }
        let lock = self.lock.clone();
        let Some(mut lock) = lock.take(give_up) else { return Ok(()) };
        if lock.after_torn {
            self.file.write_all(b"\n")?;
            lock.set_torn(false);
        }
        let mut left = *lines;
        let result = loop {
            if left.is_empty() {
                break Ok(());
            }
            match self.file.write(left) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => left = left.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        if result.is_ok() {
            *lines = left;
            return result;
        }
        let written = lines.len() - left.len();
        let begun = lines.get(..written).unwrap_or_default();
        let whole = begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        if whole < written {
            lock.set_torn(!self.cut(written - whole));
        }
        *lines = lines.get(whole..).unwrap_or_default();
        result
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.follow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    static GO_ON: AtomicBool = AtomicBool::new(false);

    fn output(path: &Path, append: bool) -> FileOutput {
        let file = FileOutput::open_path(path, append).unwrap();
        FileOutput::new(path.display().to_string(), path.to_owned(), file).unwrap()
    }

    fn write(output: &mut FileOutput, text: &str) {
        // As if the last check were long ago.
        output.looked = Instant::now().checked_sub(FileOutput::LOOK).unwrap();
        let mut lines = text.as_bytes();
        output.write(&mut lines, &Subject::objects(""), &GO_ON).unwrap();
        assert!(lines.is_empty());
    }

    #[test]
    fn a_file_that_was_moved_deleted_or_replaced_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("lines"), folder.path().join("other"));
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let mut output = output(&path, false);
        write(&mut output, "1\n");
        std::fs::rename(&path, &other).unwrap();
        write(&mut output, "2\n");
        assert_eq!((read(&other), read(&path)), ("1\n".into(), "2\n".into()), "moved");
        std::fs::rename(&other, &path).unwrap();
        write(&mut output, "3\n");
        assert_eq!(read(&path), "1\n3\n", "replaced by one that isn't empty");
        std::fs::remove_file(&path).unwrap();
        output.reopen().unwrap();
        assert_eq!(read(&path), "", "without a line");
        write(&mut output, "4\n");
        assert_eq!(read(&path), "4\n", "deleted");
        std::fs::File::options().write(true).truncate(true).open(&path).unwrap();
        write(&mut output, "5\n");
        assert_eq!(read(&path), "5\n", "emptied in place");
        let folder = folder.path().to_owned();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(output.reopen().unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::create_dir(&folder).unwrap();
        write(&mut output, "6\n");
        assert_eq!(read(&path), "6\n", "with its folder");
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(output.reopen().is_err(), "a folder");
    }

    /// A file at its size limit is like a full disk: a line is written whole, or not at all.
    #[test]
    fn what_does_not_fit_is_not_begun() {
        if std::env::var_os("GST_TRT_TEST_FILE_LIMIT").is_none() {
            // The limit is per process, so this test runs in a process of its own.
            let test = "publish::file::tests::what_does_not_fit_is_not_begun";
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            let output = command.args([test, "--exact", "--nocapture"]).env("GST_TRT_TEST_FILE_LIMIT", "1").output();
            let output = output.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            return;
        }
        // The signal's default action would terminate the process.
        let _ = nix::sys::signal::SigSet::from(nix::sys::signal::Signal::SIGXFSZ).thread_block();
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let mut output = output(&path, false);
        setrlimit(Resource::RLIMIT_FSIZE, 10, hard).unwrap();
        let mut lines = b"one\ntwo\nthree\nfour\n".as_slice();
        assert!(output.write(&mut lines, &Subject::objects(""), &GO_ON).is_err());
        assert_eq!(lines, b"three\nfour\n");
        setrlimit(Resource::RLIMIT_FSIZE, hard, hard).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        output.write(&mut lines, &Subject::objects(""), &GO_ON).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\nfour\n");
    }
}
