//! What happens to coded pictures when their decoder is behind: all up to the next key frame are left out, because none of
//! them could be decoded without the first.

use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub struct Gate {
    /// Up to the next key frame.
    closed: AtomicBool,
}

impl Gate {
    /// Whether a coded picture goes on to a queue that is `full` or not. Called by one thread.
    pub fn lets_pass(&self, full: bool, key_frame: bool) -> bool {
        let closed = full || (self.closed.load(Ordering::Relaxed) && !key_frame);
        self.closed.store(closed, Ordering::Relaxed);
        !closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_with_a_key_frame_that_has_room() {
        let gate = Gate::default();
        let passed = [
            (false, true, true),
            (false, false, true),
            (true, false, false),
            (false, false, false),
            (true, true, false),
            (false, false, false),
            (false, true, true),
            (false, false, true),
        ];
        for (n, (full, key_frame, wanted)) in passed.into_iter().enumerate() {
            assert_eq!(gate.lets_pass(full, key_frame), wanted, "{n}");
        }
    }
}
