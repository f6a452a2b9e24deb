//! Runs the commands in README.md, CONTRIBUTING.md and pipelines/ as written; only the clip ends early.

use crate::common::find;
use std::path::Path;
use std::process::{Command, Output};

/// Limits the number of decoded frames of the clip.
const FRAMES: &str = "avdec_h264 ! identity eos-after=6";

/// Lines of the code blocks marked `sh`.
fn commands(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(find::root().join(file)).unwrap();
    let mut inside = false;
    let mut commands = Vec::new();
    for line in text.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => commands.push(line.to_string()),
            _ => {}
        }
    }
    commands
}

/// A program that finds the plugin of this build, copied to `folder`.
fn with_plugin(program: &str, folder: &Path) -> Command {
    let plugin = std::env::current_exe().unwrap().with_file_name("libgsttensorrt.so");
    std::fs::create_dir(folder.join("plugin")).unwrap();
    std::os::unix::fs::symlink(plugin, folder.join("plugin/libgsttensorrt.so")).unwrap();
    let mut command = Command::new(program);
    command.env("GST_PLUGIN_PATH", folder.join("plugin")).env("GST_REGISTRY", folder.join("registry.bin"));
    command
}

/// Runs a shell line with the plugin of this build, in a folder that links to the repository's folders.
fn run(line: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    for entry in ["models", "media", "pipelines", "tests"] {
        std::os::unix::fs::symlink(find::root().join(entry), folder.path().join(entry)).unwrap();
    }
    let output = with_plugin("bash", folder.path()).args(["-c", line]).current_dir(folder.path()).output().unwrap();
    assert!(
        output.status.success(),
        "{line}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// True if every file that the line names exists; else reports the missing ones.
fn runnable(line: &str) -> bool {
    let files = line.split([' ', '=']).filter(|w| w.starts_with("models/") || w.starts_with("media/"));
    let missing: Vec<_> = files.filter(|f| !f.ends_with("annotated.mp4") && !find::root().join(f).exists()).collect();
    for file in &missing {
        find::skip(file, "cargo xtask setup");
    }
    missing.is_empty() && find::onnx_runtime()
}

/// Checks that a `cargo` line names something that exists.
fn check_cargo(line: &str) {
    let words: Vec<_> = line.split(' ').collect();
    match words[1..] {
        ["build"] | ["build", "--release"] => {}
        ["xtask", task] => {
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

fn run_all(file: &str) {
    let commands = commands(file);
    assert!(commands.iter().any(|c| c.contains("gst-launch-1.0")), "{file} has nothing to run");
    for line in commands {
        if line.starts_with("cargo ") {
            check_cargo(&line);
        } else if !line.starts_with("export ") && runnable(&line) {
            run(&line.replace("avdec_h264", FRAMES));
        }
    }
}

#[test]
fn readme() {
    run_all("README.md");
}

#[test]
fn performance() {
    run_all("docs/performance.md");
}

#[test]
fn contributing() {
    run_all("CONTRIBUTING.md");
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
        // As documented, except for the clip's length and the output's path.
        let text = text.replace("avdec_h264", FRAMES).replace("location=media/annotated.mp4", "location=annotated.mp4");
        let line = format!("gst-launch-1.0 -q $(cat <<'X'\n{text}\nX\n)");
        let output = run(&line);
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
    let folder = tempfile::tempdir().unwrap();
    let output = with_plugin("gst-launch-1.0", folder.path())
        .args(["videotestsrc", "num-buffers=3", "!", "trtdetect", "model=x", "!", "fakesink"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in ["GstTrtDetect:trtdetect0", "libcuda.so.1", "driver", "backend=cpu"] {
        assert!(error.contains(part), "{part} isn't in: {error}");
    }
}
