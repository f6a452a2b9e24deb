//! A fleet: hosts that share cameras out among themselves by Kafka's consumer groups. Pure code, without a network and
//! without a clock: [`Host`] takes events and the current time, and returns what is to be done.
//!
//! Four topics, whose names begin with the fleet's:
//!
//! | topic | key | value | who reads it |
//! |---|---|---|---|
//! | `.cameras` | the camera's name | [`CameraRecord`] | the host that has the partition, from its beginning |
//! | `.claims` | the camera's name, in the partition that the camera has | [`Claim`] | the same host |
//! | `.config` | [`SETTINGS`], or `drain/HOST` | the rest of the config.json, or a [`Drain`] | every host |
//! | `.status` | the host's name | [`HostStatus`] | operators |
//!
//! All are compacted: the last record of a key is its state, and an empty one removes it.
//!
//! The *epoch* of a camera's run is the offset of the claim that began it, counted from the record's `base`. It grows with
//! every start on any host, so of two hosts that believe to have a camera a reader knows which one has it: [`Follower`].

mod address;
mod capacity;
mod event;
mod follower;
mod host;
mod record;
#[cfg(test)]
mod simulation;
mod spread;

pub use address::{Address, Topics, default_port};
pub use capacity::{Capacity, Figures};
pub use event::{Action, CameraView, Doing, Event, Slot};
pub use follower::Follower;
pub use host::Host;
pub use record::{
    CameraRecord, CameraStatus, Claim, ClaimState, Drain, HostState, HostStatus, NotARecord, SETTINGS, drain_key,
    drained_host,
};
pub use spread::{Placed, Spread, Write, changes};
