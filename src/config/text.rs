//! From the file's text to a tree that knows the position of each value. It accepts JSON, and what the migration
//! guide's snippets have beyond it: `#` and `//` comments, trailing commas, single quotes, and no braces around the
//! whole.

use super::finding::{Finding, Origin, Severity};
use jsonc_parser::ast::{self, ObjectPropName};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use std::cell::Cell;

/// The most bytes of a file. A thousand cameras with every key take less.
const MOST: usize = 4 << 20;

/// A value and its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub origin: Origin,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    /// Keys are unique, in the file's order.
    Object(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: String,
    /// The position of the key.
    pub origin: Origin,
    pub node: Node,
}

impl Node {
    pub fn object(origin: Origin) -> Self {
        Self { origin, value: Value::Object(Vec::new()) }
    }

    /// The value without positions.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => number.clone().into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(nodes) => nodes.iter().map(Self::to_json).collect(),
            Value::Object(entries) => entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect(),
        }
    }
}

/// Reads a whole file. Of a repeated key the last value is in the tree, and an error reports it.
///
/// # Errors
/// The first syntax error.
pub fn parse(text: &str) -> Result<(Node, Vec<Finding>), Box<Finding>> {
    if text.len() > MOST {
        let rule = format!("the file has {} bytes, the maximum is {MOST}", text.len());
        return Err(Box::new(whole(None, rule, "is it a config.json?")));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (prepared, braces) = prepare(text);
    let lines = Lines::new(text, braces);
    let result = parse_to_ast(&prepared, &CollectOptions::default(), &options());
    let value = result.map_err(|error| syntax(&error, &lines))?.value;
    let Some(value) = value else {
        let remedy = "write at least { \"cameras\": { \"RTSP_STREAMS\": [\"rtsp://…\"] } }";
        return Err(Box::new(whole(None, "the file is empty", remedy)));
    };
    let mut tree = Tree { lines: &lines, twice: Vec::new() };
    let node = tree.node("", &value);
    Ok((node, tree.twice))
}

/// The text of a file for those who change it, with braces around the whole and without a byte order mark.
pub struct Source<'a> {
    mark: &'a str,
    braces: bool,
    /// What positions in the syntax tree refer to.
    pub text: String,
    /// The same without the comments that the parser doesn't know.
    prepared: String,
}

impl<'a> Source<'a> {
    pub fn new(text: &'a str) -> Self {
        let bare = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (prepared, braces) = prepare(bare);
        let text_of = if braces { format!("{{{bare}\n}}") } else { bare.to_owned() };
        Self { mark: text.get(..text.len() - bare.len()).unwrap_or_default(), braces, text: text_of, prepared }
    }

    /// Calls `read` with the value of the whole.
    ///
    /// # Errors
    /// The first syntax error, or that there is no value.
    pub fn read<T>(&self, read: impl FnOnce(&ast::Value) -> T) -> Result<T, Box<Finding>> {
        let lines = Lines::new(&self.text, false);
        let result = parse_to_ast(&self.prepared, &CollectOptions::default(), &options());
        let value = result.map_err(|error| syntax(&error, &lines))?.value;
        value.as_ref().map(read).ok_or_else(|| Box::new(whole(None, "the file is empty", "write a configuration")))
    }

    /// The file's text with this one for [`Self::text`].
    pub fn file(&self, edited: &str) -> String {
        let bare = edited.strip_prefix('{').and_then(|text| text.strip_suffix("\n}")).filter(|_| self.braces);
        format!("{}{}", self.mark, bare.unwrap_or(edited))
    }
}

/// A value of the syntax tree without positions.
pub fn json_of(value: &ast::Value) -> serde_json::Value {
    let lines = Lines::new("", false);
    Tree { lines: &lines, twice: Vec::new() }.node("", value).to_json()
}

/// Reads one value in the form of `--set` and the environment.
///
/// # Errors
/// The text isn't a value.
pub fn parse_value(text: &str, origin: &Origin) -> Result<Node, String> {
    let comments_hidden = hide_hash_comments(text);
    let value = parse_to_ast(&comments_hidden, &CollectOptions::default(), &options())
        .map_err(|error| error.kind().to_string())?
        .value
        .ok_or("there is no value")?;
    let lines = Lines::new(text, false);
    let mut node = Tree { lines: &lines, twice: Vec::new() }.node("", &value);
    relocate(&mut node, origin);
    Ok(node)
}

fn relocate(node: &mut Node, origin: &Origin) {
    node.origin = origin.clone();
    match &mut node.value {
        Value::List(nodes) => nodes.iter_mut().for_each(|node| relocate(node, origin)),
        Value::Object(entries) => entries.iter_mut().for_each(|entry| {
            entry.origin = origin.clone();
            relocate(&mut entry.node, origin);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
}

fn options() -> ParseOptions {
    ParseOptions {
        allow_missing_commas: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        ..ParseOptions::default()
    }
}

fn whole(origin: Option<Origin>, rule: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding {
        severity: Severity::Error,
        key: String::new(),
        value: None,
        rule: rule.into(),
        remedy: remedy.into(),
        origin,
    }
}

fn syntax(error: &jsonc_parser::errors::ParseError, lines: &Lines) -> Finding {
    use jsonc_parser::errors::ParseErrorKind as Kind;
    let start = error.range().start;
    let (line, column) = lines.place(start);
    let found = lines.rest_of_line(start);
    let remedy = match error.kind() {
        _ if found.starts_with("...") => "`...` stands for your other keys: remove it",
        Kind::UnexpectedWord | Kind::UnexpectedToken
            if ["True", "False", "None"].iter().any(|w| found.starts_with(w)) =>
        {
            "JSON writes true, false and null in lower case"
        }
        Kind::UnexpectedWord | Kind::UnexpectedToken if found.starts_with(char::is_alphabetic) => {
            "put text into quotes"
        }
        Kind::ExpectedComma => "a comma is missing here",
        Kind::UnterminatedObject => "a } is missing",
        Kind::UnterminatedArray => "a ] is missing",
        Kind::String(_) => "a quote is missing, or a \\ isn't written as \\\\",
        Kind::NestingDepthExceeded => "a config.json has no more than 5 levels",
        Kind::MultipleRootJsonValues => "the whole file is one object: is a } too early?",
        _ => "compare the line with docs/configuration.md",
    };
    whole(
        Some(Origin::File { line, column }),
        format!("column {column}: not JSON: {}", error.kind().to_string().to_lowercase()),
        remedy,
    )
}

/// The text for the parser, at the same offsets except for an added brace before it, and whether braces were added.
fn prepare(text: &str) -> (String, bool) {
    let hidden = hide_hash_comments(text);
    if begins_with_key(&hidden) { (format!("{{{hidden}\n}}"), true) } else { (hidden, false) }
}

/// Whether the text begins with a word or quoted text followed by a colon.
fn begins_with_key(text: &str) -> bool {
    let text = skip_space_and_comments(text);
    let after = match text.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let mut escaped = false;
            let end = text.char_indices().skip(1).find(|(_, c)| {
                let ends = *c == quote && !escaped;
                escaped = *c == '\\' && !escaped;
                ends
            });
            end.and_then(|(end, _)| text.get(end + 1..))
        }
        Some(c) if is_word(c) => Some(text.trim_start_matches(is_word)),
        _ => None,
    };
    after.is_some_and(|after| skip_space_and_comments(after).starts_with(':'))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '-')
}

fn skip_space_and_comments(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        let after = if rest.starts_with("//") {
            rest.find(['\n', '\r']).and_then(|end| rest.get(end..))
        } else if rest.starts_with("/*") {
            rest.find("*/").and_then(|end| rest.get(end + 2..))
        } else {
            return rest;
        };
        rest = after.unwrap_or_default().trim_start();
    }
}

/// Replaces `#` comments by spaces of the same length, so that everything else keeps its position; not within quotes or
/// other comments.
fn hide_hash_comments(text: &str) -> String {
    #[derive(Clone, Copy)]
    enum In {
        Plain,
        Quotes(char),
        Line,
        Block,
        Hash,
    }
    let mut out = String::with_capacity(text.len());
    let mut state = In::Plain;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let ends_line = matches!(c, '\n' | '\r');
        state = match state {
            In::Plain => match (c, chars.peek()) {
                ('"' | '\'', _) => In::Quotes(c),
                ('/', Some('/')) => In::Line,
                ('/', Some('*')) => {
                    out.push(c);
                    out.extend(chars.next());
                    state = In::Block;
                    continue;
                }
                ('#', _) => In::Hash,
                _ => In::Plain,
            },
            In::Quotes(_) if c == '\\' => {
                out.push(c);
                out.extend(chars.next());
                continue;
            }
            In::Quotes(quote) if c == quote || ends_line => In::Plain,
            In::Line | In::Hash if ends_line => In::Plain,
            In::Block if c == '*' && chars.peek() == Some(&'/') => {
                out.push(c);
                out.extend(chars.next());
                state = In::Plain;
                continue;
            }
            state => state,
        };
        if matches!(state, In::Hash) {
            out.extend(std::iter::repeat_n(' ', c.len_utf8()));
        } else {
            out.push(c);
        }
    }
    out
}

/// Finds lines and columns.
struct Lines<'a> {
    text: &'a str,
    /// Offset of each line's first byte.
    starts: Vec<usize>,
    /// The number of bytes that the parser's text has before this one.
    shift: usize,
    /// The last position that was looked up, since the next one is mostly on the same line: its offset, and the
    /// characters before it.
    last: Cell<(usize, usize)>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str, braces: bool) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts, shift: usize::from(braces), last: Cell::default() }
    }

    /// Line and column of the parser's offset, both from 1; columns count characters.
    fn place(&self, offset: usize) -> (u32, u32) {
        let offset = self.own(offset);
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let (last, counted) = self.last.get();
        let (from, counted) = if (start..=offset).contains(&last) { (last, counted) } else { (start, 0) };
        let characters = counted + self.text.get(from..offset).map_or(0, |text| text.chars().count());
        self.last.set((offset, characters));
        let column = characters + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }

    fn own(&self, offset: usize) -> usize {
        offset.saturating_sub(self.shift).min(self.text.len())
    }

    fn rest_of_line(&self, offset: usize) -> &str {
        self.text.get(self.own(offset)..).and_then(|rest| rest.lines().next()).unwrap_or_default()
    }
}

struct Tree<'a> {
    lines: &'a Lines<'a>,
    twice: Vec<Finding>,
}

impl Tree<'_> {
    fn origin(&self, ranged: &impl Ranged) -> Origin {
        let (line, column) = self.lines.place(ranged.start());
        Origin::File { line, column }
    }

    /// Recurses as deep as the parser allows.
    fn node(&mut self, path: &str, value: &ast::Value) -> Node {
        let own = match value {
            ast::Value::NullKeyword(_) => Value::Null,
            ast::Value::BooleanLit(literal) => Value::Bool(literal.value),
            // Numbers beyond JSON's grammar are left as text, and then have the wrong type.
            ast::Value::NumberLit(literal) => match literal.value.parse() {
                Ok(number) => Value::Number(number),
                Err(_) => Value::Text(literal.value.to_owned()),
            },
            ast::Value::StringLit(literal) => Value::Text(literal.value.clone().into_owned()),
            ast::Value::Array(array) => Value::List(
                array
                    .elements
                    .iter()
                    .enumerate()
                    .map(|(i, value)| self.node(&join(path, &i.to_string()), value))
                    .collect(),
            ),
            ast::Value::Object(object) => Value::Object(self.entries(path, object)),
        };
        Node { origin: self.origin(value), value: own }
    }

    fn entries(&mut self, path: &str, object: &ast::Object) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::with_capacity(object.properties.len());
        let mut places = std::collections::HashMap::new();
        for property in &object.properties {
            let key = match &property.name {
                ObjectPropName::String(literal) => literal.value.clone().into_owned(),
                ObjectPropName::Word(literal) => literal.value.to_owned(),
            };
            let path = join(path, &key);
            let entry = Entry { origin: self.origin(property), node: self.node(&path, &property.value), key };
            match places.get(&entry.key).copied() {
                None => {
                    places.insert(entry.key.clone(), entries.len());
                    entries.push(entry);
                }
                Some(at) => {
                    let Some(first) = entries.get_mut(at) else { continue };
                    let line = |origin: &Origin| match origin {
                        Origin::File { line, .. } => line.to_string(),
                        Origin::Environment(_) | Origin::Set => String::new(),
                    };
                    let (before, now) = (line(&first.origin), line(&entry.origin));
                    self.twice.push(Finding {
                        severity: Severity::Error,
                        key: path,
                        value: None,
                        rule: format!("it's in lines {before} and {now}, and only one can apply"),
                        remedy: match entry.node.value {
                            Value::Object(_) => "put the keys of both into one object".into(),
                            _ => "remove one".into(),
                        },
                        origin: Some(entry.origin.clone()),
                    });
                    *first = entry;
                }
            }
        }
        entries
    }
}

/// `a.b`
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> serde_json::Value {
        parse(text).unwrap().0.to_json()
    }

    #[test]
    fn what_goes_beyond_json() {
        let text = "# first\n\"a\": {\n  'b': 'it\\'s # no comment', # one, with \"quotes\" and 'quotes\n  // another: \"c\": 1\n  /* # \" */ c: [1, 2,],\n},\n";
        assert_eq!(read(text), serde_json::json!({"a": {"b": "it's # no comment", "c": [1, 2]}}));
        assert_eq!(read("{\"u\": \"rtsp://a/b#c\"} # ü"), serde_json::json!({"u": "rtsp://a/b#c"}));
        assert_eq!(read("/* 1 */ // 2\n \"a\": 1"), serde_json::json!({"a": 1}));
        assert_eq!(read("[1]"), serde_json::json!([1]));
        assert_eq!(read("\"a:\\\": b\""), serde_json::json!("a:\": b"));
        assert_eq!(read("\u{feff}{}"), serde_json::json!({}));
    }

    #[test]
    fn places_are_the_same_in_any_order() {
        let text = "a é b\nç d e";
        let offsets: Vec<_> = text.char_indices().map(|(offset, _)| offset).collect();
        let places = [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (1, 6), (2, 1), (2, 2), (2, 3), (2, 4), (2, 5)];
        let lines = Lines::new(text, false);
        for order in [[0, 3, 4, 10, 9, 8], [10, 2, 7, 6, 1, 5]] {
            for n in order {
                assert_eq!(lines.place(offsets[n]), places[n], "character {n}");
            }
        }
    }

    #[test]
    fn values_know_their_lines() {
        let (node, _) = parse("\"a\": {  # ü\n  \"ü\": 1, \"b\": 2\n}").unwrap();
        let Value::Object(entries) = &node.value else { panic!() };
        assert_eq!(entries[0].origin, Origin::File { line: 1, column: 1 });
        let Value::Object(inner) = &entries[0].node.value else { panic!() };
        assert_eq!(inner[1].origin, Origin::File { line: 2, column: 11 });
        assert_eq!(inner[1].node.origin, Origin::File { line: 2, column: 16 });
    }

    #[test]
    fn errors_say_where_and_what_to_do() {
        for (text, line, remedy) in [
            ("{\n  \"a\": 1\n  \"b\": 2\n}", 2, "comma"),
            ("{\n  \"a\": True\n}", 2, "lower case"),
            ("{\"a\": rtsp}", 1, "quotes"),
            ("\"a\": {\n  \"b\": 1,\n  ...\n}", 3, "your other keys"),
            ("{\n\"a\": \"x\n}", 2, "quote"),
            ("{\"a\": 1} {}", 1, "too early"),
            ("{\"a\": [1, 2", 1, "]"),
            ("{\"a\": +1}", 1, ""),
            ("{\"a\": NaN}", 1, ""),
        ] {
            let error = parse(text).unwrap_err();
            assert!(matches!(error.origin, Some(Origin::File { line: l, .. }) if l == line), "{text}: {error:?}");
            assert!(error.remedy.contains(remedy), "{text}: {error}");
        }
        for empty in ["", " \n", "# nothing", "// nothing"] {
            assert!(parse(empty).unwrap_err().rule.contains("empty"), "{empty}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse(&deep).unwrap_err().rule.contains("depth"));
    }

    #[test]
    fn a_key_that_stands_there_twice_is_an_error() {
        let (node, twice) = parse("\"p\": {\"a\": 1},\n\"p\": {\"b\": 1, \"b\": 2}").unwrap();
        assert_eq!(node.to_json(), serde_json::json!({"p": {"b": 2}}));
        let keys: Vec<_> = twice.iter().map(|finding| finding.key.as_str()).collect();
        assert_eq!(keys, ["p.b", "p"]);
        assert!(twice[1].rule.contains("lines 1 and 2"), "{}", twice[1]);
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            (-1_000_000i32..1_000_000).prop_map(|eighths| (f64::from(eighths) / 8.0).into()),
            ".{0,12}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::btree_map(".{0,6}", inner, 0..5)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        /// Every JSON text is read as JSON.
        #[test]
        fn json_is_read_as_json(value in any_json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(read(&text), value);
        }

        #[test]
        fn anything_gives_a_tree_or_an_error(text in "[\\[\\]{}\"':,#/*\\\\ \n\ra-z0-9.ü-]{0,60}") {
            if let Err(error) = parse(&text) {
                prop_assert!(!error.rule.is_empty() && !error.remedy.is_empty());
            }
        }

        #[test]
        fn hiding_comments_moves_nothing(text in ".{0,60}") {
            prop_assert_eq!(hide_hash_comments(&text).len(), text.len());
        }
    }
}
