//! The limits of the frames that an element holds between its pads.

/// The number of held frames at which upstream's thread, which waits because `limit` frames are held, resumes.
///
/// While a full batch waits for a lane, no lane misses the next frame, so upstream waits for space for two: they arrive
/// together, run in one batch and return together, with one wake-up of each thread. At least one frame is left for the
/// element to work on.
pub fn resumes_at(limit: usize, full_batch_waits: bool) -> usize {
    let room = if full_batch_waits { 2 } else { 1 };
    limit.saturating_sub(room).max(usize::from(limit > 1))
}

/// True if enough frames wait for the model that `skip-when-busy` skips the next one: half of the maximum held.
pub fn is_busy(waiting: usize, limit: usize) -> bool {
    waiting >= (limit / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_goes_on_with_room_for_one_frame_or_two() {
        let at = |limit| (resumes_at(limit, false), resumes_at(limit, true));
        assert_eq!([1, 2, 3, 4, 6].map(at), [(0, 0), (1, 1), (2, 1), (3, 2), (5, 4)]);
    }

    #[test]
    fn busy_is_half_of_what_may_be_held() {
        let first = |limit| (0..).find(|waiting| is_busy(*waiting, limit));
        assert_eq!([1, 2, 4, 5, 8].map(first), [1, 1, 2, 2, 4].map(Some));
    }
}
