//! What happened.

use std::sync::Arc;
use std::time::Duration;

/// Something that happened in a zone or on a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it happened, on the clock of the frames. It is reported up to `settle_s` or `merge_s` later, once it is certain.
    pub time: Duration,
    /// The name of the zone or line.
    pub place: Arc<str>,
    /// What happened.
    pub kind: EventKind,
    /// The object that did it; `None` where it is the zone as a whole.
    pub object: Option<EventObject>,
    /// The name of the video file that shows it, where it's recorded; zones leave it empty.
    pub clip: Option<Arc<str>>,
}

/// The object of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct EventObject {
    /// The id of its track at that time.
    pub track: u64,
    /// Its class.
    pub class: Arc<str>,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// An object entered the zone, or appeared in it.
    Entered,
    /// An object left the zone.
    Left {
        /// How long it was inside.
        dwell: Duration,
        /// Whether it was last seen inside, instead of outside: its track ended there.
        vanished: bool,
    },
    /// An object has been in the zone for longer than `loitering_s`.
    Loitering,
    /// An object of a forbidden class entered the zone.
    Forbidden,
    /// There have been more objects in the zone than `more_than`, for `for_s`.
    Crowded {
        /// How many there are.
        count: u32,
    },
    /// The zone is no longer crowded.
    Dispersed {
        /// For how long there were more.
        lasted: Duration,
    },
    /// An object crossed the line.
    Crossed(Direction),
}

impl EventKind {
    /// The name in texts.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Entered => "entered",
            Self::Left { .. } => "left",
            Self::Loitering => "loitering",
            Self::Forbidden => "forbidden",
            Self::Crowded { .. } => "crowded",
            Self::Dispersed { .. } => "dispersed",
            Self::Crossed(_) => "crossed",
        }
    }

    /// Whether it happens on lines; all others happen in zones.
    pub const fn is_of_line(&self) -> bool {
        matches!(self, Self::Crossed(_))
    }
}

/// In which direction a line is crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From left to right, as seen from the line's `from` towards its `to`.
    In,
    /// From right to left.
    Out,
}

impl Direction {
    /// The name in texts: `in` or `out`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}
