//! Cameras over a long time: failures, changes, memory, and CPU time. Takes minutes:
//!
//!     cargo test --release --test soak_cameras -- --ignored --nocapture --test-threads=1

mod common;

use common::barcode::Codec;
use common::find;
use common::process::{Usage, has_one_arena, resident};
use common::rtsp::{Camera, Noise};
use common::running::start;
use common::supervised::{Supervised, detection, gaps, rtsp};
use gsttensorrt::config::Transport;
use gsttensorrt::monitor::CameraState;
use gsttensorrt::run::{CameraSetup, Outcome, Patience};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
const MIB: f64 = 1024.0 * 1024.0;

fn camera(name: &str, url: &str) -> CameraSetup {
    let mut setup = rtsp(name, url, Transport::Tcp);
    setup.elements = vec![detection()];
    setup
}

/// The operator's defaults: 5 s without a frame, at most 5 s between attempts.
#[test]
#[ignore = "a minute and more: cargo test --release --test soak_cameras -- --ignored"]
fn four_cameras_for_a_minute() {
    if !has_one_arena("four_cameras_for_a_minute") || !start() {
        return;
    }
    let healthy = [Camera::start(Codec::H264), Camera::start(Codec::H265)];
    let (mut killed, stalled, noisy, no_rtsp) =
        (Camera::start(Codec::H264), Camera::start(Codec::H264), Camera::start(Codec::H265), Noise::start());
    let setups = vec![
        camera("healthy-1", &healthy[0].url()),
        camera("healthy-2", &healthy[1].url()),
        camera("killed", &killed.url()),
        camera("stalled", &stalled.url()),
        camera("noisy", &noisy.url()),
        camera("no-rtsp", &no_rtsp.url()),
    ];
    let cameras = Supervised::start_with(setups, Patience::default());
    for name in ["healthy-1", "healthy-2", "killed", "stalled", "noisy"] {
        cameras.wait_for_pictures(name, 5, 20 * SECOND);
    }
    let start = Instant::now();
    let (mut longest, mut early, mut most) = (Duration::ZERO, 0, 0);
    let mut back = |cameras: &Supervised, name: &str| {
        let begin = Instant::now();
        cameras.wait_for_pictures(name, 1, 10 * SECOND);
        longest = longest.max(begin.elapsed());
    };
    while start.elapsed() < 60 * SECOND {
        killed.kill();
        stalled.stall(true);
        noisy.noise(true);
        std::thread::sleep(5 * SECOND);
        killed.restart();
        back(&cameras, "killed");
        std::thread::sleep(2 * SECOND);
        stalled.stall(false);
        back(&cameras, "stalled");
        noisy.noise(false);
        back(&cameras, "noisy");
        let now = resident();
        if early == 0 {
            early = now;
        }
        most = most.max(now);
    }
    for name in ["healthy-1", "healthy-2"] {
        let arrivals = cameras.arrivals(name);
        assert!(arrivals.len() > 60 * 24, "{name}: {} pictures", arrivals.len());
        assert_eq!(gaps(&arrivals), [], "{name}");
    }
    for name in ["killed", "stalled", "noisy"] {
        let camera = cameras.cameras().into_iter().find(|camera| camera.name == name).unwrap();
        println!("{name}: {} reconnects, {} pictures", camera.reconnects, camera.frames);
        assert!(camera.reconnects >= 3, "{camera:?}");
    }
    assert_eq!(cameras.state("no-rtsp"), Some(CameraState::Reconnecting));
    let grown = most.saturating_sub(early) as f64 / MIB;
    println!("back after {longest:?} at most; memory grew by {grown:.1} MiB after the first failures");
    // The tests' own records of each frame grow too.
    assert!(grown < 2.0, "{grown:.1} MiB");
    assert_eq!(cameras.stop(), Outcome::Stopped);
}

#[test]
#[ignore = "minutes: cargo test --release --test soak_cameras -- --ignored"]
fn a_thousand_cameras_come_and_go() {
    if !has_one_arena("a_thousand_cameras_come_and_go") || !start() {
        return;
    }
    const CYCLES: usize = 1000;
    let server = Camera::start(Codec::H264);
    let steady = camera("steady", &server.url());
    let coming = camera("coming", &server.url());
    let cameras = Supervised::start(vec![steady.clone()]);
    cameras.wait_for_pictures("steady", 5, 20 * SECOND);
    let (mut early, mut most) = (Usage::default(), Usage::default());
    for cycle in 1..=CYCLES {
        cameras.apply(vec![steady.clone(), coming.clone()]);
        if cycle % 4 != 0 {
            cameras.wait_for_pictures("coming", 1, 20 * SECOND);
        }
        cameras.apply(vec![steady.clone()]);
        cameras.wait_for("end", 10 * SECOND, || cameras.state("coming").is_none());
        if cycle % 50 == 0 {
            let now = Usage::now();
            println!("{cycle}: {now:?}");
            if cycle == 200 {
                early = now;
            }
            most = most.max(now);
        }
    }
    let (lost, arrivals) = (gaps(&cameras.arrivals("steady")).len(), cameras.count("steady"));
    println!("the camera that stays: {arrivals} pictures, {lost} gaps");
    let steady = cameras.cameras().into_iter().find(|camera| camera.name == "steady").unwrap();
    // An overloaded machine may drop frames, each of which is counted.
    assert!(steady.reconnects == 0 && (lost == 0 || steady.drops > 0), "{steady:?}");
    // The tests' own records of each frame grow too, by some 60 bytes.
    assert!(most.memory.saturating_sub(early.memory) < 4 << 20, "{early:?} {most:?}");
    assert!(most.threads <= early.threads + 8 && most.files <= early.files + 8, "{early:?} {most:?}");
    assert_eq!(cameras.stop(), Outcome::Stopped);
}

/// A process that is killed on drop.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// CPU time so far.
    fn time(&self) -> Duration {
        let stat = procfs::process::Process::new(self.0.id().cast_signed()).unwrap().stat().unwrap();
        Duration::from_secs(stat.utime + stat.stime) / procfs::ticks_per_second() as u32
    }

    /// Cores used over a period, once it has settled.
    fn load(&self) -> f64 {
        std::thread::sleep(5 * SECOND);
        let (before, start) = (self.time(), Instant::now());
        std::thread::sleep(15 * SECOND);
        (self.time() - before).as_secs_f64() / start.elapsed().as_secs_f64()
    }
}

/// The folder of the plugin that was built with these tests.
fn plugin() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_gst-trt")).parent().unwrap()
}

#[test]
#[ignore = "two minutes: cargo test --release --test soak_cameras -- --ignored"]
fn running_cameras_costs_little_more_than_gst_launch() {
    if !start() {
        return;
    }
    const CAMERAS: usize = 4;
    let server = Camera::start(Codec::H264);
    let model = find::test_model("yolo");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let streams: Vec<_> =
        (0..CAMERAS).map(|n| serde_json::json!({ "NAME": format!("camera-{n}"), "URL": server.url() })).collect();
    let text = serde_json::json!({
        "processing": { "USE_UNIFIED_GPU_PIPELINE": false },
        "models": { "DETECTION": { "ONNX": model }, "POSE": { "ENABLED": false } },
        "cameras": { "RTSP_STREAMS": streams },
        "outputs": { "JSON_LINES": "/dev/null" }
    });
    std::fs::write(&config, text.to_string()).unwrap();
    // The same elements with the same settings, as a user would type them.
    let launch = format!(
        "rtspsrc location={} protocols=tcp latency=200 ! rtph264depay ! h264parse \
         ! queue max-size-buffers=60 max-size-bytes=0 max-size-time=0 ! avdec_h264 ! videoconvert \
         ! queue max-size-buffers=20 max-size-bytes=0 max-size-time=0 leaky=downstream \
         ! trtdetect backend=cpu model={} batch-size=2 batch-timeout=5000000 \
         ! trtpublish location=/dev/null ! fakesink sync=false ",
        server.url(),
        model.display()
    );
    let mut more = Vec::new();
    for round in 0..3 {
        let run = Running::start(Command::new(env!("CARGO_BIN_EXE_gst-trt")).arg("run").arg("--config").arg(&config));
        let ours = run.load();
        drop(run);
        let mut command = Command::new("gst-launch-1.0");
        command.arg("-q").args(launch.repeat(CAMERAS).split_whitespace()).env("GST_PLUGIN_PATH", plugin());
        let peer = Running::start(&mut command);
        let theirs = peer.load();
        drop(peer);
        println!("{round}: gst-trt run {:.1} % of a core, gst-launch-1.0 {:.1} %", 100.0 * ours, 100.0 * theirs);
        assert!(theirs > 0.005 && ours > 0.005, "one of them does nothing");
        more.push((ours - theirs) / CAMERAS as f64);
    }
    more.sort_by(f64::total_cmp);
    println!("per camera {:.2} % of a core more, median of {}", 100.0 * more[1], more.len());
    assert!(more[1] < 0.02, "{more:?}");
}
