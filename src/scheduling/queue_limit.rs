//! How many frames an element holds between its pads.

/// Upstream's thread waits because `limit` frames are held: the number of held frames at which it goes on.
///
/// As long as a full batch waits for a lane, no lane misses the next frame, and upstream waits for room for two: they come one
/// after the other, go in one batch and come back together, with one wake-up of each thread. At least one frame is left for the
/// element to work on.
pub fn resumes_at(limit: usize, full_batch_waits: bool) -> usize {
    let room = if full_batch_waits { 2 } else { 1 };
    limit.saturating_sub(room).max(usize::from(limit > 1))
}

/// True if so many frames wait for the model that `skip-when-busy` leaves the next one out: half of those that may be held.
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
