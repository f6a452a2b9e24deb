//! State changes that happen on several threads, one after the other.

use parking_lot::Mutex;
use std::sync::Arc;

/// Serialises what is done to one pipeline or one source, so that nothing starts what has been ended.
#[derive(Debug, Clone, Default)]
pub struct StartGuard(Arc<Mutex<bool>>);

impl StartGuard {
    /// Does `work` unless the end has been.
    pub fn run(&self, work: impl FnOnce()) {
        let over = self.0.lock();
        if !*over {
            work();
        }
    }

    /// Waits for the turn that is on; there will be none after.
    pub fn close(&self) {
        *self.0.lock() = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_done_after_the_end() {
        let start_guard = StartGuard::default();
        let mut done = Vec::new();
        start_guard.run(|| done.push(1));
        let others = start_guard.clone();
        std::thread::spawn(move || others.close()).join().unwrap();
        start_guard.run(|| done.push(2));
        assert_eq!(done, [1]);
    }
}
