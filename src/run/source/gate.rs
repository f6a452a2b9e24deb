//! Which coded pictures a decoder gets: from a key frame on. When it's behind, all up to the next key frame are left out,
//! because none of them could be decoded without the first.

use std::sync::atomic::{AtomicU32, Ordering};

/// Between the parser and the decoder's queue.
#[derive(Debug)]
pub struct Gate {
    /// How many more pictures to wait for a key frame; 0: open.
    waiting: AtomicU32,
}

/// After as many pictures without a key frame there will be none: some cameras refresh the picture part by part instead.
const MOST_WITHOUT_KEY_FRAME: u32 = 300;

impl Default for Gate {
    /// Waits for the stream's first key frame.
    fn default() -> Self {
        Self { waiting: AtomicU32::new(MOST_WITHOUT_KEY_FRAME) }
    }
}

impl Gate {
    /// Whether a coded picture goes on to a queue that is `full` or not. Called by one thread.
    pub fn lets_pass(&self, full: bool, key_frame: bool) -> bool {
        let waiting = match self.waiting.load(Ordering::Relaxed) {
            _ if full => MOST_WITHOUT_KEY_FRAME,
            _ if key_frame => 0,
            waiting => waiting.saturating_sub(1),
        };
        self.waiting.store(waiting, Ordering::Relaxed);
        waiting == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_with_a_key_frame_that_has_room() {
        let gate = Gate::default();
        let passed = [
            (false, false, false),
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

    #[test]
    fn opens_in_the_end_for_a_stream_without_key_frames() {
        let gate = Gate::default();
        let first = (1..1000).find(|_| gate.lets_pass(false, false));
        assert_eq!(first, Some(MOST_WITHOUT_KEY_FRAME));
        assert!(gate.lets_pass(false, false));
    }
}
