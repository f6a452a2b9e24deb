//! Decides when a camera's start is over: when its models have caught up with the frames that arrived while its decoder
//! was being opened.

use std::time::{Duration, Instant};

/// Models that haven't caught up by then never will: from then on the oldest picture is dropped.
const LONGEST: Duration = Duration::from_secs(3);

/// The fill of a starting camera's queues at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Queued {
    /// Coded pictures queued in front of the decoder.
    pub coded: u32,
    /// Decoded pictures queued in front of the models, and their maximum.
    pub pictures: u32,
    pub most_pictures: u32,
}

/// The start of a camera, during which its decoder waits for the models instead of dropping pictures.
#[derive(Debug, Default)]
pub struct CatchUp {
    /// When the first decoded picture arrived.
    since: Option<Instant>,
}

impl CatchUp {
    pub fn first_picture(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// True if no coded picture is queued behind the one that now leaves the decoder's queue and there is space in
    /// front of the models, or if that takes too long.
    pub fn is_over(&self, now: Instant, queued: Queued) -> bool {
        let Some(since) = self.since else { return false };
        let room = 2 * queued.pictures <= queued.most_pictures;
        (queued.coded <= 1 && room) || now.saturating_duration_since(since) >= LONGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_the_queues_have_emptied_or_time_is_up() {
        let (mut start, now) = (CatchUp::default(), Instant::now());
        let queued = |coded, pictures| Queued { coded, pictures, most_pictures: 4 };
        assert!(!start.is_over(now + 2 * LONGEST, queued(0, 0)), "the decoder is being opened");
        start.first_picture(now);
        assert!(!start.is_over(now, queued(2, 0)), "another coded picture waits");
        assert!(!start.is_over(now, queued(1, 3)), "the models are behind");
        assert!(start.is_over(now, queued(1, 2)));
        assert!(start.is_over(now + LONGEST, queued(50, 4)), "they won't catch up");
    }
}
