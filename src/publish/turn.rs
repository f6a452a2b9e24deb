//! Several writers of this process into one pipe or terminal: a line is longer than what a pipe takes at once, and yet
//! lines mustn't mix.

use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

/// Whose turn it is to write into one pipe.
#[derive(Debug, Default)]
pub struct Turn {
    state: Mutex<State>,
    free: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: bool,
    /// The last line was begun, and given up on.
    torn: bool,
}

/// The turn, until it's dropped.
pub struct Held<'a> {
    turn: &'a Turn,
    /// The line before was never ended.
    pub after_torn: bool,
    torn: bool,
}

impl Turn {
    /// How often a wait looks whether it's to end.
    const TICK: Duration = Duration::from_millis(50);

    /// The one that all writers into what `file` is share.
    ///
    /// # Errors
    /// From the system.
    pub fn of(file: &File) -> io::Result<Arc<Self>> {
        /// By device and inode.
        type Turns = HashMap<(u64, u64), Weak<Turn>>;
        static TURNS: LazyLock<Mutex<Turns>> = LazyLock::new(Mutex::default);
        let metadata = file.metadata()?;
        let mut turns = TURNS.lock();
        turns.retain(|_, turn| turn.strong_count() > 0);
        let place = turns.entry((metadata.dev(), metadata.ino())).or_default();
        Ok(place.upgrade().unwrap_or_else(|| {
            let turn = Arc::new(Self::default());
            *place = Arc::downgrade(&turn);
            turn
        }))
    }

    /// Waits for the turn; `None` soon after `give_up` is set.
    pub fn take(&self, give_up: &AtomicBool) -> Option<Held<'_>> {
        let mut state = self.state.lock();
        while state.taken {
            if give_up.load(Ordering::Relaxed) {
                return None;
            }
            self.free.wait_for(&mut state, Self::TICK);
        }
        state.taken = true;
        let after_torn = std::mem::take(&mut state.torn);
        Some(Held { turn: self, after_torn, torn: after_torn })
    }
}

impl Held<'_> {
    /// Whether the line that is being written has been begun and not ended.
    pub fn set_torn(&mut self, torn: bool) {
        self.torn = torn;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut state = self.turn.state.lock();
        state.taken = false;
        state.torn = self.torn;
        drop(state);
        self.turn.free.notify_one();
    }
}
