//! The `gst-trt` tool as a user runs it.

use crate::common::find;
use crate::common::rtx::rtx;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn tool(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gst-trt"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `build` for a GPU that isn't present.
fn build(library: &Path, cache: &Path, model: &Path) -> Command {
    let mut command = tool(&["build", "--compute-capability", "8.6"]);
    command.arg("--library").arg(library).arg("--engine-cache").arg(cache).arg(model);
    command
}

fn library() -> Option<PathBuf> {
    rtx().map(|library| library.path().to_owned())
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// As in `gst-trt check | head -0`.
#[test]
fn a_reader_that_has_gone_ends_a_command_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().to_str().unwrap();
    for arguments in
        [&["check"][..], &["check", "--json"], &["cache", "--engine-cache", cache, "list"], &["check", "--help"]]
    {
        let mut child = tool(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
        assert_ne!(output.status.code(), Some(101), "{arguments:?} panics");
    }
}

#[test]
fn check_names_what_is_missing_and_how_to_get_it() {
    let empty = tempfile::tempdir().unwrap();
    let output = tool(&["check", "--json", "--library"]).arg(empty.path()).output().unwrap();
    assert!(!output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let checks = report["checks"].as_array().unwrap();
    let tensorrt = checks.iter().find(|check| check["name"] == "TensorRT").unwrap();
    assert_eq!(tensorrt["verdict"], "missing");
    assert!(tensorrt["found"].as_str().unwrap().contains("install it"), "{tensorrt}");

    let plain = tool(&["check", "--library"]).arg(empty.path()).output().unwrap();
    assert!(text(&plain.stdout).contains("missing  TensorRT: "), "{}", text(&plain.stdout));
}

#[test]
fn check_finds_tensorrt() {
    let Some(library) = library() else { return };
    let output = tool(&["check", "--library"]).arg(library).output().unwrap();
    let stdout = text(&output.stdout);
    assert!(stdout.contains("ok       TensorRT: TensorRT-RTX 1.7.1 at "), "{stdout}");
    assert!(stdout.contains("ok       ONNX parser: "), "{stdout}");
}

#[test]
fn wrong_settings_are_refused() {
    for wrong in [
        &["build"][..],
        &["build", "a.onnx", "--precision", "fp8"],
        &["build", "a.onnx", "--batch", "0"],
        &["build", "a.onnx", "--size", "0x1"],
        &["build", "a.onnx", "b.onnx", "-o", "c.engine"],
        &["cache"],
    ] {
        assert!(!tool(wrong).output().unwrap().status.success(), "{wrong:?}");
    }
}

#[test]
fn two_processes_build_once() {
    let Some(library) = library() else { return };
    let model = find::test_model("yolo-pose");
    let cache = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = build(&library, cache.path(), &model);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()].map(|child| succeeded(&child.wait_with_output().unwrap()));
    let built = both.iter().filter(|stdout| stdout.contains(": built, ")).count();
    let read = both.iter().filter(|stdout| stdout.contains(": was in the cache, ")).count();
    assert_eq!((built, read), (1, 1), "{both:?}");
}

#[test]
fn an_engine_is_written_to_the_given_path_and_the_cache_is_listed_and_cleared() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (cache, engine) = (folder.path().join("cache"), folder.path().join("out/yolo.engine"));
    let output = build(&library, &cache, &find::test_model("yolo")).arg("-o").arg(&engine).output().unwrap();
    succeeded(&output);
    // Without a terminal it prints lines.
    assert!(text(&output.stderr).contains("yolo.onnx: 100 %"), "{}", text(&output.stderr));
    let record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(engine.with_extension("json")).unwrap()).unwrap();
    assert_eq!(record["facts"]["tensorrt"], "TensorRT-RTX 1.7.1");
    assert!(engine.metadata().unwrap().len() > 0);

    let cache_tool = |verb| succeeded(&tool(&["cache", verb, "--engine-cache"]).arg(&cache).output().unwrap());
    let listed = cache_tool("list");
    assert!(listed.contains("yolo.onnx, TensorRT-RTX 1.7.1, no GPU, Fp16, batch 1\n1 engines, "), "{listed}");
    assert!(cache_tool("clear").starts_with("1 engines deleted"));
    assert!(cache_tool("list").starts_with("0 engines"));
    assert!(engine.exists());
}

#[test]
fn an_interrupted_build_leaves_nothing() {
    let (Some(library), Some(model)) = (library(), find::real_model("yolov12n")) else { return };
    let cache = tempfile::tempdir().unwrap();
    let mut child = build(&library, cache.path(), &model).stderr(Stdio::piped()).spawn().unwrap();
    // The build is in progress once the lock exists.
    let start = Instant::now();
    while !cache.path().join("build.lock").exists() && start.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert!(!child.wait().unwrap().success());
    let left: Vec<_> = std::fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let left: Vec<_> = left.iter().filter(|name| *name != "build.lock" && *name != "hashes.json").collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A short run on the CPU with every kind of row that it has, and plausible figures.
#[test]
fn bench_measures_and_reports() {
    let (Some(clip), true) = (find::media("bikes.mp4"), find::onnx_runtime()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (json, plot) = (folder.path().join("bench.json"), folder.path().join("bench.svg"));
    let mut command = tool(&["bench", "--backend", "cpu", "--streams", "1,2", "--seconds", "0.6", "--warm-up", "0.3"]);
    command.args(["--pairs", "1", "--peer", "0.1,5000"]);
    command.arg("--model").arg(find::test_model("yolo")).arg("--pose-model").arg(find::test_model("yolo-pose"));
    command.arg("--clip").arg(clip).arg("--json").arg(&json).arg("--plot").arg(&plot);
    let table = succeeded(&command.output().unwrap());
    assert!(table.contains("detection + pose, published, paced") && table.contains("own µs"), "{table}");
    assert!(std::fs::read_to_string(plot).unwrap().contains("</svg>"));

    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let number = |value: &serde_json::Value| value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    let engine = &report["detector"]["batches"][0];
    assert!(engine["batch"] == 1 && number(&engine["fps"]) > 0.0, "{engine}");
    let rows = report["rows"].as_array().unwrap();
    let kinds: Vec<_> = rows.iter().map(|row| row["kind"].as_str().unwrap()).collect();
    for kind in ["decode", "detection", "detection-and-pose", "worst-case", "published"] {
        assert!(kinds.contains(&kind), "no {kind} in {kinds:?}");
    }
    for row in rows {
        assert_eq!(row["error"], serde_json::Value::Null);
        assert!(number(&row["fps"]) > 0.0 && number(&row["process_cpu_us"]) > 0.0, "{row}");
        if row["kind"] == "decode" {
            continue;
        }
        // A test model runs batches of one image at a time, so R is that of batch 1.
        assert!(number(&row["engine_fps"]) > 0.0, "{row}");
        if row["paced"] == true {
            let latency = &row["latency"];
            let (p50, p99) = (number(&latency["p50"]), number(&latency["p99"]));
            assert!(0.0 < p50 && p50 <= p99 && p99 < 1000.0, "{row}");
            // The clip's 25 frames/s, if a busy machine reaches them.
            let rate = number(&row["fps"]) / number(&row["streams"]);
            assert!((5.0..=31.0).contains(&rate), "{row}");
        }
    }
    let worst = rows.iter().find(|row| row["kind"] == "worst-case").unwrap();
    let plain = rows.iter().find(|row| row["kind"] == "detection").unwrap();
    assert!(number(&worst["candidates"]) > number(&plain["candidates"]), "{worst} {plain}");
}

#[test]
fn bench_says_what_is_wrong_with_its_arguments() {
    let model = find::test_model("yolo");
    let model = model.to_str().unwrap();
    for (arguments, words) in [
        (&["--model", model, "--clip", "/nonexistent.mp4"][..], "/nonexistent.mp4: there is no such file"),
        (&["--model", model, "--clip", model, "--streams", "0"], "--streams: numbers from 1 on"),
        (&["--model", model, "--clip", model, "--backend", "gpu"], "tensorrt or cpu"),
        (&["--model", model, "--clip", model, "--peer", "1"], "FPS,CPU_MILLISECONDS"),
    ] {
        let output = tool(&["bench"]).args(arguments).output().unwrap();
        assert!(!output.status.success());
        assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
    }
}

/// Each command has a man page, and `help`, which only repeats them, has none.
#[test]
fn each_command_has_a_man_page() {
    fn commands(path: &[&str]) -> Vec<String> {
        let help = succeeded(&tool(&[path, &["--help"]].concat()).output().unwrap());
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        // Texts of several lines are indented further.
        let names = listed.filter(|line| line.starts_with("  ") && !line[2..].starts_with(' '));
        names.map(|line| line.split_whitespace().next().unwrap().into()).filter(|name| name != "help").collect()
    }
    let folder = tempfile::tempdir().unwrap();
    succeeded(&tool(&["generate"]).arg(folder.path()).output().unwrap());
    let mut expected = vec!["gst-trt.1".to_owned()];
    for command in commands(&[]) {
        expected.extend(commands(&[&command]).iter().map(|inner| format!("gst-trt-{command}-{inner}.1")));
        expected.push(format!("gst-trt-{command}.1"));
    }
    expected.sort();
    let pages = std::fs::read_dir(folder.path().join("man/man1")).unwrap().flatten();
    let mut pages: Vec<_> = pages.map(|entry| entry.file_name().into_string().unwrap()).collect();
    pages.sort();
    assert_eq!(pages, expected);
    assert!(pages.len() > 10, "{pages:?}");
}
