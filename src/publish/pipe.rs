//! Writes lines to a destination with a reader.

use super::output::Output;
use super::subject::Subject;
use super::write_lock::WriteLock;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An output to a pipe, a socket, a terminal or a device.
pub struct PipeOutput {
    name: String,
    /// Shared with the other writers of this file.
    lock: Arc<WriteLock>,
    file: File,
}

impl PipeOutput {
    /// How often a wait checks whether to give up, ms.
    const TICK: u8 = 50;
    /// Bytes that a pipe takes without blocking when it's writable at all, and atomically (`PIPE_BUF`: POSIX's minimum
    /// is 512, Linux has 4096). Standard output may be shared with other programs, so it can't be made non-blocking.
    const PIECE: usize = 4096;

    /// # Errors
    /// From the system.
    pub fn new(name: String, file: File) -> io::Result<Self> {
        Ok(Self { name, lock: WriteLock::of(&file)?, file })
    }
}

impl Output for PipeOutput {
    fn name(&self) -> &str {
        &self.name
    }

    fn can_stall(&self) -> bool {
        true
    }

    fn write(&mut self, lines: &mut &[u8], _: &Subject, give_up: &AtomicBool) -> io::Result<()> {
        let Some(mut lock) = self.lock.take(give_up) else { return Ok(()) };
        // A partial line that another writer left is ended first, so that this line is whole.
        let repaired;
        let mut left: &[u8] = if lock.after_torn {
            repaired = [b"\n".as_slice(), lines].concat();
            &repaired
        } else {
            lines
        };
        while !left.is_empty() {
            // `give_up` is checked only after the first attempt: at the end of the stream a reader that keeps up gets
            // all lines.
            match poll(&mut [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)], Self::TICK) {
                Ok(0) | Err(Errno::EINTR) if give_up.load(Ordering::Relaxed) => return Ok(()),
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let piece = left.get(..Self::PIECE).unwrap_or(left);
            match self.file.write(piece) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    left = left.get(written..).unwrap_or_default();
                    lock.set_torn(!left.is_empty());
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        *lines = &[];
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    fn output(writer: &io::PipeWriter) -> PipeOutput {
        PipeOutput::new("pipe".into(), File::from(writer.as_fd().try_clone_to_owned().unwrap())).unwrap()
    }

    /// Whether the line was written.
    fn write(output: &mut PipeOutput, line: &[u8], give_up: bool) -> bool {
        let mut left = line;
        output.write(&mut left, &Subject::objects(""), &AtomicBool::new(give_up)).unwrap();
        left.is_empty()
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
                    assert!(write(&mut output, &line, false));
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
        // More than the pipe holds, without a reader.
        let long = [vec![b'a'; 1 << 20], b"\n".to_vec()].concat();
        assert!(!write(&mut first, &long, true));
        drop((first, writer));
        let reading = std::thread::spawn(move || {
            let mut text = Vec::new();
            io::Read::read_to_end(&mut reader, &mut text).unwrap();
            text
        });
        assert!(write(&mut second, b"whole\n", false));
        drop(second);
        assert!(reading.join().unwrap().ends_with(b"a\nwhole\n"));
    }
}
