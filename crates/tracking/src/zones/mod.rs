//! Zones and lines: who is where, who has crossed what, and what happened.
//!
//! ```
//! use std::time::Duration;
//! use tracking::zones::{Zones, ZonesConfig};
//!
//! let text = r#"{"lines": [{"name": "door", "from": [0.2, 0.5], "to": [0.8, 0.5]}]}"#;
//! let mut zones = Zones::new(&ZonesConfig::parse(text)?, 16.0 / 9.0)?;
//! let events = zones.update(Duration::ZERO, &[]);
//! assert!(events.is_empty());
//! # Ok::<_, tracking::zones::ZonesError>(())
//! ```
//!
//! Counting is exact because each decision needs evidence:
//!
//! - An object enters a zone once its anchor has been inside for `settle_s`, and leaves once it has been outside for that
//!   long by more than twice the margin. It crosses a line once it has been on the other side by more than the margin.
//! - Only observed boxes of confirmed tracks are evidence. An object that is hidden, or that no model looked for, stays where
//!   it was; where it comes back tells what it did meanwhile.
//! - When a track ends, its object remains for `merge_s`. If a new track starts near where it is expected, that is the same
//!   object. So is an object whose id jumps to where another was. An object that walks out of the picture is gone.
//! - Objects that entered a zone and haven't left it are inside: `entered` minus `left` is the occupancy at each frame.

mod area;
mod config;
mod event;
mod geometry;
mod object;
mod saved;
mod shape;
mod totals;
mod visitor;

pub use config::{Anchor, Crowding, Defaults, LineConfig, ZoneConfig, ZonesConfig, ZonesError};
pub use event::{Direction, Event, EventKind, EventObject};
pub use object::{Object, ankles};
pub use saved::Saved;
pub use totals::{Counted, Counts, LineTotals, Tally, ZoneTotals};

use crate::track::State;
use area::{Gate, Report, Zone, duration};
use model::Rect;
use saved::{SavedLine, SavedObject, SavedPresence, SavedZone};
use shape::Place;
use std::sync::Arc;
use std::time::Duration;
use visitor::{Presence, Seconds, Side, Step, Visitor};

/// The zones and lines of one camera, and the objects in its picture.
#[derive(Debug)]
pub struct Zones {
    merge: Seconds,
    settle: Seconds,
    margin: f32,
    /// Of the frame: width by height.
    aspect: f32,
    zones: Vec<Zone>,
    lines: Vec<Gate>,
    /// Names of classes by their index here.
    classes: Vec<Arc<str>>,
    visitors: Vec<Visitor>,
    spare: Vec<Visitor>,
    /// Visitors whose tracks are confirmed in this frame.
    newly_confirmed: Vec<usize>,
    /// Counted frames.
    frame: u64,
    now: Seconds,
    /// The same on the clock of the frames.
    time: Option<Duration>,
    /// The next frame's clock is another.
    interrupted: bool,
    events: Vec<Event>,
}

/// A zone as it is now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ZoneView<'a> {
    /// Its name.
    pub name: &'a str,
    /// What has happened in it.
    pub totals: &'a ZoneTotals,
    /// How many objects are in it.
    pub occupancy: u32,
    /// Whether it is crowded.
    pub crowded: bool,
}

/// A line as it is now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LineView<'a> {
    /// Its name.
    pub name: &'a str,
    /// What has happened on it.
    pub totals: &'a LineTotals,
}

/// An object in a zone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Occupant<'a> {
    /// The id of its track, or of its last track.
    pub track: u64,
    /// Its class.
    pub class: &'a str,
    /// How long it has been inside.
    pub dwell: Duration,
}

impl Zones {
    /// Zones for frames of an aspect ratio, width by height.
    ///
    /// # Errors
    /// The zones are wrong.
    pub fn new(config: &ZonesConfig, aspect: f32) -> Result<Self, ZonesError> {
        config.check()?;
        Ok(Self {
            merge: config.merge_s,
            settle: config.settle_s,
            margin: config.margin,
            aspect,
            zones: config.zones.iter().map(|zone| Zone::new(zone, aspect)).collect(),
            lines: config.lines.iter().map(|line| Gate::new(line, aspect)).collect(),
            classes: Vec::new(),
            visitors: Vec::new(),
            spare: Vec::new(),
            newly_confirmed: Vec::new(),
            frame: 0,
            now: 0.0,
            time: None,
            interrupted: false,
            events: Vec::new(),
        })
    }

    /// Changes zones and lines. Those that are the same go on; those that are new or changed start anew, also for the objects
    /// that are in them.
    ///
    /// # Errors
    /// The zones are wrong; the old ones stay.
    pub fn set_config(&mut self, config: &ZonesConfig) -> Result<(), ZonesError> {
        config.check()?;
        (self.merge, self.settle, self.margin) = (config.merge_s, config.settle_s, config.margin);
        let old_zones: Vec<_> =
            config.zones.iter().map(|new| self.zones.iter().position(|old| old.config == *new)).collect();
        let old_lines: Vec<_> =
            config.lines.iter().map(|new| self.lines.iter().position(|old| old.config == *new)).collect();
        for visitor in &mut self.visitors {
            let presence = |old: &Option<usize>| old.map_or_else(Presence::default, |old| visitor.presences[old]);
            visitor.presences = old_zones.iter().map(presence).collect();
            let side = |old: &Option<usize>| old.map_or_else(Side::default, |old| visitor.sides[old]);
            visitor.sides = old_lines.iter().map(side).collect();
        }
        let mut zones: Vec<_> = self.zones.drain(..).map(Some).collect();
        let mut lines: Vec<_> = self.lines.drain(..).map(Some).collect();
        for (config, old) in config.zones.iter().zip(old_zones) {
            let kept = old.and_then(|old| zones[old].take());
            self.zones.push(kept.unwrap_or_else(|| {
                let mut zone = Zone::new(config, self.aspect);
                self.classes.iter().for_each(|class| zone.learn_class(class));
                zone
            }));
        }
        for (config, old) in config.lines.iter().zip(old_lines) {
            let kept = old.and_then(|old| lines[old].take());
            self.lines.push(kept.unwrap_or_else(|| {
                let mut line = Gate::new(config, self.aspect);
                self.classes.iter().for_each(|class| line.learn_class(class));
                line
            }));
        }
        Ok(())
    }

    /// Changes the aspect ratio of the frames.
    pub fn set_aspect(&mut self, aspect: f32) {
        if aspect == self.aspect {
            return;
        }
        self.zones.iter_mut().for_each(|zone| zone.set_aspect(aspect));
        self.lines.iter_mut().for_each(|line| line.set_aspect(aspect));
        let factor = aspect / self.aspect;
        for visitor in &mut self.visitors {
            for place in [&mut visitor.place, &mut visitor.previous, &mut visitor.first_place] {
                place.rect = place.rect.scaled(factor, 1.0);
                place.feet.0 *= factor;
            }
            visitor.velocity.0 *= factor;
        }
        self.aspect = aspect;
    }

    /// A frame with the tracks in it: all of them, because one that is left out has ended. Frames that no model saw may be
    /// left out, or come with predicted tracks. If time goes back, as after a reconnect, no time has passed.
    ///
    /// Returns what happened. The result is valid until the next call.
    pub fn update(&mut self, time: Duration, objects: &[Object]) -> &[Event] {
        let before = self.now;
        self.frame += 1;
        let interrupted = std::mem::take(&mut self.interrupted);
        let last = self.time.filter(|_| !interrupted);
        self.now += last.map_or(0.0, |last| time.saturating_sub(last).as_secs_f64());
        self.time = Some(time);
        self.events.clear();
        self.recognise(objects);
        self.confirm();
        self.advance(before);
        self.end_visitors(false);
        self.check_crowds();
        &self.events
    }

    /// Frames go on at any time, as after a seek or a reconnect: no time passes until the next one.
    pub fn interrupt(&mut self) {
        self.interrupted = true;
    }

    /// The end of the stream: all objects leave, and what is still to be settled is settled.
    pub fn finish(&mut self) -> &[Event] {
        self.events.clear();
        self.end_visitors(true);
        self.check_crowds();
        &self.events
    }

    /// Finds each object's visitor, or makes one.
    fn recognise(&mut self, objects: &[Object]) {
        for visitor in &mut self.visitors {
            (visitor.is_listed, visitor.is_seen) = (false, false);
        }
        self.newly_confirmed.clear();
        let mut hint = 0;
        for object in objects {
            let known = self.visitor_of(object.track, hint);
            if object.state == State::Predicted {
                if let Some(index) = known {
                    self.visitors[index].is_listed = true;
                    hint = index + 1;
                }
                continue;
            }
            let place = Place::new(object.rect, object.feet, self.aspect);
            let same = known.filter(|index| {
                let visitor = &mut self.visitors[*index];
                visitor.has_track = !visitor.would_jump(&place, self.now);
                visitor.has_track
            });
            let index = match same {
                Some(index) => {
                    let visitor = &mut self.visitors[index];
                    visitor.is_listed = true;
                    visitor.move_to(place, (self.now, self.frame));
                    index
                }
                None => {
                    let class = self.class(object.class);
                    let mut visitor = self.spare.pop().unwrap_or_default();
                    visitor.start(
                        object.track,
                        class,
                        place,
                        (self.now, self.frame),
                        self.zones.len(),
                        self.lines.len(),
                    );
                    if let Some(glimpse) = self.visitors.iter().find(|old| old.is_glimpse_of(&visitor, self.merge)) {
                        visitor.inherit(glimpse);
                    }
                    self.visitors.push(visitor);
                    self.visitors.len() - 1
                }
            };
            if object.state == State::Confirmed && !self.visitors[index].confirmed {
                self.newly_confirmed.push(index);
            }
            hint = index + 1;
        }
    }

    /// Looks from `hint` on, because tracks come in the same order in each frame.
    fn visitor_of(&self, track: u64, hint: usize) -> Option<usize> {
        let (before, after) = self.visitors.split_at(hint.min(self.visitors.len()));
        let is = |visitor: &Visitor| visitor.has_track && visitor.track == track;
        let found = after.iter().position(is).map(|index| index + before.len());
        found.or_else(|| before.iter().position(is))
    }

    fn class(&mut self, name: &str) -> usize {
        if let Some(index) = self.classes.iter().position(|class| **class == *name) {
            return index;
        }
        self.classes.push(name.into());
        self.zones.iter_mut().for_each(|zone| zone.learn_class(name));
        self.lines.iter_mut().for_each(|line| line.learn_class(name));
        self.classes.len() - 1
    }

    /// Newcomers are objects that were there before, or others.
    fn confirm(&mut self) {
        for &index in &self.newly_confirmed {
            let newcomer = std::mem::take(&mut self.visitors[index]);
            let candidates = self.visitors.iter_mut().filter_map(|visitor| {
                let away = visitor.distance_to(&newcomer, self.merge, self.aspect)?;
                Some((away, visitor))
            });
            let nearest = candidates.min_by(|(a, _), (b, _)| a.total_cmp(b));
            let continues = nearest.is_some();
            if let Some((_, visitor)) = nearest {
                visitor.continue_as(&newcomer);
            }
            let visitor = &mut self.visitors[index];
            *visitor = newcomer;
            if continues {
                // What remains is ended as a track that was never confirmed.
                (visitor.has_track, visitor.is_listed, visitor.is_seen) = (false, false, false);
                visitor.last_seen = Seconds::NEG_INFINITY;
            } else {
                visitor.confirmed = true;
            }
        }
    }

    fn advance(&mut self, before: Seconds) {
        let Self { zones, lines, visitors, events, classes, .. } = self;
        let mut report = Report { events, classes, time: self.time.unwrap_or_default(), now: self.now };
        for visitor in visitors.iter_mut().filter(|visitor| visitor.is_seen) {
            let (place, previous) = (visitor.place, visitor.previous);
            let margin = place.margin(self.margin);
            // The time of a step is that since the object was last seen.
            let before = before.min(visitor.previously_seen);
            let step = Step { before, now: self.now, settle: self.settle, margin, confirmed: visitor.confirmed };
            for (index, zone) in zones.iter_mut().enumerate().filter(|(_, zone)| zone.counts(visitor.class)) {
                // Trembling moves an object to either side of where it is: twice the margin.
                let step = Step { margin: 2.0 * margin, ..step };
                let change = visitor.presences[index].advance(&place, &zone.polygon, &zone.config, &step);
                if let Some(change) = change {
                    zone.change(change, visitor, &mut report);
                }
            }
            for (index, line) in lines.iter_mut().enumerate().filter(|(_, line)| line.counts(visitor.class)) {
                let crossing = visitor.sides[index].advance(&previous, &place, &line.line, &line.config, &step);
                if let Some(crossing) = crossing {
                    line.crossed(crossing, visitor, &mut report);
                }
            }
        }
    }

    /// Ends objects whose tracks have ended and that can't go on under another id, or all.
    fn end_visitors(&mut self, all: bool) {
        let (merge, now) = (self.merge, self.now);
        let mut index = 0;
        while index < self.visitors.len() {
            let visitor = &self.visitors[index];
            // A newcomer that isn't confirmed yet may turn out to be this object.
            let may_go_on = || {
                let mut newcomers = self.visitors.iter().filter(|other| !other.confirmed);
                newcomers.any(|newcomer| visitor.ended_before(newcomer, merge))
            };
            let ends = all
                || !visitor.is_listed && now - visitor.last_seen > merge + 1e-6 && !(visitor.confirmed && may_go_on());
            if !ends {
                index += 1;
                continue;
            }
            let mut visitor = self.visitors.swap_remove(index);
            if visitor.confirmed {
                let Self { zones, lines, events, classes, .. } = self;
                let mut report = Report { events, classes, time: self.time.unwrap_or_default(), now };
                for (index, zone) in zones.iter_mut().enumerate() {
                    zone.end(visitor.presences[index], &visitor, &mut report);
                }
                for (index, line) in lines.iter_mut().enumerate() {
                    if let Some(crossing) = visitor.sides[index].settle() {
                        line.crossed(crossing, &visitor, &mut report);
                    }
                }
            }
            visitor.presences.clear();
            self.spare.push(visitor);
        }
    }

    fn check_crowds(&mut self) {
        let Self { zones, visitors, events, classes, .. } = self;
        let mut report = Report { events, classes, time: self.time.unwrap_or_default(), now: self.now };
        for (index, zone) in zones.iter_mut().enumerate().filter(|(_, zone)| zone.config.crowding.is_some()) {
            let listed = visitors.iter().filter(|visitor| visitor.confirmed && visitor.is_listed);
            let present = listed.filter(|visitor| visitor.presences[index].inside_since().is_some()).count();
            zone.check_crowd(present as u32, &mut report);
        }
    }

    /// The zones, in the order of the configuration.
    pub fn zones(&self) -> impl Iterator<Item = ZoneView<'_>> {
        self.zones.iter().map(|zone| ZoneView {
            name: &zone.name,
            totals: &zone.totals,
            occupancy: zone.occupancy,
            crowded: zone.is_crowded(),
        })
    }

    /// The lines, in the order of the configuration.
    pub fn lines(&self) -> impl Iterator<Item = LineView<'_>> {
        self.lines.iter().map(|line| LineView { name: &line.name, totals: &line.totals })
    }

    /// What has been counted in each zone, then on each line.
    pub fn tallies(&self) -> impl Iterator<Item = Tally> {
        let zones = self.zones.iter().map(|zone| Tally {
            place: zone.name.clone(),
            counted: Counted::Zone {
                occupancy: zone.occupancy,
                crowded: zone.is_crowded(),
                totals: zone.totals.clone(),
            },
        });
        let lines = self.lines.iter();
        zones.chain(lines.map(|line| Tally { place: line.name.clone(), counted: Counted::Line(line.totals.clone()) }))
    }

    /// The objects in the zone of a name; none if there is no such zone.
    pub fn occupants(&self, zone: &str) -> impl Iterator<Item = Occupant<'_>> {
        let index = self.zones.iter().position(|other| *other.name == *zone);
        self.visitors.iter().filter(|visitor| visitor.confirmed).filter_map(move |visitor| {
            let since = visitor.presences[index?].inside_since()?;
            let dwell = duration(self.now - since);
            Some(Occupant { track: visitor.track, class: &self.classes[visitor.class], dwell })
        })
    }

    /// What is to be kept over a restart.
    pub fn save(&self) -> Saved {
        let zones = self.zones.iter();
        let lines = self.lines.iter();
        Saved {
            zones: zones.map(|zone| SavedZone { zone: zone.config.clone(), totals: zone.totals.clone() }).collect(),
            lines: lines.map(|line| SavedLine { line: line.config.clone(), totals: line.totals.clone() }).collect(),
            objects: self
                .visitors
                .iter()
                .filter(|visitor| visitor.confirmed)
                .map(|visitor| self.saved(visitor))
                .collect(),
        }
    }

    fn saved(&self, visitor: &Visitor) -> SavedObject {
        let Place { rect, feet } = visitor.place;
        let rect = rect.scaled(1.0 / self.aspect, 1.0);
        let inside = self.zones.iter().zip(&visitor.presences).filter_map(|(zone, presence)| {
            let since_s = self.now - presence.inside_since()?;
            let loiters =
                matches!(presence, Presence::Inside { loiters: true, .. } | Presence::Leaving { loiters: true, .. });
            Some(SavedPresence { zone: zone.name.to_string(), since_s, loiters })
        });
        let sides = self.lines.iter().zip(&visitor.sides).filter(|(_, side)| side.certain != 0);
        SavedObject {
            class: self.classes[visitor.class].to_string(),
            rect: [rect.x, rect.y, rect.w, rect.h],
            feet: [feet.0 / self.aspect, feet.1],
            velocity: [visitor.velocity.0 / self.aspect, visitor.velocity.1],
            unseen_s: self.now - visitor.last_seen,
            inside: inside.collect(),
            sides: sides.map(|(line, side)| (line.name.to_string(), side.certain)).collect(),
        }
    }

    /// Goes on after a restart, before the first frame: `elapsed` is the time from [`save`](Self::save) to that frame. Zones and
    /// lines that have changed since start anew. Objects that were there and are found again within `merge_s` are the same;
    /// the others have left.
    pub fn restore(&mut self, saved: &Saved, elapsed: Duration) {
        for zone in &mut self.zones {
            if let Some(old) = saved.zones.iter().find(|old| old.zone == zone.config) {
                zone.totals = old.totals.clone();
            }
        }
        for line in &mut self.lines {
            if let Some(old) = saved.lines.iter().find(|old| old.line == line.config) {
                line.totals = old.totals.clone();
            }
        }
        for object in &saved.objects {
            self.restore_object(object, saved, elapsed.as_secs_f64());
        }
    }

    fn restore_object(&mut self, object: &SavedObject, saved: &Saved, elapsed: Seconds) {
        let class = self.class(&object.class);
        let [x, y, w, h] = object.rect;
        let place = Place::new(Rect::new(x, y, w, h), Some((object.feet[0], object.feet[1])), self.aspect);
        let unseen = object.unseen_s + elapsed;
        let mut visitor = Visitor::default();
        visitor.start(0, class, place, (self.now - unseen, self.frame), self.zones.len(), self.lines.len());
        (visitor.has_track, visitor.confirmed) = (false, true);
        visitor.velocity = (object.velocity[0] * self.aspect, object.velocity[1]);
        let remains = unseen <= self.merge;
        for inside in &object.inside {
            let unchanged = |zone: &Zone| saved.zones.iter().any(|old| old.zone == zone.config);
            let index = self.zones.iter().position(|zone| *zone.name == *inside.zone && unchanged(zone));
            let Some(index) = index else { continue };
            if remains {
                let since = self.now - elapsed - inside.since_s;
                visitor.presences[index] = Presence::Inside { since, loiters: inside.loiters };
                self.zones[index].occupancy += 1;
            } else {
                let dwell = inside.since_s - object.unseen_s;
                self.zones[index].count_left(&object.class, dwell, true);
            }
        }
        for (name, side) in &object.sides {
            if let Some(index) = self.lines.iter().position(|line| *line.name == **name) {
                visitor.sides[index] = Side::known(side.signum());
            }
        }
        if remains {
            self.visitors.push(visitor);
        }
    }
}
