//! Libraries of other systems: their own ONNX Runtime, and a TensorRT under their C library.

use super::common::find;
use super::systems;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Each root's own ONNX Runtime, whose soname has its minor version in it, is found and gives what this machine's gives.
#[test]
fn a_distributions_onnx_runtime_is_found_and_finds_the_same() {
    if !find::onnx_runtime() {
        return;
    }
    // Its folder in the user's data is empty.
    let data = tempfile::tempdir().unwrap();
    let [host, roots @ ..] = systems() else { unreachable!("this machine is one") };
    let mut model = "trtdetect backend=cpu model=tests/models/yolo.onnx".to_owned();
    model += " ! trtpose backend=cpu model=tests/models/yolo-pose.onnx ! trtpublish location=- stream-id=s ! fakesink";
    let source =
        "videotestsrc num-buffers=3 pattern=smpte ! video/x-raw,format=RGB,width=192,height=128,framerate=30/1";
    let pipeline = format!("-q {source} ! {model}");
    let words: Vec<_> = pipeline.split_whitespace().collect();
    let here = host.command("gst-launch-1.0").args(&words).current_dir(find::root()).output().unwrap();
    assert!(String::from_utf8_lossy(&here.stdout).contains("\"keypoints\""));
    for root in roots {
        let version = match root.name {
            "trixie" => "1.21",
            _ => "1.23",
        };
        let mut command = root.command("gst-launch-1.0");
        command.args(&words).current_dir(find::root());
        command.env("XDG_DATA_HOME", data.path()).env_remove("ORT_DYLIB_PATH").env("GST_DEBUG", "trtcpu:4");
        let there = command.output().unwrap();
        let log = String::from_utf8_lossy(&there.stderr);
        assert!(log.contains(&format!("Opened ONNX Runtime {version}")), "{}: {log}", root.name);
        // A telemetry that is off is no warning.
        assert!(!log.lines().any(|line| line.contains("trtcpu") && line.contains("WARN")), "{}: {log}", root.name);
        assert_eq!(String::from_utf8_lossy(&there.stdout), String::from_utf8_lossy(&here.stdout), "{}", root.name);
    }
}

/// A TensorRT 10.6 of which only the functions exist that are called first; its builder resource asks for an executable
/// stack, as NVIDIA's does.
fn tensorrt(folder: &Path) -> bool {
    let library = "int getInferLibVersion(void) { return 100600; }
        void *createInferRuntime_INTERNAL(void *logger, int version) { return 0; }
        void *createInferBuilder_INTERNAL(void *logger, int version) { return 0; }";
    let parser = "int getNvOnnxParserVersion(void) { return 0; }
        void *createNvOnnxParser_INTERNAL(void *network, void *logger, int version) { return 0; }";
    let files = [
        ("libnvinfer.so.10", library, "noexecstack"),
        ("libnvonnxparser.so.10", parser, "noexecstack"),
        ("libnvinfer_builder_resource.so.10.6.0", "int resource;", "execstack"),
    ];
    files.into_iter().all(|(name, source, stack)| {
        let file = folder.join("source.c");
        std::fs::write(&file, source).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-o"]).arg(folder.join(name)).arg(file).arg(format!("-Wl,-z,{stack}"));
        cc.status().is_ok_and(|status| status.success())
    })
}

/// Where the C library refuses a builder resource that asks for an executable stack, `gst-trt check` says so; not where the
/// user allows it, and not once the flag is cleared.
#[test]
fn check_finds_a_builder_resource_that_the_c_library_refuses() {
    let folder = tempfile::tempdir().unwrap();
    if !tensorrt(folder.path()) {
        return find::skip("cc", "apt install gcc");
    }
    let resource = folder.path().join("libnvinfer_builder_resource.so.10.6.0");
    for system in &systems()[1..] {
        let check = |tunables: &str| {
            let mut command = system.command(find::gst_trt().to_str().unwrap());
            command
                .args(["check", "--json"])
                .env("GST_TENSORRT_LIBRARY", folder.path())
                .env("GLIBC_TUNABLES", tunables);
            let output = command.output().unwrap();
            let report: Value = serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|error| panic!("{}: {error}: {output:?}", system.name));
            let checks = report["checks"].as_array().unwrap();
            checks.iter().find(|check| check["name"] == "builder resource").unwrap().clone()
        };
        // The roots have glibc 2.41 and later.
        let refused = check("");
        assert_eq!(refused["verdict"], "limited", "{}: {refused}", system.name);
        let found = refused["found"].as_str().unwrap();
        for part in ["executable stack", "GLIBC_TUNABLES=glibc.rtld.execstack=2", "cargo xtask setup --tensorrt"] {
            assert!(found.contains(part), "{}: {found}", system.name);
        }
        assert_eq!(check("glibc.rtld.execstack=2")["verdict"], "ok", "{}", system.name);
        assert!(files::executable_stack::clear(&resource).unwrap());
        assert_eq!(check("")["verdict"], "ok", "{}", system.name);
        assert!(tensorrt(folder.path()));
    }
}
