//! What happens to a host, what it does then, and what it shows.

use super::record::Claim;

/// A camera in its partition. While cameras are spread anew, one can be in two.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    pub partition: i32,
    pub camera: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The group gives partitions, to be read from their beginning.
    Assigned(Vec<i32>),
    /// The group asks for partitions, which are let go by [`Action::LetGo`].
    Revoked(Vec<i32>),
    /// The group wasn't heard for the length of a session, and may have given the partitions away.
    Lost(Vec<i32>),
    /// The process was suspended for longer than a session.
    Suspended,
    /// A record of the cameras' topic; without a value it removes the camera.
    Record { slot: Slot, offset: i64, value: Option<Vec<u8>> },
    /// All cameras of the partition have been read.
    RecordsRead(i32),
    /// A record of the claims' topic.
    Claim { slot: Slot, offset: i64, value: Option<Vec<u8>> },
    /// All claims of the partition have been read.
    ClaimsRead(i32),
    /// [`Action::Claim`] was written at this offset.
    Claimed { slot: Slot, offset: i64 },
    /// It couldn't be written, for this reason.
    ClaimFailed { slot: Slot, reason: String },
    /// The camera can't run with this record, for this reason.
    Unusable { slot: Slot, reason: String },
    /// The camera needs a new run, for example because its record says so.
    Restart(Slot),
    /// The camera's pictures come.
    Plays(Slot),
    /// The camera has stopped after [`Action::Stop`] or [`Action::Cut`], or by itself.
    Stopped(Slot),
    /// Cameras are given away and no others are taken.
    Drain,
    /// The process ends.
    End,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Write this claim; [`Event::Claimed`] or [`Event::ClaimFailed`] follows.
    Claim { slot: Slot, claim: Claim },
    /// Write what has become of a claim.
    Note { slot: Slot, claim: Claim },
    /// Run the camera with this epoch. A camera that runs with another one is stopped first.
    Start { slot: Slot, epoch: i64 },
    /// The record of a running camera is another.
    Changed(Slot),
    /// Finish the pictures in flight and stop.
    Stop(Slot),
    /// Stop at once, and drop what waits to be published.
    Cut(Slot),
    /// Publish nothing, but keep it.
    Hold(Slot),
    /// Publish again.
    Resume(Slot),
    /// Nothing of this partition runs any more.
    LetGo(i32),
    /// Tell the operator.
    Say(String),
}

/// What becomes of a camera on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    /// Its turn hasn't come, or the brokers aren't there.
    Waiting,
    Running,
    /// It runs, and publishes nothing until the group is heard again.
    Held,
    Stopping,
    /// There's no room for it on this host.
    Unserved,
    /// It has killed its host twice.
    Quarantined,
    /// It can't run, for this reason.
    Unusable(String),
}

/// A camera of this host's partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraView {
    pub slot: Slot,
    /// The epoch of its run.
    pub epoch: Option<i64>,
    pub doing: Doing,
}
