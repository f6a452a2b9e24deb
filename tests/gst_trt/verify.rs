//! `gst-trt build --verify` and `--mixed`, as an operator runs them.

use crate::common::overflow::Overflowing;
use crate::common::standin::Standin;
use crate::common::{exports, find};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn build(model: &Path) -> Command {
    let mut command = Command::new(find::gst_trt());
    command.arg("build").arg(model).stdin(Stdio::null());
    command
}

/// On the CPU, which simulates FP16.
fn simulate(model: &Path, source: &Path, more: &[&str]) -> Output {
    let mut command = build(model);
    command.args(["--backend", "cpu", "--frames", "3"]).args(more).arg("--verify").arg(source);
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

#[track_caller]
fn assert_says(output: &Output, success: bool, words: &[&str]) {
    let text = text(output);
    assert_eq!(output.status.success(), success, "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

fn yolox() -> PathBuf {
    exports::path("yolox")
}

/// Seeded weights: scores are so close to each other that even the rounding of FP16 moves some over a threshold.
const SEEDED: [&str; 2] = ["--agree", "0.7"];

/// A detector with a layer in its middle that overflows FP16: the values between `hot1` and `hot2` reach a million.
fn overflowing(folder: &Path) -> PathBuf {
    let file = folder.join("hot.onnx");
    let mut model = Overflowing::open(&yolox(), 1024.0);
    let convolutions = model.outputs("Conv");
    model.detour(&convolutions[convolutions.len() / 2], "hot");
    model.write(&file);
    file
}

#[test]
fn a_layer_that_overflows_fails_and_is_found() {
    let (true, Some(clip)) = (find::onnx_runtime(), find::media("bikes.mp4")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let model = overflowing(folder.path());
    let list = folder.path().join("hot.onnx.fp32");

    let output = simulate(&model, &clip, &SEEDED);
    assert_says(
        &output,
        false,
        &["objects in 3 frame(s)", "agree with FP32", "the worst frames:", " s): 0 of ", "--mixed"],
    );
    assert!(!list.exists());

    let output = simulate(&model, &clip, &[&SEEDED[..], &["--mixed"]].concat());
    assert_says(&output, true, &["trial 1: ", "have to stay FP32", "  hot1 (Mul)", "  hot2 (Mul)"]);
    let listed = std::fs::read_to_string(&list).unwrap();
    let names: Vec<_> = listed.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(names.contains(&"hot1") && names.contains(&"hot2") && names.len() <= 3, "{listed}");
    let trials = text(&output).matches(": trial ").count();
    assert!(trials <= 20, "{trials} trials");

    // The list belongs to the model from now on.
    assert_says(&simulate(&model, &clip, &SEEDED), true, &["agree with FP32"]);
    std::fs::write(&list, "of-another-model\n").unwrap();
    assert_says(&simulate(&model, &clip, &[]), false, &["hot.onnx.fp32", "of-another-model", "list of another export"]);
}

#[test]
fn a_model_that_agrees_passes_and_gets_no_list() {
    let (true, Some(clip)) = (find::onnx_runtime(), find::media("bikes.mp4")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("yolox.onnx");
    std::fs::copy(yolox(), &model).unwrap();
    let output = simulate(&model, &clip, &[&SEEDED[..], &["--mixed"]].concat());
    assert_says(&output, true, &["objects in 3 frame(s)", "agree with FP32"]);
    assert!(!text(&output).contains("trial"), "{}", text(&output));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn pictures_of_a_folder_are_compared_by_name() {
    let (true, Some(bus), Some(zidane)) = (find::onnx_runtime(), find::media("bus.jpg"), find::media("zidane.jpg"))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let model = overflowing(folder.path());
    let pictures = folder.path().join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    assert_says(&simulate(&model, &pictures, &[]), false, &["pictures: the folder has no pictures", "png"]);
    std::fs::copy(bus, pictures.join("a.JPG")).unwrap();
    std::fs::copy(zidane, pictures.join("b.jpg")).unwrap();
    std::fs::write(pictures.join("notes.txt"), "no picture").unwrap();
    assert_says(&simulate(&model, &pictures, &[]), false, &["objects in 2 frame(s)", "a.JPG: 0 of "]);
    std::fs::write(pictures.join("c.png"), "no picture either").unwrap();
    assert_says(&simulate(&model, &pictures, &[]), false, &["c.png can't be decoded"]);
}

#[test]
fn what_cannot_be_compared_is_an_error_that_says_so() {
    let (true, Some(clip)) = (find::onnx_runtime(), find::media("bikes.mp4")) else { return };
    let nothing = simulate(&yolox(), &clip, &["--confidence", "0.95"]);
    assert_says(
        &nothing,
        false,
        &["finds no object with a confidence of 1.00 on 3 frame(s)", "nothing to compare", "--confidence"],
    );
    assert_says(
        &simulate(&yolox(), Path::new("/nonexistent/clip.mp4"), &[]),
        false,
        &["/nonexistent/clip.mp4: No such file"],
    );
    assert_says(&simulate(&yolox(), &yolox(), &[]), false, &["yolox.onnx can't be decoded"]);
    assert_says(&simulate(&yolox(), &clip, &["--head", "d-fine"]), false, &["head=d-fine doesn't fit"]);
    for (arguments, words) in [
        (&["--mixed"][..], &["--verify"][..]),
        (&["--backend", "cpu"], &["--verify"]),
        (&["--agree", "2", "--verify", "x"], &["0 to 1"]),
        (&["--head", "yolo99", "--verify", "x"], &["yolo99"]),
        (&["--normalization", "x", "--verify", "x"], &["--normalization"]),
        (&["--backend", "cpu", "--precision", "int8", "--verify", "x"], &["--precision"]),
        (&["--backend", "cpu", "-o", "x.engine", "--verify", "x"], &["--output"]),
    ] {
        assert_says(&build(&yolox()).args(arguments).output().unwrap(), false, words);
    }
}

#[test]
fn an_interruption_leaves_nothing_behind() {
    let (true, Some(clip)) = (find::onnx_runtime(), find::media("bikes.mp4")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let model = overflowing(folder.path());
    let mut command = build(&model);
    command.args(["--backend", "cpu", "--mixed", "--verify"]).arg(clip).env("TMPDIR", folder.path());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let interrupted = Instant::now();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_says(&output, false, &["cancelled"]);
    assert!(interrupted.elapsed() < Duration::from_secs(20), "{:?}", interrupted.elapsed());
    // `.ses` is ONNX Runtime's own.
    let left = std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(left.filter(|name| name != ".ses").collect::<Vec<_>>(), ["hot.onnx"]);
}

/// Builds an engine with `-o` on the stand-in, and compares it.
fn verify_engine(standin: &Standin, model: &Path, engine: &Path, source: &Path, more: &[&str]) -> Output {
    let mut command = build(model);
    standin.set_environment(&mut command);
    command.args(["--frames", "3"]).args(more).arg("--verify").arg(source).arg("-o").arg(engine).output().unwrap()
}

/// The file beside the model, above its folder, says what the engine's input is, although the engine is in the cache.
#[test]
fn files_beside_the_model_count_for_an_engine_in_another_folder() {
    let (Some(standin), true, Some(clip)) = (Standin::new(), find::onnx_runtime(), find::media("bikes.mp4")) else {
        return;
    };
    let exports = standin.scratch().join("detr/onnx");
    std::fs::create_dir_all(&exports).unwrap();
    let model = exports.join("model.onnx");
    std::fs::copy(exports::path("detr-sigmoid"), &model).unwrap();
    // Not what is assumed of this head: other pixels are other objects.
    let processor =
        r#"{"do_normalize": true, "image_mean": 0.5, "image_std": 0.1, "size": {"height": 320, "width": 320}}"#;
    std::fs::write(standin.scratch().join("detr/preprocessor_config.json"), processor).unwrap();
    let engine = standin.scratch().join("detr.engine");
    let verify = || verify_engine(&standin, &model, &engine, &clip, &["--head", "detr-sigmoid", "--precision", "fp32"]);
    assert_says(&verify(), true, &["objects in 3 frame(s)", "agree with FP32"]);
    let info = "[modelinfo]\nversion=1.0\n[pixel_values]\nid=images\ntype=float32\ndims=-1,3,320,320\ndir=input\n\
                ranges=-1.0,3.0\n[logits]\nid=logits\ntype=float32\ndims=-1,-1,-1\ndir=output\n[pred_boxes]\nid=boxes\n\
                type=float32\ndims=-1,-1,4\ndir=output\n";
    std::fs::write(exports.join("model.onnx.modelinfo"), info).unwrap();
    assert_says(&verify(), true, &["objects in 3 frame(s)", "agree with FP32"]);
}

/// TensorRT has an engine that finds something else than its model: the picture's noise is another one in each run.
#[test]
fn an_engine_that_does_not_agree_is_not_written() {
    let (Some(standin), true, Some(clip)) = (Standin::new(), find::onnx_runtime(), find::media("bikes.mp4")) else {
        return;
    };
    let model = standin.scratch().join("noise.onnx");
    let mut noisy = Overflowing::open(&yolox(), 1024.0);
    noisy.noise(255.0);
    noisy.write(&model);
    let engine = standin.scratch().join("noise.engine");
    std::fs::write(&engine, "an earlier engine").unwrap();
    let output = verify_engine(&standin, &model, &engine, &clip, &["--precision", "fp32"]);
    assert_says(&output, false, &["agree with FP32", "the worst frames:", "noise.engine isn't written", "--agree"]);
    assert_eq!(std::fs::read_to_string(&engine).unwrap(), "an earlier engine");
    assert!(!engine.with_extension("json").exists());
}

/// The engine runs on the stand-in GPU, in the precision of its ONNX.
#[test]
fn an_engine_is_verified_and_its_record_says_so() {
    let (Some(standin), true, Some(clip), Some(nanodet)) =
        (Standin::new(), find::onnx_runtime(), find::media("bikes.mp4"), find::real_model("nanodet"))
    else {
        return;
    };
    let model = standin.scratch().join("nanodet.onnx");
    std::fs::copy(nanodet, &model).unwrap();
    let engine = standin.scratch().join("nanodet.engine");
    let output = verify_engine(&standin, &model, &engine, &clip, &[]);
    assert_says(&output, true, &["objects in 3 frame(s)", "agree with FP32", "person"]);
    let record: Value = serde_json::from_slice(&std::fs::read(engine.with_extension("json")).unwrap()).unwrap();
    let verified = &record["verified"];
    assert_eq!(verified["frames"], 3, "{verified}");
    assert!(verified["agreement"].as_f64().unwrap() >= 0.99 && verified["objects"].as_u64().unwrap() > 0, "{verified}");
    assert!(verified["classes"].as_array().unwrap().iter().any(|class| class["class"] == "person"), "{verified}");
}
