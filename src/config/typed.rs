//! From the tree to the types: every value that doesn't fit its key is an error, unknown keys are warnings. Invalid
//! values are left out, so that the rules can be applied to the rest.

use super::file::File;
use super::finding::{Finding, Origin, Severity};
use super::schema::{Kind, Shape, paths};
use super::secret::redact_value;
use super::text::{Node, Value, join};
use super::variables::{Variables, expand};
use serde_json::{Map, Value as Json};
use std::collections::{HashMap, HashSet};

/// The values written in the file, by path.
#[derive(Debug, Default)]
pub struct Written {
    values: HashMap<String, (Origin, String)>,
    /// Whole texts before variables are filled in, without secrets.
    labels: HashMap<String, String>,
    /// Paths of values that didn't fit.
    rejected: HashSet<String>,
    /// For a list that lost items: the original indices of the others.
    kept: HashMap<String, Vec<usize>>,
}

impl Written {
    /// The origin of a key's value, and the value as written, without secrets.
    pub fn get(&self, path: &str) -> Option<(&Origin, &str)> {
        self.values.get(path).map(|(origin, shown)| (origin, shown.as_str()))
    }

    /// A text as written in the file: with variables' names, without secrets.
    pub fn label(&self, path: &str) -> Option<&str> {
        self.labels.get(path).map(String::as_str)
    }

    /// Whether there was a value that didn't fit, which has been reported.
    pub fn was_rejected(&self, path: &str) -> bool {
        self.rejected.contains(path)
    }

    /// Whether an item of a list, or the list, didn't fit.
    pub fn has_gaps(&self, list: &str) -> bool {
        self.kept.contains_key(list) || self.was_rejected(list)
    }

    /// Path of a list's item.
    pub fn item(&self, list: &str, index: usize) -> String {
        let index = self.kept.get(list).and_then(|kept| kept.get(index).copied()).unwrap_or(index);
        join(list, &index.to_string())
    }
}

/// The file's values in their types.
pub fn typed(tree: &Node, variables: &Variables) -> (File, Written, Vec<Finding>) {
    let mut walk = Walk { variables, written: Written::default(), findings: Vec::new() };
    let json = walk.value("", Shape::root(), tree).unwrap_or_else(|| Json::Object(Map::new()));
    let file = serde_json::from_value(json).unwrap_or_else(|error| {
        // The walk has checked everything that the types require; a gap in it mustn't hide an error.
        walk.findings.push(Finding {
            severity: Severity::Error,
            key: String::new(),
            value: None,
            rule: format!("the file can't be read: {error}"),
            remedy: "compare it with docs/configuration.md".into(),
            origin: None,
        });
        File::default()
    });
    (file, walk.written, walk.findings)
}

struct Walk<'a> {
    variables: &'a Variables,
    written: Written,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    /// The value as the types read it; `None` if it's treated as absent.
    fn value(&mut self, path: &str, shape: Shape, node: &Node) -> Option<Json> {
        if node.value == Value::Null {
            return None;
        }
        self.written.values.insert(path.to_owned(), (node.origin.clone(), shown(&node.value)));
        if let Value::Text(text) = &node.value {
            self.written.labels.insert(path.to_owned(), redact_value(text));
        }
        let kind = node.value.kind();
        // The override of a key that takes only text has already become text.
        let Some(form) = shape.forms().into_iter().find(|form| form.kind() == kind) else {
            return self.reject(path, node, shape, None);
        };
        match &node.value {
            Value::Null => None,
            Value::Bool(value) => Some(Json::Bool(*value)),
            Value::Number(number) => self.number(path, shape, form, node, number),
            Value::Text(text) => self.text(path, form, node, text),
            Value::List(nodes) => self.list(path, form, node, nodes),
            Value::Object(entries) => {
                let mut object = Map::new();
                for entry in entries {
                    let path = join(path, &entry.key);
                    match form.key(&entry.key).or_else(|| form.values()) {
                        Some(shape) => {
                            object
                                .extend(self.value(&path, shape, &entry.node).map(|value| (entry.key.clone(), value)));
                        }
                        None => self.unknown(&path, form, &entry.key, &entry.origin),
                    }
                }
                Some(Json::Object(object))
            }
        }
    }

    fn number(
        &mut self,
        path: &str,
        shape: Shape,
        form: Shape,
        node: &Node,
        number: &serde_json::Number,
    ) -> Option<Json> {
        let value = number.as_f64().filter(|value| value.is_finite());
        let (least, most) = form.range();
        let fits = value.is_some_and(|value| {
            (!form.is_whole() || value.fract() == 0.0)
                && least.is_none_or(|least| value >= least)
                && most.is_none_or(|most| value <= most)
        });
        match value.filter(|_| fits) {
            // Python may write 2.0 for 2.
            Some(value) if form.is_whole() && number.is_f64() => Some(Json::from(value as i64)),
            Some(_) => Some(Json::Number(number.clone())),
            None => self.reject(path, node, shape, None),
        }
    }

    fn text(&mut self, path: &str, form: Shape, node: &Node, text: &str) -> Option<Json> {
        let text = match expand(text, self.variables) {
            Ok(text) => text,
            Err(name) => {
                let rule = format!("the environment variable {name} isn't set");
                return self.reject(path, node, form, Some((rule, format!("export {name}, or write $${{ for ${{"))));
            }
        };
        let words = form.words();
        if words.is_empty() {
            return Some(Json::String(text));
        }
        match words.iter().find(|word| word.eq_ignore_ascii_case(&text)) {
            Some(word) => Some(Json::String((*word).to_owned())),
            None => self.reject(path, node, form, None),
        }
    }

    fn list(&mut self, path: &str, form: Shape, node: &Node, nodes: &[Node]) -> Option<Json> {
        if form.length().is_some_and(|length| length != nodes.len()) {
            return self.reject(path, node, form, None);
        }
        let Some(items) = form.items() else { return Some(Json::Array(Vec::new())) };
        let mut list = Vec::with_capacity(nodes.len());
        let mut kept = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let path = join(path, &index.to_string());
            if node.value == Value::Null {
                self.reject(&path, node, items, None);
            } else if let Some(value) = self.value(&path, items, node) {
                list.push(value);
                kept.push(index);
            }
        }
        if list.len() < nodes.len() {
            // A list of fixed length would be too short now.
            if form.length().is_some() {
                self.written.rejected.insert(path.to_owned());
                return None;
            }
            self.written.kept.insert(path.to_owned(), kept);
        }
        Some(Json::Array(list))
    }

    fn reject(&mut self, path: &str, node: &Node, shape: Shape, why: Option<(String, String)>) -> Option<Json> {
        let (rule, remedy) =
            why.unwrap_or_else(|| (format!("it has to be {}", shape.description()), self.remedy(path, shape, node)));
        self.written.rejected.insert(path.to_owned());
        self.findings.push(Finding {
            severity: Severity::Error,
            key: path.to_owned(),
            value: Some(shown(&node.value)),
            rule,
            remedy,
            origin: Some(node.origin.clone()),
        });
        None
    }

    fn remedy(&self, path: &str, shape: Shape, node: &Node) -> String {
        let forms = shape.forms();
        let kind = forms.first().and_then(|form| form.kind());
        match (&node.value, kind) {
            (Value::Text(text), Some(Kind::Bool | Kind::Number)) if text.parse::<f64>().is_ok() || is_bool(text) => {
                format!("write {} without quotes", text.to_ascii_lowercase())
            }
            (Value::Number(_), Some(Kind::Text)) => "put it into quotes".into(),
            (_, Some(Kind::List)) if forms.len() == 1 && !matches!(node.value, Value::List(_)) => {
                "put it into [ ]".into()
            }
            _ => match default_at(path) {
                Some(default) => format!("the default is {default}"),
                None => "docs/configuration.md explains the key".into(),
            },
        }
    }

    fn unknown(&mut self, path: &str, form: Shape, key: &str, origin: &Origin) {
        let remedy = match nearest(path, form, key) {
            Some(remedy) => remedy,
            None => "docs/configuration.md lists the keys".into(),
        };
        self.findings.push(Finding {
            severity: Severity::Warning,
            key: path.to_owned(),
            // The value may be anything, even a password.
            value: None,
            rule: "unknown key; it's ignored".into(),
            remedy,
            origin: Some(origin.clone()),
        });
    }
}

impl Value {
    fn kind(&self) -> Option<Kind> {
        match self {
            Self::Null => None,
            Self::Bool(_) => Some(Kind::Bool),
            Self::Number(_) => Some(Kind::Number),
            Self::Text(_) => Some(Kind::Text),
            Self::List(_) => Some(Kind::List),
            Self::Object(_) => Some(Kind::Object),
        }
    }
}

fn is_bool(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}

/// Formats a value for messages: short, and without secrets.
fn shown(value: &Value) -> String {
    shown_to(value, 2)
}

/// Nested lists are shown down to this depth.
fn shown_to(value: &Value, depth: u32) -> String {
    const MOST: usize = 60;
    let text = match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => format!("\"{}\"", redact_value(text).escape_debug()),
        Value::List(_) if depth == 0 => "[…]".into(),
        Value::List(nodes) => {
            let inner: Vec<_> = nodes.iter().take(5).map(|node| shown_to(&node.value, depth - 1)).collect();
            format!("[{}{}]", inner.join(", "), if nodes.len() > inner.len() { ", …" } else { "" })
        }
        Value::Object(_) => "{ … }".into(),
    };
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain(['…']).collect() }
}

/// The default of a key outside lists.
fn default_at(path: &str) -> Option<String> {
    let (parents, key) = path.rsplit_once('.')?;
    let parent = parents.split('.').try_fold(Shape::root(), |shape, key| shape.key(key))?;
    match parent.default_of(key)? {
        Json::String(text) => Some(text.clone()),
        Json::Object(_) | Json::Array(_) => None,
        value => Some(value.to_string()),
    }
}

/// The similarity of two keys from which on one is suggested for the other.
const ALIKE: f64 = 0.7;

/// The remedy for an unknown key: a similar key of the same object, or the object where it belongs.
fn nearest(path: &str, form: Shape, key: &str) -> Option<String> {
    // No key is this long, and a comparison takes time proportional to the product of the lengths.
    if key.len() > 64 {
        return None;
    }
    let (own, length) = (key.to_ascii_uppercase(), key.chars().count());
    let alike = |known: &str| strsim::normalized_damerau_levenshtein(&known.to_ascii_uppercase(), &own);
    // Keys that are much longer or shorter needn't be compared.
    let near = |known: &&str| known.len().min(length) as f64 >= ALIKE * known.len().max(length) as f64;
    let best = form.keys().filter(near).map(|known| (alike(known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((score, known)) = best.filter(|(score, _)| *score >= ALIKE) {
        let letters = if score == 1.0 { ", in this spelling" } else { "" };
        return Some(format!("did you mean {known}{letters}?"));
    }
    let belongs =
        |known: &&Vec<&str>| known.last().is_some_and(|last| last.eq_ignore_ascii_case(key)) && known.join(".") != path;
    let parents: Vec<String> = paths()
        .iter()
        .filter(belongs)
        .filter_map(|known| known.split_last())
        .filter(|(_, parents)| !parents.is_empty())
        .map(|(_, parents)| parents.join("."))
        .collect();
    (!parents.is_empty()).then(|| format!("it belongs in the object {}", parents.join(" or ")))
}
