//! State changes that happen on several threads, one after the other.

use crate::sync::lock;
use std::sync::{Arc, Mutex};

/// Serialises what is done to one pipeline or one source, so that nothing starts what has been ended.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Mutex<bool>>);

impl Turns {
    /// Does `work` unless the end has been.
    pub fn take(&self, work: impl FnOnce()) {
        let over = lock(&self.0);
        if !*over {
            work();
        }
    }

    /// Waits for the turn that is on; there will be none after.
    pub fn end(&self) {
        *lock(&self.0) = true;
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
