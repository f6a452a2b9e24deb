//! `gst-trt run` as an operator uses it: a process, a file, signals.

mod common;

use common::barcode::Codec;
use common::find;
use common::rtsp::Camera;
use common::running::start;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// A folder with a config.json, and the process that runs it.
struct Operator {
    folder: tempfile::TempDir,
    process: Option<Run>,
}

struct Run {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
    stdout: Arc<Mutex<Vec<u8>>>,
}

impl Operator {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), process: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the file as editors do: another one in its place.
    fn write(&self, config: &Value) {
        let next = self.path("config.json.new");
        std::fs::write(&next, serde_json::to_string_pretty(config).unwrap()).unwrap();
        std::fs::rename(next, self.path("config.json")).unwrap();
    }

    fn run(&mut self, more: &[&str]) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gst-trt"))
            .arg("run")
            .arg("--config")
            .arg(self.path("config.json"))
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (said, stdout): (Arc<Mutex<Vec<String>>>, Arc<Mutex<Vec<u8>>>) = Default::default();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let mut output = child.stdout.take().unwrap();
        let readers = vec![
            std::thread::spawn({
                let said = said.clone();
                move || errors.lines().map_while(Result::ok).for_each(|line| said.lock().unwrap().push(line))
            }),
            std::thread::spawn({
                let stdout = stdout.clone();
                move || {
                    let mut part = [0; 4096];
                    while let Ok(read @ 1..) = output.read(&mut part) {
                        stdout.lock().unwrap().extend_from_slice(&part[..read]);
                    }
                }
            }),
        ];
        self.process = Some(Run { child, said, readers, stdout });
    }

    fn said(&self) -> Vec<String> {
        self.process.as_ref().unwrap().said.lock().unwrap().clone()
    }

    #[track_caller]
    fn wait_for(&self, what: &str, mut done: impl FnMut() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < 20 * SECOND, "no {what}: {:#?}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    fn wait_for_line(&self, text: &str) {
        self.wait_for(text, || self.said().iter().any(|line| line.contains(text)));
    }

    /// Lines of JSON that a camera has put out so far; a last one that isn't whole yet doesn't count.
    fn lines(&self, camera: &str) -> usize {
        let text = std::fs::read_to_string(self.path(&format!("{camera}.jsonl"))).unwrap_or_default();
        text.matches('\n').count()
    }

    fn signal(&self, name: &str) {
        let id = self.process.as_ref().unwrap().child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Waits for the end: its status, what was said, and what went to stdout.
    fn end(&mut self) -> (ExitStatus, Vec<String>, String) {
        let mut process = self.process.take().unwrap();
        let start = Instant::now();
        let status = loop {
            if let Some(status) = process.child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > 20 * SECOND {
                let _ = process.child.kill();
                panic!("doesn't end: {:#?}", process.said.lock().unwrap());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        process.readers.drain(..).for_each(|reader| reader.join().unwrap());
        let said = process.said.lock().unwrap().clone();
        let stdout = String::from_utf8(process.stdout.lock().unwrap().clone()).unwrap();
        (status, said, stdout)
    }

    /// SIGTERM, and that it's followed as it should.
    #[track_caller]
    fn stop(&mut self) -> String {
        let start = Instant::now();
        self.signal("TERM");
        let (status, said, stdout) = self.end();
        assert!(status.success(), "{status}: {said:#?}");
        assert!(start.elapsed() < 5 * SECOND, "{:?}", start.elapsed());
        stdout
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

/// A configuration of the migration guide with small models, after its rollback.
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

/// Whole lines of JSON, of these cameras and no other; each camera's frames without a gap.
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
    common::barcode::write_mp4(Codec::H265, 30, &operator.path("clip.mp4"));
    let cameras = [
        json!({ "NAME": "rtsp", "URL": server.url() }),
        json!({ "NAME": "file", "URL": operator.path("clip.mp4").to_str().unwrap() }),
        test_picture("test"),
    ];
    let rolled_back = config(&cameras);
    if gsttensorrt::cuda::check_driver().is_err() {
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

    // Replaced by another file of its name.
    operator.write(&config(&[test_picture("one"), test_picture("two")]));
    operator.wait_for("lines of another camera", || operator.lines("two") > 5);

    // Written in place.
    let text = serde_json::to_string(&config(&[test_picture("two"), test_picture("three")])).unwrap();
    std::fs::write(operator.path("config.json"), text).unwrap();
    operator.wait_for("lines of a third camera", || operator.lines("three") > 5);
    operator.wait_for_line("one: stopped");
    let one = operator.lines("one");

    // One that doesn't hold changes nothing.
    std::fs::write(operator.path("config.json"), "{ \"cameras\": 7 }").unwrap();
    operator.wait_for_line("stays without effect");
    let two = operator.lines("two");
    operator.wait_for("more lines", || operator.lines("two") > two + 5);

    // And what has changed nothing is read on request.
    let before = operator.said().iter().filter(|line| line.contains("stays without effect")).count();
    operator.signal("HUP");
    operator.wait_for("reading", || {
        operator.said().iter().filter(|line| line.contains("stays without effect")).count() > before
    });
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
