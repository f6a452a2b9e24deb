//! HOTA, IDF1 and MOTA of each algorithm beside GStreamer's ioutracker and PyPI's `trackers` and `supervision`, in one table.
//!
//! `metrics.py` makes the detections and judges; this program tracks. `cargo test -p gst-tensorrt-tracking --test metrics
//! -- --nocapture` prints the table of few seeds, with `--include-ignored` that of 20, which with `UPDATE_METRICS=1` is also
//! written into docs/tracking.md.

use model::Rect;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tracking::{Algorithm, Observation, Settings, State, tracker};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Both sequences have 25 frames per second.
const FRAME_INTERVAL: Duration = Duration::from_millis(40);
const LENGTHS: [(&str, u32); 2] = [("TUD-Campus", 71), ("TUD-Stadtmitte", 179)];
const METRICS: [&str; 3] = ["HOTA", "IDF1", "MOTA"];
/// By how many points a value may be below another that it must reach.
const TOLERANCE: f64 = 0.5;
/// By how many points `supervision` is ahead at most: docs/tracking.md.
const SUPERVISION_LEAD: f64 = 1.8;

/// The interpreter with the packages of tests/reference/tracking.txt, if it is there.
fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-venv/bin/python");
    let modules =
        "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ['trackers', 'trackeval', 'motmetrics'])))";
    let found = Command::new(&python).args(["-c", modules]).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        eprintln!("skipped: target/test-venv has no trackers, trackeval or motmetrics: cargo xtask setup");
    }
    found.then_some(python)
}

fn script(python: &Path, arguments: &[&str]) -> Result<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/metrics.py");
    let output = Command::new(python).arg(script).args(arguments).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("metrics.py {arguments:?}: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The tracks of a file of detections: in frames that the model saw the confirmed ones, in the others the predicted.
fn track(detections: &str, frames: u32, algorithm: Algorithm) -> Result<String> {
    let settings = Settings { algorithm, frame_interval: FRAME_INTERVAL, ..Settings::default() };
    let mut tracker = tracker::new(settings)?;
    let mut seen: BTreeMap<u32, Vec<Observation>> = BTreeMap::new();
    for line in detections.lines() {
        let values = line.split(',').map(str::parse).collect::<std::result::Result<Vec<f32>, _>>()?;
        let observations = seen.entry(values[0] as u32).or_default();
        if let [_, _, x, y, w, h, confidence] = values[..] {
            observations.push(Observation { rect: Rect::new(x, y, w, h), confidence, ..Observation::default() });
        }
    }
    let mut lines = String::new();
    for frame in 1..=frames {
        let time = FRAME_INTERVAL * frame;
        let tracks = match seen.get(&frame) {
            Some(observations) => tracker.update(time, observations),
            None => tracker.predict(time),
        };
        let skipped = !seen.contains_key(&frame);
        for track in tracks {
            if track.state == State::Confirmed || skipped && track.missed == 0 {
                let Rect { x, y, w, h } = track.rect;
                writeln!(lines, "{frame},{},{x},{y},{w},{h},{}", track.id, track.confidence)?;
            }
        }
    }
    Ok(lines)
}

/// The names of a cell, and its metrics by tracker.
type Cells = BTreeMap<String, BTreeMap<String, Vec<f64>>>;

fn judge(python: &Path, seeds: u32) -> Result<Cells> {
    let folder = std::env::temp_dir().join(format!("tracking-metrics-{}-{seeds}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let path = folder.to_str().ok_or("the temporary folder's name isn't UTF-8")?;
    script(python, &["detections", path, &seeds.to_string()])?;
    let files = fs::read_dir(&folder)?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
    for algorithm in Algorithm::ALL {
        fs::create_dir(folder.join(algorithm.name()))?;
        for file in &files {
            let name = file.to_string_lossy();
            let (_, frames) = LENGTHS.into_iter().find(|(prefix, _)| name.starts_with(prefix)).ok_or("unknown file")?;
            let tracks = track(&fs::read_to_string(folder.join(file))?, frames, algorithm)?;
            fs::write(folder.join(algorithm.name()).join(file), tracks)?;
        }
    }
    let printed = script(python, &["judge", path])?;
    fs::remove_dir_all(&folder)?;
    let mut cells = Cells::new();
    for line in printed.lines() {
        let [sequence, misses, interval, frames, tracker, values @ ..] = &line.split(';').collect::<Vec<_>>()[..]
        else {
            continue;
        };
        let values = values.iter().map(|value| value.parse()).collect::<std::result::Result<_, _>>()?;
        let cell = format!("{sequence:14} {misses:>2} % missed, interval {interval}, {frames} frames");
        cells.entry(cell).or_default().insert((*tracker).to_owned(), values);
    }
    Ok(cells)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Prints the table; returns what is wrong with it. In few seeds a single exchange of two ids is more than the tolerance,
/// so that there PyPI's implementation is compared in the mean of all cells only.
fn compare(cells: &Cells, each_cell: bool) -> Vec<String> {
    let (mut wrong, mut over_iou, mut over_peer) = (Vec::new(), BTreeMap::new(), Vec::new());
    for (cell, trackers) in cells {
        println!("{cell}");
        for (tracker, values) in trackers {
            let values: Vec<_> =
                METRICS.iter().zip(values).map(|(name, value)| format!("{name} {value:5.1}")).collect();
            println!("    {tracker:31} {}", values.join("   "));
        }
        let Some(iou) = trackers.get("ioutracker") else { continue };
        for (index, metric) in METRICS.into_iter().enumerate() {
            for algorithm in Algorithm::ALL {
                let over = trackers[algorithm.name()][index] - iou[index];
                over_iou.entry(algorithm.name()).or_insert_with(Vec::new).push(over);
                if over < -TOLERANCE {
                    wrong.push(format!("{cell}: {metric} of {algorithm} is {over:.1} beside ioutracker"));
                }
            }
            let default = Algorithm::default();
            let over_best_of = |package: &str| {
                let peers = trackers.iter().filter(|(name, _)| name.starts_with(&format!("{default} of {package}")));
                let best = peers.map(|(_, values)| values[index]).fold(f64::MIN, f64::max);
                trackers[default.name()][index] - best
            };
            over_peer.push(over_best_of(""));
            for (package, tolerance) in [("trackers", TOLERANCE), ("supervision", SUPERVISION_LEAD)] {
                let over = over_best_of(package);
                if each_cell && over < -tolerance {
                    wrong.push(format!("{cell}: {metric} of {default} is {over:.1} beside that of {package}"));
                }
            }
        }
    }
    for (algorithm, over) in over_iou {
        let over = mean(&over);
        println!("{algorithm}: {over:+.1} beside ioutracker in the mean");
        if over <= 0.0 {
            wrong.push(format!("{algorithm} is {over:.1} beside ioutracker in the mean"));
        }
    }
    let over = mean(&over_peer);
    println!("{}: {over:+.1} beside PyPI's in the mean", Algorithm::default());
    if over < -TOLERANCE {
        wrong.push(format!("{} is {over:.1} beside PyPI's in the mean", Algorithm::default()));
    }
    wrong
}

fn check(seeds: u32, each_cell: bool) -> Option<Cells> {
    let python = python()?;
    let cells = judge(&python, seeds).unwrap();
    assert_eq!(cells.len(), 2 * 3 * 3 * 2);
    let wrong = compare(&cells, each_cell);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Some(cells)
}

/// The rows of docs/tracking.md: of the frames that the model saw HOTA, IDF1 and MOTA of each tracker, and of the default
/// the best values that a published implementation has.
fn rows(cells: &Cells) -> String {
    let mut rows = String::new();
    for (cell, trackers) in cells.iter().filter(|(cell, _)| cell.ends_with("seen frames")) {
        let write = |values: &[f64]| {
            METRICS.iter().zip(values).map(|(_, value)| format!("{value:.1}")).collect::<Vec<_>>().join(" ")
        };
        let values = |name: &str| write(&trackers[name]);
        let ours = Algorithm::ALL.map(|algorithm| values(algorithm.name())).join(" | ");
        let peers = trackers.iter().filter(|(name, _)| name.starts_with(&format!("{} of ", Algorithm::default())));
        let greater = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(&b).map(|(a, b)| a.max(*b)).collect();
        let best = write(&peers.map(|(_, values)| values.clone()).reduce(greater).unwrap_or_default());
        let cell = cell.split_whitespace().collect::<Vec<_>>().join(" ");
        let cell = cell.trim_end_matches(", seen frames");
        writeln!(rows, "| {cell} | {ours} | {} | {best} |", values("ioutracker")).unwrap();
    }
    rows
}

/// Writes the rows below the header of the table in docs/tracking.md.
fn write_table(cells: &Cells) {
    const HEADER_END: &str = "|---|---|---|---|---|---|\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/tracking.md");
    let page = fs::read_to_string(path).unwrap();
    let (before, after) = page.split_once(HEADER_END).unwrap();
    let old: usize = after.lines().take_while(|line| line.starts_with('|')).map(|line| line.len() + 1).sum();
    fs::write(path, format!("{before}{HEADER_END}{}{}", rows(cells), &after[old..])).unwrap();
}

#[test]
fn no_algorithm_is_below_its_peers() {
    check(2, false);
}

#[test]
#[ignore = "takes minutes: 20 seeds"]
fn no_algorithm_is_below_its_peers_in_20_seeds() {
    let cells = check(20, true);
    if let Some(cells) = cells.filter(|_| std::env::var_os("UPDATE_METRICS").is_some()) {
        write_table(&cells);
    }
}
