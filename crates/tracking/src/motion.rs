//! How boxes move: the motion models of the published trackers.

use crate::kalman::Axis;
use model::Rect;

/// The least width and height of a predicted box, in pixels.
const LEAST_SIZE: f64 = 1e-3;
/// Standard deviations of positions and velocities per frame, as parts of the box's size (ByteTrack, BoT-SORT).
const POSITION_PART: f64 = 1.0 / 20.0;
const VELOCITY_PART: f64 = 1.0 / 160.0;

/// What a box's two coordinates beside its centre are, and how uncertain all four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coordinates {
    /// Width/height, height: ByteTrack, <https://arxiv.org/abs/2110.06864>.
    AspectHeight,
    /// Width, height: BoT-SORT, <https://arxiv.org/abs/2206.14651>.
    Size,
    /// Area, width/height, the latter without a velocity: OC-SORT, <https://arxiv.org/abs/2203.14360>.
    AreaAspect,
}

/// Variances of the four coordinates and of their velocities.
type Variances = ([f64; 4], [f64; 4]);

impl Coordinates {
    fn of(self, rect: &Rect) -> [f64; 4] {
        let [x, y, w, h] = [rect.x, rect.y, rect.w, rect.h].map(f64::from);
        let (w, h) = (w.max(LEAST_SIZE), h.max(LEAST_SIZE));
        let (cx, cy) = (x + w / 2.0, y + h / 2.0);
        match self {
            Self::AspectHeight => [cx, cy, w / h, h],
            Self::Size => [cx, cy, w, h],
            Self::AreaAspect => [cx, cy, w * h, w / h],
        }
    }

    /// The box's width and height.
    fn size(self, third: f64, fourth: f64) -> (f64, f64) {
        let (w, h) = match self {
            Self::AspectHeight => (third * fourth, fourth),
            Self::Size => (third, fourth),
            Self::AreaAspect => {
                let w = (third.max(0.0) * fourth.max(0.0)).sqrt();
                (w, third.max(0.0) / w.max(LEAST_SIZE))
            }
        };
        (w.max(LEAST_SIZE), h.max(LEAST_SIZE))
    }

    /// Of the first box.
    fn initial(self, w: f64, h: f64) -> Variances {
        self.variances(w, h, 2.0 * POSITION_PART, 10.0 * VELOCITY_PART, ([10.0; 4], [1e4, 1e4, 1e4, 0.0]))
    }

    /// What each frame adds.
    fn process(self, w: f64, h: f64) -> Variances {
        self.variances(w, h, POSITION_PART, VELOCITY_PART, ([1.0; 4], [1e-2, 1e-2, 1e-4, 0.0]))
    }

    /// For these standard deviations as parts of the box's size; `of_area` where they don't depend on it.
    fn variances(self, w: f64, h: f64, position: f64, velocity: f64, of_area: Variances) -> Variances {
        match self {
            Self::AspectHeight => (
                squares([position * h, position * h, 1e-2, position * h]),
                squares([velocity * h, velocity * h, 1e-5, velocity * h]),
            ),
            Self::Size => (
                squares([position * w, position * h, position * w, position * h]),
                squares([velocity * w, velocity * h, velocity * w, velocity * h]),
            ),
            Self::AreaAspect => of_area,
        }
    }

    /// Of a measured box.
    fn measurement(self, w: f64, h: f64) -> [f64; 4] {
        let part = POSITION_PART;
        match self {
            Self::AspectHeight => squares([part * h, part * h, 1e-1, part * h]),
            Self::Size => squares([part * w, part * h, part * w, part * h]),
            Self::AreaAspect => [1.0, 1.0, 10.0, 10.0],
        }
    }
}

fn squares(values: [f64; 4]) -> [f64; 4] {
    values.map(|value| value * value)
}

/// A box in motion. Times are in frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Motion {
    coordinates: Coordinates,
    axes: [Axis; 4],
}

impl Motion {
    pub fn new(coordinates: Coordinates, rect: &Rect) -> Self {
        let values = coordinates.of(rect);
        let (w, h) = coordinates.size(values[2], values[3]);
        let (positions, velocities) = coordinates.initial(w, h);
        let axes = [0, 1, 2, 3].map(|i| Axis::new(values[i], positions[i], velocities[i]));
        Self { coordinates, axes }
    }

    fn size(&self) -> (f64, f64) {
        self.coordinates.size(self.axes[2].position, self.axes[3].position)
    }

    /// Advances by `frames`. A `lost` box keeps its size, because its change was measured while it was being covered.
    pub fn predict(&mut self, frames: f64, lost: bool) {
        let [.., third, fourth] = &mut self.axes;
        match self.coordinates {
            Coordinates::AspectHeight if lost => fourth.velocity = 0.0,
            Coordinates::Size if lost => (third.velocity, fourth.velocity) = (0.0, 0.0),
            Coordinates::AreaAspect if third.position + frames * third.velocity <= 0.0 => third.velocity = 0.0,
            _ => {}
        }
        let (w, h) = self.size();
        let (positions, velocities) = self.coordinates.process(w, h);
        for (i, axis) in self.axes.iter_mut().enumerate() {
            axis.predict(frames, positions[i], velocities[i]);
        }
    }

    /// Takes a measured box into account.
    pub fn update(&mut self, rect: &Rect) {
        let values = self.coordinates.of(rect);
        let (w, h) = self.size();
        let variances = self.coordinates.measurement(w, h);
        for (i, axis) in self.axes.iter_mut().enumerate() {
            axis.update(values[i], variances[i]);
        }
    }

    pub fn rect(&self) -> Rect {
        self.rect_after(0.0)
    }

    /// The box in `frames`, without advancing.
    pub fn rect_after(&self, frames: f64) -> Rect {
        let [x, y, third, fourth] = self.axes.map(|axis| axis.position + frames * axis.velocity);
        // A size that shrinks to nothing isn't extrapolated.
        let (w, h) = if third > 0.0 && fourth > 0.0 { self.coordinates.size(third, fourth) } else { self.size() };
        Rect::from_centre(x as f32, y as f32, w as f32, h as f32)
    }

    /// Of the centre, in pixels per frame.
    pub fn velocity(&self) -> (f32, f32) {
        (self.axes[0].velocity as f32, self.axes[1].velocity as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Coordinates; 3] = [Coordinates::AspectHeight, Coordinates::Size, Coordinates::AreaAspect];

    #[test]
    fn a_box_is_what_was_measured_and_then_moves_on() {
        for coordinates in ALL {
            let mut motion = Motion::new(coordinates, &Rect::new(10.0, 20.0, 40.0, 80.0));
            assert!(motion.rect().iou(&Rect::new(10.0, 20.0, 40.0, 80.0)) > 0.999);
            for frame in 1..40 {
                motion.predict(1.0, false);
                motion.update(&Rect::new(10.0 + 4.0 * frame as f32, 20.0 - 2.0 * frame as f32, 40.0, 80.0));
            }
            let (x, y) = motion.velocity();
            assert!((x - 4.0).abs() < 0.2 && (y + 2.0).abs() < 0.2, "{coordinates:?}: {x} {y}");
            let expected = Rect::new(10.0 + 4.0 * 44.0, 20.0 - 2.0 * 44.0, 40.0, 80.0);
            assert!(motion.rect_after(5.0).iou(&expected) > 0.9, "{coordinates:?}");
            let ahead = motion.rect_after(5.0);
            motion.predict(5.0, false);
            assert!(motion.rect().iou(&ahead) > 0.999, "{coordinates:?}");
        }
    }

    #[test]
    fn a_box_never_vanishes() {
        for coordinates in ALL {
            let mut motion = Motion::new(coordinates, &Rect::new(0.0, 0.0, 100.0, 100.0));
            for size in [80.0, 50.0, 20.0, 4.0, 0.0] {
                motion.predict(1.0, false);
                motion.update(&Rect::new(0.0, 0.0, size, size));
            }
            for frames in [1.0, 30.0, 1000.0] {
                let ahead = motion.rect_after(frames);
                assert!(ahead.w > 0.0 && ahead.h > 0.0 && ahead.w.is_finite(), "{coordinates:?}: {ahead:?}");
                motion.predict(frames, true);
                assert!(motion.rect().w > 0.0 && motion.rect().h.is_finite(), "{coordinates:?}");
            }
        }
    }
}
