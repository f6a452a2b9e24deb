//! When a class appears, told without a tracker: it's there after it wasn't for a while.

use std::collections::BTreeMap;
use std::time::Duration;

/// Follows which classes are in a stream's frames.
#[derive(Debug)]
pub struct Appearances {
    /// Label, and when it was seen last.
    classes: BTreeMap<String, Option<Duration>>,
    absence: Duration,
}

impl Appearances {
    /// Of these labels; a class that was away for `absence` has appeared when it's seen again.
    pub fn new(labels: impl IntoIterator<Item = String>, absence: Duration) -> Self {
        Self { classes: labels.into_iter().map(|label| (label, None)).collect(), absence }
    }

    /// The labels that appear with this frame. `now` never goes back; so an object that flickers doesn't appear again.
    pub fn see<'a>(&mut self, now: Duration, labels: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut appeared = Vec::new();
        for label in labels {
            let Some(seen) = self.classes.get_mut(label) else { continue };
            if seen.replace(now).is_none_or(|last| now.saturating_sub(last) >= self.absence) {
                appeared.push(label.to_owned());
            }
        }
        appeared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_appears_after_its_absence_only() {
        let mut appearances = Appearances::new(["person".into(), "dog".into()], Duration::from_secs(10));
        let mut see = |seconds, labels: &[&str]| appearances.see(Duration::from_secs(seconds), labels.iter().copied());
        assert_eq!(see(0, &["person", "person", "car"]), ["person"]);
        assert_eq!(see(5, &["person"]), [""; 0]);
        // There all the while, with gaps shorter than the absence.
        assert_eq!(see(14, &["person", "dog"]), ["dog"]);
        assert_eq!(see(23, &["person"]), [""; 0]);
        assert_eq!(see(33, &["person"]), ["person"]);
    }
}
