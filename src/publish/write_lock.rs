//! Serialises the writers of this process into one pipe or terminal: a line is longer than an atomic write to a pipe,
//! and yet lines mustn't be interleaved.

use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

/// Serialises writes into one pipe.
#[derive(Debug, Default)]
pub struct WriteLock {
    state: Mutex<State>,
    free: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: bool,
    /// The last line was written only in part.
    torn: bool,
}

/// Holds the lock until dropped.
pub struct WriteGuard<'a> {
    lock: &'a WriteLock,
    /// The previous writer left a partial line.
    pub after_torn: bool,
    torn: bool,
}

impl WriteLock {
    /// How often a wait checks whether to give up.
    const TICK: Duration = Duration::from_millis(50);

    /// Returns the lock that all writers into `file` share.
    ///
    /// # Errors
    /// From the system.
    pub fn of(file: &File) -> io::Result<Arc<Self>> {
        /// By device and inode.
        type Locks = HashMap<(u64, u64), Weak<WriteLock>>;
        static LOCKS: LazyLock<Mutex<Locks>> = LazyLock::new(Mutex::default);
        let metadata = file.metadata()?;
        let mut locks = LOCKS.lock();
        locks.retain(|_, lock| lock.strong_count() > 0);
        let entry = locks.entry((metadata.dev(), metadata.ino())).or_default();
        Ok(entry.upgrade().unwrap_or_else(|| {
            let lock = Arc::new(Self::default());
            *entry = Arc::downgrade(&lock);
            lock
        }))
    }

    /// Waits for the lock; `None` soon after `give_up` is set.
    pub fn take(&self, give_up: &AtomicBool) -> Option<WriteGuard<'_>> {
        let mut state = self.state.lock();
        while state.taken {
            if give_up.load(Ordering::Relaxed) {
                return None;
            }
            self.free.wait_for(&mut state, Self::TICK);
        }
        state.taken = true;
        let after_torn = std::mem::take(&mut state.torn);
        Some(WriteGuard { lock: self, after_torn, torn: after_torn })
    }
}

impl WriteGuard<'_> {
    /// Sets whether the line that is being written is partial so far.
    pub fn set_torn(&mut self, torn: bool) {
        self.torn = torn;
    }
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.lock.state.lock();
        state.taken = false;
        state.torn = self.torn;
        drop(state);
        self.lock.free.notify_one();
    }
}
