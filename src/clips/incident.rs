//! Events that share a clip.

use super::tracks::Tracks;
use super::unit::Time;
use crate::meta::Event;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why there is a clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    /// The rule that the event fits, or the kind of request.
    pub rule: Arc<str>,
    pub time: Time,
    /// The event; `None`: a request.
    pub event: Option<Event>,
    /// The text of a request.
    pub text: Option<String>,
}

/// What is to be recorded, from before the first event to after the last.
#[derive(Debug)]
pub struct Incident {
    /// The names of its files, without extension; the first is known from the beginning.
    pub names: Vec<Arc<str>>,
    pub causes: Vec<Cause>,
    pub tracks: Tracks,
    /// The number of the next unit to write.
    pub next: u64,
    pub begin: Time,
    pub until: Time,
    /// When it's over even if the camera sends nothing more.
    pub deadline: Instant,
}

/// How long after its end an incident waits for the frames' events, which come later than what the camera has sent.
const GRACE: Duration = Duration::from_secs(2);

/// The most causes of an incident that are kept.
const MOST_CAUSES: usize = 10_000;

impl Incident {
    /// Makes an incident whose first unit has the number `next`, and is shown at `begin`.
    pub fn new(name: &str, cause: Cause, tracks: Tracks, next: u64, begin: Time) -> Self {
        let until = cause.time;
        let deadline = Instant::now();
        Self { names: vec![name.into()], causes: vec![cause], tracks, next, begin, until, deadline }
    }

    /// Adds an event; the clip shows it.
    pub fn add(&mut self, cause: Cause) {
        if self.causes.len() < MOST_CAUSES {
            self.causes.push(cause);
        }
    }

    /// Makes it end `after` an event at `time`, but not later than the longest clip does. `newest` is the time of the last
    /// unit.
    pub fn prolong(&mut self, time: Time, after: Duration, longest: Duration, newest: Time) {
        let end = time.saturating_add(nanoseconds(after)).min(self.begin.saturating_add(nanoseconds(longest)));
        self.until = self.until.max(end);
        let left = u64::try_from(self.until.saturating_sub(newest)).unwrap_or(0);
        self.deadline = Instant::now() + Duration::from_nanos(left) + GRACE;
    }

    /// The name of the file that is written, or will be.
    pub fn name(&self) -> Arc<str> {
        self.names.last().cloned().unwrap_or_default()
    }
}

pub fn nanoseconds(duration: Duration) -> Time {
    Time::try_from(duration.as_nanos()).unwrap_or(Time::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_prolong_it_up_to_the_longest_clip() {
        let second = |seconds: i64| seconds * 1_000_000_000;
        let cause = Cause { rule: "yard".into(), time: second(105), event: None, text: None };
        let mut incident = Incident::new("a", cause, Tracks::default(), 0, second(99));
        let (after, longest) = (Duration::from_secs(10), Duration::from_secs(30));
        incident.prolong(second(105), after, longest, second(106));
        assert_eq!(incident.until, second(115));
        let left = incident.deadline - Instant::now();
        assert!(left > Duration::from_millis(10_500) && left <= Duration::from_secs(11), "{left:?}");
        // An event that became certain late doesn't shorten it.
        incident.prolong(second(103), after, longest, second(106));
        assert_eq!(incident.until, second(115));
        incident.prolong(second(112), after, longest, second(112));
        assert_eq!(incident.until, second(122));
        incident.prolong(second(122), after, longest, second(122));
        assert_eq!(incident.until, second(129));
    }
}
