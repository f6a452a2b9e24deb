//! Where lines go.

use super::file::FileOutput;
use super::location::Location;
use super::mqtt::{MqttOutput, MqttSettings};
use super::pipe::PipeOutput;
use super::retry::RetryingOutput;
use super::tcp::TcpOutput;
use gst::glib;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

/// What an output tells while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It can't be written, or its connection is lost or can't be made, for this reason; it will be tried again.
    Away(String),
    /// It's there again.
    Back,
    /// Lines that it can never deliver are left out, for this reason. Told of once, and again after such lines got through.
    Undeliverable(String),
}

/// Hears notices, from any thread.
pub type Notify = Arc<dyn Fn(Notice) + Send + Sync>;

/// What becomes of an output that can't be opened or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstTrtPublishOnError")]
#[repr(i32)]
pub enum OnError {
    #[default]
    #[enum_value(name = "Fail: an error message, and the stream ends", nick = "fail")]
    Fail,
    #[enum_value(name = "Retry: a warning message; lines wait, frames go on, and it is tried again", nick = "retry")]
    Retry,
}

/// Takes lines. Used by one thread.
pub trait Output: Send {
    /// For messages: a path, an address.
    fn name(&self) -> &str;

    /// Whether a reader can hold the writing up for as long as it likes, as with a pipe; a disk can't.
    fn can_stall(&self) -> bool;

    /// Whether the output can be away, and come back: a server on a network.
    fn can_be_away(&self) -> bool {
        false
    }

    /// How long lines may be gathered before they are written: waking a thread for each costs more than writing it. Zero
    /// where a reader waits for them.
    fn gather(&self) -> Duration {
        Duration::ZERO
    }

    /// Writes lines of `stream`, each with its newline: one, or several where they are [gathered](Self::gather). Takes those
    /// that are written off the front of `lines`, whole ones only. Returns soon after `give_up` is set, however slow the
    /// reader, with the rest still there; a line that is too long for one piece may then have been begun.
    ///
    /// # Errors
    /// The rest isn't written, and nothing can be written any more.
    fn write(&mut self, lines: &mut &[u8], stream: &str, give_up: &AtomicBool) -> io::Result<()>;

    /// Waits until all lines written have arrived, as far as the reader tells; returns soon after `give_up` is set, with
    /// how many haven't.
    ///
    /// # Errors
    /// Nothing can be written any more.
    fn flush(&mut self, _give_up: &AtomicBool) -> io::Result<u64> {
        Ok(0)
    }

    /// Opens the file of its name anew if that is another one now.
    ///
    /// # Errors
    /// It can't be opened; nothing can be written any more.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Counts lines that were written, and found to be undeliverable later.
    fn undeliverable(&self) -> Arc<AtomicU64> {
        Arc::default()
    }
}

/// Opens `location` (see [`Location`]). A file is made if it isn't there, and emptied unless `append`. Servers are
/// connected to later, as often as need be. With [`OnError::Retry`] files and pipes too are opened as often as need be.
/// `notify` hears of it.
///
/// # Errors
/// `InvalidInput` for a location or settings that can't be. With [`OnError::Fail`] also from the system; a named pipe
/// without a reader can't be opened.
pub fn open(
    location: &str,
    append: bool,
    mqtt: &MqttSettings,
    on_error: OnError,
    notify: Notify,
) -> io::Result<Box<dyn Output>> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
    Ok(match (Location::parse(location).map_err(invalid)?, on_error) {
        (Location::StandardOutput, OnError::Fail) => standard_output()?,
        (Location::StandardOutput, OnError::Retry) => {
            Box::new(RetryingOutput::new(STANDARD_OUTPUT.into(), Duration::ZERO, standard_output, notify))
        }
        (Location::Path(path), OnError::Fail) => open_path(location, &path, append)?,
        (Location::Path(path), OnError::Retry) => {
            let name = location.to_owned();
            let gather = match path.metadata() {
                Ok(found) if !found.is_file() => Duration::ZERO,
                _ => FileOutput::GATHER,
            };
            // What this output has written itself stays.
            let mut append = append;
            let open = move || open_path(&name, &path, append).inspect(|_| append = true);
            Box::new(RetryingOutput::new(location.to_owned(), gather, open, notify))
        }
        (Location::Tcp(server), _) => Box::new(TcpOutput::new(server, notify)),
        (Location::Mqtt(broker), _) => Box::new(MqttOutput::new(&broker, mqtt, on_error, notify)?),
    })
}

const STANDARD_OUTPUT: &str = "standard output";

fn standard_output() -> io::Result<Box<dyn Output>> {
    // A descriptor of its own, past the line buffer that the process's prints go through.
    let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    Ok(if file.metadata()?.is_file() {
        Box::new(FileOutput::unnamed(STANDARD_OUTPUT.into(), file)?)
    } else {
        Box::new(PipeOutput::new(STANDARD_OUTPUT.into(), file)?)
    })
}

fn open_path(name: &str, path: &Path, append: bool) -> io::Result<Box<dyn Output>> {
    let file = FileOutput::open_path(path, append)?;
    Ok(if file.metadata()?.is_file() {
        Box::new(FileOutput::new(name.to_owned(), path.to_owned(), file)?)
    } else {
        Box::new(PipeOutput::new(name.to_owned(), file)?)
    })
}

/// What a person can do about it, where that is known.
pub fn remedy(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("free some space, or set another location"),
        io::ErrorKind::BrokenPipe => Some("its reader has gone: start it again"),
        io::ErrorKind::NotFound => Some("make its folder first, or set another location"),
        _ if error.raw_os_error() == Some(nix::errno::Errno::ENXIO as i32) => {
            Some("this named pipe has no reader: start its reader first")
        }
        _ => None,
    }
}
