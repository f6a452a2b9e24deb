//! State changes that happen on several threads, one after the other.

use parking_lot::Mutex;
use std::sync::Arc;

/// Serialises what is done to one pipeline or one source, so that nothing starts what has been ended.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Mutex<bool>>);

impl Turns {
    /// Does `work` unless the end has been.
    pub fn take(&self, work: impl FnOnce()) {
        let over = self.0.lock();
        if !*over {
            work();
        }
    }

    /// Waits for the turn that is on; there will be none after.
    pub fn end(&self) {
        *self.0.lock() = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_done_after_the_end() {
        let turns = Turns::default();
        let mut done = Vec::new();
        turns.take(|| done.push(1));
        let others = turns.clone();
        std::thread::spawn(move || others.end()).join().unwrap();
        turns.take(|| done.push(2));
        assert_eq!(done, [1]);
    }
}
