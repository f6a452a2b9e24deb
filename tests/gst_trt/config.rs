//! `gst-trt check --config` and `build --config`, as an operator runs them.

use crate::common::barcode::Codec;
use crate::common::find;
use crate::common::models::{ultralytics, with_metadata, with_missing_weights};
use crate::common::rtsp::Camera;
use crate::common::rtx::rtx;
use crate::common::standin::Standin;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// A folder with a config.json, the guide's models (small ones under their names) and a clip.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("models")).unwrap();
        for (file, model) in [("yolo12m.onnx", "yolo-dynamic"), ("yolo11m-pose.onnx", "yolo-pose")] {
            std::fs::copy(find::test_model(model), folder.path().join("models").join(file)).unwrap();
        }
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs `gst-trt` here as `command` says.
    fn run(&self, mut command: Command, arguments: &[&str]) -> Output {
        for name in ["LOG_LEVEL", "MQTT_USERNAME", "MQTT_PASSWORD"] {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(self.path()).output().unwrap()
    }

    fn plain(&self, arguments: &[&str]) -> Output {
        self.run(Command::new(tool()), arguments)
    }
}

fn tool() -> &'static str {
    env!("CARGO_BIN_EXE_gst-trt")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn everything(output: &Output) -> String {
    stdout(output) + &String::from_utf8_lossy(&output.stderr)
}

/// The guide's file with different cameras.
fn guide(cameras: &str) -> String {
    let text = std::fs::read_to_string(find::root().join("tests/configs/guide/config.json")).unwrap();
    let start = text.find("'rtsp://").unwrap();
    let end = text.rfind("stream2'").unwrap() + "stream2'".len();
    format!("{}{cameras}{}", &text[..start], &text[end..])
}

const ROLLBACK: [&str; 6] = [
    "--set",
    "USE_UNIFIED_GPU_PIPELINE=false",
    "--set",
    "ENABLE_DECOUPLED_PIPELINE=true",
    "--set",
    "processing.FORCE_GPU_ONLY=false",
];

fn check_of(report: &Value, name: &str) -> Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {report:#}")).clone()
}

#[test]
fn wrong_files_print_everything_and_fail() {
    let folder = Folder::new("\"processing\": {\n\"ENABLE_NVDEC\": 1,\n\"MAX_QUEU_SIZE\": 5\n}\n");
    for arguments in [&["check", "--config", "config.json"][..], &["build", "--config", "config.json"]] {
        let output = folder.plain(arguments);
        assert!(!output.status.success());
        let said = everything(&output);
        assert!(
            said.contains("error: config.json:2: processing.ENABLE_NVDEC = 1: it has to be true or false"),
            "{said}"
        );
        assert!(said.contains("warning: config.json:3: processing.MAX_QUEU_SIZE"), "{said}");
    }
    let check = stdout(&folder.plain(&["check", "--config", "config.json"]));
    assert!(check.contains("there is no camera"), "{check}");
    let end = "config.json can't run here on the unified GPU pipeline (2 errors, 1 warning, 2 notices";
    assert!(check.lines().last().unwrap().starts_with(end), "{check}");

    let output = folder.plain(&["check", "--json", "--config", "config.json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let findings = report["config"]["findings"].as_array().unwrap();
    assert_eq!((findings.len(), &findings[0]["severity"]), (5, &"error".into()));
    assert_eq!(findings.iter().filter(|finding| finding["origin"]["file"]["line"] == 2).count(), 1, "{report:#}");

    let missing = folder.plain(&["check", "--config", "none.json"]);
    assert!(!missing.status.success() && stdout(&missing).contains("none.json"), "{missing:?}");
    assert!(!folder.plain(&["check", "--set", "a=b"]).status.success(), "--set needs a file");
    assert!(!folder.plain(&["build", "a.onnx", "--config", "config.json"]).status.success());
}

#[test]
fn the_cpu_pipeline_is_checked_with_its_own_parts() {
    let Some(clip) = find::media("bikes.mp4") else { return };
    if !find::onnx_runtime() {
        return;
    }
    let cameras = format!(
        "'test:ball', {{ \"NAME\": \"street\", \"URL\": \"{}\" }}, 'rtsp://u:hunter2@127.0.0.1:9/a'",
        clip.display()
    );
    let folder = Folder::new(&guide(&cameras));
    let arguments: Vec<_> = ["check", "--json", "--config", "config.json"].into_iter().chain(ROLLBACK).collect();
    let output = folder.plain(&arguments);
    let text = everything(&output);
    assert!(output.status.success(), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["ok"], &report["config"]["pipeline"]), (&true.into(), &"cpu".into()));
    assert_eq!(report["config"]["cameras"], serde_json::json!(["test-ball", "street", "127.0.0.1-a"]));
    assert_eq!(report["config"]["findings"].as_array().unwrap().len(), 1, "one notice: {report:#}");
    let street = check_of(&report, "camera street");
    assert!(street["found"].as_str().unwrap().ends_with("H.264, 640×272, 25 frames/s, 8 bit"), "{street}");
    assert_eq!(check_of(&report, "camera street: decoder")["found"], "avdec_h264");
    assert_eq!(check_of(&report, "ONNX Runtime")["verdict"], "ok");
    // Nothing listens there: detected at once, and no reason not to run.
    let gone = check_of(&report, "camera 127.0.0.1-a");
    assert_eq!(gone["verdict"], "limited", "{gone}");

    let unasked: Vec<_> = arguments.iter().copied().chain(["--no-probe"]).collect();
    let report: Value = serde_json::from_slice(&folder.plain(&unasked).stdout).unwrap();
    let street = check_of(&report, "camera street");
    assert_eq!(street["verdict"], "unknown");
    assert!(street["found"].as_str().unwrap().contains("not checked"), "{street}");

    let build: Vec<_> = ["build", "--config", "config.json"].into_iter().chain(ROLLBACK).collect();
    let output = folder.plain(&build);
    assert!(
        output.status.success() && stdout(&output).contains("there is nothing to build"),
        "{}",
        everything(&output)
    );
}

/// The guide's steps 2 and 3 on the stand-in GPU.
#[test]
fn engines_are_built_to_the_guides_paths_and_checked() {
    let Some(standin) = Standin::new() else { return };
    let folder = Folder::new(&guide("'test:ball', { \"NAME\": \"second\", \"URL\": \"test:snow\" }"));
    let run = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = standin.command(tool());
        command.envs(variables.iter().copied());
        folder.run(command, arguments)
    };
    let check = |variables: &[(&str, &str)], more: &[&str]| -> Value {
        let arguments: Vec<_> =
            ["check", "--json", "--config", "config.json"].into_iter().chain(more.iter().copied()).collect();
        serde_json::from_slice(&run(variables, &arguments).stdout).unwrap()
    };
    let engine = |report: &Value| check_of(report, "engine models/engines/detection_fp16.engine");

    let before = check(&[], &[]);
    assert_eq!(engine(&before)["verdict"], "limited", "{before:#}");
    assert_eq!(engine(&before)["remedy"], "build it ahead: gst-trt build --config config.json");
    assert_eq!(before["config"]["findings"].as_array().unwrap().len(), 3, "two engines and defragmentation");

    let built = run(&[], &["build", "--config", "config.json"]);
    assert!(built.status.success(), "{}", everything(&built));
    for name in ["detection_fp16", "pose_fp16"] {
        let json = folder.path().join("models/engines").join(format!("{name}.json"));
        let record: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        assert_eq!(
            (&record["facts"]["batch_size"], &record["facts"]["workspace"]),
            (&2.into(), &2048.into()),
            "{record:#}"
        );
        assert_eq!(record["facts"]["precision"], "fp16");
        assert!(json.with_extension("engine").metadata().unwrap().len() > 0);
    }

    let after = check(&[], &[]);
    assert_eq!((&after["ok"], &engine(&after)["verdict"]), (&true.into(), &"ok".into()), "{after:#}");
    let memory = check_of(&after, "GPU 0: memory for 2 camera(s)");
    assert!(!memory["found"].as_str().unwrap().contains("guessed"), "the engines were asked: {memory}");

    let batch = engine(&check(&[], &["--set", "GPU_BATCH_SIZE=4"]));
    assert_eq!(batch["verdict"], "limited");
    assert!(batch["found"].as_str().unwrap().contains("batch_size is 2, wanted 4"), "{batch}");
    let version = engine(&check(&[("STANDIN_TENSORRT", "100300")], &[]));
    assert_eq!(version["verdict"], "limited", "it's built again: {version}");
    assert!(version["found"].as_str().unwrap().contains("TensorRT 10.6"), "{version}");

    let small = check(&[("STANDIN_MEMORY", "500000000")], &[]);
    let memory = check_of(&small, "GPU 0: memory for 2 camera(s)");
    assert!(memory["found"].as_str().unwrap().starts_with("GPU out of memory: "), "{memory}");
    assert_eq!(small["ok"], false);

    let other = check(&[], &["--set", "cameras.RTSP_STREAMS.1.GPU=7"]);
    let camera = other["checks"].as_array().unwrap().iter().find(|check| check["verdict"] == "missing").unwrap();
    assert!(camera["found"].as_str().unwrap().contains("there are 0 (Stand-in GPU, GPU-00000000-"), "{camera}");
    let two = check(&[("STANDIN_DEVICES", "2")], &["--set", "cameras.RTSP_STREAMS.1.GPU=GPU-01010101"]);
    assert_eq!(two["ok"], true, "{two:#}");
    check_of(&two, "GPU 0: memory for 1 camera(s)");
    check_of(&two, "GPU 1: memory for 1 camera(s)");

    std::fs::copy(find::test_model("yolo"), folder.path().join("models/yolo12m.onnx")).unwrap();
    let changed = engine(&check(&[], &[]));
    assert!(
        changed["found"].as_str().unwrap().starts_with("built from another ONNX file: models/yolo12m.onnx"),
        "{changed}"
    );
    std::fs::write(folder.path().join("models/engines/detection_fp16.engine"), "no plan").unwrap();
    let damaged = engine(&check(&[], &[]));
    assert_eq!(damaged["verdict"], "limited", "it's built again: {damaged}");
    let again = run(&[], &["build", "--config", "config.json", "--set", "POSE.ENABLED=false"]);
    assert!(!again.status.success(), "POSE is in several places: {}", everything(&again));
    let again = run(&[], &["build", "--config", "config.json", "--set", "models.POSE.ENABLED=false"]);
    assert!(again.status.success(), "{}", everything(&again));
    assert_eq!(stdout(&again).matches(": built, ").count(), 1, "{}", stdout(&again));
    assert_eq!(engine(&check(&[], &[]))["verdict"], "ok");
}

/// NVDEC that decodes nothing: that of the stand-in.
#[test]
fn a_codec_that_the_gpu_lacks_is_the_guides_error() {
    let (Some(standin), Some(clip)) = (Standin::new(), find::media("bikes.mp4")) else { return };
    let folder = Folder::new(&guide(&format!("'{}'", clip.display())));
    let output = folder.run(standin.command(tool()), &["check", "--json", "--config", "config.json"]);
    assert!(!output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nvdec = check_of(&report, "camera bikes: NVDEC");
    assert_eq!(nvdec["verdict"], "missing");
    assert!(
        nvdec["found"].as_str().unwrap().starts_with("NVDEC initialization failed: this GPU decodes H.264 not at all")
    );
    // Frames decoded on the CPU need an upload.
    let software = [
        "check",
        "--json",
        "--config",
        "config.json",
        "--set",
        "processing.FORCE_GPU_ONLY=false",
        "--set",
        "ENABLE_NVDEC=false",
    ];
    let report: Value = serde_json::from_slice(&folder.run(standin.command(tool()), &software).stdout).unwrap();
    assert_eq!(check_of(&report, "camera bikes: decoder")["verdict"], "ok");
    check_of(&report, "upload to the GPU");
}

/// A real TensorRT, which needs no GPU if it is told the target.
#[test]
fn tensorrt_rtx_builds_what_a_file_names() {
    let Some(library) = rtx() else { return };
    let folder = Folder::new("\"models\": { \"ENGINE_CACHE\": \"cache\" }");
    std::fs::copy(find::test_model("yolo"), folder.path().join("models/yolo12m.onnx")).unwrap();
    let mut command = Command::new(tool());
    command.args(["build", "--config", "config.json", "--compute-capability", "8.6", "--library"]).arg(library.path());
    let output = folder.run(command, &[]);
    assert!(output.status.success(), "{}", everything(&output));
    for file in ["detection_fp16.engine", "detection_fp16.json", "pose_fp16.engine", "pose_fp16.json"] {
        assert!(folder.path().join("models/engines").join(file).metadata().unwrap().len() > 0, "{file}");
    }
    let cached = std::fs::read_dir(folder.path().join("cache")).unwrap().flatten();
    let names: Vec<_> = cached.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(names.iter().any(|name| name.starts_with("yolo12m-") && name.ends_with(".engine")), "{names:?}");
}

/// Real RTSP servers report what they send; one with a wrong path reports that.
#[test]
fn rtsp_cameras_are_asked() {
    if !find::onnx_runtime() {
        return;
    }
    let (h264, h265) = (Camera::start(Codec::H264), Camera::start(Codec::H265));
    let streams = format!(
        "{{ 'NAME': 'a', 'URL': '{}' }}, {{ 'NAME': 'b', 'URL': '{}' }}, {{ 'NAME': 'c', 'URL': '{}x', 'CODEC': 'h264' }}",
        h264.url(),
        h265.url(),
        h264.url()
    );
    let folder = Folder::new(&guide(&streams));
    let arguments: Vec<_> = ["check", "--json", "--config", "config.json"].into_iter().chain(ROLLBACK).collect();
    let output = folder.plain(&arguments);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (name, codec, decoder) in [("a", "H.264", "avdec_h264"), ("b", "HEVC", "avdec_h265")] {
        let camera = check_of(&report, &format!("camera {name}"));
        let found = camera["found"].as_str().unwrap();
        assert!(found.ends_with(&format!("{codec}, 320×240, 25 frames/s, 8 bit")), "{found}");
        assert_eq!(check_of(&report, &format!("camera {name}: decoder"))["found"], decoder);
    }
    let wrong = check_of(&report, "camera c");
    assert_eq!(wrong["verdict"], "limited", "{wrong}");
    assert!(wrong["found"].as_str().unwrap().contains("the configuration says: H.264, size unknown"), "{wrong}");
    assert_eq!(report["ok"], true, "a camera may be off: {report:#}");
}

/// Models that can't run, and the reports of check and run about each.
fn models_that_cannot_run(folder: &Path) -> Vec<(&'static str, String, &'static str)> {
    let model = |name: &str| find::test_model(name).display().to_string();
    let file = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let whole = std::fs::read(find::test_model("yolo")).unwrap();
    let libre =
        [("task", "detect"), ("names", "['a', 'b', 'c']"), ("libreyolo_version", "1.6.0"), ("model_family", "rtmdet")];
    let depth = with_metadata(folder, "depth", "yolo-bare", &ultralytics("depth", "['a', 'b']")).display().to_string();
    vec![
        ("DETECTION", model("yolox"), "yolox"),
        ("DETECTION", model("yolo-pose"), "use trtpose (POSE in a config.json)"),
        ("POSE", model("yolo"), "use trtdetect (DETECTION in a config.json)"),
        (
            "DETECTION",
            file("picture.onnx", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x02"),
            "picture.onnx",
        ),
        ("DETECTION", file("text.onnx", b"not a model\n"), "text.onnx"),
        ("DETECTION", file("truncated.onnx", &whole[..whole.len() / 2]), "truncated.onnx"),
        ("DETECTION", model("two-inputs"), "has 2 inputs"),
        ("DETECTION", model("pose5-bare"), "scores are 0-1"),
        ("DETECTION", model("rtdetr-bare"), "pixels are due"),
        ("DETECTION", with_metadata(folder, "libre", "yolo-bare", &libre).display().to_string(), "LibreYOLO"),
        ("DETECTION", with_missing_weights(folder, "weights.bin").display().to_string(), "weights.bin"),
        ("DETECTION", depth, "\"depth\""),
    ]
}

/// A configuration with one model; the other one is disabled.
fn only(role: &str, model: &str, more: &str) -> String {
    let other = if role == "POSE" { "DETECTION" } else { "POSE" };
    format!(
        r#"{{ "models": {{ "{role}": {{ "ONNX": "{model}" {more} }}, "{other}": {{ "ENABLED": false }} }},
             "cameras": {{ "RTSP_STREAMS": ["test:ball"] }} }}"#
    )
}

/// `check` opens models, and reports the same as `run`.
#[test]
fn check_and_run_report_models_that_cannot_run() {
    if !find::onnx_runtime() {
        return;
    }
    let folder = Folder::new("");
    for (role, model, words) in models_that_cannot_run(folder.path()) {
        std::fs::write(folder.path().join("config.json"), only(role, &model, "")).unwrap();
        let with = |command: &[&'static str]| command.iter().copied().chain(ROLLBACK).collect::<Vec<_>>();
        let check = folder.plain(&with(&["check", "--no-probe", "--json", "--config", "config.json"]));
        assert_eq!(check.status.code(), Some(1), "{model}: {}", everything(&check));
        let report: Value = serde_json::from_slice(&check.stdout).unwrap();
        let verdict = check_of(&report, &format!("model {model}"));
        assert_eq!((&verdict["verdict"], &report["ok"]), (&"missing".into(), &false.into()), "{report:#}");
        let found = verdict["found"].as_str().unwrap();
        assert!(found.contains(words), "{words} in {found}");
        let run = folder.plain(&with(&["run", "--config", "config.json"]));
        assert_eq!(run.status.code(), Some(1), "{model}: {}", everything(&run));
        assert!(everything(&run).contains(found), "check says {found}, run {}", everything(&run));
        let text = folder.plain(&with(&["check", "--no-probe", "--config", "config.json"]));
        assert!(stdout(&text).lines().last().unwrap().contains("can't run here"), "{}", stdout(&text));
    }
    // Models that can run are reported too, once for all cameras.
    let model = find::test_model("yolo").display().to_string();
    std::fs::write(
        folder.path().join("config.json"),
        only("DETECTION", &model, "").replace("[\"test:ball\"]", "[\"test:ball\", \"test:snow\"]"),
    )
    .unwrap();
    let arguments: Vec<_> =
        ["check", "--no-probe", "--json", "--config", "config.json"].into_iter().chain(ROLLBACK).collect();
    let report: Value = serde_json::from_slice(&folder.plain(&arguments).stdout).unwrap();
    assert_eq!(check_of(&report, &format!("model {model}"))["found"], "yolo head, 3 classes");
    let models = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["name"].as_str().unwrap().starts_with("model "));
    assert_eq!(models.count(), 1, "{report:#}");
}

/// The same on the GPU pipeline, for which no engine is built.
#[test]
fn models_are_checked_for_the_gpu_without_an_engine() {
    let Some(standin) = Standin::new() else { return };
    let folder = Folder::new("");
    let check = |config: &str| -> (Option<i32>, Value) {
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let output = folder.run(standin.command(tool()), &["check", "--no-probe", "--json", "--config", "config.json"]);
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
    };
    for (role, model, words) in models_that_cannot_run(folder.path()) {
        let (status, report) = check(&only(role, &model, ""));
        let verdict = check_of(&report, &format!("model {model}"));
        assert_eq!((status, &verdict["verdict"]), (Some(1), &"missing".into()), "{report:#}");
        let found = verdict["found"].as_str().unwrap();
        assert!(found.contains(words), "{words} in {found}");
    }
    let bare = find::test_model("pose5-bare").display().to_string();
    let (status, report) = check(&only("POSE", &bare, ", \"HEAD\": \"yolo-pose\""));
    assert_eq!(
        (status, &check_of(&report, &format!("model {bare}"))["found"]),
        (Some(0), &"yolo-pose head, 1 class".into()),
        "{report:#}"
    );
    assert!(!folder.path().join("models/engines").exists(), "nothing is built");
}

/// Labels that no model has, in `check` as at the start.
#[test]
fn labels_that_no_model_has_are_reported() {
    if !find::onnx_runtime() {
        return;
    }
    let folder = Folder::new("");
    std::fs::create_dir(folder.path().join("out")).unwrap();
    let names = ultralytics("detect", "['red', 'cup, small', 'red']");
    let model = with_metadata(folder.path(), "labelled", "yolo-bare", &names);
    let config = |classes: &str, objects: &str, pictures: &str| {
        format!(
            r#"{{ "models": {{ "DETECTION": {{ "ONNX": "{}", "CLASSES": {classes} }},
                              "POSE": {{ "ONNX": "{}", "LOOK_AT": "objects", "OBJECT_CLASSES": {objects} }} }},
                 "cameras": {{ "RTSP_STREAMS": ["test:ball"] }},
                 "outputs": {{ "PICTURES": {{ "FOLDER": "out", "CLASSES": {pictures} }} }} }}"#,
            model.display(),
            find::test_model("movenet").display()
        )
    };
    let check = |classes: &str, objects: &str, pictures: &str| {
        std::fs::write(folder.path().join("config.json"), config(classes, objects, pictures)).unwrap();
        let arguments: Vec<_> =
            ["check", "--no-probe", "--config", "config.json"].into_iter().chain(ROLLBACK).collect();
        let output = folder.plain(&arguments);
        (output.status.code(), stdout(&output))
    };
    let (status, text) = check(r#"["red", "cup, small", "1"]"#, r#"["red", "cup, small"]"#, r#"["red", "person"]"#);
    assert!(status == Some(0) && !text.contains("warning") && !text.contains("error"), "{text}");
    for (label, remedy) in [
        ("Red", "did you mean \"red\"?"),
        ("0", "labels are written here, not numbers: class 0 is \"red\""),
        ("cup,small", "did you mean \"cup, small\"?"),
        ("giraffe", "write one of the labels, or remove it"),
        ("réd", "did you mean \"red\"?"),
    ] {
        let list = format!("[\"red\", \"{label}\"]");
        let (status, text) = check("[]", &list, &list);
        assert_eq!(status, Some(0), "{text}");
        for (key, rule) in [
            (
                "models.POSE.OBJECT_CLASSES",
                format!("detection finds no {label:?}, only red, cup, small, red; {remedy}"),
            ),
            (
                "outputs.PICTURES.CLASSES",
                format!("no model finds {label:?}, only red, cup, small, red, person; {remedy}"),
            ),
        ] {
            assert!(
                text.lines().any(|line| line.starts_with("warning: ") && line.contains(key) && line.contains(&rule)),
                "{rule}: {text}"
            );
        }
    }
    for (label, remedy) in [
        ("Red", "did you mean \"red\"?"),
        ("3", "there is no class 3: the last one is 2"),
        ("red,red", "write one label an item"),
    ] {
        let (status, text) = check(&format!("[\"{label}\"]"), "[]", "[]");
        assert_eq!(status, Some(1), "{text}");
        let rule = format!("{label:?} is none of the model's 3 classes (red, cup, small, red); {remedy}");
        assert!(text.lines().any(|line| line.starts_with("error: ") && line.contains(&rule)), "{rule}: {text}");
    }
    // At the start, before any other message.
    let mut started = Command::new(tool());
    started.args(["run", "--config", "config.json", "--set", "models.DETECTION.CLASSES=[\"Red\"]"]).args(ROLLBACK);
    let run = folder.run(started, &[]);
    assert!(run.status.code() == Some(1) && everything(&run).contains("did you mean \"red\"?"), "{}", everything(&run));
}
