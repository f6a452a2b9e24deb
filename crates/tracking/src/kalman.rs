//! A Kalman filter for one coordinate that moves at a constant velocity.
//!
//! The filters of ByteTrack, OC-SORT and BoT-SORT have eight or seven dimensions, but their noise is diagonal and each
//! coordinate depends on its own velocity alone. Such a filter is the same as one of two dimensions per coordinate.

/// A coordinate and its velocity, with their covariance. The unit of time is the nominal frame interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Axis {
    pub position: f64,
    pub velocity: f64,
    position_variance: f64,
    covariance: f64,
    velocity_variance: f64,
}

impl Axis {
    pub fn new(position: f64, position_variance: f64, velocity_variance: f64) -> Self {
        Self { position, velocity: 0.0, position_variance, covariance: 0.0, velocity_variance }
    }

    /// Advances by `frames`, with the variance that one frame adds to position and velocity. At a whole number of frames
    /// the result is that of as many single steps.
    pub fn predict(&mut self, frames: f64, position_noise: f64, velocity_noise: f64) {
        let n = frames;
        self.position += n * self.velocity;
        // The velocity's noise of earlier frames, summed over the steps in which it has moved the position.
        let squares = (n * (n - 1.0) * (2.0 * n - 1.0) / 6.0).max(0.0);
        let sum = (n * (n - 1.0) / 2.0).max(0.0);
        self.position_variance +=
            n * (2.0 * self.covariance + n * self.velocity_variance) + n * position_noise + squares * velocity_noise;
        self.covariance += n * self.velocity_variance + sum * velocity_noise;
        self.velocity_variance += n * velocity_noise;
    }

    /// Takes a measurement of the position into account.
    pub fn update(&mut self, measured: f64, variance: f64) {
        let total = self.position_variance + variance;
        let (gain, velocity_gain) = (self.position_variance / total, self.covariance / total);
        let innovation = measured - self.position;
        self.position += gain * innovation;
        self.velocity += velocity_gain * innovation;
        self.velocity_variance -= velocity_gain * self.covariance;
        self.covariance *= 1.0 - gain;
        self.position_variance *= 1.0 - gain;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_at_once_are_as_many_single_steps() {
        let mut single = Axis::new(3.0, 4.0, 2.0);
        single.update(5.0, 1.0);
        single.predict(1.0, 0.5, 0.1);
        single.update(7.0, 1.0);
        let mut at_once = single;
        (0..5).for_each(|_| single.predict(1.0, 0.5, 0.1));
        at_once.predict(5.0, 0.5, 0.1);
        for (a, b) in [
            (single.position, at_once.position),
            (single.position_variance, at_once.position_variance),
            (single.covariance, at_once.covariance),
            (single.velocity_variance, at_once.velocity_variance),
        ] {
            assert!((a - b).abs() < 1e-9, "{single:?} {at_once:?}");
        }
    }

    #[test]
    fn the_velocity_of_steady_motion_is_found() {
        let mut axis = Axis::new(0.0, 4.0, 9.0);
        for frame in 1..60 {
            axis.predict(1.0, 0.01, 0.001);
            axis.update(f64::from(frame) * 2.5, 1.0);
        }
        assert!((axis.velocity - 2.5).abs() < 0.02 && (axis.position - 147.5).abs() < 0.2, "{axis:?}");
    }
}
