//! Wrong, truncated, mislabelled and foreign models, given to `gst-trt`: errors that name the file, none crashes or hangs.

use crate::common::bad_models::{self, Bad};
use crate::common::find;
use crate::common::standin::Standin;
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// No model here takes this long unless it hangs.
const LONGEST: Duration = Duration::from_secs(60);

/// Runs to the end, and returns the exit code (none after a crash) and what was said.
fn run(command: &mut Command) -> Result<(Option<i32>, String), String> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > LONGEST {
            child.kill().unwrap();
            return Err("it hangs".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let text = [&output.stdout[..], &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    Ok((output.status.code(), text))
}

fn judge(all: &[Bad], what: impl Fn(&Bad) -> Result<(Option<i32>, String), String>, refused: bool) {
    let mut wrong = Vec::new();
    for bad in all {
        let name = bad.file.file_name().unwrap().to_str().unwrap();
        match what(bad) {
            Err(what) => wrong.push(format!("{name}: {what}")),
            Ok((None | Some(101), text)) => wrong.push(format!("{name}: it crashes: {text}")),
            Ok((Some(0), text)) if refused => wrong.push(format!("{name}: it's taken: {text}")),
            Ok((Some(0), _)) => {}
            Ok((_, text)) if !text.contains(name) => wrong.push(format!("{name}: no name in: {text}")),
            Ok(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}

fn config(folder: &Path, bad: &Bad) {
    let mut detection = json!({ "ONNX": bad.file });
    if let Some(head) = bad.properties.strip_prefix("head=") {
        detection["HEAD"] = head.into();
    }
    let config = json!({
        "processing": { "USE_UNIFIED_GPU_PIPELINE": false },
        "models": { "DETECTION": detection, "POSE": { "ENABLED": false } },
        "cameras": { "RTSP_STREAMS": [{ "NAME": "a", "URL": "test:smpte", "WIDTH": 96, "HEIGHT": 64, "FPS": 5 }] },
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

#[test]
fn check_refuses_each() {
    if !find::onnx_runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let all = bad_models::all(folder.path());
    let check = |bad: &Bad| {
        config(folder.path(), bad);
        run(Command::new(find::gst_trt()).args(["check", "--config"]).arg(folder.path().join("config.json")))
    };
    judge(&all, check, true);
}

#[test]
fn verifying_refuses_each() {
    let (true, Some(clip)) = (find::onnx_runtime(), find::media("bikes.mp4")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let all = bad_models::all(folder.path());
    let verify = |bad: &Bad| {
        let mut command = Command::new(find::gst_trt());
        command.arg("build").arg(&bad.file).args(["--backend", "cpu", "--frames", "1", "--verify"]).arg(&clip);
        if let Some(head) = bad.properties.strip_prefix("head=") {
            command.args(["--head", head]);
        }
        run(&mut command)
    };
    judge(&all, verify, true);
}

/// A build knows nothing of heads: what TensorRT takes may be built, and is refused when it's opened.
#[test]
fn building_says_what_is_wrong_or_builds() {
    let Some(standin) = Standin::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let all = bad_models::all(folder.path());
    let build = |bad: &Bad| {
        let mut command = Command::new(find::gst_trt());
        standin.set_environment(&mut command);
        run(command.arg("build").arg(&bad.file))
    };
    judge(&all, build, false);
}
