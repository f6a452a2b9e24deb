//! Detects when a class appears, without a tracker: it's seen after it was absent for a while.

use std::collections::BTreeMap;
use std::time::Duration;

/// Tracks which classes are in a stream's frames, and which of their appearances have a picture.
#[derive(Debug)]
pub struct Appearances {
    /// By label; `None`: never seen, or absent.
    classes: BTreeMap<String, Option<Seen>>,
    absence: Duration,
}

#[derive(Debug)]
struct Seen {
    last: Duration,
    picture: Picture,
}

/// The picture of an appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Picture {
    /// The next frame with the class becomes the picture.
    Wanted,
    /// A frame is being drawn and encoded.
    UnderWay,
    Kept,
}

impl Appearances {
    /// Tracks these labels; a class that was absent for `absence` has appeared when it's seen again.
    pub fn new(labels: impl IntoIterator<Item = String>, absence: Duration) -> Self {
        Self { classes: labels.into_iter().map(|label| (label, None)).collect(), absence }
    }

    /// The labels whose appearance this frame is to show: [`Self::kept`] or [`Self::refused`] reports the result. `now`
    /// never goes back, so an object that flickers doesn't appear again.
    pub fn see<'a>(&mut self, now: Duration, labels: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut wanted = Vec::new();
        for label in labels {
            let Some(class) = self.classes.get_mut(label) else { continue };
            let there = class.as_ref().filter(|seen| now.saturating_sub(seen.last) < self.absence);
            let picture = match there.map_or(Picture::Wanted, |seen| seen.picture) {
                Picture::Wanted => {
                    wanted.push(label.to_owned());
                    Picture::UnderWay
                }
                picture => picture,
            };
            *class = Some(Seen { last: now, picture });
        }
        wanted
    }

    /// Records that a picture shows the appearance of these labels.
    pub fn kept(&mut self, labels: &[String]) {
        self.set(labels, Picture::Kept);
    }

    /// Records that the frame didn't become a picture: the next one with these labels is to.
    pub fn refused(&mut self, labels: &[String]) {
        self.set(labels, Picture::Wanted);
    }

    fn set(&mut self, labels: &[String], picture: Picture) {
        for label in labels {
            if let Some(Some(seen)) = self.classes.get_mut(label)
                && seen.picture != Picture::Kept
            {
                seen.picture = picture;
            }
        }
    }

    /// The labels that disappeared before a picture of their appearance could be taken. To be called before
    /// [`Self::see`] of a frame.
    pub fn lost(&mut self, now: Duration) -> Vec<String> {
        let absence = self.absence;
        self.take(|seen| seen.picture == Picture::Wanted && now.saturating_sub(seen.last) >= absence)
    }

    /// At the end: the labels whose appearance has no picture.
    pub fn unkept(&mut self) -> Vec<String> {
        self.take(|seen| seen.picture != Picture::Kept)
    }

    fn take(&mut self, which: impl Fn(&Seen) -> bool) -> Vec<String> {
        let taken =
            self.classes.iter_mut().filter_map(|(label, class)| class.take_if(|seen| which(seen)).map(|_| label));
        taken.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_class_appears_after_its_absence_only() {
        let mut appearances = Appearances::new(["person".into(), "dog".into()], seconds(10));
        let mut see = |time, labels: &[&str]| {
            let wanted = appearances.see(seconds(time), labels.iter().copied());
            appearances.kept(&wanted);
            assert_eq!(appearances.lost(seconds(time)), [""; 0]);
            wanted
        };
        assert_eq!(see(0, &["person", "person", "car"]), ["person"]);
        assert_eq!(see(5, &["person"]), [""; 0]);
        // Always present, with gaps shorter than the absence.
        assert_eq!(see(14, &["person", "dog"]), ["dog"]);
        assert_eq!(see(23, &["person"]), [""; 0]);
        assert_eq!(see(33, &["person"]), ["person"]);
    }

    #[test]
    fn the_next_frame_is_taken_where_one_was_refused() {
        let mut appearances = Appearances::new(["dog".into()], seconds(10));
        assert_eq!(appearances.see(seconds(0), ["dog"].into_iter()), ["dog"]);
        // A picture is in flight: one is enough.
        assert_eq!(appearances.see(seconds(1), ["dog"].into_iter()), [""; 0]);
        appearances.refused(&["dog".into()]);
        assert_eq!(appearances.see(seconds(2), ["dog", "dog"].into_iter()), ["dog"]);
        appearances.kept(&["dog".into()]);
        appearances.refused(&["dog".into()]);
        assert_eq!(appearances.see(seconds(3), ["dog"].into_iter()), [""; 0]);
        assert_eq!((appearances.lost(seconds(99)), appearances.unkept()), (vec![], vec![]));
    }

    #[test]
    fn what_went_away_without_a_picture_is_lost() {
        let mut appearances = Appearances::new(["dog".into(), "cat".into()], seconds(10));
        appearances.see(seconds(0), ["dog", "cat"].into_iter());
        assert_eq!(appearances.lost(seconds(10)), [""; 0], "both are under way");
        appearances.refused(&["dog".into()]);
        assert_eq!(appearances.lost(seconds(9)), [""; 0], "it's still there");
        assert_eq!((appearances.lost(seconds(10)), appearances.lost(seconds(10))), (vec!["dog".into()], vec![]));
        assert_eq!(appearances.see(seconds(11), ["dog"].into_iter()), ["dog"]);
        assert_eq!(appearances.unkept(), ["cat", "dog"]);
        assert_eq!(appearances.unkept(), [""; 0]);
    }
}
