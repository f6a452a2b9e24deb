//! The examples of the CUDA crate and of the TensorRT binding, with and without a GPU.

use super::common::find;
use super::common::standin::{self, Standin};
use std::path::PathBuf;
use std::process::Command;

/// Builds the examples and returns where they are.
fn built() -> PathBuf {
    // With the features of the whole workspace, as `cargo xtask test` builds it: otherwise everything is recompiled.
    let build = ["build", "--offline", "--workspace", "--example", "boxes", "--example", "engine"];
    let built = Command::new(env!("CARGO")).args(build).current_dir(find::root()).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    // target/PROFILE/deps/THIS, so target/PROFILE/examples.
    std::env::current_exe().unwrap().parent().unwrap().with_file_name("examples")
}

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
    let program = built().join("boxes");
    let found = standin.command(&program).env("STANDIN_CHECK", "1").output().unwrap();
    let lines = String::from_utf8_lossy(&found.stdout);
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    assert!(lines.contains("class 0 (0.90): x 0.375, y 0.278, 0.250×0.444 of the frame"), "{lines}");
    assert_missing_driver(&mut Command::new(&program));
}

#[test]
fn an_engine_is_built_and_run_on_a_gpu_and_a_missing_library_is_named() {
    let Some(standin) = Standin::new() else { return };
    let (program, model) = (built().join("engine"), find::root().join("tests/models/yolo.onnx"));
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
