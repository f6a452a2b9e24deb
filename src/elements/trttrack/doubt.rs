//! Which objects a tracker can't be sure of by their places alone.

use std::collections::HashMap;
use std::time::Duration;
use tracking::{Observation, Track, Tracker};

/// An object that overlaps the expected box of a track by this much, and no other, continues it without doubt.
const SURE: f32 = 0.5;
/// Boxes that overlap less have nothing to do with each other.
const APART: f32 = 0.1;

/// The indices of the observations that are new, come back, or have others nearby, and of those whose tracks were last looked at
/// more than `interval` ago. `looks` tells when.
pub fn doubtful(
    tracker: &mut dyn Tracker,
    looks: &HashMap<u64, Duration>,
    time: Duration,
    interval: Duration,
    observations: &[Observation],
) -> Vec<usize> {
    let any_class = tracker.settings().class_agnostic;
    // Less certain ones continue tracks by their places.
    let high = tracker.settings().high_confidence;
    let tracks = tracker.predict(time);
    let meet = |track: &Track, observation: &Observation| {
        let same = any_class || track.class_id == observation.class_id;
        if same { track.rect.iou(&observation.rect) } else { 0.0 }
    };
    let is_doubtful = |observation: &Observation| {
        let mut near = tracks.iter().filter(|track| meet(track, observation) > APART);
        let (Some(track), None) = (near.next(), near.next()) else { return true };
        let alone = observations.iter().filter(|other| meet(track, other) > APART).count() == 1;
        let sure = alone && track.missed == 0 && meet(track, observation) >= SURE;
        let fresh = looks.get(&track.id).is_some_and(|at| time.saturating_sub(*at) < interval);
        !sure || !fresh
    };
    let certain = observations.iter().enumerate().filter(|(_, observation)| observation.confidence >= high);
    certain.filter(|(_, observation)| is_doubtful(observation)).map(|(index, _)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Rect;
    use tracking::{Settings, tracker};

    const FRAME: Duration = Duration::from_millis(40);

    fn at(x: f32) -> Observation<'static> {
        Observation { rect: Rect::new(x, 10.0, 40.0, 80.0), confidence: 0.9, ..Observation::default() }
    }

    #[test]
    fn only_what_is_new_lost_close_or_due_is_looked_at() {
        let mut tracker = tracker::new(Settings { frame_interval: FRAME, ..Settings::default() }).unwrap();
        let mut looks = HashMap::new();
        let mut doubt = |frame: u32, observations: &[Observation], looks: &mut HashMap<u64, Duration>| {
            let time = FRAME * frame;
            let found = doubtful(tracker.as_mut(), looks, time, 10 * FRAME, observations);
            for track in tracker.update(time, observations) {
                if track.observation.is_some_and(|index| found.contains(&index)) {
                    looks.insert(track.id, time);
                }
            }
            found
        };
        assert_eq!(doubt(0, &[at(10.0), at(300.0)], &mut looks), [0, 1], "new");
        let low = Observation { confidence: 0.3, ..at(500.0) };
        assert_eq!(
            doubt(1, &[at(12.0), at(300.0), low], &mut looks),
            [0; 0],
            "followed, or too uncertain to start a track"
        );
        assert_eq!(doubt(2, &[at(14.0), at(300.0), at(600.0)], &mut looks), [2], "one is new");
        assert_eq!(doubt(3, &[at(16.0), at(300.0), at(600.0)], &mut looks), [2], "and tentative");
        assert_eq!(doubt(4, &[at(18.0), at(600.0)], &mut looks), [0; 0]);
        assert_eq!(doubt(5, &[at(20.0), at(300.0), at(600.0)], &mut looks), [1], "it was lost");
        assert_eq!(doubt(6, &[at(22.0), at(300.0), at(325.0), at(600.0)], &mut looks), [1, 2], "close together");
        assert_eq!(doubt(10, &[at(30.0)], &mut looks), [0], "due");
        assert_eq!(doubt(11, &[at(32.0)], &mut looks), [0; 0]);
    }
}
