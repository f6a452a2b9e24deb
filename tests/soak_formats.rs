//! Exports in every format that their exporters offer find what the export finds that tests/cpu/reference.rs compares with the
//! families' own decoding: opsets, FP16, an input of 8 bits, open dimensions, simplified graphs, `nms=True`. Full sizes find the same
//! on both backends. Takes minutes:
//!
//!     cargo test --release --test soak_formats -- --ignored --nocapture --test-threads 1
//!
//! `SOAK_FORMATS=NAME` runs those of one export. tests/reference/formats.py makes the files.

mod common;

use common::agreement::{Agreement, IOU, Tolerance};
use common::exports::{self, Export};
use common::running::{Running, found_by, start};
use common::{find, standin};
use gst::prelude::*;
use model::Detection;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The percentage of objects that agree where all calculate in FP32, on a GPU, whose TF32 moves scores of seeded weights, and
/// in FP16.
const EXACT: f32 = 100.0;
const ON_A_GPU: f32 = 90.0;
const CLOSE: f32 = 70.0;
/// Pixels of the network's input.
const KEYPOINTS: f32 = 4.0;

/// One file of formats.json.
#[derive(Deserialize)]
struct Format {
    file: PathBuf,
    /// The export whose form it has.
    export: String,
    /// The file that it has to agree with.
    base: PathBuf,
    kind: String,
    height: usize,
    width: usize,
    agreement: Wanted,
    /// Of its error.
    words: Vec<String>,
    /// Properties that it needs besides its export's.
    said: String,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Exact,
    Close,
    Error,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("formats")
}

/// Made once for all tests; `None` if the pictures or Python are missing, which is reported.
static FORMATS: LazyLock<Option<Vec<Format>>> = LazyLock::new(|| {
    let python = find::python()?;
    for file in ["bikes.mp4", "bus.jpg", "zidane.jpg"] {
        find::media(file)?;
    }
    let mut command = Command::new(python);
    command.arg("-B").arg(find::root().join("tests/reference/formats.py")).arg("--out").arg(folder());
    command.arg("--media").arg(find::root().join("media"));
    if let Some(only) = std::env::var_os("SOAK_FORMATS") {
        command.arg("--only").arg(only);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&std::fs::read(folder().join("formats.json")).unwrap()).unwrap())
});

/// What a model finds in a photo of the input's size, in pixels of the input, or the error.
fn objects(backend: &str, format: &Format, model: &Path, said: &str) -> Result<Vec<Detection>, String> {
    let export = exports::detectors().into_iter().find(|export| export.name == format.export);
    let element = export.as_ref().map(|export: &Export| export.element_for(model)).expect("an export of the list");
    let (width, height) = (format.width, format.height);
    // The CPU engine takes a file in FP16 as it is, and only so.
    let precision = if format.kind == "fp16" && model != format.base { "auto" } else { "fp32" };
    let upload = if backend == "cpu" { "identity" } else { "cudaupload" };
    let picture = find::media("bus.jpg").expect("looked for before");
    let running = Running::new(&format!(
        "filesrc location={} ! jpegdec ! videoconvert ! videoscale add-borders=false \
         ! video/x-raw,format=RGBA,width={width},height={height},pixel-aspect-ratio=1/1 ! {upload} \
         ! {element} {said} name=d backend={backend} precision={precision} confidence=0.25 ! appsink name=out sync=false",
        picture.display()
    ));
    let refused = running.0.set_state(gst::State::Playing).is_err();
    let sample = if refused { None } else { running.sink("out").try_pull_sample(common::running::PATIENCE) };
    let Some(buffer) = sample.and_then(|sample| sample.buffer_owned()) else { return Err(running.error()) };
    let mut found = found_by(&buffer, "d");
    found.iter_mut().for_each(|object| object.map_points(|x, y| (x * width as f32, y * height as f32)));
    Ok(found)
}

/// Compares every file on `backend` with its base on the CPU.
fn compare(backend: &str) {
    let (true, Some(formats)) = (start(), FORMATS.as_ref()) else { return };
    let mut bases = BTreeMap::new();
    let (mut problems, mut exports) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
    for format in formats {
        let what = format!("{} {}", format.export, format.kind);
        let found = objects(backend, format, &folder().join(&format.file), &format.said);
        let (percent, least) = match (found, format.agreement) {
            (Err(error), Wanted::Error) => {
                if let Some(word) = format.words.iter().find(|word| !error.contains(*word)) {
                    problems.push(format!("{what}: no {word:?} in: {error}"));
                }
                continue;
            }
            (Ok(_), Wanted::Error) => {
                problems.push(format!("{what}: no error"));
                continue;
            }
            (Err(error), _) => {
                problems.push(format!("{what}: {error}"));
                continue;
            }
            (Ok(found), wanted) => {
                let base = bases
                    .entry(format.base.clone())
                    .or_insert_with(|| objects("cpu", format, &format.base, "").expect("the export works"));
                let mut agreement = Agreement::default();
                let tolerance = Tolerance { iou: Some(IOU), keypoints: KEYPOINTS };
                agreement.add(&what, ["the export", "this format"], base, &found, tolerance);
                if agreement.objects == 0 {
                    problems.push(format!("{what}: there is nothing to compare"));
                }
                let exact = if backend == "cpu" || standin::is_this() { EXACT } else { ON_A_GPU };
                (agreement.percent(), if wanted == Wanted::Exact { exact } else { CLOSE })
            }
        };
        if percent < least {
            problems.push(format!("{what}: {percent:.1} % of the objects agree"));
        }
        exports.entry(&format.export).or_default().push(format!("{} {percent:.0} %", format.kind));
    }
    exports.iter().for_each(|(export, kinds)| println!("{export}, {backend}: {}", kinds.join(", ")));
    assert!(problems.is_empty(), "{} of {} files:\n{}", problems.len(), formats.len(), problems.join("\n"));
    assert!(!exports.is_empty());
}

#[test]
#[ignore = "minutes: cargo test --release --test soak_formats -- --ignored"]
fn every_format_finds_what_its_export_finds() {
    compare("cpu");
}

/// On the stand-in, or on a GPU whose arithmetic is not that of the CPU.
#[test]
#[ignore = "needs a GPU, or the test below"]
fn every_format_finds_the_same_on_the_gpu() {
    match cuda::check_driver() {
        Ok(_) => compare("tensorrt"),
        Err(error) => find::skip("a GPU", &error.message),
    }
}

#[test]
#[ignore = "minutes: cargo test --release --test soak_formats -- --ignored"]
fn every_format_finds_the_same_on_the_standin() {
    standin::run_ignored("every_format_finds_the_same_on_the_gpu", &[("STANDIN_CHECK", "1")]);
}
