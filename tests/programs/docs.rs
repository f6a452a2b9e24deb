//! The code blocks of the documents. Commands run as written, in a folder for each document; a block that can't says what it needs
//! (`sh needs-gpu`), and what it names is checked. The launch strings of pipelines/ run too.

use super::deploy;
use crate::common::find;
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

/// What the tests have in the place of what a reader has.
const SUBSTITUTIONS: [(&str, &str); 5] = [
    // The clip ends early, and what runs until Ctrl-C is stopped by it.
    ("avdec_h264 ", "avdec_h264 ! identity eos-after=6 "),
    ("gst-trt run ", "timeout --preserve-status --signal INT 5 gst-trt run "),
    // There is no display.
    ("autovideosink", "fakesink"),
    // Models that one exports; those of the tests have the same heads.
    ("yolo11n-cls.onnx", "tests/models/classify.onnx"),
    ("rtmpose-m.onnx", "tests/models/simcc.onnx"),
];

const LANGUAGES: [&str; 5] = ["json", "python", "sh", "text", "yaml"];

/// What a block may need that a machine without a GPU, a network and other programs doesn't have.
const NEEDS: [&str; 15] = [
    "needs-camera",
    "needs-deepstream",
    "needs-dlstreamer",
    "needs-gpu",
    "needs-gstreamer-1.24",
    "needs-kafka",
    "needs-kubernetes",
    "needs-model",
    "needs-mqtt",
    "needs-network",
    "needs-podman",
    "needs-release",
    "needs-root",
    "needs-standin",
    "needs-web",
];

/// What a command begins with.
const PROGRAMS: [&str; 12] = [
    "apt",
    "apt-get",
    "cargo",
    "curl",
    "git",
    "gst-inspect-1.0",
    "gst-launch-1.0",
    "gst-trt",
    "helm",
    "kubectl",
    "sudo",
    "systemctl",
];

/// A fenced block.
struct Block {
    /// File and line.
    place: String,
    language: String,
    /// What follows the language: what it needs, or the file that it is.
    words: Vec<String>,
    text: String,
}

impl Block {
    fn is(&self, language: &str) -> bool {
        self.language == language
    }

    fn needs_something(&self) -> bool {
        self.words.iter().any(|word| word.starts_with("needs-"))
    }

    /// The commands, each on one line.
    fn commands(&self) -> Vec<String> {
        let joined = self.text.replace("\\\n", " ");
        joined.lines().filter(|line| !line.trim().is_empty()).map(String::from).collect()
    }
}

/// README.md and its like, and the pages of the book.
pub fn documents() -> Vec<String> {
    let pages = std::fs::read_dir(find::root().join("docs")).unwrap().flatten();
    let pages = pages.map(|entry| format!("docs/{}", entry.file_name().to_str().unwrap()));
    let mut pages: Vec<_> = pages.filter(|page| page.ends_with(".md")).collect();
    pages.sort();
    ["README.md", "CONTRIBUTING.md", "SECURITY.md", "models/README.md"]
        .map(String::from)
        .into_iter()
        .chain(pages)
        .collect()
}

fn blocks(file: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(find::root().join(file)).unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        match line.trim_start().strip_prefix("```") {
            Some(_) if inside => inside = false,
            Some(info) => {
                inside = true;
                let mut words = info.split(' ').map(String::from);
                let place = format!("{file}:{}", number + 1);
                let language = words.next().unwrap();
                blocks.push(Block { place, language, words: words.collect(), text: String::new() });
            }
            None if inside => blocks.last_mut().unwrap().text.extend([line, "\n"]),
            None => {}
        }
    }
    assert!(!inside, "{file}: a block doesn't end");
    blocks
}

fn all_blocks() -> impl Iterator<Item = Block> {
    documents().into_iter().flat_map(|file| blocks(&file))
}

#[test]
fn every_block_is_marked() {
    let mut wrong = Vec::new();
    let (mut runnable, mut marked) = (0, 0);
    for block in all_blocks() {
        let Block { place, language, words, text } = &block;
        if !LANGUAGES.contains(&language.as_str()) {
            wrong.push(format!("{place}: {language:?} is none of {LANGUAGES:?}"));
        }
        let known = match language.as_str() {
            "sh" => words.iter().all(|word| NEEDS.contains(&word.as_str())),
            "json" => words.is_empty() || words == &["config.json"],
            _ => words.is_empty(),
        };
        if !known {
            wrong.push(format!("{place}: {words:?}: a block of {language} has no such words"));
        }
        // A sketch has an ellipsis for what is left out, a synopsis has brackets.
        let is_command =
            |line: &str| PROGRAMS.iter().any(|program| line.strip_prefix(program).is_some_and(|l| l.starts_with(' ')));
        if language == "text" && text.lines().any(|line| is_command(line) && !line.contains(['…', '['])) {
            wrong.push(format!("{place}: these are commands: mark them as sh, with what they need (needs-…)"));
        }
        if language == "sh" {
            *(if block.needs_something() { &mut marked } else { &mut runnable }) += 1;
        }
    }
    for file in documents() {
        let text = std::fs::read_to_string(find::root().join(&file)).unwrap();
        for event in Parser::new(&text) {
            if matches!(event, Event::Start(Tag::CodeBlock(CodeBlockKind::Indented))) {
                wrong.push(format!("{file}: an indented block can't be marked: put it between fences"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(runnable > 10 && marked > 10, "{runnable} blocks run, {marked} need something");
}

/// JSON parses, and lines of `trtpublish` are as their schema says. Configurations are read by tests/config.rs.
#[test]
fn json_is_json() {
    let schema = std::fs::read_to_string(find::root().join("docs/objects.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let (mut seen, mut lines) = (0, 0);
    for block in all_blocks().filter(|block| block.is("json") && block.words.is_empty()) {
        let values = serde_json::Deserializer::from_str(&block.text).into_iter::<serde_json::Value>();
        for value in values {
            let value = value.unwrap_or_else(|error| panic!("{}: {error}", block.place));
            if value.get("stream").is_some() {
                schema.validate(&value).unwrap_or_else(|error| panic!("{}: {error}: {value}", block.place));
                lines += 1;
            }
            seen += 1;
        }
    }
    assert!(seen > lines && lines >= 4, "{seen} values and {lines} lines were found");
}

/// The names of each element's properties.
fn properties() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(find::root().join("tests/data/elements.txt")).unwrap();
    let mut elements = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        if let Some(property) = line.strip_prefix("  property ") {
            let property = property.split([' ', ':']).next().unwrap();
            let known: &mut BTreeSet<String> = elements.entry(name.clone()).or_default();
            known.insert(property.into());
        } else if !line.starts_with(' ') {
            name = line.split(':').next().unwrap().into();
        }
    }
    elements
}

/// Launch strings that can't run here still name properties that exist, and `gst-trt` has the options that it is called with.
#[test]
fn what_commands_name_exists() {
    let properties = properties();
    let mut seen = 0;
    let mut launch = |place: &str, line: &str| {
        for element in line.split(" ! ") {
            let mut words = element.split_whitespace();
            let Some(known) = words.next().and_then(|name| properties.get(name)) else { continue };
            for word in words {
                let Some((name, _)) = word.split_once('=') else { continue };
                let is_name = name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
                assert!(!is_name || name == "name" || known.contains(name), "{place}: no property {name}: {element}");
                seen += 1;
            }
        }
    };
    for block in all_blocks() {
        let is_sketch = block.is("text") && block.text.contains(" ! ");
        if block.is("sh") || is_sketch {
            block.commands().iter().for_each(|line| launch(&block.place, line));
        }
        if block.is("sh") {
            block
                .commands()
                .iter()
                .flat_map(|line| deploy::calls(line))
                .for_each(|call| deploy::check(&block.place, &call));
        }
    }
    for entry in std::fs::read_dir(find::root().join("pipelines")).unwrap().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap().replace('\n', " ");
        launch(&entry.path().display().to_string(), &text);
    }
    assert!(seen > 50, "only {seen} properties were found");
}

/// A folder that has the repository's folders, the plugin and `gst-trt` of this build.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
        for entry in ["models", "media", "pipelines", "tests"] {
            link(&find::root().join(entry), entry);
        }
        for entry in ["plugin", "bin"] {
            std::fs::create_dir(folder.path().join(entry)).unwrap();
        }
        link(&std::env::current_exe().unwrap().with_file_name("libgsttensorrt.so"), "plugin/libgsttensorrt.so");
        link(&find::gst_trt(), "bin/gst-trt");
        Self(folder)
    }

    fn command(&self, program: &str) -> Command {
        let folder = self.0.path();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(folder.join("bin")).chain(std::env::split_paths(&path));
        let mut command = Command::new(program);
        command.env("GST_PLUGIN_PATH", folder.join("plugin")).env("GST_REGISTRY", folder.join("registry.bin"));
        command.env("PATH", std::env::join_paths(path).unwrap()).current_dir(folder);
        command
    }

    /// Runs a shell line.
    fn run(&self, place: &str, line: &str) -> Output {
        let output = self.command("bash").args(["-c", line]).output().unwrap();
        assert!(
            output.status.success(),
            "{place}: {line}\n{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }
}

fn substituted(line: &str) -> String {
    SUBSTITUTIONS.iter().fold(line.to_owned(), |line, (of_reader, of_tests)| line.replace(of_reader, of_tests))
}

/// True if every file that the line names exists; else reports the missing ones.
fn runnable(line: &str) -> bool {
    let files = line.split([' ', '=', '"']).filter(|w| w.starts_with("models/") || w.starts_with("media/"));
    let missing: Vec<_> = files.filter(|f| !f.ends_with("annotated.mp4") && !find::root().join(f).exists()).collect();
    for file in &missing {
        find::skip(file, "cargo xtask models all");
    }
    missing.is_empty() && find::onnx_runtime()
}

/// Checks that a `cargo` line names something that exists.
fn check_cargo(line: &str) {
    let words: Vec<_> = line.split(' ').collect();
    match words[1..] {
        ["build"] | ["build", "--release"] => {}
        ["xtask", task, ..] => {
            let help = std::fs::read_to_string(find::root().join("xtask/src/main.rs")).unwrap();
            assert!(help.contains(&format!("\n  {task} ")), "{line}: no such task");
        }
        ["test", "--test", subject, test] => {
            assert!(find::root().join(format!("tests/{subject}/{test}.rs")).exists(), "{line}: no such test");
        }
        ["test", "--lib", module] => {
            let found = walk(&find::root().join("src"), &|p| p.file_stem().is_some_and(|s| s == module));
            assert!(found, "{line}: no such module");
        }
        _ => panic!("{line}: what does it do?"),
    }
}

fn walk(folder: &Path, is: &dyn Fn(&Path) -> bool) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path()).any(|p| is(&p) || (p.is_dir() && walk(&p, is)))
}

/// Runs the blocks of a document in order: a reader does, too.
fn run_all(file: &str) -> usize {
    let folder = Folder::new();
    let mut ran = 0;
    for block in blocks(file) {
        if block.is("json") && !block.words.is_empty() {
            std::fs::write(folder.0.path().join("config.json"), substituted(&block.text)).unwrap();
        }
        if !block.is("sh") {
            continue;
        }
        for line in block.commands() {
            if line.starts_with("cargo ") {
                check_cargo(&line);
            } else if !block.needs_something() && !line.starts_with("export ") && runnable(&substituted(&line)) {
                folder.run(&block.place, &substituted(&line));
                ran += 1;
            }
        }
    }
    ran
}

#[test]
fn readme() {
    assert!(run_all("README.md") > 0 || !find::onnx_runtime());
}

#[test]
fn contributing() {
    assert!(run_all("CONTRIBUTING.md") > 0);
}

#[test]
fn elements() {
    assert!(run_all("docs/elements.md") > 0);
}

/// A test alone: xtask/src/roots/tests.rs says where a tracer hangs.
#[test]
fn performance() {
    assert!(run_all("docs/performance.md") > 0);
}

#[test]
fn the_book() {
    let alone = ["docs/elements.md", "docs/performance.md"];
    let pages = documents().into_iter().filter(|file| file.starts_with("docs/") && !alone.contains(&file.as_str()));
    let ran: usize = pages.map(|page| run_all(&page)).sum();
    assert!(ran >= 3 || !find::onnx_runtime(), "only {ran} commands were run");
}

#[test]
fn cpu_pipelines() {
    let mut seen = 0;
    for entry in std::fs::read_dir(find::root().join("pipelines")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        if !name.starts_with("cpu-") || !runnable(&text.replace(['\n', '!'], " ")) {
            continue;
        }
        // As documented, except for the substitutions and the output's path.
        let text =
            substituted(&text.replace("location=media/annotated.mp4", "location=annotated.mp4").replace('\n', " "));
        let line = format!("gst-launch-1.0 -q $(cat <<'X'\n{text}\nX\n)");
        let output = Folder::new().run(&name, &line);
        if text.contains("trtpublish") {
            let lines = String::from_utf8(output.stdout).unwrap();
            let frame = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["frame"].as_u64();
            let frames: Vec<_> = lines.lines().map(frame).collect();
            assert!(frames.len() >= 6, "{name}: {frames:?}");
            assert!(frames.iter().copied().eq((0..).map(Some).take(frames.len())), "{name}: {frames:?}");
        }
        seen += 1;
    }
    assert!(seen >= 4 || !find::onnx_runtime(), "only {seen} pipelines were run");
}

/// The elements in GPU launch strings exist here too, and report what is missing.
#[test]
fn without_a_gpu_the_error_names_what_is_missing() {
    if Path::new("/dev/nvidia0").exists() {
        return find::skip("a machine without a GPU", "run it elsewhere");
    }
    let output = Folder::new()
        .command("gst-launch-1.0")
        .args(["videotestsrc", "num-buffers=3", "!", "trtdetect", "model=x", "!", "fakesink"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in ["GstTrtDetect:trtdetect0", "libcuda.so.1", "driver", "backend=cpu"] {
        assert!(error.contains(part), "{part} isn't in: {error}");
    }
}
