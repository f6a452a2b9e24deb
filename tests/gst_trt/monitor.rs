//! `gst-trt monitor` with a running system, and without one.

use gsttensorrt::monitor::{Board, Health, Meter, Options, Sample, Watch, socket};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

fn monitor(runtime: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gst-trt"));
    command.arg("monitor").args(arguments).env("XDG_RUNTIME_DIR", runtime).stdin(Stdio::null());
    command
}

fn samples(output: &[u8]) -> Vec<Sample> {
    String::from_utf8_lossy(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn watch(runtime: &Path, meter: &Arc<Meter>) -> Watch {
    let meter = meter.clone();
    let options = Options {
        every: Duration::from_millis(100),
        cpu_warning: -1.0,
        on_sample: None,
        print: None,
        socket: Some(runtime.join("gst-tensorrt")),
    };
    let board = Board::new(Arc::new(move || vec![meter.snapshot()]), Health::default());
    Watch::start(&board, options).unwrap()
}

#[test]
fn without_a_run_the_machine_is_watched() {
    let runtime = tempfile::tempdir().unwrap();
    let output = monitor(runtime.path(), &["--every", "0.2", "--count", "2"]).output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("machine and its GPUs only"));
    let samples = samples(&output.stdout);
    assert_eq!(samples.len(), 2);
    for sample in samples {
        assert!(sample.process.is_none() && sample.cameras.is_empty());
        assert!(sample.machine.cores.unwrap() >= 1 && sample.machine.cpu_percent.is_some());
        assert!((0.15..5.0).contains(&sample.interval), "{}", sample.interval);
    }
    let table = monitor(runtime.path(), &["--machine", "--every", "0.1", "--count", "1", "--format", "table"]);
    let table = { table }.output().unwrap();
    let text = String::from_utf8_lossy(&table.stdout);
    assert!(text.contains("machine  CPU ") && text.contains("GPU "), "{text}");
}

#[test]
fn a_running_system_is_watched_until_it_ends() {
    let runtime = tempfile::tempdir().unwrap();
    let meter = Arc::new(Meter::new("door"));
    let watch = watch(runtime.path(), &meter);
    meter.frame(Duration::from_millis(12), 3);
    let mut child = monitor(runtime.path(), &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let sample: Sample = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(sample.process.unwrap().pid, std::process::id());
    assert_eq!((sample.cameras[0].camera.frames, sample.cameras[0].camera.objects), (1, 3));
    assert!(sample.warnings[0].contains("CPU usage higher than expected"), "{:?}", sample.warnings);
    drop(watch);
    let rest: Vec<_> = lines.map(|line| serde_json::from_str::<Sample>(&line.unwrap()).unwrap()).collect();
    assert!(rest.len() < 50);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("has ended"));
}

#[test]
fn which_one_is_asked_for() {
    let runtime = tempfile::tempdir().unwrap();
    let meter = Arc::new(Meter::new("door"));
    let _watch = watch(runtime.path(), &meter);
    let pid = std::process::id().to_string();
    let output = monitor(runtime.path(), &["--pid", &pid, "--count", "2", "--format", "table"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.matches("door ").count(), 2, "{text}");

    let output = monitor(runtime.path(), &["--pid", "1"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains(&pid), "{text}");

    // A second running system, as far as its socket tells.
    let second = socket::path(&runtime.path().join("gst-tensorrt"), 4_000_000);
    let _listener = std::os::unix::net::UnixListener::bind(second).unwrap();
    let output = monitor(runtime.path(), &[]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("--pid") && text.contains("4000000"), "{text}");
}
