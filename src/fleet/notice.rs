//! What the threads of a host tell the main context.

use super::cluster::Record;
use crate::run::Happened;
use ::fleet::Slot;
use futures_channel::mpsc::UnboundedSender;

/// In the order in which it happened on one thread.
#[derive(Debug)]
pub enum Notice {
    /// The group gives partitions.
    Assigned(Vec<i32>),
    /// The group asks for partitions, and waits.
    Revoked(Vec<i32>),
    /// The group wasn't heard for a session.
    Lost(Vec<i32>),
    /// The process was suspended for longer than a session.
    Suspended,
    Camera(Record),
    CamerasRead(i32),
    Claim(Record),
    ClaimsRead(i32),
    Config(Record),
    Claimed {
        slot: Slot,
        offset: i64,
    },
    ClaimFailed {
        slot: Slot,
        reason: String,
    },
    /// What happened to a camera, by its name.
    Happened(String, Happened),
    /// A problem with the brokers, for the operator.
    Trouble(String),
    /// The group has been left.
    Left,
}

/// Sends notices, from any thread.
pub type Tell = UnboundedSender<Notice>;
