//! Zones and lines as JSON.

use super::geometry::{Point, cross, distance, minus, segments_meet};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;

/// The least area of a zone and length of a line, in fractions of the frame.
const LEAST_AREA: f32 = 1e-5;
const LEAST_LENGTH: f32 = 1e-3;

/// Zones and lines of a camera. Coordinates are fractions of the frame, from its top left corner; times are in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ZonesConfig {
    /// An object that gets another id within this time after it was last seen is the same.
    pub merge_s: f64,
    /// For how long an object must be on the other side of a border before it counts.
    pub settle_s: f64,
    /// How far behind a border an object must be, as a part of the frame's height; at least a tenth of the object's.
    pub margin: f32,
    /// The areas.
    pub zones: Vec<ZoneConfig>,
    /// The lines.
    pub lines: Vec<LineConfig>,
}

impl Default for ZonesConfig {
    fn default() -> Self {
        Self { merge_s: 1.0, settle_s: 0.1, margin: 0.02, zones: Vec::new(), lines: Vec::new() }
    }
}

/// What is the case where the JSON doesn't say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defaults {
    /// As [`ZonesConfig::merge_s`].
    pub merge_s: f64,
    /// As [`ZonesConfig::settle_s`].
    pub settle_s: f64,
    /// As [`ZonesConfig::margin`].
    pub margin: f32,
    /// Of zones and lines without one.
    pub anchor: Anchor,
}

impl Default for Defaults {
    fn default() -> Self {
        let ZonesConfig { merge_s, settle_s, margin, .. } = ZonesConfig::default();
        Self { merge_s, settle_s, margin, anchor: Anchor::default() }
    }
}

/// An area of the picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZoneConfig {
    /// Its name, which no other zone or line has.
    pub name: String,
    /// Its corners in order; the last is joined to the first.
    pub polygon: Vec<[f32; 2]>,
    /// Which point of an object is inside.
    #[serde(default)]
    pub anchor: Anchor,
    /// The classes that count; all if empty.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Classes that mustn't enter.
    #[serde(default)]
    pub forbidden: Vec<String>,
    /// When there are too many.
    #[serde(default)]
    pub crowding: Option<Crowding>,
    /// An object that stays longer loiters.
    #[serde(default)]
    pub loitering_s: Option<f64>,
}

/// When a zone is crowded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crowding {
    /// The greatest number of objects that isn't a crowd.
    pub more_than: u32,
    /// For how long there must be more.
    #[serde(default)]
    pub for_s: f64,
}

/// A line that objects cross.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineConfig {
    /// Its name, which no other zone or line has.
    pub name: String,
    /// One end. Seen from here towards the other, objects that cross from left to right go in.
    pub from: [f32; 2],
    /// The other end.
    pub to: [f32; 2],
    /// Which point of an object crosses.
    #[serde(default)]
    pub anchor: Anchor,
    /// The classes that count; all if empty.
    #[serde(default)]
    pub classes: Vec<String>,
}

/// Which part of an object is where it is.
///
/// - `feet`: the middle between the ankles where they are known, else the middle of the box's lower edge.
/// - `centre`: the box's centre.
/// - `strict`: the whole box, all of which must enter, leave or cross.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "glib", derive(glib::Enum), enum_type(name = "GstTrtZonesAnchor"))]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(description = "Which part of an object is where it is.")
)]
#[serde(rename_all = "kebab-case")]
// A variant's documentation would make the schema something else than a list of names.
#[expect(missing_docs, reason = "the type's documentation has them")]
pub enum Anchor {
    #[default]
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "Between the ankles of a pose, or else the middle of the box's lower edge", nick = "feet")
    )]
    Feet,
    #[cfg_attr(feature = "glib", enum_value(name = "The box's centre", nick = "centre"))]
    Centre,
    #[cfg_attr(
        feature = "glib",
        enum_value(name = "The whole box, all of which must enter, leave or cross", nick = "strict")
    )]
    Strict,
}

/// Why zones are rejected.
#[derive(Debug, thiserror::Error)]
pub enum ZonesError {
    /// The text isn't JSON, or has an unknown key or a value of another type.
    #[error("the zones can't be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A value is wrong.
    #[error("{place}: {problem}")]
    Invalid {
        /// The zone or line, or the key.
        place: String,
        /// What is wrong, and what to write instead.
        problem: String,
    },
}

impl ZonesConfig {
    /// Reads zones from JSON and checks them.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn parse(text: &str) -> Result<Self, ZonesError> {
        Self::parse_with(text, &Defaults::default())
    }

    /// The same with other defaults.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn parse_with(text: &str, defaults: &Defaults) -> Result<Self, ZonesError> {
        // Its errors have lines and columns, those of a value haven't.
        let _: Self = serde_json::from_str(text)?;
        let mut json: Value = serde_json::from_str(text)?;
        if let Some(all) = json.as_object_mut() {
            all.entry("merge_s").or_insert(defaults.merge_s.into());
            all.entry("settle_s").or_insert(defaults.settle_s.into());
            all.entry("margin").or_insert(defaults.margin.into());
        }
        let anchor = serde_json::to_value(defaults.anchor)?;
        for list in ["zones", "lines"] {
            for place in json.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(place) = place.as_object_mut() {
                    place.entry("anchor").or_insert(anchor.clone());
                }
            }
        }
        let config: Self = serde_json::from_value(json)?;
        config.check()?;
        Ok(config)
    }

    /// Checks zones that were made in another way.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn check(&self) -> Result<(), ZonesError> {
        seconds("merge_s", "", self.merge_s)?;
        seconds("settle_s", "", self.settle_s)?;
        if !(0.0..=0.5).contains(&self.margin) {
            return Err(invalid("margin", format!("{} isn't a part of the frame's height from 0 to 0.5", self.margin)));
        }
        let mut names = HashSet::new();
        let all = self.zones.iter().map(|zone| &zone.name).chain(self.lines.iter().map(|line| &line.name));
        for name in all {
            if name.trim().is_empty() {
                return Err(invalid("zones and lines", "one has no name: give it one".into()));
            }
            if !names.insert(name) {
                return Err(invalid(name, "another zone or line has this name: give each its own".into()));
            }
        }
        self.zones.iter().try_for_each(ZoneConfig::check)?;
        self.lines.iter().try_for_each(LineConfig::check)
    }
}

impl ZoneConfig {
    fn check(&self) -> Result<(), ZonesError> {
        let place = format!("zone {:?}", self.name);
        let points: Vec<Point> = self.polygon.iter().map(|[x, y]| (*x, *y)).collect();
        check_points(&place, &points)?;
        if points.len() < 3 {
            let count = points.len();
            return Err(invalid(&place, format!("its polygon has {count} corners: give at least 3")));
        }
        let count = points.len();
        let edge = |index: usize| [points[index], points[(index + 1) % count]];
        for index in 0..count {
            if distance(edge(index)[0], edge(index)[1]) < LEAST_LENGTH {
                let [(x, y), _] = edge(index);
                return Err(invalid(&place, format!("the corner ({x}, {y}) is there twice in a row: remove one")));
            }
        }
        for first in 0..count {
            // Neighbours share a corner.
            for second in first + 2..count {
                if (second + 1) % count != first && segments_meet(edge(first), edge(second)) {
                    let ([a, b], [c, d]) = (edge(first), edge(second));
                    let edges = format!("{a:?} to {b:?} and {c:?} to {d:?}");
                    return Err(invalid(
                        &place,
                        format!("its edges {edges} meet: give the corners in order around it"),
                    ));
                }
            }
        }
        let corners =
            (1..count - 1).map(|index| cross(minus(points[index], points[0]), minus(points[index + 1], points[0])));
        let area = corners.sum::<f32>().abs() / 2.0;
        if area < LEAST_AREA {
            return Err(invalid(&place, "its corners are on one line: it has no area".into()));
        }
        if let Some(unknown) =
            self.forbidden.iter().find(|class| !self.classes.is_empty() && !self.classes.contains(class))
        {
            let problem =
                format!("{unknown:?} is forbidden but not among its classes: add it there, or leave classes out");
            return Err(invalid(&place, problem));
        }
        if let Some(loitering) = self.loitering_s {
            seconds("loitering_s", &place, loitering)?;
        }
        self.crowding.map_or(Ok(()), |crowding| seconds("for_s", &place, crowding.for_s))
    }
}

impl LineConfig {
    fn check(&self) -> Result<(), ZonesError> {
        let place = format!("line {:?}", self.name);
        let [from, to] = [self.from, self.to].map(|[x, y]| (x, y));
        check_points(&place, &[from, to])?;
        if distance(from, to) < LEAST_LENGTH {
            return Err(invalid(&place, "its ends are the same point: it has no length".into()));
        }
        Ok(())
    }
}

fn check_points(place: &str, points: &[Point]) -> Result<(), ZonesError> {
    let inside = |value: f32| (0.0..=1.0).contains(&value);
    match points.iter().find(|(x, y)| !inside(*x) || !inside(*y)) {
        Some((x, y)) => {
            let problem = format!("({x}, {y}) is outside the frame: give fractions of its width and height, 0 to 1");
            Err(invalid(place, problem))
        }
        None => Ok(()),
    }
}

fn seconds(key: &str, place: &str, value: f64) -> Result<(), ZonesError> {
    // Ten years are as good as for ever, and can still be added to a time.
    if (0.0..=3e8).contains(&value) {
        return Ok(());
    }
    let place = if place.is_empty() { key.to_owned() } else { format!("{place}, {key}") };
    Err(invalid(&place, format!("{value} isn't a time in seconds")))
}

fn invalid(place: &str, problem: String) -> ZonesError {
    ZonesError::Invalid { place: place.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        ZonesConfig::parse(text).unwrap_err().to_string()
    }

    fn zone(more: &str) -> String {
        error(&format!(r#"{{"zones": [{{"name": "a", {more}}}]}}"#))
    }

    #[test]
    fn everything_has_a_default_but_names_and_points() {
        let text = r#"{
            "zones": [{"name": "a", "polygon": [[0, 0], [1, 0], [0.5, 1]], "crowding": {"more_than": 5}}],
            "lines": [{"name": "b", "from": [0, 0.5], "to": [1, 0.5], "anchor": "strict", "classes": ["car"]}]
        }"#;
        let config = ZonesConfig::parse(text).unwrap();
        assert_eq!((config.merge_s, config.settle_s, config.margin), (1.0, 0.1, 0.02));
        assert_eq!(config.zones[0].crowding, Some(Crowding { more_than: 5, for_s: 0.0 }));
        assert_eq!((config.zones[0].anchor, config.lines[0].anchor), (Anchor::Feet, Anchor::Strict));
        let again = ZonesConfig::parse(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
        assert_eq!(ZonesConfig::parse("{}").unwrap(), ZonesConfig::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(error("{").starts_with("the zones can't be read: EOF"));
        assert!(error(r#"{"zone": []}"#).contains("unknown field `zone`, expected one of"));
        assert!(zone(r#""polygon": [], "colour": 3"#).contains("unknown field `colour`"));
        assert!(zone(r#""polygon": [[0, 0], [1, 0], [0.5, 1]], "anchor": "head""#).contains("unknown variant `head`"));
        assert_eq!(
            zone(r#""polygon": [[0, 0], [1.5, 0], [0.5, 1]]"#),
            "zone \"a\": (1.5, 0) is outside the frame: give fractions of its width and height, 0 to 1"
        );
        assert_eq!(zone(r#""polygon": [[0, 0], [1, 0]]"#), "zone \"a\": its polygon has 2 corners: give at least 3");
        assert_eq!(
            zone(r#""polygon": [[0, 0], [0.2, 0.2], [0.4, 0.4]]"#),
            "zone \"a\": its corners are on one line: it has no area"
        );
        assert_eq!(
            zone(r#""polygon": [[0, 0], [1, 1], [1, 0], [0, 1]]"#),
            "zone \"a\": its edges (0.0, 0.0) to (1.0, 1.0) and (1.0, 0.0) to (0.0, 1.0) meet: \
             give the corners in order around it"
        );
        assert_eq!(
            zone(r#""polygon": [[0, 0], [1, 0], [1, 0], [0, 1]]"#),
            "zone \"a\": the corner (1, 0) is there twice in a row: remove one"
        );
        let square = r#""polygon": [[0, 0], [1, 0], [1, 1]]"#;
        assert!(zone(&format!(r#"{square}, "loitering_s": -1"#)).starts_with("zone \"a\", loitering_s: -1"));
        assert!(
            zone(&format!(r#"{square}, "classes": ["car"], "forbidden": ["dog"]"#))
                .starts_with("zone \"a\": \"dog\" is forbidden but not among its classes")
        );
        assert_eq!(
            error(r#"{"lines": [{"name": "b", "from": [0.5, 0.5], "to": [0.5, 0.5]}]}"#),
            "line \"b\": its ends are the same point: it has no length"
        );
        let line = r#"{"name": "b", "from": [0, 0.5], "to": [1, 0.5]}"#;
        assert_eq!(
            error(&format!(r#"{{"lines": [{line}, {line}]}}"#)),
            "b: another zone or line has this name: give each its own"
        );
        assert_eq!(error(r#"{"margin": 3}"#), "margin: 3 isn't a part of the frame's height from 0 to 0.5");
        assert_eq!(error(r#"{"merge_s": -2}"#), "merge_s: -2 isn't a time in seconds");
    }
}
