//! Counts of zones and lines.

use super::event::Direction;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What has happened in a zone since it was made.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ZoneTotals {
    /// How many objects have entered, by class.
    pub entered: Counts,
    /// How many have left, by class. Those that entered and haven't left are inside.
    pub left: Counts,
    /// How many of those that left were last seen inside.
    pub vanished: u64,
    /// How long those that left were inside, in seconds: the sum.
    pub dwell_s: f64,
    /// The longest of these times.
    pub longest_dwell_s: f64,
    /// How many have loitered.
    pub loitered: u64,
    /// How many objects of forbidden classes have entered.
    pub forbidden: u64,
    /// How often it was crowded.
    pub crowded: u64,
}

/// What has happened on a line since it was made.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LineTotals {
    /// How many objects have crossed from left to right, by class.
    #[serde(rename = "in")]
    pub inwards: Counts,
    /// How many have crossed from right to left, by class.
    #[serde(rename = "out")]
    pub outwards: Counts,
}

impl LineTotals {
    /// The crossings in a direction, by class.
    pub fn of(&self, direction: Direction) -> &Counts {
        match direction {
            Direction::In => &self.inwards,
            Direction::Out => &self.outwards,
        }
    }

    pub(super) fn of_mut(&mut self, direction: Direction) -> &mut Counts {
        match direction {
            Direction::In => &mut self.inwards,
            Direction::Out => &mut self.outwards,
        }
    }
}

/// What has been counted in a zone or on a line, to be kept for itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// The name of the zone or line.
    pub place: Arc<str>,
    /// The counts.
    pub counted: Counted,
}

/// The counts of a zone or line.
#[derive(Debug, Clone, PartialEq)]
pub enum Counted {
    /// Those of a zone.
    Zone {
        /// How many objects are in it.
        occupancy: u32,
        /// Whether it is crowded.
        crowded: bool,
        /// What has happened in it.
        totals: ZoneTotals,
    },
    /// What has happened on a line.
    Line(LineTotals),
}

/// A number per class.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counts(Vec<(String, u64)>);

impl Counts {
    /// The number of all classes together.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The number of a class.
    pub fn of(&self, class: &str) -> u64 {
        self.0.iter().find(|(name, _)| name == class).map_or(0, |(_, count)| *count)
    }

    /// Classes and their numbers, in the order in which they were first counted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, count)| (name.as_str(), *count))
    }

    pub(super) fn add(&mut self, class: &str) {
        match self.0.iter_mut().find(|(name, _)| name == class) {
            Some((_, count)) => *count += 1,
            None => self.0.push((class.to_owned(), 1)),
        }
    }
}
