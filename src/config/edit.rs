//! Changes zones and lines in the text of a file, and leaves everything else in it as it is: comments, the order of keys,
//! line breaks.

use super::finding::{Finding, Findings};
use super::overrides::Overrides;
use super::resolve::{Context, Purpose, names};
use super::text::{Source, json_of, parse};
use super::typed::typed;
use jsonc_parser::ast::{self, ObjectPropName};
use jsonc_parser::common::Ranged;
use serde_json::{Map, Value};
use std::fmt;
use std::ops::Range;
use std::path::Path;

const ZONES: &str = "ZONES";
const LINES: &str = "LINES";

/// The zones and lines of a camera, as they are written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WrittenZones {
    pub zones: Vec<Map<String, Value>>,
    pub lines: Vec<Map<String, Value>>,
}

/// Why zones can't be read from a file or written into it.
#[derive(Debug)]
pub enum EditError {
    /// The file isn't what a configuration looks like.
    Unreadable(Box<Finding>),
    /// No camera of the file has this name.
    NoCamera,
    /// They are in another file.
    ZonesFile,
    /// They are written in another form than a list of objects.
    Form(String),
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(finding) => write!(f, "the file can't be read: {finding}; repair it in an editor"),
            Self::NoCamera => f.write_str("the file has no camera of this name"),
            Self::ZonesFile => {
                f.write_str("the camera's zones are in its ZONES_FILE: edit that, or write ZONES and LINES instead")
            }
            Self::Form(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for EditError {}

/// Reads the zones and lines that the camera of this name has in the text of a file.
///
/// # Errors
/// [`EditError`]
pub fn written_zones(path: &Path, text: &str, overrides: &Overrides, camera: &str) -> Result<WrittenZones, EditError> {
    let index = index_of(path, text, overrides, camera)?;
    Source::new(text).read(|root| zones_of(stream(root, index)?)).map_err(EditError::Unreadable)?
}

/// Returns the text with these zones and lines for the camera of this name.
///
/// # Errors
/// [`EditError`]
pub fn with_zones(
    path: &Path,
    text: &str,
    overrides: &Overrides,
    camera: &str,
    wanted: &WrittenZones,
) -> Result<String, EditError> {
    let index = index_of(path, text, overrides, camera)?;
    let source = Source::new(text);
    let edited = source.read(|root| {
        let stream = stream(root, index)?;
        zones_of(stream)?;
        let mut edits = Edits { text: &source.text, list: Vec::new() };
        edits.stream(stream, wanted);
        Ok(edits.applied())
    });
    let edited = source.file(&edited.map_err(EditError::Unreadable)??);
    check(text, &edited, index, wanted)?;
    Ok(edited)
}

/// The place of a camera in the file's list.
fn index_of(path: &Path, text: &str, overrides: &Overrides, camera: &str) -> Result<usize, EditError> {
    let (mut tree, _) = parse(text).map_err(EditError::Unreadable)?;
    overrides.apply(&mut tree);
    let (file, written, _) = typed(&tree, &overrides.variables);
    let findings = Findings { file: path.into(), ..Findings::default() };
    let mut ctx = Context::new(&file, &written, &overrides.variables, path, Purpose::Build, findings);
    names(&mut ctx).iter().position(|name| name == camera).ok_or(EditError::NoCamera)
}

fn property<'a, 'b>(object: &'b ast::Object<'a>, key: &str) -> Option<&'b ast::ObjectProp<'a>> {
    object.properties.iter().find(|property| key_of(property) == key)
}

fn key_of(property: &ast::ObjectProp) -> String {
    match &property.name {
        ObjectPropName::String(literal) => literal.value.clone().into_owned(),
        ObjectPropName::Word(literal) => literal.value.to_owned(),
    }
}

fn stream<'a, 'b>(root: &'b ast::Value<'a>, index: usize) -> Result<&'b ast::Value<'a>, EditError> {
    let cameras = root.as_object().and_then(|root| property(root, "cameras")?.value.as_object());
    let streams = cameras.and_then(|cameras| property(cameras, "RTSP_STREAMS")?.value.as_array());
    streams.and_then(|streams| streams.elements.get(index)).ok_or(EditError::NoCamera)
}

fn zones_of(stream: &ast::Value) -> Result<WrittenZones, EditError> {
    let Some(camera) = stream.as_object() else { return Ok(WrittenZones::default()) };
    if property(camera, "ZONES_FILE").is_some() {
        return Err(EditError::ZonesFile);
    }
    let list = |key: &str| {
        let wrong = || EditError::Form(format!("{key} isn't a list of objects: repair it in an editor"));
        let Some(found) = property(camera, key) else { return Ok(vec![]) };
        match json_of(&found.value) {
            Value::Null => Ok(vec![]),
            Value::Array(items) => items
                .into_iter()
                .map(|item| if let Value::Object(item) = item { Ok(item) } else { Err(wrong()) })
                .collect(),
            _ => Err(wrong()),
        }
    };
    Ok(WrittenZones { zones: list(ZONES)?, lines: list(LINES)? })
}

/// Checks that an edited text says what is wanted, and nothing else that is new: a file is never damaged.
fn check(before: &str, after: &str, index: usize, wanted: &WrittenZones) -> Result<(), EditError> {
    let parts = |text: &str| {
        let (tree, _) = parse(text).ok()?;
        let mut json = tree.to_json();
        let stream = json.get_mut("cameras")?.get_mut("RTSP_STREAMS")?.get_mut(index)?;
        if stream.is_string() {
            *stream = Value::Object(Map::from_iter([("URL".to_owned(), stream.take())]));
        }
        let camera = stream.as_object_mut()?;
        let mut take = |key: &str| match camera.remove(key) {
            Some(Value::Array(mut list)) => {
                list.sort_by_key(|item| item.get("NAME").and_then(Value::as_str).unwrap_or_default().to_owned());
                list
            }
            _ => vec![],
        };
        let lists = (take(ZONES), take(LINES));
        Some((lists, json))
    };
    let sorted = |list: &[Map<String, Value>]| {
        let mut list: Vec<Value> = list.iter().cloned().map(Value::Object).collect();
        list.sort_by_key(|item| item.get("NAME").and_then(Value::as_str).unwrap_or_default().to_owned());
        list
    };
    let is_right = parts(before).zip(parts(after)).is_some_and(|((_, others), (lists, others_after))| {
        lists == (sorted(&wanted.zones), sorted(&wanted.lines)) && others == others_after
    });
    let failed = || EditError::Form("the file is written in a way that can't be edited here: use an editor".into());
    if is_right { Ok(()) } else { Err(failed()) }
}

/// Changes of a text, which don't overlap.
struct Edits<'a> {
    text: &'a str,
    list: Vec<(Range<usize>, String)>,
}

impl Edits<'_> {
    /// The changed text.
    fn applied(mut self) -> String {
        // What is added at a place comes before what is removed there; additions stay in their order.
        self.list.sort_by_key(|(range, _)| (range.start, range.end));
        let (mut out, mut at) = (String::with_capacity(self.text.len() + 256), 0);
        for (range, new) in &self.list {
            out.push_str(self.text.get(at..range.start).unwrap_or_default());
            out.push_str(new);
            at = range.end;
        }
        out.push_str(self.text.get(at..).unwrap_or_default());
        out
    }

    fn replace(&mut self, range: Range<usize>, new: impl Into<String>) {
        self.list.push((range, new.into()));
    }

    fn stream(&mut self, stream: &ast::Value, wanted: &WrittenZones) {
        let lists = [(ZONES, &wanted.zones), (LINES, &wanted.lines)];
        let Some(camera) = stream.as_object() else {
            let url = self.text.get(span(stream)).unwrap_or_default();
            let keys = lists.iter().filter(|(_, list)| !list.is_empty());
            let keys: Vec<_> = keys
                .map(|(key, list)| format!(", \"{key}\": {}", self.whole_list(list, stream.start(), true)))
                .collect();
            if !keys.is_empty() {
                self.replace(span(stream), format!("{{ \"URL\": {url}{} }}", keys.concat()));
            }
            return;
        };
        let mut new = Vec::new();
        for (key, list) in lists {
            match property(camera, key).map(|property| &property.value) {
                Some(ast::Value::Array(array)) => self.array(array, list),
                Some(other) if !list.is_empty() => {
                    let text = self.whole_list(list, other.start(), false);
                    self.replace(span(other), text);
                }
                None if !list.is_empty() => {
                    let in_lines = self.is_in_lines(span(camera));
                    let indent = camera.properties.last().map_or(camera.start(), Ranged::start);
                    new.push(format!("\"{key}\": {}", self.whole_list(list, indent, !in_lines)));
                }
                _ => {}
            }
        }
        let items: Vec<_> = camera.properties.iter().map(span).collect();
        self.insert(span(camera), &items, &[], &new);
    }

    /// A list as new text, for a place in a line that begins like the one at `near`.
    fn whole_list(&self, list: &[Map<String, Value>], near: usize, in_one_line: bool) -> String {
        let items: Vec<_> = list.iter().map(|item| text_of(&Value::Object(item.clone()))).collect();
        if items.is_empty() {
            return "[]".into();
        }
        if in_one_line {
            return format!("[{}]", items.join(", "));
        }
        let indent = self.indent(near);
        let step = if indent.contains('\t') { "\t" } else { "  " };
        let line = |item: &String| format!("\n{indent}{step}{item}");
        format!("[{}\n{indent}]", items.iter().map(line).collect::<Vec<_>>().join(","))
    }

    /// Makes a list of objects have these items, which are known by their NAME.
    fn array(&mut self, array: &ast::Array, wanted: &[Map<String, Value>]) {
        let name = |item: &Map<String, Value>| item.get("NAME").cloned();
        let old: Vec<Map<String, Value>> =
            array.elements.iter().map(|item| json_of(item).as_object().cloned().unwrap_or_default()).collect();
        let mut partner: Vec<Option<usize>> = old
            .iter()
            .map(|item| wanted.iter().position(|wanted| name(wanted).is_some() && name(wanted) == name(item)))
            .collect();
        // One that has another name is in the same place.
        for (index, item) in partner.iter_mut().enumerate() {
            let is_free = index < wanted.len() && !old.iter().any(|old| name(old) == wanted.get(index).and_then(name));
            if item.is_none() && is_free && old.len() == wanted.len() {
                *item = Some(index);
            }
        }
        if partner.iter().all(Option::is_none) {
            let in_one_line = !self.is_in_lines(span(array)) && !old.is_empty();
            let text = self.whole_list(wanted, array.start(), in_one_line);
            if !(old.is_empty() && wanted.is_empty()) {
                self.replace(span(array), text);
            }
            return;
        }
        let mut removed = Vec::new();
        for ((index, item), partner) in array.elements.iter().enumerate().zip(&partner) {
            match (partner.and_then(|partner| wanted.get(partner)), item.as_object()) {
                (Some(wanted), Some(object)) => self.object(object, wanted),
                _ => removed.push(index),
            }
        }
        let added = (0..wanted.len()).filter(|index| !partner.contains(&Some(*index)));
        let new: Vec<_> =
            added.filter_map(|index| wanted.get(index)).map(|item| text_of(&Value::Object(item.clone()))).collect();
        let items: Vec<_> = array.elements.iter().map(span).collect();
        self.insert(span(array), &items, &removed, &new);
    }

    /// Makes an object have these keys.
    fn object(&mut self, object: &ast::Object, wanted: &Map<String, Value>) {
        let mut removed = Vec::new();
        for (index, property) in object.properties.iter().enumerate() {
            match wanted.get(&key_of(property)) {
                Some(value) if *value == json_of(&property.value) => {}
                Some(value) => self.replace(span(&property.value), text_of(value)),
                None => removed.push(index),
            }
        }
        let is_new = |(key, _): &(&String, &Value)| property(object, key).is_none();
        let key = |(key, value): (&String, &Value)| format!("{}: {}", Value::String(key.clone()), text_of(value));
        let new: Vec<_> = ordered(wanted).into_iter().filter(is_new).map(key).collect();
        let items: Vec<_> = object.properties.iter().map(span).collect();
        self.insert(span(object), &items, &removed, &new);
    }

    /// Removes items of a list or an object, and adds others behind the last.
    fn insert(&mut self, all: Range<usize>, items: &[Range<usize>], removed: &[usize], new: &[String]) {
        for index in removed {
            if let Some(item) = items.get(*index) {
                let range = self.with_its_line(item);
                self.replace(range, "");
            }
        }
        let last = (0..items.len()).rev().find(|index| !removed.contains(index)).and_then(|index| items.get(index));
        let Some(last) = last else {
            if !new.is_empty() {
                self.replace(all.start + 1..all.start + 1, format!(" {} ", new.join(", ")));
            }
            return;
        };
        let after = self.after(last.end);
        let is_followed = items.last().is_some_and(|item| item != last);
        match (after.comma, new.is_empty()) {
            (None, false) => self.replace(last.end..last.end, ","),
            // It was between this one and removed ones.
            (Some(comma), true)
                if is_followed && self.after(items.last().map_or(0, |item| item.end)).comma.is_none() =>
            {
                self.replace(comma..comma + 1, "");
            }
            _ => {}
        }
        if new.is_empty() {
            return;
        }
        let at = after.end;
        if self.is_in_lines(all) && after.ends_line {
            let indent = self.indent(last.start).to_owned();
            let lines: Vec<_> = new.iter().map(|item| format!("\n{indent}{item}")).collect();
            self.replace(at..at, lines.join(","));
        } else {
            let at = after.comma.map_or(last.end, |comma| comma + 1);
            self.replace(at..at, format!(" {}", new.join(", ")));
        }
    }

    /// An item with its comma; with its whole line where nothing else is in it.
    fn with_its_line(&self, item: &Range<usize>) -> Range<usize> {
        let after = self.after(item.end);
        let end = after.comma.map_or(item.end, |comma| comma + 1);
        let before = self.text.get(..item.start).unwrap_or_default();
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        let is_first = before.get(line..).is_some_and(|text| text.trim().is_empty());
        if is_first && after.ends_line && line > 0 {
            // From the end of the line before to the end of this.
            return line - 1..after.end;
        }
        let space = [' ', '\t'];
        let bare = before.trim_end_matches(space).len();
        if bare < item.start {
            return bare..end;
        }
        let rest = self.text.get(end..).unwrap_or_default();
        item.start..end + rest.len() - rest.trim_start_matches(space).len()
    }

    /// What follows an item in its line.
    fn after(&self, end: usize) -> After {
        let rest = self.text.get(end..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        let spaces = line.len() - line.trim_start().len();
        let comma = line.trim_start().starts_with(',').then_some(end + spaces);
        let behind = comma.map_or(end, |comma| comma + 1);
        let left = line.get(behind - end..).unwrap_or_default().trim();
        let is_comment = left.starts_with("//")
            || left.starts_with('#')
            || (left.starts_with("/*") && left.find("*/").is_some_and(|at| at + 2 == left.len()));
        After { comma, end: end + line.trim_end().len(), ends_line: left.is_empty() || is_comment }
    }

    fn is_in_lines(&self, range: Range<usize>) -> bool {
        self.text.get(range).is_some_and(|text| text.contains('\n'))
    }

    /// The space at the beginning of the line that has this place.
    fn indent(&self, at: usize) -> &str {
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self.text.get(line..).unwrap_or_default();
        line.get(..line.len() - line.trim_start_matches([' ', '\t']).len()).unwrap_or_default()
    }
}

struct After {
    /// The place of the item's comma.
    comma: Option<usize>,
    /// The end of the line without the spaces there.
    end: usize,
    /// Nothing but a comment follows in the line.
    ends_line: bool,
}

/// Where a part of the syntax tree is in the text.
fn span(part: &impl Ranged) -> Range<usize> {
    part.start()..part.end()
}

/// Keys of zones and lines in the order in which people read them.
const ORDER: [&str; 11] = [
    "NAME",
    "POLYGON",
    "FROM",
    "TO",
    "ANCHOR",
    "CLASSES",
    "FORBIDDEN",
    "CROWDING",
    "MORE_THAN",
    "FOR_S",
    "LOITERING_S",
];

/// The keys of an object, in [`ORDER`].
fn ordered(keys: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut keys: Vec<_> = keys.iter().collect();
    keys.sort_by_key(|(key, _)| ORDER.iter().position(|known| *known == key.as_str()).unwrap_or(ORDER.len()));
    keys
}

/// A value in one line, with spaces as people write them.
fn text_of(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(text_of).collect::<Vec<_>>().join(", ")),
        Value::Object(keys) if keys.is_empty() => "{}".into(),
        Value::Object(keys) => {
            let key = |(key, value): (&String, &Value)| format!("{}: {}", Value::String(key.clone()), text_of(value));
            format!("{{ {} }}", ordered(keys).into_iter().map(key).collect::<Vec<_>>().join(", "))
        }
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const FILE: &str = r#"# The cameras of the hall.
"cameras": {
  "RTSP_STREAMS": [
    "test:ball", // plain
    {
      "NAME": "door", "URL": "test:smpte",
      # What is counted.
      "ZONES": [
        // The hall.
        {"NAME": "hall",  "POLYGON": [[0, 0], [1, 0], [1, 1]], "CLASSES": ["person"]}, # all of it
        { 'NAME': 'stairs', "POLYGON": [[0, 0], [0.5, 0], [0.5, 0.5]] }
      ],
      "LATENCY_MS": 70 // as measured
    },
    { "NAME": "yard", "URL": "test:snow" },
  ],
},
"outputs": { "JSON_LINES": "-" } /* end */
"#;

    fn edit(text: &str, camera: &str, zones: Value, lines: Value) -> Result<String, EditError> {
        let list =
            |value: Value| value.as_array().unwrap().iter().map(|item| item.as_object().unwrap().clone()).collect();
        let wanted = WrittenZones { zones: list(zones), lines: list(lines) };
        let (path, overrides) = (Path::new("config.json"), Overrides::default());
        let edited = with_zones(path, text, &overrides, camera, &wanted)?;
        let read = written_zones(path, &edited, &overrides, camera)?;
        assert_eq!((read.zones.len(), read.lines.len()), (wanted.zones.len(), wanted.lines.len()), "{edited}");
        Ok(edited)
    }

    fn hall() -> Value {
        json!({"NAME": "hall", "POLYGON": [[0, 0], [1, 0], [1, 1]], "CLASSES": ["person"]})
    }

    fn stairs() -> Value {
        json!({"NAME": "stairs", "POLYGON": [[0, 0], [0.5, 0], [0.5, 0.5]]})
    }

    /// The lines of `FILE` that `edited` doesn't have, and its lines that are new.
    fn difference(edited: &str) -> (Vec<String>, Vec<String>) {
        let others = |text: &str, other: &str| {
            text.lines().filter(|line| !other.lines().any(|of_other| of_other == *line)).map(str::to_owned).collect()
        };
        (others(FILE, edited), others(edited, FILE))
    }

    #[test]
    fn what_stays_as_it_is_changes_nothing() {
        assert_eq!(edit(FILE, "door", json!([hall(), stairs()]), json!([])).unwrap(), FILE);
        assert_eq!(edit(FILE, "door", json!([stairs(), hall()]), json!([])).unwrap(), FILE, "order doesn't matter");
        assert_eq!(edit(FILE, "yard", json!([]), json!([])).unwrap(), FILE);
        assert_eq!(edit(FILE, "test-ball", json!([]), json!([])).unwrap(), FILE);
    }

    #[test]
    fn only_the_changed_part_is_written() {
        let moved = json!({"NAME": "hall", "POLYGON": [[0, 0], [0.9, 0], [1, 1]], "CLASSES": ["person"]});
        let edited = edit(FILE, "door", json!([moved, stairs()]), json!([])).unwrap();
        assert_eq!(edited, FILE.replacen("[1, 0]", "[0.9, 0]", 1));
        let renamed = json!({"NAME": "steps", "POLYGON": [[0, 0], [0.5, 0], [0.5, 0.5]]});
        let edited = edit(FILE, "door", json!([hall(), renamed]), json!([])).unwrap();
        assert_eq!(edited, FILE.replacen("'stairs'", "\"steps\"", 1));
        let all = json!({"NAME": "hall", "POLYGON": [[0, 0], [1, 0], [1, 1]], "ANCHOR": "centre"});
        let edited = edit(FILE, "door", json!([all, stairs()]), json!([])).unwrap();
        assert_eq!(edited, FILE.replacen("\"CLASSES\": [\"person\"]", "\"ANCHOR\": \"centre\"", 1));
    }

    #[test]
    fn zones_come_and_go() {
        let lift = json!({"NAME": "lift", "POLYGON": [[0, 0], [1, 0], [1, 1]]});
        let edited = edit(FILE, "door", json!([hall(), stairs(), lift]), json!([])).unwrap();
        let (gone, new) = difference(&edited);
        assert_eq!(gone.len(), 1, "{edited}");
        assert_eq!(new[0], format!("{},", gone[0]));
        assert_eq!(new[1], r#"        { "NAME": "lift", "POLYGON": [[0, 0], [1, 0], [1, 1]] }"#);
        let (gone, new) = difference(&edit(FILE, "door", json!([stairs()]), json!([])).unwrap());
        assert!(gone.len() == 1 && gone[0].contains("hall") && new.is_empty(), "{gone:?} {new:?}");
        let (gone, new) = difference(&edit(FILE, "door", json!([hall()]), json!([])).unwrap());
        assert_eq!((gone.len(), new.len()), (2, 1), "the comma before the removed zone goes too");
        assert!(new[0].ends_with("} # all of it"), "{new:?}");
        let (gone, new) = difference(&edit(FILE, "door", json!([]), json!([])).unwrap());
        assert!(new == ["      \"ZONES\": [],"] && gone.iter().any(|line| line.contains("stairs")), "{new:?}");
        let (_, new) = difference(&edit(FILE, "door", json!([lift]), json!([])).unwrap());
        assert_eq!(new, [r#"        { "NAME": "lift", "POLYGON": [[0, 0], [1, 0], [1, 1]] }"#]);
    }

    #[test]
    fn a_camera_without_zones_gets_some() {
        let line = json!({"NAME": "gate", "FROM": [0, 0.5], "TO": [1, 0.5]});
        let (gone, new) = difference(&edit(FILE, "door", json!([hall(), stairs()]), json!([line])).unwrap());
        assert_eq!(gone, ["      \"LATENCY_MS\": 70 // as measured"]);
        let wanted = [
            "      \"LATENCY_MS\": 70, // as measured",
            "      \"LINES\": [",
            "        { \"NAME\": \"gate\", \"FROM\": [0, 0.5], \"TO\": [1, 0.5] }",
            "      ]",
        ];
        assert_eq!(new, wanted);
        let (_, new) = difference(&edit(FILE, "yard", json!([]), json!([line])).unwrap());
        let text = r#"    { "NAME": "yard", "URL": "test:snow", "LINES": [{ "NAME": "gate", "FROM": [0, 0.5], "TO": [1, 0.5] }] },"#;
        assert_eq!(new, [text]);
        let (_, new) = difference(&edit(FILE, "test-ball", json!([]), json!([line])).unwrap());
        let text =
            r#"    { "URL": "test:ball", "LINES": [{ "NAME": "gate", "FROM": [0, 0.5], "TO": [1, 0.5] }] }, // plain"#;
        assert_eq!(new, [text]);
    }

    #[test]
    fn what_cannot_be_edited_says_why() {
        let error = |text: &str, camera: &str| edit(text, camera, json!([hall()]), json!([])).unwrap_err().to_string();
        assert!(error(FILE, "attic").contains("no camera of this name"));
        let elsewhere = FILE.replace("\"LATENCY_MS\": 70", "\"ZONES_FILE\": \"zones.json\"");
        assert!(error(&elsewhere, "door").contains("ZONES_FILE"));
        assert!(error(&FILE.replace("\"ZONES\": [", "\"ZONES\": [3, "), "door").contains("isn't a list of objects"));
        assert!(error("{ \"cameras\": ", "door").contains("can't be read"));
    }

    fn zones() -> impl Strategy<Value = Vec<Map<String, Value>>> {
        let zone = (0..6_u8, 0..3_u8, any::<bool>()).prop_map(|(name, corner, has_classes)| {
            let mut zone = Map::new();
            zone.insert("NAME".into(), format!("zone \"{name}\" {{,}} // #").into());
            zone.insert("POLYGON".into(), json!([[0, 0], [1, 0], [1, f64::from(corner) / 8.0]]));
            if has_classes {
                zone.insert("CLASSES".into(), json!(["a", "b"]));
            }
            zone
        });
        proptest::collection::vec(zone, 0..6).prop_map(|mut zones| {
            let mut seen = std::collections::HashSet::new();
            zones.retain(|zone| seen.insert(zone["NAME"].to_string()));
            zones
        })
    }

    proptest! {
        /// Any list can follow any other; [`with_zones`] itself fails where the result says something else. What was said
        /// around them stays.
        #[test]
        fn edits_follow_each_other(steps in proptest::collection::vec((zones(), zones(), 0..3_usize), 1..8)) {
            let mut text = FILE.to_owned();
            for (zones, lines, camera) in steps {
                let camera = ["test-ball", "door", "yard"][camera];
                let wanted = WrittenZones { zones, lines };
                text = with_zones(Path::new("config.json"), &text, &Overrides::default(), camera, &wanted)
                    .map_err(|error| TestCaseError::fail(format!("{error}\n{wanted:?}\n{text}")))?;
            }
            for comment in ["# The cameras of the hall.", "// plain", "# What is counted.", "// as measured", "/* end */"] {
                prop_assert!(text.contains(comment), "{comment}\n{text}");
            }
        }
    }
}
