//! Links in the documents: files and headings inside the repository exist, addresses outside are listed.

use crate::common::find;
use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A document's links, and the ids of its headings.
#[derive(Default)]
struct Document {
    links: Vec<String>,
    headings: BTreeSet<String>,
}

/// An id as the book and the usual forges derive it from a heading's text.
fn id(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn read(path: &Path) -> Document {
    let text = std::fs::read_to_string(path).unwrap();
    let mut document = Document::default();
    let mut heading: Option<String> = None;
    let mut seen = BTreeMap::<String, usize>::new();
    let options = pulldown_cmark::Options::ENABLE_TABLES;
    for event in Parser::new_ext(&text, options) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let id = id(&heading.take().unwrap());
                // A second heading of the same text gets a number.
                let same = seen.entry(id.clone()).and_modify(|same| *same += 1).or_insert(0);
                document.headings.insert(if *same == 0 { id } else { format!("{id}-{same}") });
            }
            Event::Text(text) | Event::Code(text) if heading.is_some() => heading.as_mut().unwrap().push_str(&text),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                document.links.push(dest_url.into_string())
            }
            Event::Html(html) | Event::InlineHtml(html) => {
                let sources = html.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
                document.links.extend(sources.map(String::from));
            }
            _ => {}
        }
    }
    document
}

fn documents() -> BTreeMap<PathBuf, Document> {
    let root = find::root();
    let folders = [root.to_path_buf(), root.join("docs"), root.join("models")];
    let files =
        folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()));
    files.filter(|path| path.extension().is_some_and(|e| e == "md")).map(|path| (path.clone(), read(&path))).collect()
}

#[test]
fn links_lead_somewhere() {
    let documents = documents();
    let mut outside = BTreeSet::new();
    let mut broken = Vec::new();
    for (path, document) in &documents {
        for link in &document.links {
            if link.contains("://") {
                outside.insert(link.clone());
                continue;
            }
            let (file, heading) = link.split_once('#').map_or((link.as_str(), None), |(file, id)| (file, Some(id)));
            let target = match file {
                "" => path.clone(),
                _ => path.parent().unwrap().join(file),
            };
            let target = target.canonicalize().unwrap_or(target);
            let there = match (heading, documents.get(&target)) {
                (Some(id), Some(document)) => document.headings.contains(id),
                (Some(_), None) => false,
                (None, _) => target.exists(),
            };
            // Pages of the book can only link to what is part of it.
            let in_docs = path.starts_with(find::root().join("docs"));
            if !there || in_docs && !target.starts_with(find::root().join("docs")) {
                broken.push(format!("{}: {link}", path.strip_prefix(find::root()).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
    assert!(documents.values().map(|document| document.links.len()).sum::<usize>() > 100, "links aren't found");

    let now = outside.into_iter().map(|link| link + "\n").collect::<String>();
    let list = find::root().join("tests/data/external-links.txt");
    if std::env::var_os("UPDATE_LINKS").is_some() {
        std::fs::write(&list, &now).unwrap();
    }
    let known = std::fs::read_to_string(&list).unwrap_or_default();
    assert_eq!(known, now, "UPDATE_LINKS=1 writes the list of addresses outside anew: open the new ones");
}

#[test]
fn every_page_is_in_the_book() {
    let docs = find::root().join("docs");
    let contents = read(&docs.join("SUMMARY.md")).links;
    for (path, _) in documents().iter().filter(|(path, _)| path.starts_with(&docs)) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name == "SUMMARY.md" || contents.iter().any(|link| link == name), "docs/SUMMARY.md lacks {name}");
    }
}
