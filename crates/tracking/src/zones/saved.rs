//! Totals over a restart.

use super::config::{LineConfig, ZoneConfig};
use super::totals::{LineTotals, ZoneTotals};
use serde::{Deserialize, Serialize};

/// What is kept over a restart: totals, each with the zone or line that it belongs to, and the objects that were there.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Saved {
    pub(super) zones: Vec<SavedZone>,
    pub(super) lines: Vec<SavedLine>,
    pub(super) objects: Vec<SavedObject>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedZone {
    pub zone: ZoneConfig,
    pub totals: ZoneTotals,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedLine {
    pub line: LineConfig,
    pub totals: LineTotals,
}

/// Positions in fractions of the frame, times in seconds before the state was saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedObject {
    pub class: String,
    /// Left, top, width, height.
    pub rect: [f32; 4],
    pub feet: [f32; 2],
    /// Per second.
    pub velocity: [f32; 2],
    pub unseen_s: f64,
    /// The zones that it is in.
    pub inside: Vec<SavedPresence>,
    /// The lines of which it is on a certain side: −1 or 1.
    pub sides: Vec<(String, i8)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedPresence {
    pub zone: String,
    pub since_s: f64,
    pub loiters: bool,
}
