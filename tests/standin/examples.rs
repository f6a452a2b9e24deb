//! The example of the CUDA crate, with and without a GPU.

use super::common::find;
use super::common::standin::Standin;
use std::process::Command;

#[test]
fn boxes_are_found_on_a_gpu_and_a_missing_driver_is_named() {
    let Some(standin) = Standin::new() else { return };
    // With the features of the whole workspace, as `cargo xtask test` builds it: otherwise everything is recompiled.
    let build = ["build", "--offline", "--workspace", "--example", "boxes"];
    let built = Command::new(env!("CARGO")).args(build).current_dir(find::root()).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    // target/PROFILE/deps/THIS, so target/PROFILE/examples/boxes.
    let program = std::env::current_exe().unwrap().parent().unwrap().with_file_name("examples").join("boxes");

    let found = standin.command(&program).env("STANDIN_CHECK", "1").output().unwrap();
    let lines = String::from_utf8_lossy(&found.stdout);
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    assert!(lines.contains("class 0 (0.90): x 0.375, y 0.278, 0.250×0.444 of the frame"), "{lines}");

    if cuda::check_driver().is_err() {
        let missing = Command::new(&program).output().unwrap();
        let error = String::from_utf8_lossy(&missing.stderr);
        assert!(!missing.status.success() && error.contains("NVIDIA"), "{error}");
    }
}
