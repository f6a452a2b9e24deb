//! Files and libraries that tests need, and the uniform report of tests that lack one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Reports why this test is skipped: `skipped: TEST: WHAT is missing: HOW TO GET IT`, one line on stderr.
///
/// Written directly to stderr: the test harness hides what passing tests print with macros.
pub fn skip(what: &str, remedy: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("test");
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {what} is missing: {remedy}");
}

/// The repository's root, or its replacement on a machine to which the tests were copied (`cargo xtask gpu-bundle`).
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        std::env::var_os("GST_TENSORRT_ROOT").map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
    });
    &ROOT
}

/// True in a root with another GStreamer (`cargo xtask roots`), which has neither a compiler nor cargo.
pub fn in_root() -> bool {
    std::env::var_os("IN_ROOT").is_some()
}

/// An example of the workspace, built with the features of the whole workspace, as `cargo xtask test` builds it: otherwise
/// everything is recompiled. A root runs what was built on its machine.
pub fn example(name: &str) -> PathBuf {
    if !in_root() {
        let build = ["build", "--offline", "--workspace", "--example", name];
        let built = std::process::Command::new(env!("CARGO")).args(build).current_dir(root()).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }
    // target/PROFILE/deps/THIS, so target/PROFILE/examples/NAME.
    std::env::current_exe().unwrap().parent().unwrap().with_file_name("examples").join(name)
}

/// The `gst-trt` of this build, or that of the bundle.
pub fn gst_trt() -> PathBuf {
    first([root().join("bin/gst-trt"), PathBuf::from(env!("CARGO_BIN_EXE_gst-trt"))]).expect("cargo built it")
}

/// A cache for engines in `folder` that knows the timings of GPU builds kept on this machine, if there are any: a small model is
/// then built in seconds.
pub fn engine_cache(folder: &Path) -> PathBuf {
    let cache = folder.join("cache");
    let timings = files::user_folder::cache().join("gst-tensorrt/timings");
    if timings.is_dir() && !cache.exists() {
        std::fs::create_dir(&cache).unwrap();
        std::os::unix::fs::symlink(timings, cache.join("timings")).unwrap();
    }
    cache
}

/// A test model by name, for example `yolo-pose`; tests/models/README.md says what each does.
pub fn test_model(name: &str) -> PathBuf {
    let path = root().join("tests/models").join(format!("{name}.onnx"));
    assert!(path.exists(), "{} isn't there: tests/models/make.py makes it", path.display());
    path
}

/// A real model from models/, or from the shared folder beside the repository; else skips.
pub fn real_model(name: &str) -> Option<PathBuf> {
    let file = format!("{name}.onnx");
    let found = first([root().join("models").join(&file), shared().join("models").join(&file)]);
    if found.is_none() {
        skip(&format!("models/{file}"), &format!("cargo xtask models {name}"));
    }
    found
}

/// The clips on which engines are compared.
pub const CLIPS: [&str; 2] = ["bikes.mp4", "vtest_h264.mp4"];

/// A picture or clip from media/, or from the shared folder beside the repository; else skips.
pub fn media(file: &str) -> Option<PathBuf> {
    let found = first([root().join("media").join(file), shared().join("media").join(file)]);
    if found.is_none() {
        skip(&format!("media/{file}"), "cargo xtask setup");
    }
    found
}

/// The Python of the test scripts' virtual environment; else skips.
pub fn python() -> Option<PathBuf> {
    if in_root() {
        skip("the virtual environment of this machine's Python", "it's tested outside of the roots");
        return None;
    }
    let found = first([root().join("target/test-venv/bin/python")]);
    if found.is_none() {
        skip("target/test-venv", "cargo xtask setup");
    }
    found
}

/// True if the CPU engine's library exists; else skips. A library that exists but can't be opened fails the test.
pub fn onnx_runtime() -> bool {
    let Err(error) = gsttensorrt::cpu::load_library() else { return true };
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let data = data.or_else(|| std::env::home_dir().map(|home| home.join(".local/share")));
    let installed = data.is_some_and(|d| {
        let files = std::fs::read_dir(d.join("gst-tensorrt/lib")).into_iter().flatten().flatten();
        files.into_iter().any(|f| f.file_name().to_string_lossy().starts_with("libonnxruntime.so"))
    });
    assert!(!installed && std::env::var_os("ORT_DYLIB_PATH").is_none(), "{error}");
    skip("ONNX Runtime", "cargo xtask setup");
    false
}

/// A folder of test material that isn't part of the repository; it may be missing.
pub fn shared() -> PathBuf {
    root().join("../shared")
}

fn first<const N: usize>(paths: [PathBuf; N]) -> Option<PathBuf> {
    paths.into_iter().find(|p| p.exists())
}
