//! How a reader of a fleet's lines drops those of a host that has lost its camera.

use std::collections::HashMap;

/// Follows the epochs of cameras: a line counts if no later epoch of its camera has been seen, and none with its number.
///
/// Lines of one epoch come from one host in order. A host that was away, and doesn't know yet that another has its camera,
/// writes lines of an earlier epoch: they don't count.
#[derive(Debug, Clone, Default)]
pub struct Follower {
    /// By camera: the epoch, and the number of its last frame.
    last: HashMap<String, (i64, u64)>,
}

impl Follower {
    /// Whether the line of this frame counts.
    pub fn take(&mut self, camera: &str, epoch: i64, frame: u64) -> bool {
        match self.last.get_mut(camera) {
            None => {
                self.last.insert(camera.to_owned(), (epoch, frame));
                true
            }
            Some(last) => {
                let later = (epoch, frame) > *last;
                if later {
                    *last = (epoch, frame);
                }
                later
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_an_earlier_epoch_do_not_count() {
        let mut follower = Follower::default();
        let taken = [("a", 3, 0), ("a", 3, 1), ("a", 3, 1), ("a", 7, 0), ("a", 3, 2), ("b", 1, 0), ("a", 7, 1)]
            .map(|(camera, epoch, frame)| follower.take(camera, epoch, frame));
        assert_eq!(taken, [true, true, false, true, false, true, true]);
    }
}
