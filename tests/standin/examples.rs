//! The examples of the CUDA crate and of the TensorRT binding, with and without a GPU.

use super::common::find;
use super::common::standin::{self, Standin};
use std::process::Command;

/// Asserts that without a GPU the program fails with an error that names NVIDIA.
fn assert_missing_driver(command: &mut Command) {
    if cuda::check_driver().is_err() {
        let missing = command.output().unwrap();
        let error = String::from_utf8_lossy(&missing.stderr);
        assert!(!missing.status.success() && error.contains("NVIDIA"), "{error}");
    }
}

#[test]
fn boxes_are_found_on_a_gpu_and_a_missing_driver_is_named() {
    let Some(standin) = Standin::new() else { return };
    let program = find::example("boxes");
    let found = standin.command(&program).env("STANDIN_CHECK", "1").output().unwrap();
    let lines = String::from_utf8_lossy(&found.stdout);
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    assert!(lines.contains("class 0 (0.90): x 0.375, y 0.278, 0.250×0.444 of the frame"), "{lines}");
    assert_missing_driver(&mut Command::new(&program));
}

#[test]
fn an_engine_is_built_and_run_on_a_gpu_and_a_missing_library_is_named() {
    let Some(standin) = Standin::new() else { return };
    let (program, model) = (find::example("engine"), find::root().join("tests/models/yolo.onnx"));
    for how in ["built ", "found "] {
        let ran = standin.command(&program).arg(&model).env("STANDIN_CHECK", "1").output().unwrap();
        let lines = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        assert!(lines.lines().any(|line| line.starts_with(how)), "{lines}");
        // The batch that the profile is tuned for; of black pictures all scores are 0, and the largest number is the
        // centre of the last anchor: 96 pixels less half a stride of 8.
        assert!(lines.lines().any(|line| line == "output0 [2, 7, 126]: 0.0000 to 92.0000"), "{lines}");
    }
    let mut without = Command::new(&program);
    assert_missing_driver(without.arg(&model).env("GST_TENSORRT_LIBRARY", standin::folder().unwrap()));
}
