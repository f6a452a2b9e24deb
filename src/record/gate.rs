//! Decides which frames become pictures, and of what.

use super::appearance::Appearances;
use crate::config::Pictures;
use std::time::Duration;

/// What a frame's picture is wanted for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Want {
    /// The picture of the camera's last frame.
    pub last: bool,
    /// Classes that appear in the frame.
    pub classes: Vec<String>,
}

impl Want {
    pub fn is_empty(&self) -> bool {
        !self.last && self.classes.is_empty()
    }

    /// Whether other frames are dropped for this one: the next frame may not show the class any more.
    pub fn has_precedence(&self) -> bool {
        !self.classes.is_empty()
    }
}

/// Decides on frames as they come. A want is satisfied once its picture was kept, and wanted again when it was refused.
#[derive(Debug)]
pub struct Gate {
    every: Duration,
    next_last: Duration,
    appearances: Appearances,
}

impl Gate {
    pub fn new(pictures: &Pictures) -> Self {
        Self {
            every: pictures.every,
            next_last: Duration::ZERO,
            appearances: Appearances::new(pictures.classes.iter().cloned(), pictures.absence),
        }
    }

    /// What the frame at `now`, with objects of these labels, is wanted for; and the classes that disappeared without a
    /// picture.
    pub fn decide<'a>(&mut self, now: Duration, labels: impl Iterator<Item = &'a str>) -> (Want, Vec<String>) {
        let lost = self.appearances.lost(now);
        let last = now >= self.next_last;
        if last {
            self.next_last = now + self.every;
        }
        (Want { last, classes: self.appearances.see(now, labels) }, lost)
    }

    /// Records that this want has its picture.
    pub fn kept(&mut self, want: &Want) {
        self.appearances.kept(&want.classes);
    }

    /// Records that this want has no picture: the next frame is to become it.
    pub fn refused(&mut self, want: &Want) {
        if want.last {
            self.next_last = Duration::ZERO;
        }
        self.appearances.refused(&want.classes);
    }

    /// At the end: the classes whose appearance has no picture.
    pub fn unkept(&mut self) -> Vec<String> {
        self.appearances.unkept()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_period_and_one_an_appearance() {
        let mut gate = Gate::new(&Pictures {
            folder: "/".into(),
            every: Duration::from_secs(1),
            classes: vec!["dog".into()],
            absence: Duration::from_secs(5),
            quality: 85,
            limit: 0,
        });
        let want = |last, classes: &[&str]| Want { last, classes: classes.iter().map(|c| c.to_string()).collect() };
        let mut decide = |ms, label: &str, kept| {
            let (want, lost) = gate.decide(Duration::from_millis(ms), [label].into_iter());
            match kept {
                true => gate.kept(&want),
                false => gate.refused(&want),
            }
            (want, lost)
        };
        assert_eq!(decide(0, "cat", true), (want(true, &[]), vec![]));
        assert_eq!(decide(500, "dog", true), (want(false, &["dog"]), vec![]));
        assert_eq!(decide(900, "dog", true), (want(false, &[]), vec![]));
        assert_eq!(decide(1000, "", false), (want(true, &[]), vec![]));
        assert_eq!(decide(1100, "", true), (want(true, &[]), vec![]), "the one before was refused");
        assert_eq!(decide(1200, "", true), (want(false, &[]), vec![]));
        assert_eq!(decide(9000, "dog", false), (want(true, &["dog"]), vec![]));
        assert_eq!(decide(9100, "", true), (want(true, &[]), vec![]));
        assert_eq!(decide(14_000, "dog", true), (want(true, &["dog"]), vec!["dog".into()]));
    }
}
