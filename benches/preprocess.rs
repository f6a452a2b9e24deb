//! NV12 to a 640 × 640 tensor against OpenCV's conversion, resize and blob, one thread each.
//!
//!     PYTHON=venv/bin/python cargo bench --bench preprocess
//!
//! The peer is `preprocess.py`, a child process that processes one frame on request: the two alternate, so both see the
//! same machine. Printed per size: medians, their ratio, and the greatest difference between the two tensors in levels of
//! 0–255. Without OpenCV (`pip install opencv-python-headless`) only our own times are printed.

use gsttensorrt::cpu::{Image, Workspace, preprocess};
use model::video::{Colorimetry, HostFormat, Matrix};
use model::{ElementType, InputSpec, Layout, Normalization, Rect, Resize};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// One round under `cargo test`, which doesn't pass `--bench`.
fn rounds() -> usize {
    if std::env::args().any(|argument| argument == "--bench") { 200 } else { 1 }
}

const SIZES: [(usize, usize); 5] = [(1920, 1080), (1280, 720), (3840, 2160), (1280, 960), (640, 360)];

fn main() {
    let spec = InputSpec {
        width: 640,
        height: 640,
        layout: Layout::Nchw,
        element: ElementType::F32,
        normalization: Normalization::UNIT,
        bgr: false,
        resize: Resize::LETTERBOX,
        pad: 114,
    };
    let rounds = rounds();
    println!("NV12 to f32 NCHW 640 × 640, medians of {rounds} interleaved runs, one thread");
    for (width, height) in SIZES {
        let frame = street(width, height);
        let image = Image {
            format: HostFormat::Nv12,
            colorimetry: Colorimetry { matrix: Matrix::Bt601, full_range: false },
            width,
            height,
            planes: [&frame[..width * height], &frame[width * height..], &[]],
            strides: [width, width, 0],
        };
        let region = Rect::new(0.0, 0.0, width as f32, height as f32);
        let (mut workspace, mut tensor) = (Workspace::default(), vec![0; 4 * spec.elements()]);
        let mut ours = || {
            let start = Instant::now();
            preprocess(&image, region, &spec, &mut workspace, &mut tensor).expect("a valid picture");
            start.elapsed()
        };
        let mut peer = Peer::start(&frame, width, height);
        let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            our_times.push(ours());
            their_times.extend(peer.as_mut().map(Peer::run));
        }
        let our_time = median(our_times);
        print!("{width} × {height}: {:.2} ms", our_time.as_secs_f64() * 1e3);
        if let Some(mut peer) = peer {
            let their_time = median(their_times);
            print!(
                ", OpenCV {:.2} ms, {:.2} times as fast, differs by {:.2} levels at most",
                their_time.as_secs_f64() * 1e3,
                their_time.as_secs_f64() / our_time.as_secs_f64(),
                greatest_difference(&tensor, &peer.tensor())
            );
        }
        println!();
    }
}

/// A picture with smooth gradients and hard edges, bright and saturated enough to make the conversion clamp.
fn street(width: usize, height: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(width * height * 3 / 2);
    for y in 0..height {
        frame.extend((0..width).map(|x| {
            let shade = 128.0 + 90.0 * ((x as f32 / 97.0).sin() * (y as f32 / 61.0).cos());
            if (x / 120 + y / 90) % 4 == 0 { 240 } else { shade as u8 }
        }));
    }
    for y in 0..height / 2 {
        for x in 0..width / 2 {
            frame.push((128.0 + 100.0 * (x as f32 / 83.0).sin()) as u8);
            frame.push((128.0 + 100.0 * (y as f32 / 71.0).cos()) as u8);
        }
    }
    frame
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn greatest_difference(ours: &[u8], theirs: &[u8]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let values = |bytes: &[u8]| bytes.as_chunks().0.iter().map(|&b| f32::from_ne_bytes(b)).collect::<Vec<_>>();
    values(ours).iter().zip(values(theirs)).map(|(a, b)| (a - b).abs() * 255.0).fold(0.0, f32::max)
}

/// The child process with OpenCV.
struct Peer {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
}

impl Peer {
    fn start(frame: &[u8], width: usize, height: usize) -> Option<Self> {
        let python = std::env::var("PYTHON").unwrap_or("python3".into());
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("frame"), frame).expect("room for a frame");
        let mut child = Command::new(&python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/preprocess.py"))
            .arg(folder.path())
            .args([width.to_string(), height.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .inspect_err(|error| println!("{python}: {error}; OpenCV isn't measured"))
            .ok()?;
        let (stdin, stdout) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        let mut peer = Self { child, stdin, stdout, folder };
        match peer.read_line().as_str() {
            "ready" => Some(peer),
            other => {
                println!("{python}: {other}; OpenCV isn't measured");
                None
            }
        }
    }

    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("an answer of the peer");
        line.trim().to_owned()
    }

    fn run(&mut self) -> Duration {
        writeln!(self.stdin, "run").expect("the peer listens");
        Duration::from_nanos(self.read_line().parse().expect("nanoseconds"))
    }

    /// The tensor of the last run.
    fn tensor(&mut self) -> Vec<u8> {
        writeln!(self.stdin, "save").expect("the peer listens");
        self.read_line();
        std::fs::read(self.folder.path().join("tensor")).expect("the peer's tensor")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
