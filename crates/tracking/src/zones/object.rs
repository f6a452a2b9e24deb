//! Objects as zones see them.

use crate::track::{State, Track};
use model::{Keypoint, KeypointLayout, Rect};

/// A tracked object in a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Object<'a> {
    /// Its track's id.
    pub track: u64,
    /// Only confirmed tracks count, and only where they are observed: a predicted box is no evidence of a crossing, but
    /// keeps its object where it was.
    pub state: State,
    /// The name of its class.
    pub class: &'a str,
    /// Its box in fractions of the frame.
    pub rect: Rect,
    /// Where it stands, in fractions of the frame, if that is known better than by the box: see [`ankles`].
    pub feet: Option<(f32, f32)>,
}

impl<'a> Object<'a> {
    /// A track in a frame of the given width and height in pixels.
    pub fn new(track: &Track, class: &'a str, (width, height): (u32, u32)) -> Self {
        let rect = track.rect.scaled(1.0 / width.max(1) as f32, 1.0 / height.max(1) as f32);
        Self { track: track.id, state: track.state, class, rect, feet: None }
    }
}

/// The middle between the ankles of a pose, in the unit of its keypoints; of one ankle where the other isn't seen with at
/// least the confidence; `None` if neither is, or the layout has none.
pub fn ankles(keypoints: &[Keypoint], layout: &KeypointLayout, confidence: f32) -> Option<(f32, f32)> {
    let named = layout.names.iter().zip(keypoints).filter(|(name, _)| name.ends_with("ankle"));
    let seen = named.map(|(_, point)| point).filter(|point| point.confidence >= confidence);
    let (count, x, y) = seen.fold((0.0, 0.0, 0.0), |(count, x, y), point| (count + 1.0, x + point.x, y + point.y));
    (count > 0.0).then(|| (x / count, y / count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feet_are_between_the_ankles_that_are_seen() {
        let layout = KeypointLayout::coco17();
        let mut pose = vec![Keypoint { x: 0.1, y: 0.1, confidence: 0.9 }; 17];
        pose[15] = Keypoint { x: 0.4, y: 0.8, confidence: 0.9 };
        pose[16] = Keypoint { x: 0.6, y: 0.9, confidence: 0.9 };
        let (x, y) = ankles(&pose, &layout, 0.3).unwrap();
        assert!((x - 0.5).abs() < 1e-6 && (y - 0.85).abs() < 1e-6);
        pose[15].confidence = 0.1;
        assert_eq!(ankles(&pose, &layout, 0.3), Some((0.6, 0.9)));
        pose[16].confidence = 0.1;
        assert_eq!(ankles(&pose, &layout, 0.3), None);
    }
}
