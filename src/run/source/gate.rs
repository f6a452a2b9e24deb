//! Decides which coded pictures a decoder gets: from a key frame on. When the decoder is behind, all pictures up to the
//! next key frame are dropped, because none of them could be decoded without the first.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// The gate between the parser and the decoder's queue.
#[derive(Debug)]
pub struct Gate {
    /// How long pictures may come without a key frame before they pass all the same.
    longest: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Open,
    /// Waiting for a key frame, since the first picture that there was space for.
    Closed(Option<Instant>),
}

/// What happens to a coded picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// The decoder is behind.
    Behind,
    /// It can't be decoded without the key frame, which has been missing for this long.
    NoKeyFrame(Duration),
}

impl Gate {
    /// Makes a gate that waits for the stream's first key frame.
    pub fn new(longest: Duration) -> Self {
        Self { longest, state: Mutex::new(State::Closed(None)) }
    }

    /// Decides about a coded picture at a queue that is `full` or not.
    pub fn judge(&self, full: bool, key_frame: bool, now: Instant) -> Verdict {
        let mut state = self.state.lock();
        let (next, verdict) = match *state {
            _ if full => (State::Closed(None), Verdict::Behind),
            State::Closed(since) if !key_frame => {
                let since = since.unwrap_or(now);
                match now.saturating_duration_since(since) {
                    waited if waited < self.longest => (State::Closed(Some(since)), Verdict::NoKeyFrame(waited)),
                    _ => (State::Open, Verdict::Pass),
                }
            }
            _ => (State::Open, Verdict::Pass),
        };
        *state = next;
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(30);

    #[test]
    fn opens_with_a_key_frame_that_has_room() {
        let gate = Gate::new(LONGEST);
        let now = Instant::now();
        let waits = Verdict::NoKeyFrame(Duration::ZERO);
        let judged = [
            (false, false, waits),
            (false, true, Verdict::Pass),
            (false, false, Verdict::Pass),
            (true, false, Verdict::Behind),
            (false, false, waits),
            (true, true, Verdict::Behind),
            (false, false, waits),
            (false, true, Verdict::Pass),
            (false, false, Verdict::Pass),
        ];
        for (n, (full, key_frame, wanted)) in judged.into_iter().enumerate() {
            assert_eq!(gate.judge(full, key_frame, now), wanted, "{n}");
        }
    }

    #[test]
    fn opens_in_the_end_for_a_stream_without_key_frames_at_any_rate() {
        for (behind_before, milliseconds) in [(false, 33), (false, 200), (true, 40), (true, 6700), (false, 60_000)] {
            let gate = Gate::new(LONGEST);
            let start = Instant::now();
            if behind_before {
                assert_eq!(gate.judge(false, true, start), Verdict::Pass);
                assert_eq!(gate.judge(true, false, start), Verdict::Behind);
            }
            let time = |n: u32| n * Duration::from_millis(milliseconds);
            let first = (0..).find(|n| gate.judge(false, false, start + time(*n)) == Verdict::Pass);
            let first = time(first.expect("one"));
            assert!((LONGEST..LONGEST + time(1)).contains(&first), "{first:?}");
            assert_eq!(gate.judge(false, false, start + first), Verdict::Pass, "it stays open");
        }
    }

    #[test]
    fn the_time_behind_is_no_time_without_a_key_frame() {
        let gate = Gate::new(LONGEST);
        let start = Instant::now();
        assert_eq!(gate.judge(false, false, start), Verdict::NoKeyFrame(Duration::ZERO));
        assert_eq!(gate.judge(true, false, start + LONGEST), Verdict::Behind);
        let after = start + 2 * LONGEST;
        assert_eq!(gate.judge(false, false, after), Verdict::NoKeyFrame(Duration::ZERO));
    }
}
