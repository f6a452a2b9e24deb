//! Decoding and NMS of a YOLO output `[84, 8400]`, one thread, against the usual NumPy + OpenCV form.
//!
//! `cargo bench --bench postprocess`. The two alternate on the same data, with two runs per turn: in the first the caches
//! hold the other's data, in the second they hold the output, as after an engine that has just written it. Medians of each
//! are compared. The interpreter is `$PYTHON`, else `python3`; without NumPy and OpenCV only our own times are printed.
//! Fails if the second runs on an ordinary frame have a ratio below 5, or if the two keep different numbers of boxes.

use model::head::{HeadChoice, Output, recognise};
use model::{Detection, ElementType, Head, ModelInfo, Params, TensorInfo, nms};
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

const CLASSES: usize = 80;
const CHANNELS: usize = 4 + CLASSES;
const ANCHORS: usize = 8400;
const WANTED_RATIO: f64 = 5.0;

fn main() -> Result<(), Box<dyn Error>> {
    let usual = usual_frame();
    let mut worst = usual.clone();
    let mut random = Random(7);
    worst[4 * ANCHORS..].fill_with(|| 0.3 + 0.7 * random.next());
    worst[..2 * ANCHORS].fill_with(|| 640.0 * random.next());
    worst[2 * ANCHORS..4 * ANCHORS].fill_with(|| 8.0 + 56.0 * random.next());
    let ratio = compare("usual frame, 20 objects", &usual, 101)?;
    compare("worst case, all anchors pass", &worst, 11)?;
    match ratio {
        Some(ratio) if ratio < WANTED_RATIO => Err(format!("{ratio:.1} times is less than {WANTED_RATIO}").into()),
        _ => Ok(()),
    }
}

/// Noise below the threshold, and 20 objects that 20 neighbouring anchors each detect.
fn usual_frame() -> Vec<f32> {
    let mut random = Random(1);
    let mut data = vec![0.0; CHANNELS * ANCHORS];
    data.fill_with(|| 0.01 * random.next());
    for object in 0..20 {
        let class = (random.next() * CLASSES as f32) as usize;
        let [x, y] = [640.0, 640.0].map(|size| size * random.next());
        let [w, h] = [200.0, 300.0].map(|size| 20.0 + size * random.next());
        for neighbour in 0..20 {
            let anchor = object * 401 + neighbour;
            for (channel, value) in [x, y, w, h].into_iter().enumerate() {
                data[channel * ANCHORS + anchor] = value + 4.0 * random.next();
            }
            data[(4 + class) * ANCHORS + anchor] = 0.3 + 0.6 * random.next();
        }
    }
    data
}

/// Seconds of the two runs of a turn.
type Turn = [f64; 2];

/// Prints the medians; returns the ratio of the second runs if there is a peer.
fn compare(name: &str, data: &[f32], turns: usize) -> Result<Option<f64>, Box<dyn Error>> {
    let head = head()?;
    let params = Params::default();
    let mut found = Vec::new();
    let mut peer = Peer::start(data)?;
    let (mut own, mut decoding, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let mut candidates = 0;
    for turn in 0..turns + 2 {
        let (mut times, mut decoded) = (Turn::default(), Turn::default());
        for run in 0..2 {
            let start = Instant::now();
            decoded[run] = once(&*head, data, &params, &mut found, &mut candidates)?;
            times[run] = start.elapsed().as_secs_f64();
        }
        let answer = match &mut peer {
            Some(peer) => Some(peer.turn()?),
            None => None,
        };
        if let Some((_, kept)) = answer.filter(|&(_, kept)| kept != found.len()) {
            return Err(format!("{name}: {} boxes kept here, {kept} by the peer", found.len()).into());
        }
        // The first two turns are the warm-up.
        if turn >= 2 {
            own.push(times);
            decoding.push(decoded);
            theirs.extend(answer.map(|(times, _)| times));
        }
    }
    println!("{name}: {candidates} candidates, {} kept; first and second run of a turn, us", found.len());
    let show = |what: &str, [first, second]: Turn| println!("  {what:15} {:10.1} {:10.1}", first * 1e6, second * 1e6);
    let own = medians(&own);
    show("decode", medians(&decoding));
    show("decode + NMS", own);
    if theirs.is_empty() {
        println!("  NumPy + OpenCV  not measured: no Python with numpy and opencv-python-headless (set PYTHON)");
        return Ok(None);
    }
    let theirs = medians(&theirs);
    show("NumPy + OpenCV", theirs);
    let ratio = [theirs[0] / own[0], theirs[1] / own[1]];
    println!("  {:15} {:10.1} {:10.1}", "ratio", ratio[0], ratio[1]);
    Ok(Some(ratio[1]))
}

/// Processes one frame; returns the seconds that decoding alone took.
fn once(
    head: &dyn Head,
    data: &[f32],
    params: &Params,
    found: &mut Vec<Detection>,
    candidates: &mut usize,
) -> Result<f64, Box<dyn Error>> {
    found.clear();
    let start = Instant::now();
    head.decode(&[Output { shape: &[CHANNELS, ANCHORS], data }], params, found)?;
    let decoded = start.elapsed().as_secs_f64();
    *candidates = found.len();
    nms(found, params);
    Ok(decoded)
}

fn head() -> Result<std::sync::Arc<dyn Head>, Box<dyn Error>> {
    let tensor =
        |name: &str, shape: &[i64]| TensorInfo { name: name.into(), element: ElementType::F32, shape: shape.to_vec() };
    let model = ModelInfo {
        inputs: vec![tensor("images", &[1, 3, 640, 640])],
        outputs: vec![tensor("output0", &[1, CHANNELS as i64, ANCHORS as i64])],
        ..ModelInfo::default()
    };
    Ok(recognise(&model, HeadChoice::Auto)?.head)
}

fn medians(turns: &[Turn]) -> Turn {
    [0, 1].map(|run| {
        let mut times: Vec<f64> = turns.iter().map(|turn| turn[run]).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

/// The Python process, with the data in a file.
struct Peer {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    _data: tempfile::NamedTempFile,
}

impl Peer {
    /// `None` if Python or its modules are missing.
    fn start(data: &[f32]) -> Result<Option<Self>, Box<dyn Error>> {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let modules = Command::new(&python).args(["-c", "import cv2, numpy"]).stderr(Stdio::null()).status();
        if !modules.is_ok_and(|status| status.success()) {
            return Ok(None);
        }
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(&data.iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<_>>())?;
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/postprocess.py"))
            .arg(file.path())
            .args([CHANNELS.to_string(), ANCHORS.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let ask = child.stdin.take().ok_or("no pipe")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        Ok(Some(Self { child, ask, answers, _data: file }))
    }

    /// Two runs, and the number of boxes kept.
    fn turn(&mut self) -> Result<(Turn, usize), Box<dyn Error>> {
        self.ask.write_all(b"\n")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [first, second, kept] => Ok(([first.parse()?, second.parse()?], kept.parse()?)),
            _ => Err("the peer ended".into()),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A linear congruential generator (Knuth's MMIX constants): the same numbers everywhere.
struct Random(u64);

impl Random {
    /// 0–1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }
}
