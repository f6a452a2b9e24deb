//! Monitoring `gst-trt run` from inside and outside: --monitor, --metrics, --profile, gst-trt monitor.

use crate::common::find;
use crate::common::running::start;
use gsttensorrt::monitor::Sample;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// `gst-trt` with the test's own runtime folder.
fn tool(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gst-trt"));
    command.args(arguments).current_dir(folder).env("XDG_RUNTIME_DIR", folder).stdin(Stdio::null());
    command
}

/// Two test patterns on the CPU; their lines go to a file.
fn write_config(folder: &Path) {
    let camera = |name: &str| json!({ "NAME": name, "URL": "test:smpte", "WIDTH": 160, "HEIGHT": 120, "FPS": 10 });
    let model = find::test_model("yolo").display().to_string();
    let config = json!({
        "processing": { "USE_UNIFIED_GPU_PIPELINE": false, "FORCE_GPU_ONLY": false },
        "models": { "DETECTION": { "ONNX": model }, "POSE": { "ENABLED": false } },
        "cameras": { "RTSP_STREAMS": [camera("door"), camera("yard")] },
        "outputs": { "JSON_LINES": "lines.jsonl" },
        "monitoring": { "INTERVAL_S": 0.5 },
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

/// Stops with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lines(output: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| send.send(line))
    });
    lines
}

/// The answer of the metrics server.
pub fn ask(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_run_is_watched_in_every_way() {
    if !start() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path());
    let arguments = ["run", "--monitor", "--metrics", "127.0.0.1:0", "--profile", "profile.json"];
    let mut run =
        Process(tool(folder.path(), &arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let (printed, said) = (lines(run.0.stdout.take().unwrap()), lines(run.0.stderr.take().unwrap()));

    // From inside, on standard output, since the objects go to a file.
    let playing = |sample: &Sample| {
        sample.cameras.len() == 2 && sample.cameras.iter().all(|row| row.fps > 5.0 && row.camera.frames > 5)
    };
    let samples = || -> Sample { serde_json::from_str(&printed.recv_timeout(PATIENCE).unwrap()).unwrap() };
    let sample = std::iter::repeat_with(samples).take(40).find(playing).expect("two cameras that play");
    let process = sample.process.unwrap();
    assert_eq!(process.pid, run.0.id());
    assert!(process.core_ms_per_frame.unwrap() > 0.0);
    for row in &sample.cameras {
        assert_eq!(row.camera.state.name(), "playing");
        let latency = &row.camera.latency;
        assert!(latency.p50 > Some(0.0) && latency.p50 <= latency.p99, "{latency:?}");
    }

    // From Prometheus.
    let address = std::iter::repeat_with(|| said.recv_timeout(PATIENCE).unwrap())
        .find_map(|line| Some(line.split_once("metrics at http://")?.1.strip_suffix("/metrics")?.to_owned()))
        .unwrap();
    let metrics = ask(&address);
    let value = |name: &str| -> f64 {
        let line =
            metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {metrics}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(value("gst_trt_camera_frames_total{camera=\"door\"}") > 5.0);
    assert_eq!(value("gst_trt_camera_state{camera=\"yard\",state=\"playing\"}"), 1.0);
    assert!(value("process_cpu_seconds_total") > 0.0);

    // From another process.
    let monitor = tool(folder.path(), &["monitor", "--count", "2"]).output().unwrap();
    assert!(monitor.status.success(), "{}", String::from_utf8_lossy(&monitor.stderr));
    let text = String::from_utf8(monitor.stdout).unwrap();
    let watched: Vec<Sample> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(watched.len(), 2);
    assert!(playing(&watched[1]) && watched[1].process.as_ref().unwrap().pid == run.0.id());

    let id = run.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(run.0.wait().unwrap().success());
    let profile: Value = serde_json::from_slice(&std::fs::read(folder.path().join("profile.json")).unwrap()).unwrap();
    for camera in ["door", "yard"] {
        let stages = profile["stages"].as_array().unwrap();
        let stage = stages.iter().find(|s| s["pipeline"] == camera && s["element"] == "detection").unwrap();
        assert!(stage["went"].as_u64().unwrap() > 5 && stage["mean"].as_f64().unwrap() > 0.0, "{stage}");
    }
    assert!(profile["threads"].as_array().unwrap().len() > 1);
    let table: Vec<_> = said.iter().collect();
    assert!(table.iter().any(|line| line.contains("THREADS")), "{table:?}");
    // The socket is removed with the process.
    let monitor = tool(folder.path(), &["monitor", "--count", "1", "--every", "0.1"]).output().unwrap();
    assert!(String::from_utf8_lossy(&monitor.stderr).contains("no gst-trt run"));
}
