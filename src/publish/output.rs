//! Destinations of lines.

use super::file::FileOutput;
use super::kafka::KafkaOutput;
use super::location::Location;
use super::mqtt::MqttOutput;
use super::options::PublishOptions;
use super::pipe::PipeOutput;
use super::redis::RedisOutput;
use super::retry::RetryingOutput;
use super::subject::Subject;
use super::tcp::TcpOutput;
use gst::glib;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

/// What an output reports while it continues to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Writing fails, or the connection is lost or can't be made, for this reason; the output retries.
    Away(String),
    /// The output works again.
    Back,
    /// The output drops lines that it can never deliver, for this reason. This is reported once, and again only after
    /// such lines got through.
    Undeliverable(String),
}

/// Receives notices, on any thread.
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

/// Writes lines. It's used by one thread.
pub trait Output: Send {
    /// The name for messages: a path or an address.
    fn name(&self) -> &str;

    /// Whether a reader can block the writer indefinitely, as with a pipe; a disk can't.
    fn can_stall(&self) -> bool;

    /// Whether the output can be unavailable for a while and come back, as a server on a network can.
    fn can_be_away(&self) -> bool {
        false
    }

    /// How long lines may be gathered before they are written: waking a thread for each line costs more than writing
    /// it. Zero where a reader waits for the lines.
    fn gather(&self) -> Duration {
        Duration::ZERO
    }

    /// Writes lines of one `subject`, each with its newline: one, or several where they are [gathered](Self::gather).
    /// Removes the lines that were written from the front of `lines`, whole lines only. Returns soon after `give_up` is
    /// set, however slow the reader, and leaves the rest in `lines`; a line too long to be written at once may then
    /// have been written in part.
    ///
    /// # Errors
    /// The rest isn't written, and the output can't be used any more.
    fn write(&mut self, lines: &mut &[u8], subject: &Subject, give_up: &AtomicBool) -> io::Result<()>;

    /// Waits until all written lines have arrived, as far as the reader confirms them; returns soon after `give_up` is
    /// set, with the number that haven't arrived.
    ///
    /// # Errors
    /// The output can't be used any more.
    fn flush(&mut self, _give_up: &AtomicBool) -> io::Result<u64> {
        Ok(0)
    }

    /// Opens the path again if it names another file now.
    ///
    /// # Errors
    /// The path can't be opened; the output can't be used any more.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// The counter of lines that were written and found to be undeliverable later.
    fn undeliverable(&self) -> Arc<AtomicU64> {
        Arc::default()
    }
}

/// Opens the location (see [`Location`]). A file is created if it doesn't exist, and truncated unless `append`. Servers
/// are connected to later, and again whenever needed. With [`OnError::Retry`] files and pipes too are opened again
/// whenever needed. `notify` receives the notices.
///
/// # Errors
/// `InvalidInput` for an invalid location or invalid settings. With [`OnError::Fail`] also errors of the system; a
/// named pipe without a reader can't be opened.
pub fn open(options: &PublishOptions, notify: Notify) -> io::Result<Box<dyn Output>> {
    let PublishOptions { location, append, on_error, format, .. } = options;
    let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidInput, error);
    let parsed = Location::parse(location).map_err(invalid)?;
    if !format.is_text() && matches!(parsed, Location::StandardOutput | Location::Path(_) | Location::Tcp(_)) {
        let text = "it takes lines, and format=deepstream-protobuf is binary: set format to json or deepstream, or \
                    location to a Kafka topic, a Redis stream or an MQTT topic";
        return Err(invalid(text.into()));
    }
    Ok(match (parsed, on_error) {
        (Location::StandardOutput, OnError::Fail) => standard_output()?,
        (Location::StandardOutput, OnError::Retry) => {
            Box::new(RetryingOutput::new(STANDARD_OUTPUT.into(), Duration::ZERO, standard_output, notify))
        }
        (Location::Path(path), OnError::Fail) => open_path(location, &path, *append)?,
        (Location::Path(path), OnError::Retry) => {
            let name = location.clone();
            let gather = match path.metadata() {
                Ok(found) if !found.is_file() => Duration::ZERO,
                _ => FileOutput::GATHER,
            };
            // What this output has written before a reopen is kept.
            let mut append = *append;
            let open = move || open_path(&name, &path, append).inspect(|_| append = true);
            Box::new(RetryingOutput::new(location.clone(), gather, open, notify))
        }
        (Location::Tcp(server), _) => Box::new(TcpOutput::new(server, notify)),
        (Location::Mqtt(broker), on_error) => {
            let settings = options.mqtt().map_err(|error| invalid(error.into()))?;
            Box::new(MqttOutput::new(&broker, &settings, *on_error, notify)?)
        }
        (Location::Kafka(cluster), _) => Box::new(KafkaOutput::new(&cluster, options, notify)?),
        (Location::Redis(store), _) => Box::new(RedisOutput::new(&store, options, notify)?),
    })
}

const STANDARD_OUTPUT: &str = "standard output";

fn standard_output() -> io::Result<Box<dyn Output>> {
    // A duplicated descriptor bypasses the line buffer of the process's own prints.
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

/// The remedy, where one is known.
pub fn remedy(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("free some space, or set another location"),
        io::ErrorKind::BrokenPipe => Some("its reader has closed it: start the reader again"),
        io::ErrorKind::NotFound => Some("create its folder first, or set another location"),
        _ if error.raw_os_error() == Some(nix::errno::Errno::ENXIO as i32) => {
            Some("this named pipe has no reader: start its reader first")
        }
        _ => None,
    }
}
