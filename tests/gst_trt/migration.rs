//! The migration guide's complete procedure, run by the script that also runs on a GPU machine.

use crate::common::find;
use crate::common::running::start;
use crate::common::standin::Standin;
use serde_json::Value;
use std::process::Command;

/// On the stand-in GPU with test patterns, because it has no decoder.
#[test]
fn the_guides_procedure_from_check_to_rollback() {
    let Some(standin) = Standin::new().filter(|_| start()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    std::fs::create_dir(&models).unwrap();
    for (model, name) in [("yolo-coco", "yolo12m.onnx"), ("yolo-pose", "yolo11m-pose.onnx")] {
        std::fs::copy(find::test_model(model), models.join(name)).unwrap();
    }
    let mut script = Command::new("bash");
    script.arg(find::root().join("tests/migration/migrate.sh")).args(["3", "test:smpte", "test:ball", "test:snow"]);
    standin.set_environment(&mut script);
    script.current_dir(folder.path()).env("GST_TRT", env!("CARGO_BIN_EXE_gst-trt"));
    // `gst-trt monitor` looks only here.
    script.env("XDG_RUNTIME_DIR", folder.path());
    let output = script.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("held, every step of the guide"), "{said}");

    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(read("check-before.log").contains("gst-trt build --config config.json"), "{}", read("check-before.log"));
    assert!(!read("check-after.log").contains("gst-trt build --config config.json"), "{}", read("check-after.log"));
    let samples: Vec<Value> = read("monitor.json").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(samples.len(), 3);
    assert!(samples.iter().all(|sample| sample["cameras"].as_array().unwrap().len() == 3), "{samples:#?}");
    // From the rollback: earlier output was removed.
    let line: Value = serde_json::from_str(read("camera-3.jsonl").lines().next().unwrap()).unwrap();
    assert_eq!(line["stream"], "camera-3");
}
