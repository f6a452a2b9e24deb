//! Outputs that are retried after a failure.

use super::output::{Notice, Notify, Output, remedy};
use super::subject::Subject;
use crate::backoff::Attempts;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Whether an output works, and when it's retried if it doesn't. Each outage is reported once, whatever the number of
/// attempts.
pub struct Outage {
    attempts: Attempts,
    /// The earliest time of the next attempt.
    not_before: Option<Instant>,
    told: bool,
    notify: Notify,
}

impl Outage {
    /// How often a wait checks whether to give up.
    const TICK: Duration = Duration::from_millis(50);

    pub fn new(notify: Notify) -> Self {
        let attempts = Attempts::new(Duration::from_millis(100), Duration::from_secs(5));
        Self { attempts, not_before: None, told: false, notify }
    }

    /// Waits until the next attempt is due, and begins it; `false` when given up.
    pub fn wait(&mut self, give_up: &AtomicBool) -> bool {
        while let Some(left) = self.not_before.and_then(|time| time.checked_duration_since(Instant::now())) {
            if give_up.load(Ordering::Relaxed) {
                return false;
            }
            std::thread::sleep(left.min(Self::TICK));
        }
        self.not_before = None;
        self.attempts.begin();
        true
    }

    /// Records that an attempt has failed, or that a working output has stopped working.
    pub fn failed(&mut self, reason: impl FnOnce() -> String) {
        self.not_before = Some(Instant::now() + self.attempts.next_wait());
        if !std::mem::replace(&mut self.told, true) {
            (self.notify)(Notice::Away(reason()));
        }
    }

    /// Records that a line got through. That ends the outage, unless the attempt began only moments ago and may yet
    /// fail.
    pub fn worked(&mut self) {
        if self.attempts.worked() && std::mem::take(&mut self.told) {
            (self.notify)(Notice::Back);
        }
    }
}

/// A file or a pipe that is opened again after a failure.
pub struct RetryingOutput<F> {
    name: String,
    gather: Duration,
    open: F,
    /// Kept after a failure until it's replaced: the content of a named pipe is lost when its last end is closed.
    output: Option<Box<dyn Output>>,
    broken: bool,
    outage: Outage,
}

impl<F: FnMut() -> io::Result<Box<dyn Output>> + Send> RetryingOutput<F> {
    /// Makes the first attempt to open the output.
    pub fn new(name: String, gather: Duration, open: F, notify: Notify) -> Self {
        let mut this = Self { name, gather, open, output: None, broken: true, outage: Outage::new(notify) };
        this.attempt(&AtomicBool::new(false));
        this
    }

    /// Opens the output when the next attempt is due; `false` when given up.
    fn attempt(&mut self, give_up: &AtomicBool) -> bool {
        if !self.outage.wait(give_up) {
            return false;
        }
        match (self.open)() {
            Ok(output) => {
                self.output = Some(output);
                self.broken = false;
                true
            }
            Err(error) => {
                self.failed(&error);
                !give_up.load(Ordering::Relaxed)
            }
        }
    }

    fn failed(&mut self, error: &io::Error) {
        self.broken = true;
        self.outage.failed(|| match remedy(error) {
            Some(remedy) => format!("{error}; {remedy}"),
            None => error.to_string(),
        });
    }
}

impl<F: FnMut() -> io::Result<Box<dyn Output>> + Send> Output for RetryingOutput<F> {
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
        self.gather
    }

    fn write(&mut self, lines: &mut &[u8], subject: &Subject, give_up: &AtomicBool) -> io::Result<()> {
        while !lines.is_empty() {
            match &mut self.output {
                Some(output) if !self.broken => match output.write(lines, subject, give_up) {
                    Ok(()) if lines.is_empty() => self.outage.worked(),
                    Ok(()) => return Ok(()),
                    Err(error) => self.failed(&error),
                },
                _ => {
                    if !self.attempt(give_up) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Some(output) = &mut self.output
            && !self.broken
            && let Err(error) = output.reopen()
        {
            self.failed(&error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;

    /// Takes lines until the script says that writing fails.
    struct Scripted {
        failures: Arc<Mutex<Vec<io::ErrorKind>>>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Output for Scripted {
        fn name(&self) -> &str {
            "scripted"
        }

        fn can_stall(&self) -> bool {
            false
        }

        fn write(&mut self, lines: &mut &[u8], _: &Subject, _: &AtomicBool) -> io::Result<()> {
            if let Some(kind) = self.failures.lock().pop() {
                // The first line got through.
                let first = lines.iter().position(|byte| *byte == b'\n').unwrap() + 1;
                self.written.lock().extend_from_slice(&lines[..first]);
                *lines = &lines[first..];
                return Err(kind.into());
            }
            self.written.lock().extend_from_slice(lines);
            *lines = &[];
            Ok(())
        }
    }

    #[test]
    fn an_outage_is_told_once_and_nothing_is_written_twice() {
        use io::ErrorKind::{StorageFull, TimedOut};
        let failures = Arc::new(Mutex::new(vec![TimedOut, StorageFull]));
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let notices = Arc::<Mutex<Vec<Notice>>>::default();
        let (heard, to) = (notices.clone(), written.clone());
        let mut opened = 0;
        let open = move || {
            opened += 1;
            if opened == 2 {
                return Err(io::ErrorKind::NotFound.into());
            }
            Ok(Box::new(Scripted { failures: failures.clone(), written: to.clone() }) as Box<dyn Output>)
        };
        let notify: Notify = Arc::new(move |notice| heard.lock().push(notice));
        let mut output = RetryingOutput::new("scripted".into(), Duration::ZERO, open, notify);
        let mut lines = b"1\n2\n3\n4\n".as_slice();
        let start = Instant::now();
        output.write(&mut lines, &Subject::objects(""), &AtomicBool::new(false)).unwrap();
        assert!(lines.is_empty());
        assert_eq!(*written.lock(), b"1\n2\n3\n4\n");
        assert!(start.elapsed() > 2 * Attempts::APART, "{:?}", start.elapsed());
        std::thread::sleep(Attempts::APART);
        output.write(&mut b"5\n".as_slice(), &Subject::objects(""), &AtomicBool::new(false)).unwrap();
        let notices = notices.lock();
        assert!(
            matches!(&notices[..], [Notice::Away(text), Notice::Back] if text.contains("free some space")),
            "{notices:?}"
        );
    }

    #[test]
    fn giving_up_ends_the_wait_with_what_is_left() {
        let notify: Notify = Arc::new(|_| ());
        let mut output =
            RetryingOutput::new("away".into(), Duration::ZERO, || Err(io::ErrorKind::NotFound.into()), notify);
        let mut lines = b"1\n".as_slice();
        let start = Instant::now();
        output.write(&mut lines, &Subject::objects(""), &AtomicBool::new(true)).unwrap();
        assert_eq!(lines, b"1\n");
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    }
}
