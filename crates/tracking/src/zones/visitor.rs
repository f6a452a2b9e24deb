//! Who is there: an object under whatever track ids it gets, and what it has done so far.

use super::config::ZoneConfig;
use super::event::Direction;
use super::geometry::{Point, Polygon, distance};
use super::shape::{Line, Place};
use super::{config::Anchor, config::LineConfig};

/// Seconds on the clock of the zones, which never goes back.
pub type Seconds = f64;

/// A frame's time and number.
pub type Moment = (Seconds, u64);

/// An object that moves by more sizes at once, or per second, than these isn't the same: its id went to another.
const JUMP: f32 = 1.5;
const JUMP_PER_SECOND: f32 = 3.0;
/// How far from where it is expected an object may appear under another id, in its sizes, and per second since.
const NEAR: f32 = 0.5;
const NEAR_PER_SECOND: f32 = 0.5;
/// How near to the picture's edge a box must be to touch it, as a part of the frame.
const EDGE: f32 = 0.01;
/// For how many seconds velocities are averaged.
const VELOCITY_SECONDS: f64 = 0.3;

/// Whether an object is in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Presence {
    #[default]
    Outside,
    Entering {
        since: Seconds,
    },
    Inside {
        since: Seconds,
        loiters: bool,
    },
    /// Not inside since `left`, and certainly outside since `beyond`.
    Leaving {
        since: Seconds,
        left: Seconds,
        beyond: Option<Seconds>,
        loiters: bool,
    },
}

impl Presence {
    /// Since when it has been inside.
    pub fn inside_since(&self) -> Option<Seconds> {
        match *self {
            Self::Inside { since, .. } | Self::Leaving { since, .. } => Some(since),
            Self::Outside | Self::Entering { .. } => None,
        }
    }
}

/// On which side of a line an object is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Side {
    /// −1, 1, or 0 while it isn't known.
    pub certain: i8,
    /// Since when it has certainly been on the other side.
    other: Option<Seconds>,
    /// The last time that it passed the line: whether between its ends, and when.
    passed: Option<(bool, Seconds)>,
}

impl Side {
    pub fn known(certain: i8) -> Self {
        Self { certain, other: None, passed: None }
    }

    /// Settles a change of sides. Returns the crossing, if it was between the line's ends.
    pub fn settle(&mut self) -> Option<(Direction, Seconds)> {
        self.other.take()?;
        self.certain = -self.certain;
        let (within, time) = self.passed.take()?;
        within.then_some((if self.certain > 0 { Direction::In } else { Direction::Out }, time))
    }
}

/// What changes when time and place advance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    pub before: Seconds,
    pub now: Seconds,
    pub settle: Seconds,
    /// Behind borders.
    pub margin: f32,
    /// Only confirmed objects change anything; others gather evidence.
    pub confirmed: bool,
}

/// A change of a presence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    Entered { at: Seconds },
    Left { since: Seconds, at: Seconds },
    Loiters { at: Seconds },
}

impl Presence {
    pub fn advance(&mut self, place: &Place, polygon: &Polygon, zone: &ZoneConfig, step: &Step) -> Option<Change> {
        let settled = |since: Seconds| step.confirmed && step.now - since >= step.settle - 1e-6;
        let inside = place.is_inside(polygon, zone.anchor);
        match *self {
            Self::Outside | Self::Entering { .. } if !inside => *self = Self::Outside,
            Self::Outside | Self::Entering { .. } => {
                let since = if let Self::Entering { since } = *self { since } else { step.now };
                *self = Self::Entering { since };
                if settled(since) {
                    *self = Self::Inside { since, loiters: false };
                    return Some(Change::Entered { at: since });
                }
            }
            Self::Inside { since, loiters } | Self::Leaving { since, loiters, .. } if inside => {
                let limit = zone.loitering_s.filter(|limit| !loiters && step.now - since > *limit);
                *self = Self::Inside { since, loiters: loiters || limit.is_some() };
                return limit.map(|limit| Change::Loiters { at: since + limit });
            }
            Self::Inside { since, loiters } | Self::Leaving { since, loiters, .. } => {
                let (left, beyond) =
                    if let Self::Leaving { left, beyond, .. } = *self { (left, beyond) } else { (step.now, None) };
                let certain = place.is_beyond(polygon, zone.anchor, step.margin);
                let beyond = certain.then_some(beyond.unwrap_or(step.now));
                *self = Self::Leaving { since, left, beyond, loiters };
                if beyond.is_some_and(settled) {
                    *self = Self::Outside;
                    return Some(Change::Left { since, at: left });
                }
            }
        }
        None
    }
}

impl Side {
    pub fn advance(
        &mut self,
        old: &Place,
        new: &Place,
        line: &Line,
        config: &LineConfig,
        step: &Step,
    ) -> Option<(Direction, Seconds)> {
        let anchor: Anchor = config.anchor;
        let sides = (line.side_of_anchor(old, anchor), line.side_of_anchor(new, anchor));
        if (sides.0 > 0.0) != (sides.1 > 0.0) {
            let (within, part) = line.passes(old, new, anchor);
            self.passed = Some((within, step.before + f64::from(part) * (step.now - step.before)));
        }
        let certain = line.certain_side(new, anchor, step.margin);
        if self.certain == 0 {
            self.certain = certain;
        } else if certain == -self.certain {
            let since = *self.other.get_or_insert(step.now);
            if step.confirmed && step.now - since >= step.settle - 1e-6 {
                return self.settle();
            }
        } else {
            self.other = None;
        }
        None
    }
}

/// An object, under one track id after the other.
#[derive(Debug, Default)]
pub struct Visitor {
    /// The track that it has, or had last.
    pub track: u64,
    /// Whether it still has that track.
    pub has_track: bool,
    /// Whether its track is among those of this frame.
    pub is_listed: bool,
    /// Whether it was observed in this frame.
    pub is_seen: bool,
    pub confirmed: bool,
    pub class: usize,
    pub place: Place,
    pub previous: Place,
    pub first_place: Place,
    pub first_seen: Seconds,
    pub first_frame: u64,
    pub last_seen: Seconds,
    pub last_frame: u64,
    pub previously_seen: Seconds,
    /// Of the centre, per second.
    pub velocity: Point,
    pub presences: Vec<Presence>,
    pub sides: Vec<Side>,
}

impl Visitor {
    /// Starts anew as another object.
    pub fn start(&mut self, track: u64, class: usize, place: Place, (now, frame): Moment, zones: usize, lines: usize) {
        let (mut presences, mut sides) = (std::mem::take(&mut self.presences), std::mem::take(&mut self.sides));
        presences.clear();
        presences.resize(zones, Presence::default());
        sides.clear();
        sides.resize(lines, Side::default());
        *self = Self {
            track,
            has_track: true,
            is_listed: true,
            is_seen: true,
            class,
            place,
            previous: place,
            first_place: place,
            first_seen: now,
            first_frame: frame,
            last_seen: now,
            last_frame: frame,
            previously_seen: now,
            presences,
            sides,
            ..Self::default()
        };
    }

    fn expected(&self, now: Seconds) -> Point {
        let (x, y) = self.place.centre();
        let seconds = (now - self.last_seen) as f32;
        (x + seconds * self.velocity.0, y + seconds * self.velocity.1)
    }

    /// Whether its track can't have come to a place from where it was.
    pub fn would_jump(&self, place: &Place, now: Seconds) -> bool {
        let limit = self.place.size().max(place.size()) * (JUMP + JUMP_PER_SECOND * (now - self.last_seen) as f32);
        let (from, to) = (self.place.centre(), place.centre());
        distance(from, to) > limit && distance(self.expected(now), to) > limit
    }

    pub fn move_to(&mut self, place: Place, (now, frame): Moment) {
        let seconds = now - self.last_seen;
        if seconds > 0.0 {
            let (from, to) = (self.place.centre(), place.centre());
            let share = (seconds / VELOCITY_SECONDS).min(1.0) as f32;
            let mix = |old: f32, moved: f32| old + share * (moved / seconds as f32 - old);
            self.velocity = (mix(self.velocity.0, to.0 - from.0), mix(self.velocity.1, to.1 - from.1));
        }
        (self.previous, self.previously_seen) = (self.place, self.last_seen);
        (self.place, self.last_seen, self.last_frame) = (place, now, frame);
        self.is_seen = true;
    }

    /// Whether it went out of the picture at its edge.
    fn has_left_picture(&self, aspect: f32) -> bool {
        let (rect, (x, y)) = (&self.place.rect, self.velocity);
        let edge = EDGE * aspect;
        (rect.x <= edge && x < 0.0)
            || (rect.right() >= aspect - edge && x > 0.0)
            || (rect.y <= EDGE && y < 0.0)
            || (rect.bottom() >= 1.0 - EDGE && y > 0.0)
    }

    /// Whether it was last seen before a newcomer appeared, but not long before.
    pub fn ended_before(&self, newcomer: &Self, merge: Seconds) -> bool {
        self.last_frame < newcomer.first_frame && newcomer.first_seen - self.last_seen <= merge + 1e-6
    }

    /// How far a newcomer appeared from where this one was expected, in sizes; `None` if it can't be the same.
    pub fn distance_to(&self, newcomer: &Self, merge: Seconds, aspect: f32) -> Option<f32> {
        let same = self.confirmed && self.class == newcomer.class && self.ended_before(newcomer, merge);
        if !same || self.has_left_picture(aspect) {
            return None;
        }
        let gap = newcomer.first_seen - self.last_seen;
        let away = distance(self.expected(newcomer.first_seen), newcomer.first_place.centre());
        let away = away / self.place.size().max(newcomer.first_place.size());
        (away <= NEAR + NEAR_PER_SECOND * gap as f32).then_some(away)
    }

    /// Whether this one, which was seen too seldom to be confirmed, may be the newcomer: a model has missed it for a moment. It
    /// counts from when it was first seen, which is at most `merge` ago, so that flickering errors don't add up.
    pub fn is_glimpse_of(&self, newcomer: &Self, merge: Seconds) -> bool {
        let was_missed = !self.confirmed && self.last_frame + 1 < newcomer.first_frame;
        if !was_missed || self.class != newcomer.class || newcomer.first_seen - self.first_seen > merge + 1e-6 {
            return false;
        }
        let gap = newcomer.first_seen - self.last_seen;
        let away = distance(self.expected(newcomer.first_seen), newcomer.first_place.centre());
        away <= self.place.size().max(newcomer.first_place.size()) * (NEAR + NEAR_PER_SECOND * gap as f32)
    }

    /// Counts from when it was first seen as another.
    pub fn inherit(&mut self, glimpse: &Self) {
        self.first_place = glimpse.first_place;
        (self.first_seen, self.first_frame) = (glimpse.first_seen, glimpse.first_frame);
    }

    /// Goes on as a newcomer, which is the same object.
    pub fn continue_as(&mut self, newcomer: &Self) {
        let velocity = if newcomer.last_seen > newcomer.first_seen { newcomer.velocity } else { self.velocity };
        (self.track, self.has_track, self.is_listed) = (newcomer.track, true, true);
        self.move_to(newcomer.place, (newcomer.last_seen, newcomer.last_frame));
        self.is_seen = newcomer.is_seen;
        self.velocity = velocity;
    }
}
