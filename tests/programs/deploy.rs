//! What a fleet is deployed with, and its documents: options, variables and metrics that they name exist.

use super::docs;
use crate::common::find;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Texts with commands as people type them, beside the documents.
const UNITS_AND_NOTES: [&str; 3] =
    ["docs/gst-trt-fleet.service", "docs/gst-trt.service", "deploy/helm/gst-trt/templates/NOTES.txt"];
const RENDERED: &str = "deploy/helm/rendered";
const DASHBOARD: &str = "deploy/helm/gst-trt/dashboards/gst-trt.json";

fn read(file: impl AsRef<Path>) -> String {
    let path = find::root().join(file.as_ref());
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn renderings() -> Vec<(String, String)> {
    let files = std::fs::read_dir(find::root().join(RENDERED)).unwrap().flatten();
    let files: Vec<_> = files.map(|file| (file.file_name().into_string().unwrap(), read(file.path()))).collect();
    assert!(files.len() >= 3, "{RENDERED} has {} files", files.len());
    files
}

/// The help of a command, such as `fleet drain`; `None` if there is no such command.
fn help(command: &[&str]) -> Option<String> {
    static KNOWN: Mutex<BTreeMap<String, Option<String>>> = Mutex::new(BTreeMap::new());
    let ask = || {
        let output = Command::new(find::gst_trt()).args(command).arg("--help").output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    };
    KNOWN.lock().unwrap().entry(command.join(" ")).or_insert_with(ask).clone()
}

/// Checks that the program has this command and each of its options. `words` begin after `gst-trt`.
pub fn check(place: &str, words: &[String]) {
    let line = words.join(" ");
    let words: Vec<&str> =
        words.iter().map(|word| word.trim_matches(['`', '"', '\'', '.', ',', ':', ';', ')'])).collect();
    let of_command = usize::from(words[0] == "fleet") + 1;
    let command = &words[..of_command.min(words.len())];
    let help = help(command).unwrap_or_else(|| panic!("{place}: there is no gst-trt {}: {line}", command.join(" ")));
    for word in &words[command.len()..] {
        let Some(option) = word.strip_prefix("--") else { continue };
        let option = option.split('=').next().unwrap();
        let known = help.split_whitespace().any(|known| known.trim_end_matches([',', ']']) == format!("--{option}"));
        assert!(known, "{place}: gst-trt {} has no --{option}: {line}", command.join(" "));
    }
}

/// The words after each `gst-trt` that is called in a line.
pub fn calls(line: &str) -> Vec<Vec<String>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_program = |word: &str| {
        let word = word.trim_matches(['`', '(', '"', '\'']).trim_start_matches("ExecStart=").trim_start_matches("$(");
        word == "gst-trt" || word == "/usr/local/bin/gst-trt"
    };
    let subcommand = |word: &str| {
        let word = word.trim_matches(['`', '"', '\'', '.', ',', ':']);
        ["apply", "bench", "build", "cache", "check", "fleet", "generate", "monitor", "run"].contains(&word)
    };
    let starts: Vec<usize> =
        (1..words.len()).filter(|at| is_program(words[at - 1]) && subcommand(words[*at])).collect();
    let call = |(number, at): (usize, &usize)| {
        // Another call may follow in the line, or a sentence after the closing quote.
        let rest = &words[*at..starts.get(number + 1).map_or(words.len(), |next| next - 1)];
        let quoted = words[at - 1].contains(['`', '\'']) || rest.iter().any(|word| word.ends_with('`'));
        let end =
            if quoted { rest.iter().position(|word| word.contains(['`', '\''])).map(|end| end + 1) } else { None };
        rest[..end.unwrap_or(rest.len())].iter().map(|word| (*word).to_owned()).collect()
    };
    starts.iter().enumerate().map(call).collect()
}

#[test]
fn commands_exist() {
    let mut seen = 0;
    // Messages are the code's own.
    let documents = docs::documents().into_iter().filter(|file| file != "docs/messages.md");
    for file in documents.chain(UNITS_AND_NOTES.map(String::from)) {
        for line in read(&file).lines() {
            for words in calls(line) {
                check(&file, &words);
                seen += 1;
            }
        }
    }
    assert!(seen >= 50, "only {seen} commands were found");
}

/// The list under each line `args:` of a rendering, and the commands of hooks.
#[test]
fn the_chart_starts_what_exists() {
    for (file, text) in renderings() {
        let mut seen = 0;
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if line.trim() == "args:" {
                let indent = line.len() - line.trim_start().len();
                let inside = lines[at + 1..].iter().take_while(|l| l.len() - l.trim_start().len() > indent);
                let words: Vec<String> = inside
                    .filter_map(|line| Some(line.trim().strip_prefix("- ")?.trim_matches('"').to_owned()))
                    .collect();
                check(&file, &words);
                seen += 1;
            } else if line.contains("command:") {
                let calls = calls(line);
                assert_eq!(calls.len(), 1, "{file}: {line}");
                check(&file, &calls[0]);
                seen += 1;
            }
        }
        assert!(seen >= 2, "{file}: {seen} commands");
    }
}

/// The names that begin so, in a text.
fn names(text: &str, prefix: &str) -> BTreeSet<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let found = text.match_indices(prefix).filter(|(at, _)| !text[..*at].ends_with(part));
    found.map(|(at, _)| text[at..].chars().take_while(|c| part(*c)).collect()).collect()
}

fn sources() -> String {
    fn walk(folder: PathBuf, text: &mut String) {
        for path in std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                walk(path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut text = String::new();
    walk(find::root().join("src"), &mut text);
    walk(find::root().join("crates"), &mut text);
    text
}

#[test]
fn metrics_exist() {
    let sources = sources();
    let check = |file: &str, name: &str| {
        let family =
            ["_total", "_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let written = sources.contains(&format!("\"{family}\""));
        assert!(written, "{file}: no source has the metric {name}");
    };
    let dashboard = read(DASHBOARD);
    let _: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let shown: BTreeSet<String> =
        names(&dashboard, "gst_trt_").into_iter().chain(names(&dashboard, "process_")).collect();
    assert!(shown.len() >= 10, "{shown:?}");
    shown.iter().for_each(|name| check(DASHBOARD, name));
    for file in ["docs/fleet.md", "docs/performance.md", "deploy/helm/gst-trt/values.yaml"] {
        names(&read(file), "gst_trt_").iter().for_each(|name| check(file, name));
    }
}

#[test]
fn variables_exist() {
    let sources = sources();
    for file in ["docs/fleet.md", "docs/gst-trt-fleet.service", "deploy/helm/gst-trt/values.yaml"] {
        for name in names(&read(file), "KAFKA_") {
            assert!(sources.contains(&format!("\"{name}\"")), "{file}: no source reads {name}");
        }
    }
}

/// The image that the chart asks for by default is this version's.
#[test]
fn the_chart_is_of_this_version() {
    let chart = read("deploy/helm/gst-trt/Chart.yaml");
    let version = concat!("appVersion: ", env!("CARGO_PKG_VERSION"));
    assert!(chart.lines().any(|line| line == version), "{version} isn't in {chart}");
}

/// The labels by which one object finds another are those that it has.
#[test]
fn selectors_select() {
    for (file, text) in renderings() {
        let of = |kind: &str| text.split("\n---\n").find(|object| object.contains(&format!("\nkind: {kind}\n")));
        let section = |object: &str, heading: &str| -> BTreeSet<String> {
            let lines: Vec<&str> = object.lines().collect();
            let at =
                lines.iter().position(|line| line.trim() == heading).unwrap_or_else(|| panic!("{heading}: {object}"));
            let indent = |line: &str| line.len() - line.trim_start().len();
            let inside = lines[at + 1..].iter().take_while(|line| indent(line) > indent(lines[at]));
            inside.map(|line| line.trim().to_owned()).collect()
        };
        let hosts = of("StatefulSet").unwrap();
        let template = &hosts[hosts.find("  template:").unwrap()..];
        let labels = section(template, "labels:");
        let service = of("Service").unwrap();
        assert!(section(service, "selector:").is_subset(&labels), "{file}: the Service selects other pods");
        assert!(section(of("PodDisruptionBudget").unwrap(), "matchLabels:").is_subset(&labels), "{file}");
        assert!(section(hosts, "matchLabels:").is_subset(&labels), "{file}");
        if let Some(monitor) = of("ServiceMonitor") {
            assert!(section(monitor, "matchLabels:").is_subset(&section(service, "labels:")), "{file}");
            assert!(monitor.contains("- port: metrics") && service.contains("- name: metrics"), "{file}");
        }
    }
}
