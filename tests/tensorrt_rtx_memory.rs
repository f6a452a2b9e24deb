//! Memory of the binding with TensorRT-RTX: no growth, and no invalid access. Runs in its own process.

mod common;

use common::find;
use common::process::resident;
use common::rtx::{rtx, settings, test_model};
use std::process::Command;
use tensorrt::{BuildControl, build};

/// Resident memory after each, KiB.
fn build_times(count: usize) -> Option<Vec<u64>> {
    let (library, onnx) = (rtx()?, test_model("yolo"));
    let mut after = Vec::new();
    for _ in 0..count {
        build(library, &onnx, &settings(), &[], &BuildControl::default()).unwrap();
        after.push(resident() / 1024);
    }
    Some(after)
}

#[test]
fn a_hundred_builds_do_not_grow() {
    let Some(after) = build_times(100) else { return };
    println!("resident after 20 builds {} KiB, after 100 {} KiB", after[19], after[99]);
    assert!(after[99].saturating_sub(after[19]) < 4096, "{after:?}");
}

#[test]
#[ignore = "for the test below"]
fn one_build() {
    build_times(1);
}

/// The file of the innermost frame of a memcheck error.
fn innermost(error: &str) -> &str {
    error.split_once("<obj>").and_then(|(_, rest)| rest.split_once("</obj>")).map_or("", |(object, _)| object)
}

/// A complete build under memcheck: no error in the binding, nor in its arguments. The dynamic loader compares strings by
/// words, beyond their end, and TensorRT's own code isn't ours.
#[test]
#[ignore = "a minute and a half"]
fn memcheck_finds_nothing_of_ours() {
    if rtx().is_none() {
        return;
    }
    let log = tempfile::NamedTempFile::new().unwrap();
    let status = Command::new("valgrind")
        .args(["--leak-check=full", "--show-leak-kinds=definite", "--num-callers=40", "--xml=yes"])
        .arg(format!("--xml-file={}", log.path().display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "one_build", "--test-threads", "1"])
        .status();
    match status {
        Ok(status) => assert!(status.success()),
        Err(error) => return find::skip("valgrind", &error.to_string()),
    }
    let xml = std::fs::read_to_string(log.path()).unwrap();
    assert!(xml.contains("</valgrindoutput>"), "valgrind didn't end");
    let errors: Vec<&str> = xml.split("<error>").skip(1).filter_map(|error| error.split("</error>").next()).collect();
    let elsewhere = |error: &str| ["ld-linux", "libtensorrt"].iter().any(|file| innermost(error).contains(file));
    let ours: Vec<_> = errors.iter().filter(|error| error.contains("gsttensorrt") && !elsewhere(error)).collect();
    println!("{} errors elsewhere, {} of ours", errors.len() - ours.len(), ours.len());
    assert!(ours.is_empty(), "{ours:?}");
}
