//! The tests of this module, and of tracks, on the stand-in library.

use crate::common::analytics;
use crate::common::find;
use std::path::Path;
use std::process::Command;

/// Set in a process that runs on the stand-in.
const MARK: &str = "TEST_ANALYTICS_STANDIN";

/// The modules of tests that are run on it.
const TESTS: [&str; 7] = [
    "analytics::masks",
    "analytics::oriented",
    "analytics::writing",
    "analytics::reading",
    "analytics::regions",
    "analytics::classes",
    "tracking::",
];

/// Compiles the library into a folder. Returns false if the machine has no compiler or no headers.
fn built(folder: &Path, keypoints: bool) -> bool {
    let flags = Command::new("pkg-config").args(["--cflags", "--libs", "gstreamer-video-1.0"]).output();
    let Some(flags) = flags.ok().filter(|output| output.status.success()) else {
        find::skip("GStreamer's headers", "cargo xtask setup");
        return false;
    };
    let mut compiler = Command::new("cc");
    compiler.args(["-Wall", "-Werror", "-shared", "-fPIC", "-o"]).arg(folder.join("libgstanalytics-1.0.so.0"));
    compiler.arg(find::root().join("tests/elements/analytics/library.c"));
    compiler.args(String::from_utf8(flags.stdout).unwrap().split_whitespace());
    compiler.arg("-lm");
    if keypoints {
        compiler.args(["-DORIENTED", "-DKEYPOINTS"]);
    }
    let Ok(status) = compiler.status() else {
        find::skip("cc", "apt install gcc");
        return false;
    };
    assert!(status.success(), "{compiler:?}");
    true
}

/// Runs the tests whose names begin with one of these in a process on the stand-in.
fn run(keypoints: bool, tests: &[&str]) {
    // A root has no compiler; what is tested there is its own library.
    if std::env::var_os(MARK).is_some() || find::in_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    if !built(folder.path(), keypoints) {
        return;
    }
    let mut search = vec![folder.path().to_owned()];
    search.extend(std::env::split_paths(&std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default()));
    let mut command = Command::new(std::env::current_exe().unwrap());
    let command = command.args(tests).args(["--nocapture", "--test-threads", "1"]);
    let command = command.env(MARK, "1").env("LD_LIBRARY_PATH", std::env::join_paths(search).unwrap());
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && !text.contains("running 0 tests"), "{}\n{text}", output.status);
}

/// Where GStreamer has the library, the same tests run on that.
#[test]
fn the_library_of_1_24() {
    if !analytics::is_there() {
        run(false, &TESTS);
    }
}

#[test]
fn the_library_of_1_30() {
    run(true, &TESTS);
}
