//! Where lines go.

use super::location::Location;
use super::mqtt::{MqttOutput, MqttSettings};
use super::tcp::TcpOutput;
use super::turn::Turn;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    Whole,
    /// Given up on while the reader didn't take it.
    Not,
}

/// What an output tells of its connection while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It's lost, or can't be made, for this reason; it will be tried again.
    Away(String),
    /// It's there again.
    Back,
}

/// Hears notices, from any thread.
pub type Notify = Arc<dyn Fn(Notice) + Send + Sync>;

/// Takes lines. Used by one thread.
pub trait Output: Send {
    /// For messages: a path, an address.
    fn name(&self) -> &str;

    /// Whether a reader can hold the writing up for as long as it likes, as with a pipe; a disk can't.
    fn can_stall(&self) -> bool;

    /// Whether the reader can be away, and come back: a server on a network.
    fn can_be_away(&self) -> bool {
        false
    }

    /// How long lines may be gathered before they are written: waking a thread for each costs more than writing it. Zero
    /// where somebody waits for them.
    fn gather(&self) -> Duration {
        Duration::ZERO
    }

    /// Writes one line of `stream`, with its newline; where they are [gathered](Self::gather), several at once. Returns soon
    /// after `give_up` is set, however slow the reader; a line that is too long for one piece may then have been begun.
    ///
    /// # Errors
    /// The line isn't written, or not wholly, and nothing can be written any more.
    fn write(&mut self, line: &[u8], stream: &str, give_up: &AtomicBool) -> io::Result<Written>;

    /// Waits until all lines written have arrived, as far as the reader tells; returns soon after `give_up` is set, with
    /// how many haven't.
    ///
    /// # Errors
    /// Nothing can be written any more.
    fn flush(&mut self, _give_up: &AtomicBool) -> io::Result<u64> {
        Ok(0)
    }
}

/// Opens `location` (see [`Location`]). A file is made if it isn't there, and emptied unless `append`. Servers are
/// connected to later, as often as need be; `notify` hears of it.
///
/// # Errors
/// From the system; `InvalidInput` for a location or settings that can't be. A named pipe that nobody reads can't be
/// opened.
pub fn open(location: &str, append: bool, mqtt: &MqttSettings, notify: Notify) -> io::Result<Box<dyn Output>> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
    Ok(match Location::parse(location).map_err(invalid)? {
        // A descriptor of its own, past the line buffer that the process's prints go through.
        Location::StandardOutput => {
            file_or_pipe("standard output", File::from(io::stdout().as_fd().try_clone_to_owned()?))?
        }
        Location::Path(path) => file_or_pipe(location, open_path(&path, append)?)?,
        Location::Tcp(server) => Box::new(TcpOutput::new(server, notify)),
        Location::Mqtt(broker) => Box::new(MqttOutput::new(&broker, mqtt, notify)?),
    })
}

fn open_path(path: &Path, append: bool) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .append(append)
        .truncate(!append)
        // So that a named pipe without a reader is an error, and doesn't hold up the pipeline's start.
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(path)
}

fn file_or_pipe(name: &str, file: File) -> io::Result<Box<dyn Output>> {
    let name = name.to_owned();
    Ok(if file.metadata()?.is_file() {
        Box::new(FileOutput { name, file })
    } else {
        Box::new(PipeOutput { name, turn: Turn::of(&file)?, file })
    })
}

/// A file on a disk.
struct FileOutput {
    name: String,
    file: File,
}

impl Output for FileOutput {
    fn name(&self) -> &str {
        &self.name
    }

    fn can_stall(&self) -> bool {
        false
    }

    fn gather(&self) -> Duration {
        Duration::from_millis(100)
    }

    fn write(&mut self, line: &[u8], _: &str, _: &AtomicBool) -> io::Result<Written> {
        self.file.write_all(line).map(|()| Written::Whole)
    }
}

/// A pipe, a socket, a terminal: something with a reader.
struct PipeOutput {
    name: String,
    /// Shared with other writers into it.
    turn: Arc<Turn>,
    file: File,
}

impl PipeOutput {
    /// How often a wait looks whether it's to end, ms.
    const TICK: u8 = 50;
    /// Bytes that a pipe takes without blocking when it's ready at all, and as one piece (`PIPE_BUF`, POSIX's least is
    /// 512, Linux has 4096). Standard output may be shared with other programs, so it can't be made non-blocking.
    const PIECE: usize = 4096;
}

impl Output for PipeOutput {
    fn name(&self) -> &str {
        &self.name
    }

    fn can_stall(&self) -> bool {
        true
    }

    fn write(&mut self, line: &[u8], _: &str, give_up: &AtomicBool) -> io::Result<Written> {
        let Some(mut turn) = self.turn.take(give_up) else { return Ok(Written::Not) };
        // What was begun by another and never ended is its own line, so that this one is whole.
        let repaired;
        let mut left = if turn.after_torn {
            repaired = [b"\n", line].concat();
            &repaired
        } else {
            line
        };
        while !left.is_empty() {
            // Not before the first attempt: at the end of the stream a reader that isn't behind gets all lines.
            match poll(&mut [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)], Self::TICK) {
                Ok(0) | Err(Errno::EINTR) if give_up.load(Ordering::Relaxed) => return Ok(Written::Not),
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let piece = left.get(..Self::PIECE).unwrap_or(left);
            match self.file.write(piece) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    left = left.get(written..).unwrap_or_default();
                    turn.set_torn(!left.is_empty());
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Written::Whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    fn output(writer: &io::PipeWriter) -> Box<dyn Output> {
        file_or_pipe("pipe", File::from(writer.as_fd().try_clone_to_owned().unwrap())).unwrap()
    }

    #[test]
    fn long_lines_of_several_writers_do_not_mix() {
        let (reader, writer) = io::pipe().unwrap();
        const LINES: usize = 20;
        let writers = [b'a', b'b', b'c'].map(|letter| {
            let mut output = output(&writer);
            std::thread::spawn(move || {
                let mut line = vec![letter; 100_000];
                line.push(b'\n');
                for _ in 0..LINES {
                    assert_eq!(output.write(&line, "", &AtomicBool::new(false)).unwrap(), Written::Whole);
                }
            })
        });
        drop(writer);
        let lines: Vec<_> = BufReader::new(reader).split(b'\n').map(Result::unwrap).collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!(lines.len(), 3 * LINES);
        for line in lines {
            assert!(line.len() == 100_000 && line.iter().all(|byte| *byte == line[0]));
        }
    }

    #[test]
    fn a_line_after_one_that_was_given_up_on_is_whole() {
        let (mut reader, writer) = io::pipe().unwrap();
        let (mut first, mut second) = (output(&writer), output(&writer));
        // More than the pipe takes, and nobody reads.
        let long = [vec![b'a'; 1 << 20], b"\n".to_vec()].concat();
        assert_eq!(first.write(&long, "", &AtomicBool::new(true)).unwrap(), Written::Not);
        drop((first, writer));
        let reading = std::thread::spawn(move || {
            let mut text = Vec::new();
            io::Read::read_to_end(&mut reader, &mut text).unwrap();
            text
        });
        assert_eq!(second.write(b"whole\n", "", &AtomicBool::new(false)).unwrap(), Written::Whole);
        drop(second);
        assert!(reading.join().unwrap().ends_with(b"a\nwhole\n"));
    }
}
