//! Overrides of the file: the environment, and with precedence `--set`.

use super::finding::{Finding, Origin, Severity};
use super::schema::{Kind, Shape, paths};
use super::text::{Entry, Node, Value, parse_value};
use super::variables::Variables;

/// The overrides of a file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub variables: Variables,
    /// Entries of the form `key=value`; the last takes precedence.
    pub set: Vec<String>,
}

impl Overrides {
    /// Takes the process's environment, and these values of `--set`.
    pub fn new(set: &[String]) -> Self {
        Self { variables: Variables::of_process(), set: set.to_vec() }
    }

    /// Writes the overrides into the tree.
    pub(super) fn apply(&self, tree: &mut Node) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.apply_environment(tree, &mut findings);
        for text in &self.set {
            if let Err((rule, remedy)) = set(tree, text) {
                findings.push(Finding {
                    severity: Severity::Error,
                    key: text.split('=').next().unwrap_or_default().to_owned(),
                    value: None,
                    rule,
                    remedy,
                    origin: Some(Origin::Set),
                });
            }
        }
        findings
    }

    fn apply_environment(&self, tree: &mut Node, findings: &mut Vec<Finding>) {
        for (name, value) in self.variables.iter() {
            // The guide's own variable.
            let own =
                if name == "LOG_LEVEL" { "MONITORING_LOG_LEVEL" } else { name.strip_prefix(PREFIX).unwrap_or("") };
            if own.is_empty() || OTHERS.contains(&name) {
                continue;
            }
            let origin = Origin::Environment(name.to_owned());
            match paths().iter().find(|path| variable(path) == own) {
                Some(path) => {
                    let keys: Vec<&str> = path.clone();
                    put(tree, &keys, value, &origin);
                }
                None => {
                    let near = paths().iter().map(|path| variable(path)).max_by(|a, b| {
                        let alike = |known: &str| strsim::normalized_damerau_levenshtein(known, own);
                        alike(a).total_cmp(&alike(b))
                    });
                    findings.push(Finding {
                        severity: Severity::Warning,
                        key: String::new(),
                        value: None,
                        rule: "no key corresponds to this variable; it's ignored".into(),
                        remedy: near.map(|near| format!("did you mean {PREFIX}{near}?")).unwrap_or_default(),
                        origin: Some(origin),
                    });
                }
            }
        }
    }
}

/// The variable with the token that clients of `gst-trt run --web` have to know.
pub const WEB_TOKEN: &str = "GST_TRT_WEB_TOKEN";
/// More names that the server of `gst-trt run --web` is called by, separated by commas.
pub const WEB_HOSTS: &str = "GST_TRT_WEB_HOSTS";
/// Variables with the prefix that aren't keys of the file.
const OTHERS: [&str; 2] = [WEB_TOKEN, WEB_HOSTS];

/// The prefix of variables that override keys; section and key follow: `GST_TRT_PROCESSING_MAX_QUEUE_SIZE`.
const PREFIX: &str = "GST_TRT_";

/// Formats a path as the end of its variable's name.
fn variable(path: &[&str]) -> String {
    path.join("_").to_ascii_uppercase().replace('$', "")
}

/// Applies one `--set`: `processing.MAX_QUEUE_SIZE=10`, `cameras.RTSP_STREAMS.0.GPU=1`, or the key alone where no other
/// section has it.
fn set(tree: &mut Node, text: &str) -> Result<(), (String, String)> {
    let (name, value) = text.split_once('=').ok_or_else(|| {
        (
            "it contains no =".to_owned(),
            "write --set KEY=VALUE, for example --set processing.MAX_QUEUE_SIZE=10".to_owned(),
        )
    })?;
    let name = name.trim();
    let path: Vec<&str> = if name.contains('.') { name.split('.').collect() } else { full_path(name)? };
    if shape_at(&path).is_none() {
        let all: Vec<String> = paths().iter().map(|path| path.join(".")).collect();
        let alike = |known: &str| {
            strsim::normalized_damerau_levenshtein(&known.to_ascii_uppercase(), &name.to_ascii_uppercase())
        };
        let near = all.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
        let remedy = near.map(|near| format!("did you mean {near}?")).unwrap_or_default();
        return Err(("no such key".into(), remedy));
    }
    put(tree, &path, value.trim(), &Origin::Set);
    Ok(())
}

/// The path of a key that only one section has.
fn full_path(name: &str) -> Result<Vec<&str>, (String, String)> {
    let found: Vec<_> = paths().iter().filter(|path| path.last() == Some(&name)).collect();
    match found.as_slice() {
        [one] => Ok(one.to_vec()),
        [] => Ok(vec![name]),
        several => {
            let names: Vec<String> = several.iter().map(|path| path.join(".")).collect();
            Err(("there are several such keys".into(), format!("write one of {}", names.join(", "))))
        }
    }
}

/// The shape of the value at a path; numbers index lists.
fn shape_at(path: &[&str]) -> Option<Shape> {
    path.iter().try_fold(Shape::root(), |shape, key| {
        shape.forms().into_iter().find_map(|form| match (form.kind(), key.parse::<usize>()) {
            (Some(Kind::List), Ok(_)) => form.items(),
            (Some(Kind::Object), _) => form.key(key).or_else(|| form.values()),
            _ => None,
        })
    })
}

fn put(tree: &mut Node, path: &[&str], text: &str, origin: &Origin) {
    let node = read(path, text, origin);
    let mut place = tree;
    for key in path {
        place = step(place, key, origin);
    }
    *place = node;
}

/// Reads the value: JSON, or the text as it is for keys that take only text.
fn read(path: &[&str], text: &str, origin: &Origin) -> Node {
    let kinds: Vec<_> = shape_at(path).into_iter().flat_map(Shape::forms).filter_map(Shape::kind).collect();
    let as_text = || Node { origin: origin.clone(), value: Value::Text(text.to_owned()) };
    if kinds == [Kind::Text] && !text.starts_with(['"', '\'']) && text != "null" {
        return as_text();
    }
    if kinds.contains(&Kind::Bool) && ["true", "false"].iter().any(|word| word.eq_ignore_ascii_case(text)) {
        return Node { origin: origin.clone(), value: Value::Bool(text.eq_ignore_ascii_case("true")) };
    }
    parse_value(text, origin).unwrap_or_else(|_| as_text())
}

/// The value of a key in `node`, created if it doesn't exist.
fn step<'a>(node: &'a mut Node, key: &str, origin: &Origin) -> &'a mut Node {
    let index = key.parse::<usize>().ok().filter(|_| matches!(node.value, Value::List(_)));
    if index.is_none() && !matches!(node.value, Value::Object(_)) {
        let old = std::mem::replace(node, Node::object(origin.clone()));
        // A camera that is only an address becomes an object with more keys.
        if let (Value::Text(_), Value::Object(entries)) = (&old.value, &mut node.value) {
            entries.push(Entry { key: "URL".into(), origin: old.origin.clone(), node: old });
        }
    }
    let empty = || Node { origin: origin.clone(), value: Value::Null };
    match &mut node.value {
        Value::List(nodes) => {
            // An index one beyond the end adds an item; so do higher ones, as there is nothing to fill the gap with.
            let index = index.unwrap_or(0).min(nodes.len());
            if index == nodes.len() {
                nodes.push(empty());
            }
            &mut nodes[index]
        }
        Value::Object(entries) => {
            let at = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
                entries.push(Entry { key: key.to_owned(), origin: origin.clone(), node: empty() });
                entries.len() - 1
            });
            &mut entries[at].node
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {
            unreachable!("what is neither list nor object has been made an object above")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_key_has_a_variable_of_its_own() {
        let names: BTreeSet<_> = paths().iter().map(|path| variable(path)).collect();
        assert_eq!(names.len(), paths().len());
    }

    #[test]
    fn variables_that_other_code_reads_are_no_keys() {
        let mut tree = Node { origin: Origin::Set, value: Value::Null };
        let variables = [(WEB_TOKEN, "0123456789abcdef"), (WEB_HOSTS, "cameras"), ("GST_TRT_WEB", "x")];
        let overrides = Overrides { variables: variables.into_iter().collect(), set: vec![] };
        let findings = overrides.apply(&mut tree);
        assert_eq!(findings.len(), 1, "{findings:?}");
    }

    #[test]
    fn a_path_knows_what_belongs_there() {
        assert!(shape_at(&["cameras", "RTSP_STREAMS", "3", "DETECTION", "CONFIDENCE"]).is_some());
        assert!(shape_at(&["models", "DETECTION", "CLASS_CONFIDENCE", "person"]).is_some());
        assert!(shape_at(&["models", "DETECTION", "NONE"]).is_none());
        assert!(shape_at(&["cameras", "RTSP_STREAMS", "x"]).is_none());
    }
}
