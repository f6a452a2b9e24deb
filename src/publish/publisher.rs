//! A bounded queue of lines, and the thread that writes them.

use super::gate::{Gate, Passage};
use super::{Output, Subject};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What happens to a line when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The caller blocks until there is space.
    Block,
    /// The oldest line of a frame is dropped and counted; an event only where there is no such line.
    DropOldest,
}

/// Why a line wasn't queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The stream is flushing or stopping.
    Flushing,
    /// Writing has failed.
    Failed,
    /// The timeout has expired.
    TimedOut,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Lines written; for a connection that confirms them, lines handed to it.
    pub lines: u64,
    /// Lines that were dropped for newer ones, can't be delivered, or were queued or unconfirmed when the stream was
    /// stopped.
    pub dropped: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// Writes lines to an [`Output`] on its own thread. The thread ends when this is dropped; prefer
/// [`close`](Self::close).
pub struct Publisher {
    shared: Arc<Shared>,
    can_stall: bool,
    can_be_away: bool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    /// How long lines may be gathered.
    gather: Duration,
    /// Whether lines may be written; `None`: always.
    gate: Option<Arc<Gate>>,
    /// Notified when there is a line to write, or the thread is to end.
    work: Condvar,
    /// Notified when a line has left the queue or been written, or when waiting is pointless.
    progress: Condvar,
    give_up: AtomicBool,
    /// Lines that count as written and turned out to be undeliverable.
    undeliverable: Arc<AtomicU64>,
}

/// Gathered lines are written together up to this many bytes: a system call costs as much as copying them.
const PIECE: usize = 64 * 1024;

struct Line {
    text: Vec<u8>,
    subject: Subject,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Line>,
    /// When gathering began; `None`: the thread has to be notified of the first line.
    since: Option<Instant>,
    /// Lines have come since then.
    gathered: bool,
    /// The queue is half full: lines aren't gathered any longer.
    many: bool,
    /// The thread waits for work.
    idle: bool,
    /// Emptied lines whose memory is reused.
    spare: Vec<Vec<u8>>,
    /// Lines that the output is writing.
    writing: u64,
    /// Lines were written since the last flush.
    unflushed: bool,
    /// How many threads wait for the last line to arrive.
    draining: usize,
    /// The output is to be opened again if it was moved.
    reopen: bool,
    flushing: bool,
    failed: bool,
    /// No more lines come.
    closed: bool,
    /// Lines that come are dropped.
    purged: bool,
    /// The thread has ended.
    ended: bool,
    /// Written lines that hadn't arrived at the last flush.
    left: u64,
    stats: Stats,
}

impl Publisher {
    /// How long [`close`](Self::close) keeps writing for a reader that is behind.
    const PATIENCE: Duration = Duration::from_millis(500);
    /// How long an output has to notice that it was given up on; after that its thread is abandoned.
    const GRACE: Duration = Duration::from_millis(300);

    /// While the gate holds lines, it's looked at as often as this.
    const HELD: Duration = Duration::from_millis(100);

    /// Starts the thread. Lines are written while `gate` is open. `failed` is called once, on the thread, when the output fails; nothing is written after that.
    ///
    /// # Errors
    /// The system can't create a thread.
    pub fn new(
        output: Box<dyn Output>,
        gate: Option<Arc<Gate>>,
        failed: impl FnOnce(&str, io::Error) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            gather: output.gather(),
            gate,
            work: Condvar::new(),
            progress: Condvar::new(),
            give_up: AtomicBool::new(false),
            undeliverable: output.undeliverable(),
        });
        let (can_stall, can_be_away) = (output.can_stall(), output.can_be_away());
        let writer = shared.clone();
        let thread = std::thread::Builder::new().name("trtpublish".into()).spawn(move || writer.run(output, failed))?;
        Ok(Self { shared, can_stall, can_be_away, thread: Mutex::new(Some(thread)) })
    }

    /// Whether the output's reader can block the writing.
    pub fn can_stall(&self) -> bool {
        self.can_stall
    }

    /// Whether the output's reader can be unavailable for a while.
    pub fn can_be_away(&self) -> bool {
        self.can_be_away
    }

    /// Queues `line` about `subject`, and leaves an empty buffer in its place. At most `most` lines are queued.
    ///
    /// # Errors
    /// The line wasn't queued and is still in `line`.
    pub fn push(&self, line: &mut Vec<u8>, subject: &Subject, most: usize, overflow: Overflow) -> Result<(), Refused> {
        let most = most.max(1);
        let mut state = self.shared.state.lock();
        loop {
            if state.purged {
                state.stats.dropped += 1;
                return Ok(());
            }
            if state.failed {
                return Err(Refused::Failed);
            }
            if state.flushing || state.closed {
                return Err(Refused::Flushing);
            }
            if state.lines.len() < most {
                break;
            }
            match overflow {
                Overflow::Block => self.shared.wait_progress(&mut state, None),
                Overflow::DropOldest => {
                    state.drop_one();
                }
            }
        }
        let empty = state.spare.pop().unwrap_or_default();
        state.lines.push_back(Line { text: std::mem::replace(line, empty), subject: subject.clone() });
        let first = state.since.is_none();
        state.since.get_or_insert_with(Instant::now);
        state.many = state.lines.len() >= most / 2;
        let wanted = state.idle && (first || state.many || self.shared.gather.is_zero());
        drop(state);
        if wanted {
            self.shared.work.notify_one();
        }
        Ok(())
    }

    /// Waits, at most for `limit`, until every line queued so far is written, and has arrived as far as the output
    /// knows.
    ///
    /// # Errors
    /// Writing has failed, the stream is flushing, or the limit has passed. Lines are still written after that.
    pub fn drain(&self, limit: Option<Duration>) -> Result<(), Refused> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let mut state = self.shared.state.lock();
        state.draining += 1;
        self.shared.work.notify_one();
        let result = loop {
            if state.failed {
                break Err(Refused::Failed);
            }
            if state.purged || state.lines.is_empty() && state.writing == 0 && !state.unflushed {
                break Ok(());
            }
            if state.flushing || state.closed {
                break Err(Refused::Flushing);
            }
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => break Err(Refused::TimedOut),
                left => self.shared.wait_progress(&mut state, left),
            }
        };
        state.draining -= 1;
        result
    }

    /// While flushing, [`push`](Self::push) and [`drain`](Self::drain) return at once. Lines already queued are still
    /// written.
    pub fn set_flushing(&self, flushing: bool) {
        self.shared.state.lock().flushing = flushing;
        self.shared.progress.notify_all();
    }

    pub fn stats(&self) -> Stats {
        let stats = self.shared.state.lock().stats;
        let undeliverable = self.shared.undeliverable.load(Ordering::Relaxed);
        let lines = stats.lines.saturating_sub(undeliverable);
        Stats { lines, dropped: stats.dropped + undeliverable, ..stats }
    }

    /// Opens a file that was moved or deleted again now, instead of with the next line.
    pub fn reopen(&self) {
        self.shared.state.lock().reopen = true;
        self.shared.work.notify_one();
    }

    /// Drops every line that hasn't been written or isn't confirmed, and every line that comes from now on, until the publisher is
    /// closed: another host publishes the stream now. Frames go on.
    pub fn purge(&self) {
        let mut state = self.shared.state.lock();
        state.purge();
        // The output's thread leaves what it's writing, and ends.
        self.shared.give_up.store(true, Ordering::Relaxed);
        drop(state);
        self.shared.work.notify_one();
        self.shared.progress.notify_all();
    }

    /// Writes the queued lines and ends the thread, in less than a second even if the reader doesn't read. Returns how
    /// many lines couldn't be written.
    pub fn close(&self) -> u64 {
        let thread = self.thread.lock().take();
        let Some(thread) = thread else { return 0 };
        self.shared.state.lock().closed = true;
        self.shared.work.notify_one();
        self.shared.progress.notify_all();
        if !self.shared.wait_end(Self::PATIENCE) {
            self.shared.give_up.store(true, Ordering::Relaxed);
        }
        let ended = self.shared.wait_end(Self::GRACE);
        let mut state = self.shared.state.lock();
        let left = state.left + state.lines.len() as u64 + state.writing;
        state.lines.clear();
        state.stats.dropped += left;
        drop(state);
        if ended {
            // Nothing is lost if the thread panicked: `ended` was set, and the remaining lines counted.
            let _ = thread.join();
        }
        left
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn run(&self, mut output: Box<dyn Output>, failed: impl FnOnce(&str, io::Error)) {
        // A reader that closes is an error of `write`; the signal's default action would terminate the process.
        let _ = nix::sys::signal::SigSet::from(nix::sys::signal::Signal::SIGPIPE).thread_block();
        let (mut failure, mut text) = (None, Vec::new());
        while let Some(job) = self.next(&mut text) {
            let mut left = text.as_slice();
            let result = match &job {
                Job::Write(subject) => output.write(&mut left, subject, &self.give_up).map(|()| left.is_empty()),
                Job::Flush => output.flush(&self.give_up).map(|left| self.flushed(left)),
                Job::Reopen => output.reopen().map(|()| true),
            };
            let mut state = self.state.lock();
            if matches!(job, Job::Write(_)) {
                state.wrote(&text, left);
            }
            match result {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
            drop(state);
            self.progress.notify_all();
        }
        // The callback posts the error before a pusher learns of it, whose own failure would otherwise be posted first by another
        // element. The lock isn't held: the callback may ask for stats.
        if let Some(error) = failure {
            failed(output.name(), error);
            self.state.lock().failed = true;
        }
        self.progress.notify_all();
        drop(output);
        self.state.lock().ended = true;
        self.progress.notify_all();
    }

    /// Records a flush that left `left` lines undelivered. Returns whether there were none.
    fn flushed(&self, left: u64) -> bool {
        let mut state = self.state.lock();
        state.unflushed = left > 0;
        state.left = left;
        state.stats.lines = state.stats.lines.saturating_sub(left);
        left == 0
    }

    /// The next job, with the data to write in `text`; `None` when there is no more.
    fn next(&self, text: &mut Vec<u8>) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if self.give_up.load(Ordering::Relaxed) {
                return None;
            }
            if std::mem::take(&mut state.reopen) {
                return Some(Job::Reopen);
            }
            match self.gate.as_ref().map_or(Passage::Open, |gate| gate.passage()) {
                Passage::Open => {}
                Passage::Held if !state.closed => {
                    self.work.wait_for(&mut state, Publisher::HELD);
                    continue;
                }
                // What waits is counted by `close`.
                Passage::Held => return None,
                Passage::Cut => {
                    state.purge();
                    return None;
                }
            }
            if let Some(left) = state.left_to_gather(self.gather) {
                state.idle = true;
                self.work.wait_for(&mut state, left);
                state.idle = false;
                continue;
            }
            if let Some(subject) = state.take(text, if self.gather.is_zero() { 0 } else { PIECE }) {
                state.gathered = true;
                drop(state);
                self.progress.notify_all();
                return Some(Job::Write(subject));
            }
            if state.unflushed && (state.closed || state.draining > 0) {
                return Some(Job::Flush);
            }
            if state.closed {
                return None;
            }
            state.many = false;
            if std::mem::take(&mut state.gathered) && !self.gather.is_zero() {
                // Where lines have come more will: the thread wakes by itself instead of being notified of the first.
                state.since = Some(Instant::now());
                continue;
            }
            state.since = None;
            state.idle = true;
            self.work.wait(&mut state);
            state.idle = false;
        }
    }

    /// Waits for progress, at most for `limit` if there is one.
    fn wait_progress(&self, state: &mut MutexGuard<'_, State>, limit: Option<Duration>) {
        match limit {
            Some(limit) => _ = self.progress.wait_for(state, limit),
            None => self.progress.wait(state),
        }
    }

    /// Waits at most `limit` for the thread to end, and returns whether it has.
    fn wait_end(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.state.lock();
        while !state.ended {
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return false;
            };
            self.wait_progress(&mut state, Some(left));
        }
        true
    }
}

enum Job {
    /// Write lines about this.
    Write(Subject),
    /// All lines are written: flush the output.
    Flush,
    /// Open the file anew if it was moved.
    Reopen,
}

impl State {
    /// Drops the queued lines, and those that come from now on.
    fn purge(&mut self) {
        self.purged = true;
        self.closed = true;
        self.stats.dropped += self.lines.len() as u64;
        self.lines.clear();
    }

    /// How much longer lines are gathered; `None`: the queued lines are to be written now.
    fn left_to_gather(&self, gather: Duration) -> Option<Duration> {
        if self.many || self.closed || self.draining > 0 {
            return None;
        }
        gather.checked_sub(self.since?.elapsed()).filter(|left| !left.is_zero())
    }

    /// Copies the next line to `text`, and the following lines about the same while `text` is shorter than `piece`; returns
    /// what they are about.
    fn take(&mut self, text: &mut Vec<u8>, piece: usize) -> Option<Subject> {
        let subject = self.lines.front()?.subject.clone();
        text.clear();
        while let Some(next) = self.lines.front()
            && next.subject == subject
            && (self.writing == 0 || text.len() < piece)
            && let Some(line) = self.lines.pop_front()
        {
            text.extend_from_slice(&line.text);
            self.recycle(line.text);
            self.writing += 1;
        }
        Some(subject)
    }

    /// Drops the oldest line of a frame, which the next frame makes up for; another only where there is none.
    fn drop_one(&mut self) {
        let oldest = self.lines.iter().position(|line| line.subject.kind.is_of_frame()).unwrap_or(0);
        if let Some(line) = self.lines.remove(oldest) {
            self.stats.dropped += 1;
            self.recycle(line.text);
        }
    }

    /// Records what was written of `text`: all but `left`.
    fn wrote(&mut self, text: &[u8], left: &[u8]) {
        let lines_left = match left.len() {
            0 => 0,
            all if all == text.len() => self.writing,
            _ => left.iter().filter(|byte| **byte == b'\n').count() as u64,
        };
        let written = self.writing.saturating_sub(lines_left);
        self.writing -= written;
        self.stats.lines += written;
        self.stats.bytes += (text.len() - left.len()) as u64;
        self.unflushed |= written > 0;
    }

    /// Buffers kept for later lines; more than a few accumulate only after a stall.
    const SPARE: usize = 16;

    fn recycle(&mut self, mut line: Vec<u8>) {
        if self.spare.len() < Self::SPARE {
            line.clear();
            self.spare.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::LineKind;
    use super::*;
    use std::sync::mpsc;

    /// Hands each line to the test, which can take its time; fails once the test has ended.
    struct Slow {
        lines: mpsc::SyncSender<Vec<u8>>,
        gather: Duration,
    }

    impl Output for Slow {
        fn name(&self) -> &str {
            "slow"
        }

        fn can_stall(&self) -> bool {
            true
        }

        fn gather(&self) -> Duration {
            self.gather
        }

        fn write(&mut self, lines: &mut &[u8], _: &Subject, give_up: &AtomicBool) -> io::Result<()> {
            loop {
                match self.lines.try_send(lines.to_vec()) {
                    Ok(()) => {
                        *lines = &[];
                        return Ok(());
                    }
                    Err(mpsc::TrySendError::Disconnected(_)) => return Err(io::ErrorKind::BrokenPipe.into()),
                    Err(mpsc::TrySendError::Full(_)) if give_up.load(Ordering::Relaxed) => return Ok(()),
                    Err(mpsc::TrySendError::Full(_)) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        }
    }

    /// A publisher, and the channel from which its lines come once they are asked for.
    fn publisher() -> (Publisher, mpsc::Receiver<Vec<u8>>, mpsc::Receiver<String>) {
        gathering(Duration::ZERO)
    }

    fn gathering(gather: Duration) -> (Publisher, mpsc::Receiver<Vec<u8>>, mpsc::Receiver<String>) {
        let (send, lines) = mpsc::sync_channel(0);
        let (fail, failures) = mpsc::channel();
        let failed = move |name: &str, error: io::Error| fail.send(format!("{name}: {error}")).unwrap();
        (Publisher::new(Box::new(Slow { lines: send, gather }), None, failed).unwrap(), lines, failures)
    }

    fn push(publisher: &Publisher, text: &str, overflow: Overflow) -> Result<(), Refused> {
        publisher.push(&mut text.as_bytes().to_vec(), &Subject::objects("stream"), 2, overflow)
    }

    /// Waits until the thread is writing a line, so that the queue is as the test made it.
    fn until_writing(publisher: &Publisher) {
        while publisher.shared.state.lock().writing == 0 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let (publisher, lines, _) = publisher();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..100).for_each(|i| push(&publisher, &i.to_string(), Overflow::Block).unwrap()));
            let got: Vec<_> = lines.iter().take(100).map(|l| String::from_utf8(l).unwrap()).collect();
            assert_eq!(got, (0..100).map(|i| i.to_string()).collect::<Vec<_>>());
        });
        publisher.drain(None).unwrap();
        assert_eq!(publisher.stats(), Stats { lines: 100, dropped: 0, bytes: 190 });
        assert_eq!(publisher.close(), 0);
    }

    /// Neither what waits nor what comes is written, and no caller waits for it.
    #[test]
    fn a_purge_drops_all_lines_and_counts_them() {
        let (publisher, lines, failures) = publisher();
        for text in ["0", "1", "2"] {
            push(&publisher, text, Overflow::DropOldest).unwrap();
            until_writing(&publisher);
        }
        publisher.purge();
        for text in ["3", "4", "5"] {
            push(&publisher, text, Overflow::Block).unwrap();
        }
        publisher.drain(None).unwrap();
        publisher.close();
        assert_eq!(publisher.stats(), Stats { lines: 0, dropped: 6, bytes: 0 });
        assert!(lines.try_iter().next().is_none() && failures.try_iter().next().is_none());
    }

    /// Lines are gathered, but not when half of the queue is full, when a caller waits for them, or at the end.
    #[test]
    fn lines_are_gathered_until_they_are_wanted() {
        const LONG: Duration = Duration::from_secs(60);
        let of = |most: usize, texts: &[&str]| {
            let (publisher, lines, failures) = gathering(LONG);
            for text in texts {
                publisher
                    .push(&mut text.as_bytes().to_vec(), &Subject::objects("stream"), most, Overflow::Block)
                    .unwrap();
            }
            (publisher, lines, failures)
        };
        let soon = Duration::from_secs(5);
        let (publisher, lines, _failures) = of(6, &["0", "1"]);
        assert!(lines.recv_timeout(Duration::from_millis(50)).is_err(), "gathered");
        publisher.push(&mut b"2".to_vec(), &Subject::objects("stream"), 6, Overflow::Block).unwrap();
        assert_eq!(lines.recv_timeout(soon).unwrap(), b"012", "many");

        let (publisher, lines, _failures) = of(6, &["0", "1"]);
        std::thread::scope(|scope| {
            let drained = scope.spawn(|| publisher.drain(Some(soon)));
            assert_eq!(lines.recv_timeout(soon).unwrap(), b"01", "waited for");
            assert_eq!(drained.join().unwrap(), Ok(()));
        });

        let (publisher, lines, _failures) = of(6, &["0", "1"]);
        std::thread::scope(|scope| {
            let closed = scope.spawn(|| publisher.close());
            assert_eq!(lines.recv_timeout(soon).unwrap(), b"01", "the end");
            assert_eq!(closed.join().unwrap(), 0);
            assert_eq!(publisher.stats(), Stats { lines: 2, dropped: 0, bytes: 2 });
        });
    }

    #[test]
    fn what_is_written_at_once_is_of_one_stream_and_not_too_long() {
        let mut state = State::default();
        let line = |stream: &str, letter: u8, bytes: usize| {
            let subject = Subject::objects(stream);
            Line { text: vec![letter; bytes], subject }
        };
        state.lines.extend([line("a", b'0', 3), line("a", b'1', 3), line("a", b'2', 3), line("b", b'3', 1)]);
        let mut take = |piece: usize| {
            let mut text = b"before".to_vec();
            let subject = state.take(&mut text, piece)?;
            Some((subject.stream.to_string(), String::from_utf8(text).unwrap(), std::mem::take(&mut state.writing)))
        };
        assert_eq!(take(4), Some(("a".into(), "000111".into(), 2)));
        assert_eq!(take(100), Some(("a".into(), "222".into(), 1)));
        assert_eq!(take(0), Some(("b".into(), "3".into(), 1)));
        assert_eq!(take(100), None);
    }

    #[test]
    fn an_event_is_dropped_only_where_there_is_no_line_of_a_frame() {
        let mut state = State::default();
        let line = |letter: u8, kind: LineKind| Line {
            text: vec![letter],
            subject: Subject { kind, ..Subject::objects("a") },
        };
        let totals = LineKind::Totals("door".into());
        state.lines.extend([line(b'0', LineKind::Event), line(b'1', totals), line(b'2', LineKind::Objects)]);
        let mut left = || {
            state.drop_one();
            state.lines.iter().flat_map(|line| line.text.clone()).collect::<Vec<_>>()
        };
        assert_eq!([left(), left(), left()], [b"01".to_vec(), b"1".to_vec(), vec![]]);
        left();
        assert_eq!(state.stats.dropped, 3);
    }

    #[test]
    fn gathered_lines_come_when_their_time_is_over() {
        let (publisher, lines, _failures) = gathering(Duration::from_millis(30));
        for round in 0..3 {
            let start = Instant::now();
            for text in ["0", "1"] {
                publisher.push(&mut text.as_bytes().to_vec(), &Subject::objects("stream"), 9, Overflow::Block).unwrap();
            }
            let mut text = Vec::new();
            while text.len() < 2 {
                text.extend(lines.recv_timeout(Duration::from_secs(5)).unwrap());
            }
            assert_eq!(text, b"01", "{round}");
            assert!(start.elapsed() < Duration::from_secs(2), "{round}: {:?}", start.elapsed());
            std::thread::sleep(Duration::from_millis(20 * round));
        }
    }

    #[test]
    fn the_oldest_waiting_line_gives_way() {
        let (publisher, lines, _) = publisher();
        push(&publisher, "0", Overflow::DropOldest).unwrap();
        until_writing(&publisher);
        (1..=5).for_each(|i| push(&publisher, &i.to_string(), Overflow::DropOldest).unwrap());
        assert_eq!(publisher.stats().dropped, 3);
        assert_eq!(lines.iter().take(3).collect::<Vec<_>>(), [b"0", b"4", b"5"]);
    }

    #[test]
    fn flushing_ends_waiting_but_loses_nothing_taken() {
        let (publisher, lines, _) = publisher();
        push(&publisher, "0", Overflow::Block).unwrap();
        until_writing(&publisher);
        push(&publisher, "1", Overflow::Block).unwrap();
        push(&publisher, "2", Overflow::Block).unwrap();
        std::thread::scope(|scope| {
            let push = scope.spawn(|| push(&publisher, "3", Overflow::Block));
            let drain = scope.spawn(|| publisher.drain(None));
            std::thread::sleep(Duration::from_millis(20));
            publisher.set_flushing(true);
            assert_eq!(push.join().unwrap(), Err(Refused::Flushing));
            assert_eq!(drain.join().unwrap(), Err(Refused::Flushing));
        });
        publisher.set_flushing(false);
        assert_eq!(lines.iter().take(3).collect::<Vec<_>>(), [b"0", b"1", b"2"]);
        publisher.drain(None).unwrap();
        assert_eq!(push(&publisher, "4", Overflow::Block), Ok(()));
    }

    #[test]
    fn close_writes_what_a_reader_takes_and_gives_up_in_time() {
        let (publisher, lines, _) = publisher();
        for text in ["0", "1"] {
            push(&publisher, text, Overflow::Block).unwrap();
        }
        let reader = std::thread::spawn(move || lines.iter().count());
        assert_eq!(publisher.close(), 0);
        assert_eq!(reader.join().unwrap(), 2);

        let (publisher, _lines, _) = self::publisher();
        push(&publisher, "0", Overflow::Block).unwrap();
        until_writing(&publisher);
        push(&publisher, "1", Overflow::Block).unwrap();
        let start = Instant::now();
        assert_eq!(publisher.close(), 2);
        assert!(start.elapsed() < Duration::from_secs(1));
        assert_eq!(publisher.stats(), Stats { lines: 0, dropped: 2, bytes: 0 });
        assert_eq!(push(&publisher, "2", Overflow::Block), Err(Refused::Flushing));
    }

    #[test]
    fn lines_wait_at_a_gate_and_are_dropped_when_it_is_cut() {
        let gate = crate::publish::Lease::new(Duration::from_secs(60)).gate();
        let (send, lines) = mpsc::sync_channel(0);
        let output = Box::new(Slow { lines: send, gather: Duration::ZERO });
        let publisher = Publisher::new(output, Some(gate.clone()), |_, _| ()).unwrap();
        gate.hold(true);
        ["0", "1", "2"].iter().for_each(|text| push(&publisher, text, Overflow::DropOldest).unwrap());
        assert!(lines.recv_timeout(3 * Publisher::HELD).is_err(), "held");
        gate.hold(false);
        let soon = Duration::from_secs(5);
        assert_eq!(lines.recv_timeout(soon).unwrap(), b"1", "of two lines that wait the newer ones");
        assert_eq!(lines.recv_timeout(soon).unwrap(), b"2");
        gate.hold(true);
        push(&publisher, "3", Overflow::DropOldest).unwrap();
        gate.cut();
        publisher.drain(Some(soon)).unwrap();
        push(&publisher, "4", Overflow::DropOldest).unwrap();
        publisher.drain(Some(soon)).unwrap();
        assert_eq!(publisher.stats(), Stats { lines: 2, dropped: 3, bytes: 2 });
        assert_eq!(publisher.close(), 0);
        assert!(lines.try_recv().is_err());
    }

    /// An output fails within gathered lines: those before the failure count as written, the others don't.
    #[test]
    fn lines_of_a_part_that_was_written_are_counted_one_by_one() {
        let mut state = State { writing: 3, ..State::default() };
        let text = b"one\ntwo\nthree\n";
        state.wrote(text, &text[4..]);
        assert_eq!((state.writing, state.stats), (2, Stats { lines: 1, dropped: 0, bytes: 4 }));
        state.wrote(&text[4..], &text[4..]);
        assert_eq!((state.writing, state.stats.lines), (2, 1));
        state.wrote(&text[4..], b"");
        assert_eq!((state.writing, state.stats), (0, Stats { lines: 3, dropped: 0, bytes: 14 }));
    }

    #[test]
    fn a_failure_is_told_once_and_ends_all_waiting() {
        let (publisher, lines, failures) = publisher();
        drop(lines);
        push(&publisher, "0", Overflow::Block).unwrap();
        assert_eq!(failures.recv().unwrap(), "slow: broken pipe");
        assert_eq!(publisher.drain(None), Err(Refused::Failed));
        assert_eq!(push(&publisher, "1", Overflow::Block), Err(Refused::Failed));
        assert!(failures.recv().is_err());
    }
}
