//! `gst-trt run` as an operator uses it: a process, a file, signals.

use crate::common::barcode::Codec;
use crate::common::find;
use crate::common::operator::Operator;
use crate::common::rtsp::Camera;
use crate::common::running::start;
use crate::common::standin::Standin;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// A configuration of the migration guide with small models, after the rollback.
fn config(cameras: &[Value]) -> Value {
    let model = |name: &str| find::test_model(name).to_str().unwrap().to_owned();
    json!({
        "processing": {
            "USE_UNIFIED_GPU_PIPELINE": false,
            "ENABLE_DECOUPLED_PIPELINE": true,
            "FORCE_GPU_ONLY": false,
            "ENABLE_MULTIPROCESSING": false,
            "ENABLE_NVDEC": true,
            "NVDEC_FALLBACK_TO_CPU": false,
            "ENABLE_GPU_PREPROCESSING": true,
            "MAX_QUEUE_SIZE": 20,
            "NVDEC_BUFFER_SIZE": 5,
            "GPU_BATCH_SIZE": 2,
            "UNIFIED_PIPELINE_THREADS": 3,
            "PIPELINE_QUEUE_TIMEOUT_MS": 5.0
        },
        "models": {
            "ENABLE_TENSORRT": true,
            "TENSORRT_FP16": true,
            "TENSORRT_WORKSPACE_SIZE": 2,
            "DETECTION": { "ONNX": model("yolo") },
            "POSE": { "ONNX": model("yolo-pose") }
        },
        "cameras": { "RTSP_STREAMS": cameras },
        "outputs": { "JSON_LINES": ["-", "{camera}.jsonl"] }
    })
}

fn test_picture(name: &str) -> Value {
    json!({ "NAME": name, "URL": "test:smpte", "WIDTH": 320, "HEIGHT": 240, "FPS": 25 })
}

/// Checks complete JSON lines of exactly these cameras; each camera's frames have no gap.
#[track_caller]
fn check_lines(text: &str, cameras: &[&str]) {
    assert!(text.ends_with('\n'), "the last line is whole");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    for camera in cameras {
        let of: Vec<_> = lines.iter().filter(|line| line["stream"] == *camera).collect();
        assert!(!of.is_empty(), "{camera} has no line");
        let numbers: Vec<_> = of.iter().map(|line| line["frame"].as_u64().unwrap()).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{camera}: {numbers:?}");
        assert!(of.iter().all(|line| line["inferred"] == json!({ "detection": "done", "pose": "done" })), "{camera}");
    }
    assert!(lines.iter().all(|line| cameras.iter().any(|camera| line["stream"] == *camera)));
}

#[test]
fn the_guides_rollback_runs_the_same_cameras_on_the_cpu() {
    if !start() {
        return;
    }
    let server = Camera::start(Codec::H264);
    let mut operator = Operator::new();
    crate::common::barcode::write_mp4(Codec::H265, 30, &operator.path("clip.mp4"));
    let cameras = [
        json!({ "NAME": "rtsp", "URL": server.url() }),
        json!({ "NAME": "file", "URL": operator.path("clip.mp4").to_str().unwrap() }),
        test_picture("test"),
    ];
    let rolled_back = config(&cameras);
    if cuda::check_driver().is_err() {
        let mut unified = rolled_back.clone();
        unified["processing"]["USE_UNIFIED_GPU_PIPELINE"] = true.into();
        unified["processing"]["ENABLE_DECOUPLED_PIPELINE"] = false.into();
        unified["processing"]["FORCE_GPU_ONLY"] = true.into();
        operator.write(&unified);
        operator.run(&[]);
        let (status, said, stdout) = operator.end();
        // Never a silent fallback.
        assert!(!status.success() && stdout.is_empty(), "{said:#?}");
        assert!(said.iter().any(|line| line.contains("driver")), "{said:#?}");
    }
    operator.write(&rolled_back);
    operator.run(&[]);
    for camera in ["rtsp", "file", "test"] {
        operator.wait_for("lines", || operator.lines(camera) > 20);
    }
    let stdout = operator.stop();
    check_lines(&stdout, &["rtsp", "file", "test"]);
    for camera in ["rtsp", "file", "test"] {
        let text = std::fs::read_to_string(operator.path(&format!("{camera}.jsonl"))).unwrap();
        check_lines(&text, &[camera]);
        assert_eq!(text.lines().count(), stdout.lines().filter(|line| line.contains(&format!("\"{camera}\""))).count());
    }
}

#[test]
fn cameras_follow_the_file_and_sighup() {
    if !start() {
        return;
    }
    let mut operator = Operator::new();
    operator.write(&config(&[test_picture("one")]));
    operator.run(&["--set", "outputs.JSON_LINES=[\"{camera}.jsonl\"]"]);
    operator.wait_for("lines", || operator.lines("one") > 5);

    // Replaced by another file with its name.
    operator.write(&config(&[test_picture("one"), test_picture("two")]));
    operator.wait_for("lines of another camera", || operator.lines("two") > 5);

    // Written in place.
    let text = serde_json::to_string(&config(&[test_picture("two"), test_picture("three")])).unwrap();
    std::fs::write(operator.path("config.json"), text).unwrap();
    operator.wait_for("lines of a third camera", || operator.lines("three") > 5);
    operator.wait_for_line("one: stopped");
    let one = operator.lines("one");

    // An invalid file changes nothing.
    std::fs::write(operator.path("config.json"), "{ \"cameras\": 7 }").unwrap();
    operator.wait_for_line("wasn't applied");
    let two = operator.lines("two");
    operator.wait_for("more lines", || operator.lines("two") > two + 5);

    // SIGHUP reads an unchanged file too.
    let before = operator.said().iter().filter(|line| line.contains("wasn't applied")).count();
    operator.signal("HUP");
    operator
        .wait_for("reading", || operator.said().iter().filter(|line| line.contains("wasn't applied")).count() > before);
    assert_eq!(operator.lines("one"), one);
    let said = operator.said();
    assert!(!said.iter().any(|line| line.contains("two: starts anew")), "{said:#?}");
    assert_eq!(operator.stop(), "");
}

#[test]
fn another_model_while_it_runs() {
    if !start() {
        return;
    }
    let mut operator = Operator::new();
    let mut with = config(&[test_picture("door")]);
    with["models"]["POSE"] = json!({ "ENABLED": false });
    operator.write(&with);
    operator.run(&[]);
    operator.wait_for("lines", || operator.lines("door") > 5);
    let labels = || {
        let text = std::fs::read_to_string(operator.path("door.jsonl")).unwrap();
        let last = text.lines().rfind(|line| line.ends_with('}')).unwrap().to_owned();
        serde_json::from_str::<Value>(&last).ok().map(|line| line["objects"].to_string()).unwrap_or_default()
    };
    assert!(labels().contains("red"), "{}", labels());
    with["models"]["DETECTION"]["ONNX"] = find::test_model("yolo-coco").to_str().unwrap().into();
    operator.write(&with);
    operator.wait_for("the other model's words", || labels().contains("person"));
    operator.stop();
}

#[test]
fn what_can_not_run_ends_with_an_error() {
    let mut operator = Operator::new();
    let end = |operator: &mut Operator| {
        operator.run(&[]);
        let (status, said, _) = operator.end();
        assert!(!status.success());
        said.join("\n")
    };
    assert!(end(&mut operator).contains("config.json"));
    let write = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
    write(&operator.path("config.json"), "{ \"processing\": { \"MAX_QUEUE_SIZE\": -1 } }");
    assert!(end(&mut operator).contains("MAX_QUEUE_SIZE"));
    if start() {
        let broken = operator.path("broken.onnx");
        write(&broken, "nonsense");
        let mut with = config(&[test_picture("door")]);
        with["models"]["DETECTION"]["ONNX"] = broken.to_str().unwrap().into();
        operator.write(&with);
        let said = end(&mut operator);
        assert!(said.contains("no camera can run: door: ") && said.contains("broken.onnx"), "{said}");
    }
}

#[test]
fn it_is_watched_and_profiled() {
    if !start() {
        return;
    }
    let mut operator = Operator::new();
    let mut with = config(&[test_picture("door"), test_picture("yard")]);
    with["outputs"] = json!({ "JSON_LINES": "{camera}.jsonl" });
    operator.write(&with);
    let profile = operator.path("profile.json");
    operator.run(&["--monitor", "--metrics", "127.0.0.1:0", "--profile", profile.to_str().unwrap()]);
    operator.wait_for("samples", || operator.stdout().lines().count() >= 4);
    let last: Value = serde_json::from_str(operator.stdout().lines().nth(3).unwrap()).unwrap();
    for camera in last["cameras"].as_array().unwrap() {
        assert_eq!(camera["state"], "playing", "{last}");
        assert!(camera["fps"].as_f64().unwrap() > 10.0 && camera["latency"]["p95"].as_f64().unwrap() > 0.0, "{last}");
        assert!(camera["objects"].as_u64().unwrap() > 0, "{last}");
    }
    assert!(last["process"]["core_ms_per_frame"].as_f64().unwrap() > 0.0);

    let said = operator.said();
    let address = said.iter().find_map(|line| line.split_once("http://")?.1.split_once('/')).unwrap().0.to_owned();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("gst_trt_camera_frames_total{camera=\"yard\"}"), "{answer}");

    let mut monitor = Command::new(env!("CARGO_BIN_EXE_gst-trt"));
    monitor.args(["monitor", "--count", "1"]).env("XDG_RUNTIME_DIR", operator.path(""));
    let seen = String::from_utf8(monitor.output().unwrap().stdout).unwrap();
    let seen: Value = serde_json::from_str(seen.lines().next().expect("a sample")).unwrap();
    assert_eq!(seen["cameras"].as_array().unwrap().len(), 2, "{seen}");

    operator.stop();
    let profile: Value = serde_json::from_slice(&std::fs::read(profile).unwrap()).unwrap();
    let stages = profile["stages"].as_array().unwrap();
    for element in ["pictures", "detection", "pose", "lines-1"] {
        let of = |camera: &str| stages.iter().any(|stage| stage["pipeline"] == camera && stage["element"] == element);
        assert!(of("door") && of("yard"), "{element}: {profile}");
    }
}

#[test]
fn pictures_and_videos_are_recorded() {
    if !start() {
        return;
    }
    let mut operator = Operator::new();
    let mut with = config(&[test_picture("door")]);
    with["outputs"] = json!({
        "JSON_LINES": "{camera}.jsonl",
        "PICTURES": { "FOLDER": operator.path("pictures").to_str().unwrap() },
        "SEGMENTS": { "FOLDER": operator.path("videos").to_str().unwrap() }
    });
    operator.write(&with);
    operator.run(&[]);
    operator.wait_for("a picture", || operator.path("pictures/door.jpg").exists());
    operator.wait_for("lines", || operator.lines("door") > 50);
    operator.stop();
    let videos: Vec<_> = std::fs::read_dir(operator.path("videos/door")).unwrap().flatten().collect();
    assert!(!videos.is_empty() && videos.iter().all(|video| video.metadata().unwrap().len() > 1000), "{videos:?}");
}

/// The unified pipeline, with frames in the stand-in's memory.
fn unified(cameras: &[Value]) -> Value {
    let mut config = config(cameras);
    config["processing"] = json!({
        "USE_UNIFIED_GPU_PIPELINE": true,
        "ENABLE_DECOUPLED_PIPELINE": false,
        "FORCE_GPU_ONLY": true,
        "GPU_BATCH_SIZE": 2,
        "UNIFIED_PIPELINE_THREADS": 2
    });
    config
}

#[test]
fn the_unified_pipeline_runs_on_the_standin() {
    let Some(standin) = Standin::new().filter(|_| start()) else { return };
    let mut operator = Operator::new();
    operator.write(&unified(&[test_picture("door"), test_picture("yard")]));
    operator.run_in(&[], |command| standin.set_environment(command));
    for camera in ["door", "yard"] {
        operator.wait_for("lines", || operator.lines(camera) > 10);
    }
    check_lines(&operator.stop(), &["door", "yard"]);
}

/// Frames that arrive before the engine is ready would be decoded and dropped, and a file would run ahead of the clock.
#[test]
fn a_camera_starts_once_its_engines_are_built() {
    let Some(standin) = Standin::new().filter(|_| start()) else { return };
    let mut operator = Operator::new();
    crate::common::barcode::write_mp4(Codec::H264, 30, &operator.path("clip.mp4"));
    let mut config = unified(&[json!({ "NAME": "file", "URL": operator.path("clip.mp4").to_str().unwrap() })]);
    // The stand-in has no decoders.
    config["processing"]["ENABLE_NVDEC"] = false.into();
    config["processing"]["FORCE_GPU_ONLY"] = false.into();
    operator.write(&config);
    operator.run_in(&[], |command| {
        standin.set_environment(command);
        command.env("STANDIN_BUILD_TIME", "1500");
    });
    operator.wait_for("lines", || operator.lines("file") > 20);
    let said = operator.said();
    let stdout = operator.stop();
    let built = said.iter().filter(|line| line.contains("the TensorRT engine is ready")).count();
    let plays = said.iter().position(|line| line.contains("file: plays")).unwrap();
    assert!(built == 2 && !said.iter().any(|line| line.contains("lost")), "{said:#?}");
    assert!(said[plays..].iter().all(|line| !line.contains("engine")), "{said:#?}");
    check_lines(&stdout, &["file"]);
    let first: Value = serde_json::from_str(stdout.lines().next().unwrap()).unwrap();
    assert!(first["pts"].as_u64().unwrap() < 1_000_000_000, "{first}");
}

#[test]
fn an_engine_that_is_of_no_use_ends_the_run() {
    let Some(standin) = Standin::new().filter(|_| start()) else { return };
    let mut operator = Operator::new();
    let mut config = unified(&[test_picture("door")]);
    config["models"]["DETECTION"]["ONNX"] = find::test_model("unknown-head").to_str().unwrap().into();
    operator.write(&config);
    operator.run_in(&[], |command| standin.set_environment(command));
    let (status, said, stdout) = operator.end();
    assert!(!status.success() && stdout.is_empty(), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("door: failed: ") && line.contains("unknown-head")), "{said:#?}");
}

/// After a sticky GPU error the process soon ends with the original cause, so that its service manager restarts it.
#[test]
fn a_gpu_that_fails_ends_the_run() {
    let Some(standin) = Standin::new().filter(|_| start()) else { return };
    // An illegal address in one of our batches, or in GStreamer's copy to the GPU, after which frames merely stop arriving.
    for failure in ["graph=100:700", "copy=100:700"] {
        let mut operator = Operator::new();
        operator.write(&unified(&[test_picture("door"), test_picture("yard")]));
        operator.run_in(&[], |command| {
            standin.set_environment(command);
            command.env("STANDIN_FAIL", failure);
        });
        operator.wait_for("failure", || operator.said().iter().any(|line| line.contains("illegal memory access")));
        let failed = Instant::now();
        let (status, said, _) = operator.end();
        assert!(failed.elapsed() < 5 * SECOND, "{failure}: {:?}", failed.elapsed());
        assert_eq!(status.code(), Some(1), "{failure}: {said:#?}");
        let last = said.last().unwrap();
        assert!(last.starts_with("gst-trt: the GPU failed") && last.contains("illegal memory access"), "{said:#?}");
    }
}
