//! docs/messages.md has every text of the code that a user can see, with its cause and its remedy, and no other.
//!
//! A text is a string literal of three words or more in `src/` and `crates/`. What a user doesn't see as a message is left
//! out by the call or the attribute that it is in (`not_messages`), by its form (`is_for_a_parser`), or by its file
//! (`REPORTS`): the log's details, help, panics, launch strings, captions.

use proc_macro2::{Delimiter, Group, Literal, TokenStream, TokenTree};
use pulldown_cmark::{Event, HeadingLevel, Parser, Tag, TagEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Files whose texts are captions and legends, of reports that say what was measured.
const REPORTS: [&str; 7] = [
    "src/bin/gst-trt/bench/plan.rs",
    "src/bin/gst-trt/bench/plot.rs",
    "src/bin/gst-trt/bench/report.rs",
    "src/bin/gst-trt/bench/table.rs",
    "src/bin/gst-trt/bench/verdict.rs",
    "src/monitor/profile.rs",
    "src/monitor/table.rs",
];

/// The table of heads that an unknown model's error lists; docs/models.md has it.
const HEADS: &str = "crates/model/src/head/choice.rs";

/// Texts with fewer words are parts of others, or names.
const LEAST_WORDS: usize = 3;

/// What stands for a value that is put into a text.
const VALUE: char = '…';

/// True for a call, such as `gst::debug!` or `.expect`, whose texts aren't messages for a user.
fn not_messages(call: &str) -> bool {
    let name = call.rsplit([':', '.']).next().unwrap_or(call);
    matches!(
        name,
        // The log's details.
        "trace!" | "debug!" | "info!" | "log!"
        // What can't happen.
        | "assert!" | "assert_eq!" | "debug_assert!" | "debug_assert_eq!" | "expect" | "panic!" | "unreachable!"
        // What `gst-inspect-1.0` shows.
        | "blurb" | "nick" | "with_stats"
    ) || ["DebugCategory::new", "ElementMetadata::new"].iter().any(|end| call.ends_with(end))
}

/// The texts of a source file.
#[derive(Default)]
struct Texts(BTreeSet<String>);

impl Texts {
    fn visit(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        // The path or method before a group, as far as it was read.
        let mut call = String::new();
        // True behind the name of a metric, where its help follows.
        let mut metric = false;
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Punct(mark) if mark.as_char() == '#' => {
                    at += usize::from(matches!(tokens.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == '!'));
                    if let Some(TokenTree::Group(attribute)) = tokens.get(at) {
                        at += 1;
                        if self.attribute(attribute) {
                            at += item(&tokens[at..]);
                        }
                    }
                    call.clear();
                }
                TokenTree::Punct(mark) if matches!(mark.as_char(), ':' | '.' | '!') => call.push(mark.as_char()),
                TokenTree::Punct(_) => call.clear(),
                TokenTree::Ident(name) => {
                    if !call.ends_with([':', '.']) {
                        call.clear();
                    }
                    write!(call, "{name}").unwrap();
                }
                TokenTree::Group(group) => {
                    if !not_messages(&call) {
                        self.visit(group.stream());
                    }
                    call.clear();
                }
                TokenTree::Literal(literal) => {
                    let Some(text) = string(literal).map(|text| shown(&text)) else { continue };
                    let is_message = words(&text) >= LEAST_WORDS && !is_for_a_parser(&text) && !metric;
                    metric = ["gst_trt_", "process_"].iter().any(|prefix| text.starts_with(prefix));
                    self.0.extend(is_message.then_some(text));
                    call.clear();
                }
            }
        }
    }

    /// Visits the text of an error's variant; true if the item behind the attribute is for tests only.
    fn attribute(&mut self, attribute: &Group) -> bool {
        let mut tokens = attribute.stream().into_iter();
        let Some(TokenTree::Ident(name)) = tokens.next() else { return false };
        if name == "error" {
            self.visit(tokens.collect());
            return false;
        }
        let arguments = tokens.next().map(|arguments| arguments.to_string()).unwrap_or_default();
        name == "cfg" && arguments.contains("test") && !arguments.contains("not")
    }
}

/// The number of tokens of the item that begins here: up to its braces or its semicolon.
fn item(tokens: &[TokenTree]) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(mark) => mark.as_char() == ';',
        _ => false,
    };
    tokens.iter().position(ends).map_or(tokens.len(), |end| end + 1)
}

/// The content of a string literal; `None` for a number, a character, bytes.
fn string(literal: &Literal) -> Option<String> {
    let source = literal.to_string();
    if let Some(raw) = source.strip_prefix('r') {
        return Some(raw.trim_matches('#').trim_matches('"').to_owned());
    }
    let source = source.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::new();
    let mut rest = source.chars().peekable();
    while let Some(next) = rest.next() {
        if next != '\\' {
            text.push(next);
            continue;
        }
        match rest.next()? {
            '\n' => while rest.next_if(|c| c.is_whitespace()).is_some() {},
            'n' | 't' | 'r' => text.push(' '),
            escaped @ ('"' | '\\' | '\'' | '0') => text.push(escaped),
            'u' | 'x' => text.push(VALUE),
            other => panic!("the escape \\{other} in {source}"),
        }
    }
    Some(text)
}

/// A text as the page has it: with `…` for each value, on one line.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '{' | '}' if rest.next_if_eq(&next).is_some() => shown.push(next),
            '{' => {
                rest.by_ref().take_while(|c| *c != '}').for_each(drop);
                shown.push(VALUE);
            }
            _ => shown.push(next),
        }
    }
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// True for a launch string (`x264enc bitrate=4096`, `videoconvert ! fakesink`), for JSON and for a media type.
fn is_for_a_parser(text: &str) -> bool {
    let second = text.split(' ').nth(1).unwrap_or_default();
    let links = text.contains(" ! ") || text.ends_with(" !");
    links && !text.contains(": ") || second.find('=').is_some_and(|at| at > 0) || text.starts_with("{\"")
}

fn words(text: &str) -> usize {
    text.split(' ').filter(|word| word.contains(char::is_alphabetic)).count()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Each text of the code, with the first file that has it.
fn in_code() -> BTreeMap<String, String> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            match path.is_dir() {
                true => walk(&path, files),
                false => files.push(path),
            }
        }
    }
    let mut files = Vec::new();
    walk(&root().join("src"), &mut files);
    for entry in std::fs::read_dir(root().join("crates")).unwrap().flatten() {
        walk(&entry.path().join("src"), &mut files);
    }
    files.sort();
    let mut found = BTreeMap::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        // `mock` and `simulation` are made for tests, too.
        let for_tests =
            name.split(['/', '.']).any(|part| matches!(part, "tests" | "mock" | "simulation" | "test_support"));
        if for_tests || REPORTS.contains(&&*name) || name == HEADS {
            continue;
        }
        let mut texts = Texts::default();
        texts.visit(std::fs::read_to_string(file).unwrap().parse().unwrap());
        for text in texts.0 {
            found.entry(text).or_insert_with(|| name.clone());
        }
    }
    found
}

/// A heading of the third level on the page, and what is below it.
#[derive(Default)]
struct Entry {
    title: String,
    paragraph: String,
    texts: Vec<String>,
}

fn on_page() -> Vec<Entry> {
    let page = std::fs::read_to_string(root().join("docs/messages.md")).unwrap();
    let mut entries: Vec<Entry> = Vec::new();
    // What the text belongs to: a title, an item of a list, or else a paragraph.
    let (mut in_title, mut in_item, mut in_entry) = (false, false, false);
    for event in Parser::new(&page) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                in_entry = level == HeadingLevel::H3;
                in_title = in_entry;
                entries.extend(in_entry.then(Entry::default));
            }
            Event::End(TagEnd::Heading(_)) => in_title = false,
            Event::Start(Tag::Item) => in_item = true,
            Event::End(TagEnd::Item) => in_item = false,
            Event::Text(text) | Event::Code(text) if in_entry => {
                let entry = entries.last_mut().unwrap();
                match (in_title, in_item) {
                    (true, _) => entry.title.push_str(&text),
                    (false, true) => entry.texts.push(text.into_string()),
                    (false, false) => entry.paragraph.push_str(&text),
                }
            }
            _ => {}
        }
    }
    entries
}

#[test]
fn each_message_has_its_cause_and_remedy() {
    let (code, page) = (in_code(), on_page());
    assert!(code.len() > 500, "only {} texts were found in the code", code.len());
    let mut wrong = String::new();
    let mut seen = BTreeSet::new();
    for Entry { title, paragraph, texts } in &page {
        let parts = paragraph.strip_prefix("Cause.").and_then(|rest| rest.split_once("Remedy."));
        if parts.is_none_or(|(cause, remedy)| cause.trim().is_empty() || remedy.trim().is_empty()) || texts.is_empty() {
            writeln!(wrong, "{title}: it needs a cause, a remedy, and texts").unwrap();
        }
        for text in texts {
            if !seen.insert(text) {
                writeln!(wrong, "{title}: a second time: {text}").unwrap();
            }
            if !code.contains_key(text) {
                writeln!(wrong, "{title}: the code has this no more: {text}").unwrap();
            }
        }
    }
    for (text, file) in code.iter().filter(|(text, _)| !seen.contains(text)) {
        writeln!(wrong, "{file}: docs/messages.md lacks: {text}").unwrap();
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn texts_are_found_wherever_they_are() {
    let source = r##"
        #[error("the disk {disk} is full")] Full { disk: String },
        #[doc = "not a message at all"]
        fn f() {
            gst::debug!(CAT, "a detail of the log");
            bail!("a {0:?} was \"expected\" \
                   here");
            let rule = r#"a raw text too"#;
            x.expect("a value that is there");
            show("two words", "a ! b ! c");
            gauge("gst_trt_share", "the help of a metric");
        }
        #[cfg(test)]
        mod tests { const T: &str = "a text of tests"; }
        #[cfg(not(test))]
        const LAST: &str = "{{}} are no value";
    "##;
    let mut texts = Texts::default();
    texts.visit(source.parse().unwrap());
    let found: Vec<&str> = texts.0.iter().map(|text| &**text).collect();
    assert_eq!(found, ["a raw text too", "a … was \"expected\" here", "the disk … is full", "{} are no value"]);
}
