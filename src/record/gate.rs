//! Which frames are recorded, and as what.

use super::appearance::Appearances;
use crate::config::Pictures;
use std::collections::VecDeque;
use std::time::Duration;

/// What a frame becomes, beside a part of a video.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Want {
    /// The camera's last picture.
    pub last: bool,
    /// Classes that appear with it.
    pub classes: Vec<String>,
}

impl Want {
    pub fn is_empty(&self) -> bool {
        !self.last && self.classes.is_empty()
    }
}

/// Decides on frames as they come, and remembers for those that come out as pictures.
#[derive(Debug)]
pub struct Gate {
    every: Duration,
    next_last: Duration,
    appearances: Appearances,
    /// By the frame's time in the recorder.
    under_way: VecDeque<(u64, Want)>,
}

impl Gate {
    /// Frames that can be between its two ends; those that were left out on the way are forgotten by this.
    const MOST: usize = 64;

    pub fn new(pictures: &Pictures) -> Self {
        Self {
            every: pictures.every,
            next_last: Duration::ZERO,
            appearances: Appearances::new(pictures.classes.iter().cloned(), pictures.absence),
            under_way: VecDeque::new(),
        }
    }

    /// What the frame of this time, with objects of these labels, is wanted for at `now`.
    pub fn decide<'a>(&mut self, now: Duration, time: u64, labels: impl Iterator<Item = &'a str>) -> Want {
        let last = now >= self.next_last;
        if last {
            self.next_last = now + self.every;
        }
        let want = Want { last, classes: self.appearances.see(now, labels) };
        if !want.is_empty() {
            if self.under_way.len() >= Self::MOST {
                self.under_way.pop_front();
            }
            self.under_way.push_back((time, want.clone()));
        }
        want
    }

    /// Whether the frame of this time becomes a picture.
    pub fn is_wanted(&self, time: u64) -> bool {
        self.under_way.iter().any(|(wanted, _)| *wanted == time)
    }

    /// What the picture of this time is for; once. Those before it were left out on their way.
    pub fn take(&mut self, time: u64) -> Option<Want> {
        while let Some((wanted, want)) = self.under_way.pop_front() {
            if wanted == time {
                return Some(want);
            }
            if wanted > time {
                self.under_way.push_front((wanted, want));
                return None;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate::new(&Pictures {
            folder: "/".into(),
            every: Duration::from_secs(1),
            classes: vec!["dog".into()],
            absence: Duration::from_secs(5),
            quality: 85,
            limit: 0,
        })
    }

    #[test]
    fn one_a_period_and_one_an_appearance() {
        let mut gate = gate();
        let at = Duration::from_millis;
        let want = |last, classes: &[&str]| Want { last, classes: classes.iter().map(|c| c.to_string()).collect() };
        assert_eq!(gate.decide(at(0), 0, ["cat"].into_iter()), want(true, &[]));
        assert_eq!(gate.decide(at(500), 1, ["dog"].into_iter()), want(false, &["dog"]));
        assert_eq!(gate.decide(at(900), 2, ["dog"].into_iter()), want(false, &[]));
        assert_eq!(gate.decide(at(1000), 3, [].into_iter()), want(true, &[]));
        assert!(gate.is_wanted(1) && !gate.is_wanted(2));
        // The first was left out.
        assert_eq!(gate.take(1), Some(want(false, &["dog"])));
        assert_eq!(gate.take(1), None);
        assert_eq!(gate.take(3), Some(want(true, &[])));
    }

    #[test]
    fn what_never_comes_out_is_forgotten() {
        let mut gate = gate();
        (0..1000).for_each(|n| drop(gate.decide(Duration::from_secs(n), n, [].into_iter())));
        assert_eq!(gate.under_way.len(), Gate::MOST);
    }
}
