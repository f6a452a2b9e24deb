//! A zone or a line with its geometry and its totals.

use super::config::{LineConfig, ZoneConfig};
use super::event::{Direction, Event, EventKind, EventObject};
use super::geometry::Polygon;
use super::shape::Line;
use super::totals::{LineTotals, ZoneTotals};
use super::visitor::{Change, Presence, Seconds, Visitor};
use std::sync::Arc;
use std::time::Duration;

/// Where events go, and what they need to be told.
pub struct Report<'a> {
    pub events: &'a mut Vec<Event>,
    pub classes: &'a [Arc<str>],
    /// The same moment on the clock of the frames and on that of the zones.
    pub time: Duration,
    pub now: Seconds,
}

impl Report<'_> {
    fn add(&mut self, at: Seconds, place: &Arc<str>, kind: EventKind, visitor: Option<&Visitor>) {
        let time = self.time.saturating_sub(duration(self.now - at));
        let object =
            |visitor: &Visitor| EventObject { track: visitor.track, class: self.classes[visitor.class].clone() };
        self.events.push(Event { time, place: place.clone(), kind, object: visitor.map(object), clip: None });
    }
}

pub fn duration(seconds: Seconds) -> Duration {
    Duration::from_secs_f64(seconds.max(0.0))
}

/// What a class is to a zone.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Role {
    counts: bool,
    forbidden: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Crowd {
    since: Seconds,
    /// When there were last too many.
    until: Seconds,
    reported: bool,
}

#[derive(Debug)]
pub struct Zone {
    pub config: ZoneConfig,
    pub name: Arc<str>,
    pub polygon: Polygon,
    pub totals: ZoneTotals,
    pub occupancy: u32,
    crowd: Option<Crowd>,
    /// By class.
    roles: Vec<Role>,
}

impl Zone {
    pub fn new(config: &ZoneConfig, aspect: f32) -> Self {
        Self {
            config: config.clone(),
            name: config.name.as_str().into(),
            polygon: polygon(config, aspect),
            totals: ZoneTotals::default(),
            occupancy: 0,
            crowd: None,
            roles: Vec::new(),
        }
    }

    pub fn set_aspect(&mut self, aspect: f32) {
        self.polygon = polygon(&self.config, aspect);
    }

    pub fn learn_class(&mut self, class: &str) {
        let counts = self.config.classes.is_empty() || self.config.classes.iter().any(|name| name == class);
        self.roles.push(Role { counts, forbidden: self.config.forbidden.iter().any(|name| name == class) });
    }

    pub fn counts(&self, class: usize) -> bool {
        self.roles.get(class).is_some_and(|role| role.counts)
    }

    pub fn is_crowded(&self) -> bool {
        self.crowd.is_some_and(|crowd| crowd.reported)
    }

    pub fn change(&mut self, change: Change, visitor: &Visitor, report: &mut Report) {
        match change {
            Change::Entered { at } => {
                self.occupancy += 1;
                self.totals.entered.add(&report.classes[visitor.class]);
                report.add(at, &self.name, EventKind::Entered, Some(visitor));
                if self.roles[visitor.class].forbidden {
                    self.totals.forbidden += 1;
                    report.add(at, &self.name, EventKind::Forbidden, Some(visitor));
                }
            }
            Change::Left { since, at } => self.leave(since, at, false, visitor, report),
            Change::Loiters { at } => {
                self.totals.loitered += 1;
                report.add(at, &self.name, EventKind::Loitering, Some(visitor));
            }
        }
    }

    fn leave(&mut self, since: Seconds, at: Seconds, vanished: bool, visitor: &Visitor, report: &mut Report) {
        self.occupancy -= 1;
        self.count_left(&report.classes[visitor.class], at - since, vanished);
        report.add(at, &self.name, EventKind::Left { dwell: duration(at - since), vanished }, Some(visitor));
    }

    pub fn count_left(&mut self, class: &str, dwell: Seconds, vanished: bool) {
        let totals = &mut self.totals;
        totals.left.add(class);
        totals.vanished += u64::from(vanished);
        totals.dwell_s += dwell;
        totals.longest_dwell_s = totals.longest_dwell_s.max(dwell);
    }

    /// An object whose track has ended, and that no other track continues.
    pub fn end(&mut self, presence: Presence, visitor: &Visitor, report: &mut Report) {
        match presence {
            Presence::Outside | Presence::Entering { .. } => {}
            Presence::Inside { since, .. } => self.leave(since, visitor.last_seen, true, visitor, report),
            Presence::Leaving { since, left, .. } => self.leave(since, left, false, visitor, report),
        }
    }

    /// `present` are those inside whose tracks go on. Others may still come back, which doesn't make a crowd, but keeps one
    /// from dispersing.
    pub fn check_crowd(&mut self, present: u32, report: &mut Report) {
        let (Some(limit), now) = (self.config.crowding, report.now) else { return };
        if present > limit.more_than {
            let crowd = self.crowd.get_or_insert(Crowd { since: now, until: now, reported: false });
            crowd.until = now;
            let since = crowd.since;
            if !crowd.reported && now - since >= limit.for_s {
                crowd.reported = true;
                self.totals.crowded += 1;
                report.add(since + limit.for_s, &self.name, EventKind::Crowded { count: present }, None);
            }
        } else if (self.occupancy <= limit.more_than || !self.is_crowded())
            && let Some(crowd) = self.crowd.take().filter(|crowd| crowd.reported)
        {
            let lasted = duration(crowd.until - crowd.since);
            report.add(crowd.until, &self.name, EventKind::Dispersed { lasted }, None);
        }
    }
}

fn polygon(config: &ZoneConfig, aspect: f32) -> Polygon {
    Polygon::new(config.polygon.iter().map(|[x, y]| (x * aspect, *y)).collect())
}

#[derive(Debug)]
pub struct Gate {
    pub config: LineConfig,
    pub name: Arc<str>,
    pub line: Line,
    pub totals: LineTotals,
    /// By class.
    roles: Vec<bool>,
}

impl Gate {
    pub fn new(config: &LineConfig, aspect: f32) -> Self {
        Self {
            config: config.clone(),
            name: config.name.as_str().into(),
            line: line(config, aspect),
            totals: LineTotals::default(),
            roles: Vec::new(),
        }
    }

    pub fn set_aspect(&mut self, aspect: f32) {
        self.line = line(&self.config, aspect);
    }

    pub fn learn_class(&mut self, class: &str) {
        self.roles.push(self.config.classes.is_empty() || self.config.classes.iter().any(|name| name == class));
    }

    pub fn counts(&self, class: usize) -> bool {
        self.roles.get(class).is_some_and(|counts| *counts)
    }

    pub fn crossed(&mut self, crossing: (Direction, Seconds), visitor: &Visitor, report: &mut Report) {
        let (direction, at) = crossing;
        self.totals.of_mut(direction).add(&report.classes[visitor.class]);
        report.add(at, &self.name, EventKind::Crossed(direction), Some(visitor));
    }
}

fn line(config: &LineConfig, aspect: f32) -> Line {
    let [from, to] = [config.from, config.to].map(|[x, y]| (x * aspect, y));
    Line { from, to }
}
