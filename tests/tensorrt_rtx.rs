//! The binding against a real TensorRT that needs no GPU to build: TensorRT-RTX 1.7, from PyPI.

use gsttensorrt::tensorrt::{BuildControl, BuildSettings, Error, Library, Onnx, build};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

fn cache() -> PathBuf {
    std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"), PathBuf::from)
        .join("gst-tensorrt")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The library, or `None` (said) where it hasn't been fetched.
fn rtx() -> Option<&'static Library> {
    gst::init().unwrap();
    let folder = cache().join("tensorrt_rtx_cu13_libs-1.7.1.116");
    if !folder.is_dir() {
        eprintln!("skipped: {} isn't there", folder.display());
        return None;
    }
    Some(Library::open(Some(&folder)).unwrap())
}

/// The first of these that is there; `None` (said) if none is.
fn model(names: &[&str]) -> Option<Onnx> {
    let found = names.iter().map(|name| root().join(name)).find(|path| path.exists());
    if found.is_none() {
        eprintln!("skipped: {} isn't there", names.join(" or "));
    }
    found.map(|path| Onnx::open(&path).unwrap())
}

/// For an RTX 30 card, so that no GPU is needed.
fn settings() -> BuildSettings {
    BuildSettings { compute_capability: Some((8, 6)), ..BuildSettings::default() }
}

fn build_twice(onnx: &Onnx, library: &'static Library) {
    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&steps);
    let on_progress = Arc::new(move |_: &str, fraction: f32| seen.lock().unwrap().push(fraction));
    let control = BuildControl { on_progress: Some(on_progress), ..BuildControl::default() };
    let start = std::time::Instant::now();
    let first = build(library, onnx, &settings(), &[], &control).unwrap();
    println!("{}: {} bytes in {:?}", onnx.path().display(), first.plan.len(), start.elapsed());
    let second = build(library, onnx, &settings(), &first.timings, &BuildControl::default()).unwrap();
    assert_eq!(first.plan.len(), second.plan.len());

    let steps = steps.lock().unwrap();
    assert!(steps.is_sorted() && steps.last() == Some(&1.0), "{steps:?}");
}

#[test]
fn version_is_read() {
    let Some(library) = rtx() else { return };
    assert_eq!(library.version().to_string(), "TensorRT-RTX 1.7.1");
    assert!(library.has_builder());
}

#[test]
fn builds_yolov12n() {
    let (Some(library), Some(onnx)) = (rtx(), model(&["models/yolov12n.onnx"])) else { return };
    build_twice(&onnx, library);
}

#[test]
fn builds_movenet() {
    for name in ["movenet-lightning", "movenet-multipose"] {
        let shared = format!("../shared/models/{name}.onnx");
        let (Some(library), Some(onnx)) = (rtx(), model(&[&format!("models/{name}.onnx"), &shared])) else { return };
        build_twice(&onnx, library);
    }
}

#[test]
fn without_a_gpu_running_is_refused() {
    let Some(library) = rtx() else { return };
    if Path::new("/dev/nvidiactl").exists() {
        eprintln!("skipped: this machine has a GPU");
        return;
    }
    match library.runtime(None).and_then(|runtime| runtime.deserialize(&[1; 4096], Path::new("x.engine"))) {
        Err(Error::Call { .. } | Error::Engine { .. }) => {}
        other => panic!("{other:?}"),
    }
}
