//! The channel from streaming threads and state changes to the supervisor's thread.

use super::lifecycle::Event;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// What a camera's parts report.
#[derive(Debug)]
pub enum Report {
    Event(Event),
    /// The pipeline's latency has to be recalculated.
    Latency,
    /// A text for the operator: a warning, or the progress of an engine build.
    Note(String),
}

/// A report and its origin.
#[derive(Debug)]
pub struct Message {
    /// The camera's number; a camera that is restarted gets a new one.
    pub camera: u64,
    /// The number of the source that reports, if it is one: reports of an older source are obsolete.
    pub source: Option<u64>,
    pub report: Report,
}

/// Sends one camera's reports, from any thread, without waiting.
#[derive(Debug, Clone)]
pub struct Reporter {
    pub camera: u64,
    pub source: Option<u64>,
    pub sender: Sender,
}

impl Reporter {
    /// For reports of one of the camera's sources.
    pub fn of_source(&self, source: u64) -> Self {
        Self { source: Some(source), ..self.clone() }
    }

    pub fn event(&self, event: Event) {
        self.report(Report::Event(event));
    }

    pub fn report(&self, report: Report) {
        self.sender.send(Message { camera: self.camera, source: self.source, report });
    }
}

/// Sends messages, from any thread.
#[derive(Debug, Clone)]
pub struct Sender(Arc<Mutex<Channel>>);

/// Receives messages, on the supervisor's thread.
#[derive(Debug)]
pub struct Receiver(Arc<Mutex<Channel>>);

/// Sender on their way.
///
/// Waking a task of a main context accesses that context, and so does dropping a waker; GLib can't handle another
/// thread freeing the context meanwhile. So wakers are used and dropped with the lock held, and none outlives the
/// [`Receiver`], which is dropped before its context. General-purpose channels keep theirs until the last sender is
/// dropped, on any thread.
#[derive(Debug, Default)]
struct Channel {
    messages: VecDeque<Message>,
    reader: Option<Waker>,
    /// The receiver has been dropped.
    closed: bool,
}

pub fn channel() -> (Sender, Receiver) {
    let channel = Arc::<Mutex<Channel>>::default();
    (Sender(channel.clone()), Receiver(channel))
}

impl Sender {
    /// Sends a message; does nothing once the supervisor is gone.
    fn send(&self, message: Message) {
        let mut channel = self.0.lock();
        if !channel.closed {
            channel.messages.push_back(message);
            if let Some(reader) = channel.reader.take() {
                reader.wake();
            }
        }
    }
}

impl Receiver {
    /// Waits for the next message.
    pub async fn next(&mut self) -> Message {
        poll_fn(|context| {
            let mut channel = self.0.lock();
            match channel.messages.pop_front() {
                Some(message) => Poll::Ready(message),
                None => {
                    channel.reader = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        *self.0.lock() = Channel { closed: true, ..Channel::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn reporter(sender: Sender) -> Reporter {
        Reporter { camera: 7, source: None, sender }
    }

    #[test]
    fn messages_come_in_order_and_wake_the_reader_once() {
        let (sender, mut receiver) = channel();
        let wakes = Arc::<Wakes>::default();
        let waker = Waker::from(wakes.clone());
        let mut context = Context::from_waker(&waker);
        assert!(pin!(receiver.next()).poll(&mut context).is_pending());
        let reporter = reporter(sender);
        reporter.report(Report::Latency);
        reporter.of_source(3).report(Report::Note("second".into()));
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        let Poll::Ready(first) = pin!(receiver.next()).poll(&mut context) else { panic!("there is one") };
        assert!(matches!(first, Message { camera: 7, source: None, report: Report::Latency }));
        let Poll::Ready(second) = pin!(receiver.next()).poll(&mut context) else { panic!("there is another") };
        assert!(matches!(second, Message { camera: 7, source: Some(3), report: Report::Note(_) }));
        assert!(pin!(receiver.next()).poll(&mut context).is_pending());
    }

    #[test]
    fn no_waker_outlives_the_reader() {
        let (sender, mut receiver) = channel();
        let wakes = Arc::<Wakes>::default();
        let waker = Waker::from(wakes.clone());
        assert!(pin!(receiver.next()).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        assert_eq!(Arc::strong_count(&wakes), 2, "the channel has one");
        drop(receiver);
        assert_eq!(Arc::strong_count(&wakes), 1);
        reporter(sender).report(Report::Latency);
        assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
    }
}
