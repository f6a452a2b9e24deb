//! The binding against a real TensorRT that needs no GPU to build: TensorRT-RTX 1.7, from PyPI.

use crate::common::find;
use crate::common::rtx::{cache, real_model, rtx, settings, test_model};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tensorrt::{
    BuildControl, BuildSettings, Cancel, DEFAULT_LIMIT, EngineCache, EnginePrecision, Error, Library, OnProgress, Onnx,
    Timings, build,
};

fn build_twice(onnx: &Onnx, library: &'static Library) {
    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&steps);
    let on_progress = Arc::new(move |_: &str, fraction: f32| seen.lock().unwrap().push(fraction));
    let control = BuildControl { on_progress: Some(on_progress), ..BuildControl::default() };
    let start = Instant::now();
    let first = build(library, onnx, &settings(), &[], &control).unwrap();
    println!("{}: {} bytes in {:?}", onnx.path().display(), first.plan.len(), start.elapsed());
    let first_length = first.timings.len();
    let first_timings = Timings { file: "the first build".into(), bytes: first.timings };
    let second = build(library, onnx, &settings(), &[first_timings], &BuildControl::default()).unwrap();
    println!("timings: {} and {} bytes", first_length, second.timings.len());
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
    let (Some(library), Some(onnx)) = (rtx(), real_model("yolov12n")) else { return };
    build_twice(&onnx, library);
}

#[test]
fn builds_movenet() {
    for name in ["movenet-lightning", "movenet-multipose"] {
        let (Some(library), Some(onnx)) = (rtx(), real_model(name)) else { return };
        build_twice(&onnx, library);
    }
}

#[test]
fn builds_yolo_pose() {
    let Some(library) = rtx() else { return };
    build_twice(&test_model("yolo-pose"), library);
}

#[test]
fn builds_a_dynamic_batch() {
    let Some(library) = rtx() else { return };
    let settings = BuildSettings { batch_size: 8, ..settings() };
    let built = build(library, &test_model("yolo"), &settings, &[], &BuildControl::default()).unwrap();
    let [input] = &built.profile[..] else { panic!("{:?}", built.profile) };
    assert_eq!([input.min[0], input.opt[0], input.max[0]], [1, 4, 8]);
}

/// Strongly typed: INT8 and FP16 come from the converted model. The parser accepts FP16 scales in any opset.
#[test]
fn builds_a_quantised_model() {
    let Some(library) = rtx() else { return };
    let onnx = test_model("yolo-qdq");
    let int8 = BuildSettings { precision: EnginePrecision::Int8, batch_size: 4, ..settings() };
    let built = build(library, &onnx, &int8, &[], &BuildControl::default()).unwrap();
    assert!(!built.plan.is_empty());
    match build(library, &test_model("yolo"), &int8, &[], &BuildControl::default()) {
        Err(Error::Model { reason, .. }) => assert!(reason.contains("precision=int8"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_cache_answers_within_100_ms() {
    let (Some(library), Some(onnx)) = (rtx(), real_model("yolov12n")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let cache = EngineCache::new(folder.path(), DEFAULT_LIMIT);
    let get = || cache.get_or_build(library, None, onnx.path(), &settings(), &BuildControl::default()).unwrap();
    let built = get();
    let mut times: Vec<_> = (0..5)
        .map(|_| {
            let start = Instant::now();
            let read = get();
            assert!(!read.built && read.plan == built.plan);
            start.elapsed()
        })
        .collect();
    times.sort();
    println!("{} bytes read from the cache in {:?}", built.plan.len(), times[0]);
    assert!(times[0] < Duration::from_millis(100), "{times:?}");
}

#[test]
fn a_refused_model_names_the_node() {
    let Some(library) = rtx() else { return };
    // An unknown operator in an otherwise valid model.
    let mut bytes = test_model("yolo").bytes().to_vec();
    let position = bytes.windows(4).position(|window| window == b"Conv").expect("a Conv");
    bytes[position..position + 4].copy_from_slice(b"Covn");
    let onnx = Onnx::from_bytes(Path::new("broken.onnx"), bytes).unwrap();
    match build(library, &onnx, &settings(), &[], &BuildControl::default()) {
        Err(error @ Error::Parse { .. }) => {
            println!("{error}");
            let text = error.to_string();
            assert!(
                text.starts_with("broken.onnx: TensorRT's ONNX parser refuses it: node ") && text.contains("Covn"),
                "{text}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn truncated_models_are_refused() {
    let Some(library) = rtx() else { return };
    let bytes = test_model("yolo").bytes().to_vec();
    for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        let path = Path::new("truncated.onnx");
        let result = Onnx::from_bytes(path, bytes[..length].to_vec())
            .and_then(|onnx| build(library, &onnx, &settings(), &[], &BuildControl::default()));
        match result {
            Err(Error::Parse { .. } | Error::Model { .. }) => {}
            other => panic!("{length} bytes: {other:?}"),
        }
    }
}

#[test]
fn cancelled_builds_end() {
    let (Some(library), Some(onnx)) = (rtx(), real_model("yolov12n")) else {
        return;
    };
    let cancel = Cancel::default();
    let set = Arc::clone(&cancel);
    let on_progress: OnProgress = Arc::new(move |_, _| set.store(true, Ordering::Relaxed));
    let control = BuildControl { cancel, on_progress: Some(on_progress), ..BuildControl::default() };
    match build(library, &onnx, &settings(), &[], &control) {
        Err(Error::Cancelled { .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_lean_runtime_is_read_and_its_missing_parts_are_named() {
    gst::init().unwrap();
    let file = cache().join("tensorrt_lean_cu13_libs-11.4.0.106/libnvinfer_lean.so.11");
    if !file.exists() {
        find::skip(&file.display().to_string(), "cargo xtask setup");
        return;
    }
    let library = Library::open(Some(&file)).unwrap();
    assert_eq!(library.version().to_string(), "TensorRT lean runtime 11.4.0");
    assert!(!library.has_builder());
    let error = library.builder(None, None).unwrap_err().to_string();
    assert!(error.contains("createInferBuilder_INTERNAL"), "{error}");
    match library.runtime(None) {
        Ok(runtime) => {
            println!("there is a driver: garbage is refused");
            assert!(runtime.deserialize(&[7; 4096], Path::new("x.engine")).is_err());
        }
        Err(error) => println!("{error}"),
    }
}

#[test]
fn without_a_gpu_running_is_refused() {
    let Some(library) = rtx() else { return };
    if Path::new("/dev/nvidiactl").exists() {
        find::skip("a machine without a GPU", "this one has a driver");
        return;
    }
    match library.runtime(None).and_then(|runtime| runtime.deserialize(&[1; 4096], Path::new("x.engine"))) {
        Err(Error::Call { .. } | Error::Engine { .. }) => {}
        other => panic!("{other:?}"),
    }
}
