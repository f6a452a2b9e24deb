//! Adds lines to streams.

use super::super::location::Store;
use super::super::options::PublishOptions;
use super::super::origin::Origin;
use super::super::output::{Notice, Notify, OnError, Output};
use super::super::retry::Outage;
use super::super::subject::{LineKind, Subject};
use super::account::Account;
use super::connection::{Connection, refused};
use super::protocol::{Reply, write_command};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The placeholder for the name of the line's stream.
const PLACEHOLDER: &str = "{stream-id}";

pub struct RedisOutput {
    name: String,
    account: Account,
    on_error: OnError,
    stream: String,
    events_stream: String,
    /// About how many entries a stream keeps.
    max_length: String,
    /// Host and epoch.
    origin: Option<(Arc<str>, String)>,
    is_text: bool,
    connection: Option<Connection>,
    outage: Outage,
    /// A line got through.
    has_worked: bool,
    notify: Notify,
    /// Lines that the server refuses for good.
    left_out: Arc<AtomicU64>,
    /// Why, as last reported.
    told: Option<String>,
    /// Reused for commands.
    commands: Vec<u8>,
}

impl RedisOutput {
    /// As for files; lines are sent together, and their answers read together.
    const GATHER: Duration = Duration::from_millis(100);

    /// The output connects when the first line comes.
    ///
    /// # Errors
    /// The settings are invalid.
    pub fn new(store: &Store, options: &PublishOptions, notify: Notify) -> io::Result<Self> {
        let account =
            Account::new(store, &options.server).map_err(|text| io::Error::new(io::ErrorKind::InvalidInput, text))?;
        let events_stream = options.events_place(&store.stream, ":events");
        let origin = options.origin().map(|Origin { host, epoch }| (host, epoch.to_string()));
        Ok(Self {
            name: account.name(),
            account,
            on_error: options.on_error,
            stream: store.stream.clone(),
            events_stream,
            max_length: options.server.redis_max_length.to_string(),
            origin,
            is_text: options.format.is_text(),
            connection: None,
            outage: Outage::new(notify.clone()),
            has_worked: false,
            notify,
            left_out: Arc::default(),
            told: None,
            commands: Vec::new(),
        })
    }

    /// Connects when the next attempt is due; `false` when given up.
    ///
    /// # Errors
    /// The server refuses the account, and never accepted it.
    fn connect(&mut self, give_up: &AtomicBool) -> io::Result<bool> {
        if !self.outage.wait(give_up) {
            return Ok(false);
        }
        match Connection::open(&self.account, give_up) {
            Ok(Some(connection)) => {
                self.connection = Some(connection);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => {
                self.lost(error)?;
                Ok(!give_up.load(Ordering::Relaxed))
            }
        }
    }

    /// Ends the connection, to be made again.
    ///
    /// # Errors
    /// It's a mistake in the settings.
    fn lost(&mut self, error: io::Error) -> io::Result<()> {
        self.connection = None;
        let is_refusal = matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidData);
        if is_refusal && !self.has_worked && self.on_error == OnError::Fail {
            return Err(error);
        }
        self.outage.failed(|| error.to_string());
        Ok(())
    }

    /// Fills `commands` with one for each of `lines`, whose number is returned.
    fn write_commands(&mut self, lines: &[u8], subject: &Subject) -> usize {
        let (template, kind) = match subject.kind {
            LineKind::Objects => (&self.stream, "objects"),
            LineKind::Event => (&self.events_stream, "event"),
            LineKind::Totals(_) => (&self.events_stream, "totals"),
        };
        let stream = template.replace(PLACEHOLDER, &subject.stream);
        self.commands.clear();
        let mut number = 0;
        for line in split(lines, self.is_text) {
            let payload = line.strip_suffix(b"\n").unwrap_or(line);
            let texts = ["XADD", &stream, "MAXLEN", "~", &self.max_length, "*"];
            let mut words: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
            words.extend([b"camera".as_slice(), subject.stream.as_bytes(), b"kind", kind.as_bytes()]);
            if let Some((host, epoch)) = &self.origin {
                words.extend([b"host".as_slice(), host.as_bytes(), b"epoch", epoch.as_bytes()]);
            }
            words.extend([b"data".as_slice(), payload]);
            write_command(&mut self.commands, words);
            number += 1;
        }
        number
    }

    /// Sends what is in `commands`, and takes each line off `lines` whose answer came; `false` when given up.
    ///
    /// # Errors
    /// The connection is lost, or the server doesn't accept anything now.
    fn exchange(&mut self, lines: &mut &[u8], number: usize, give_up: &AtomicBool) -> io::Result<bool> {
        let Some(connection) = &mut self.connection else { return Ok(true) };
        if !connection.send(&self.commands, give_up)? {
            return Ok(false);
        }
        for _ in 0..number {
            match connection.receive(give_up)? {
                None => return Ok(false),
                Some(Reply::Done) => {
                    self.has_worked = true;
                    self.told = None;
                    self.outage.worked();
                }
                // Before a login Redis doesn't even accept commands of this length.
                Some(Reply::Error(text)) if text.contains("unauthenticated") => return Err(refused(&text)),
                Some(Reply::Error(text)) => match text.split(' ').next().unwrap_or_default() {
                    "NOAUTH" | "NOPERM" => return Err(refused(&text)),
                    "OOM" | "READONLY" | "LOADING" | "MASTERDOWN" | "BUSY" | "NOREPLICAS" | "MISCONF"
                    | "CLUSTERDOWN" => {
                        return Err(io::Error::other(text));
                    }
                    _ => {
                        self.left_out.fetch_add(1, Ordering::Relaxed);
                        if self.told.as_ref() != Some(&text) {
                            (self.notify)(Notice::Undeliverable(explain(&text)));
                            self.told = Some(text);
                        }
                    }
                },
            }
            let all = *lines;
            *lines = split(all, self.is_text).next().and_then(|line| all.get(line.len()..)).unwrap_or_default();
        }
        Ok(true)
    }
}

/// What a line that the server refuses is due to.
fn explain(text: &str) -> String {
    match text.split(' ').next() {
        Some("WRONGTYPE") => format!("the key in location isn't a stream ({text}): name another, or delete it"),
        Some("MOVED" | "ASK" | "CROSSSLOT") => {
            format!("the key is on another server of this cluster: name that ({text})")
        }
        _ => format!("the server refuses a line: {text}"),
    }
}

/// Lines with their newlines; binary data is one.
fn split(lines: &[u8], is_text: bool) -> impl Iterator<Item = &[u8]> {
    lines.split_inclusive(move |byte| is_text && *byte == b'\n').filter(|line| !line.is_empty())
}

impl Output for RedisOutput {
    fn name(&self) -> &str {
        &self.name
    }

    fn can_stall(&self) -> bool {
        true
    }

    fn can_be_away(&self) -> bool {
        true
    }

    fn gather(&self) -> Duration {
        if self.is_text { Self::GATHER } else { Duration::ZERO }
    }

    fn write(&mut self, lines: &mut &[u8], subject: &Subject, give_up: &AtomicBool) -> io::Result<()> {
        while !lines.is_empty() {
            if self.connection.is_none() && !self.connect(give_up)? {
                return Ok(());
            }
            if self.connection.is_none() {
                continue;
            }
            let number = self.write_commands(lines, subject);
            match self.exchange(lines, number, give_up) {
                Ok(true) => {}
                Ok(false) => {
                    self.connection = None;
                    return Ok(());
                }
                Err(error) => self.lost(error)?,
            }
        }
        Ok(())
    }

    fn undeliverable(&self) -> Arc<AtomicU64> {
        self.left_out.clone()
    }
}
