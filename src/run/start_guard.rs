//! Serialises state changes that happen on several threads.

use parking_lot::Mutex;
use std::sync::Arc;

/// Serialises the work on one pipeline or one source, so that nothing starts what has been closed.
#[derive(Debug, Clone, Default)]
pub struct StartGuard(Arc<Mutex<bool>>);

impl StartGuard {
    /// Runs `work` unless the guard is closed.
    pub fn run(&self, work: impl FnOnce()) {
        let over = self.0.lock();
        if !*over {
            work();
        }
    }

    /// Waits for work that is running; no work runs after this.
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
