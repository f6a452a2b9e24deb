//! The ordered queue between an element's sink pad and the task of its source pad.

use crate::infer::Notify;
use crate::scheduling::resumes_at;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;

/// The work on a frame, which may still be in progress.
pub trait Work: Send + 'static {
    /// True once the result is available.
    fn ready(&self) -> bool;
}

/// An entry of the queue.
#[derive(Debug)]
pub enum Item<W> {
    Frame(W),
    Event(gst::Event),
}

/// Frames in flight and serialised events, in stream order. The frame at the head blocks the rest until it is ready.
#[derive(Debug)]
pub struct Queue<W> {
    state: Mutex<State<W>>,
    /// Wakes the task: the head is new or has become ready.
    head: Condvar,
    /// Wakes threads that wait for space or for an empty queue: an item has left.
    out: Condvar,
}

#[derive(Debug)]
struct State<W> {
    items: VecDeque<Item<W>>,
    /// Frames in `items`, or popped and not pushed yet.
    frames: usize,
    /// An item was popped and isn't pushed yet.
    pushing: bool,
    /// The number of threads that wait for items to leave.
    waiting: usize,
    /// The highest number of held frames at which one of them must check again.
    enough: usize,
    flushing: bool,
    /// The result of the last push.
    flow: Result<(), gst::FlowError>,
    /// EOS was queued: upstream sends nothing more that could return an error.
    eos: bool,
}

impl<W> Default for Queue<W> {
    /// Starts flushing, like a pad before its activation.
    fn default() -> Self {
        let state = State {
            items: VecDeque::new(),
            frames: 0,
            pushing: false,
            waiting: 0,
            enough: 0,
            flushing: true,
            flow: Ok(()),
            eos: false,
        };
        Self { state: Mutex::new(state), head: Condvar::new(), out: Condvar::new() }
    }
}

impl<W: Work> Queue<W> {
    /// Waits while `condition` holds for frames to leave, until at most `enough` are held.
    fn wait_out_while(
        &self,
        state: &mut MutexGuard<'_, State<W>>,
        enough: usize,
        condition: impl FnMut(&mut State<W>) -> bool,
    ) {
        state.waiting += 1;
        state.enough = state.enough.max(enough);
        self.out.wait_while(state, condition);
        state.waiting -= 1;
        if state.waiting == 0 {
            state.enough = 0;
        }
    }

    /// Makes all waiting threads return at once, now and until [`Self::start`]. The queued items are returned, so that
    /// they are dropped without the lock.
    pub fn flush(&self) -> VecDeque<Item<W>> {
        let mut state = self.state.lock();
        state.flushing = true;
        let items = std::mem::take(&mut state.items);
        state.frames -= items.iter().filter(|i| matches!(i, Item::Frame(_))).count();
        self.head.notify_all();
        self.out.notify_all();
        items
    }

    /// Accepts items again, after a flush or at activation.
    pub fn start(&self) {
        let mut state = self.state.lock();
        state.flushing = false;
        state.eos = false;
        state.flow = Ok(());
    }

    /// The result of the task's last push.
    pub fn flow(&self) -> Result<(), gst::FlowError> {
        let state = self.state.lock();
        if state.flushing { Err(gst::FlowError::Flushing) } else { state.flow }
    }

    /// Downstream was relinked: frames are accepted again if the pad was unlinked before.
    pub fn relinked(&self) {
        let mut state = self.state.lock();
        if state.flow == Err(gst::FlowError::NotLinked) {
            state.flow = Ok(());
        }
    }

    /// Returns at once if fewer than `limit` frames are held. Otherwise it waits for space as [`resumes_at`] defines
    /// it, and calls `full_batch_waits` only then. Returns true if it waited.
    ///
    /// # Errors
    /// The task's flow error, or `Flushing`.
    pub fn wait_for_space(
        &self,
        limit: usize,
        full_batch_waits: impl FnOnce() -> bool,
    ) -> Result<bool, gst::FlowError> {
        let mut state = self.state.lock();
        let has_to_wait = state.frames >= limit;
        if has_to_wait {
            drop(state);
            let enough = resumes_at(limit, full_batch_waits());
            state = self.state.lock();
            self.wait_out_while(&mut state, enough, |s| !s.flushing && s.flow.is_ok() && s.frames > enough);
        }
        if state.flushing { Err(gst::FlowError::Flushing) } else { state.flow.map(|()| has_to_wait) }
    }

    /// Queues a frame; call [`Self::wait_for_space`] first.
    ///
    /// # Errors
    /// The task's flow error, or `Flushing`; the frame is dropped.
    pub fn push_frame(&self, work: W) -> Result<(), gst::FlowError> {
        let mut state = self.state.lock();
        if state.flushing {
            return Err(gst::FlowError::Flushing);
        }
        state.flow?;
        state.frames += 1;
        // A frame that isn't ready notifies the queue later; a frame behind others needs no wake-up.
        let next = state.items.is_empty() && work.ready();
        state.items.push_back(Item::Frame(work));
        drop(state);
        if next {
            self.head.notify_all();
        }
        Ok(())
    }

    /// Begins to push a frame that bypasses the queue. Returns false if an earlier item isn't pushed yet. If true,
    /// [`Self::pushed`] must follow.
    pub fn begin_push(&self) -> bool {
        let mut state = self.state.lock();
        let free = state.items.is_empty() && !state.pushing && !state.flushing && state.flow.is_ok();
        state.pushing |= free;
        state.frames += usize::from(free);
        free
    }

    /// Queues a serialised event.
    ///
    /// # Errors
    /// `Flushing`.
    pub fn push_event(&self, event: gst::Event) -> Result<(), gst::FlowError> {
        let mut state = self.state.lock();
        if state.flushing {
            return Err(gst::FlowError::Flushing);
        }
        state.eos |= event.type_() == gst::EventType::Eos;
        state.items.push_back(Item::Event(event));
        drop(state);
        self.head.notify_all();
        Ok(())
    }

    /// Waits until everything queued has been pushed. Returns false when flushing.
    pub fn drain(&self) -> bool {
        let mut state = self.state.lock();
        self.wait_out_while(&mut state, usize::MAX, |s| !s.flushing && (!s.items.is_empty() || s.pushing));
        !state.flushing
    }

    /// Waits for the next item to be ready and pops it; `None` when flushing. [`Self::pushed`] must follow.
    pub fn pop(&self) -> Option<Item<W>> {
        let mut state = self.state.lock();
        self.head.wait_while(&mut state, |s| {
            !s.flushing
                && match s.items.front() {
                    None => true,
                    Some(Item::Event(_)) => false,
                    Some(Item::Frame(work)) => !work.ready(),
                }
        });
        if state.flushing {
            return None;
        }
        let item = state.items.pop_front();
        state.pushing = item.is_some();
        item
    }

    /// Records the result of pushing a popped item (`Ok` for events). After an error, frames are refused and
    /// [`Self::flow`] returns the error. Returns true if upstream can't see that error, because EOS was queued.
    pub fn pushed(&self, frame: bool, flow: Result<(), gst::FlowError>) -> bool {
        let mut state = self.state.lock();
        state.pushing = false;
        state.frames -= usize::from(frame);
        if flow.is_err() {
            state.flow = flow;
        }
        // A thread that waits for the space of several frames is woken once for all of them.
        let awaited = state.waiting > 0 && (state.frames <= state.enough || flow.is_err());
        let eos = state.eos;
        drop(state);
        if awaited {
            self.out.notify_all();
        }
        eos
    }

    /// The number of held frames: queued, or being pushed.
    #[cfg(test)]
    pub fn frames(&self) -> usize {
        self.state.lock().frames
    }
}

impl<W: Work> Notify for Queue<W> {
    fn notify(&self) {
        // Taking the lock ensures that no thread is between its check and its wait.
        drop(self.state.lock());
        self.head.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    #[derive(Debug, Clone, Default)]
    struct Job(Arc<AtomicBool>);

    impl Work for Job {
        fn ready(&self) -> bool {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn queue() -> Arc<Queue<Job>> {
        let queue = Arc::new(Queue::default());
        queue.start();
        queue
    }

    #[test]
    fn a_frame_holds_up_what_comes_after_it() {
        gst::init().unwrap();
        let (queue, job) = (queue(), Job::default());
        queue.push_frame(job.clone()).unwrap();
        assert!(queue.push_event(gst::event::Eos::new()).is_ok());
        let task = std::thread::spawn({
            let queue = queue.clone();
            move || {
                let first = matches!(queue.pop(), Some(Item::Frame(_)));
                queue.pushed(true, Ok(()));
                let second = matches!(queue.pop(), Some(Item::Event(_)));
                queue.pushed(false, Ok(()));
                first && second
            }
        });
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(queue.frames(), 1);
        job.0.store(true, Ordering::SeqCst);
        queue.notify();
        assert!(queue.drain());
        assert!(task.join().unwrap());
        assert_eq!(queue.frames(), 0);
    }

    #[test]
    fn a_turn_is_only_taken_with_nothing_before_it() {
        let queue = queue();
        assert!(queue.begin_push());
        assert_eq!(queue.frames(), 1);
        assert!(!queue.begin_push(), "one is being pushed");
        queue.pushed(true, Ok(()));
        assert_eq!(queue.frames(), 0);
        queue.push_frame(Job::default()).unwrap();
        assert!(!queue.begin_push(), "one waits");
        queue.flush();
        assert!(!queue.begin_push(), "flushing");
        queue.start();
        assert!(queue.begin_push());
        queue.pushed(true, Err(gst::FlowError::Eos));
        assert!(!queue.begin_push(), "downstream refuses");
    }

    #[test]
    fn upstream_goes_on_when_there_is_the_room_it_waits_for() {
        let cases =
            [(1, false, 0), (1, true, 0), (2, false, 1), (2, true, 1), (4, false, 3), (4, true, 2), (6, true, 4)];
        for (limit, full_batch_waits, goes_on_at) in cases {
            let queue = queue();
            for _ in 0..limit {
                queue.wait_for_space(limit, || panic!("there is space")).unwrap();
                queue.push_frame(Job(Arc::new(true.into()))).unwrap();
            }
            let upstream = std::thread::spawn({
                let queue = queue.clone();
                move || queue.wait_for_space(limit, || full_batch_waits).map(|waited| waited.then(|| queue.frames()))
            });
            while queue.state.lock().waiting == 0 {
                std::thread::yield_now();
            }
            for left in (goes_on_at..limit).rev() {
                assert!(!upstream.is_finished(), "{limit}: went on with {}", left + 1);
                queue.pop();
                queue.pushed(true, Ok(()));
                if left > goes_on_at {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            assert_eq!(upstream.join().unwrap(), Ok(Some(goes_on_at)), "{limit}");
        }
    }

    #[test]
    fn flushing_wakes_everybody() {
        let queue = queue();
        queue.push_frame(Job::default()).unwrap();
        let waiters = [
            std::thread::spawn({
                let queue = queue.clone();
                move || queue.pop().is_none()
            }),
            std::thread::spawn({
                let queue = queue.clone();
                move || queue.wait_for_space(1, || false) == Err(gst::FlowError::Flushing)
            }),
            std::thread::spawn({
                let queue = queue.clone();
                move || !queue.drain()
            }),
        ];
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(queue.flush().len(), 1);
        for waiter in waiters {
            assert!(waiter.join().unwrap());
        }
        assert_eq!(queue.push_frame(Job::default()), Err(gst::FlowError::Flushing));
    }

    #[test]
    fn downstreams_answer_reaches_upstream_until_the_flush_ends() {
        let queue = queue();
        queue.push_frame(Job(Arc::new(true.into()))).unwrap();
        queue.pop();
        assert!(!queue.pushed(true, Err(gst::FlowError::NotLinked)));
        assert_eq!(queue.flow(), Err(gst::FlowError::NotLinked));
        assert_eq!(queue.wait_for_space(1, || false), Err(gst::FlowError::NotLinked));
        assert_eq!(queue.push_frame(Job::default()), Err(gst::FlowError::NotLinked));
        queue.relinked();
        assert_eq!(queue.flow(), Ok(()));
        queue.push_frame(Job(Arc::new(true.into()))).unwrap();
        queue.pop();
        queue.pushed(true, Err(gst::FlowError::Error));
        queue.relinked();
        assert_eq!(queue.flow(), Err(gst::FlowError::Error));
        queue.flush();
        queue.start();
        assert_eq!(queue.flow(), Ok(()));
    }
}
