//! Errors for files that aren't models; the integration tests cover models that run.

use super::super::test_support::onnx_runtime_found;
use super::*;
use crate::infer::Backend;
use std::path::PathBuf;

fn settings(model: impl Into<PathBuf>) -> ModelSettings {
    ModelSettings { backend: Backend::Cpu, model: model.into(), ..ModelSettings::default() }
}

fn error(model: impl Into<PathBuf>) -> Error {
    CpuEngine::open(&settings(model)).err().expect("not a model")
}

#[test]
fn files_that_cannot_be_models_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = error("/nonexistent/yolo.onnx");
    assert_eq!(missing.kind, ErrorKind::File);
    assert!(missing.message.contains("/nonexistent/yolo.onnx: no such file"), "{missing}");
    assert_eq!(error(folder.path()).kind, ErrorKind::File);

    let empty = folder.path().join("empty.onnx");
    std::fs::write(&empty, "").unwrap();
    assert!(error(empty).message.contains("is empty"));

    let engine = error("yolo.engine");
    assert_eq!(engine.kind, ErrorKind::Setting);
    assert!(engine.message.contains("backend=tensorrt"));
    assert_eq!(error("").kind, ErrorKind::Setting);
}

#[test]
fn files_of_other_kinds_are_recognised() {
    if !onnx_runtime_found("files_of_other_kinds_are_recognised") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (content, expected) in [
        (b"ftrt\0\0\0\0 and so on".as_slice(), "backend=tensorrt"),
        (b"PK\x03\x04 and so on", "zip file"),
        (b"\x1c\0\0\0TFL3 and so on", "TensorFlow Lite"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"\n<!DOCTYPE html><title>404</title>", "web page"),
        (b"\x08\x07\x12\x05truncated", "Is the file complete?"),
    ] {
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, content).unwrap();
        let error = error(&path);
        assert_eq!(error.kind, ErrorKind::Model);
        assert!(error.message.contains(expected) && error.message.contains("model.onnx"), "{error}");
    }
}

fn info(element: ElementType, batch: i64) -> ModelInfo {
    let tensor = |shape| TensorInfo { name: "t".into(), element, shape };
    ModelInfo {
        inputs: vec![tensor(vec![batch, 3, 8, 8])],
        outputs: vec![tensor(vec![batch, 84, 21])],
        ..Default::default()
    }
}

#[test]
fn model_file_decides_the_precision() {
    let (single, half) = (info(ElementType::F32, 1), info(ElementType::F16, 1));
    let check = |precision, info| check_precision(precision, info, Path::new("m.onnx"));
    assert!(check(Precision::Auto, &half).is_ok());
    assert!(check(Precision::Fp32, &single).is_ok());
    for (precision, info) in [(Precision::Fp32, &half), (Precision::Fp16, &half), (Precision::Int8, &single)] {
        let error = check(precision, info).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Setting);
        assert!(error.message.contains("precision=auto"), "{error}");
    }
}

#[test]
fn batch_is_the_models_unless_dynamic() {
    assert_eq!(fixed_batch(&info(ElementType::F32, 4), 0), Some(4));
    assert_eq!(fixed_batch(&info(ElementType::F32, -1), 0), None);
}
