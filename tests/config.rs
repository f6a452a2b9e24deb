//! `config.json` as an operator writes it: the guide's snippets, invalid files, overrides, documentation.

mod common;

use common::find;
use gsttensorrt::config::{
    self, CameraSource, Codec, Content, Decoder, Format, Gpu, LinesTarget, LogLevel, Origin, Overrides, Pipeline, Plan,
    Priority, Qos, SaslMechanism, Severity, Transport, Variables,
};
use gsttensorrt::options::{InferenceOptions, InferenceRegion, Size};
use gsttensorrt::run::{ElementOptions, ElementSetup};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracking::Algorithm;

/// A folder with the files that configurations name.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("models/engines")).unwrap();
        std::fs::create_dir(folder.path().join("out")).unwrap();
        for file in [
            "models/yolo12m.onnx",
            "models/yolo11m-pose.onnx",
            "models/engines/detection_fp16.engine",
            "models/engines/pose_fp16.engine",
            "clip.mp4",
            "ca.pem",
        ] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let zones = r#"{"settle_s": 0, "lines": [{"name": "road", "from": [0, 0], "to": [1, 1]}]}"#;
        std::fs::write(folder.path().join("zones.json"), zones).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("config.json")
    }

    /// The findings about a text, one per line, without this folder's path.
    fn said(&self, text: &str, overrides: &Overrides) -> (Option<Plan>, String) {
        let (plan, findings) = match config::load_text(&self.file(), text, overrides) {
            Ok(loaded) => (Some(loaded.plan), loaded.findings),
            Err(findings) => (None, findings),
        };
        assert_eq!(plan.is_none(), findings.has_errors(), "{findings}");
        (plan, findings.to_string().replace(&format!("{}/", self.0.path().display()), ""))
    }

    fn plan(&self, text: &str, set: &[&str]) -> Plan {
        let overrides =
            Overrides { variables: Variables::default(), set: set.iter().map(ToString::to_string).collect() };
        let (plan, said) = self.said(text, &overrides);
        plan.unwrap_or_else(|| panic!("{text}\n{said}"))
    }
}

fn configs() -> PathBuf {
    find::root().join("tests/configs")
}

fn guide(name: &str) -> String {
    std::fs::read_to_string(configs().join("guide").join(name)).unwrap()
}

/// One entry of configs/bad.txt.
struct Case {
    name: String,
    set: Vec<String>,
    environment: Vec<(String, String)>,
    text: String,
    expected: String,
}

fn cases() -> (String, Vec<Case>) {
    let text = std::fs::read_to_string(configs().join("bad.txt")).unwrap();
    let mut parts = text.split("\n== ");
    let head = parts.next().unwrap().to_owned();
    let case = |part: &str| {
        let [options, text, expected] = part.splitn(3, "--\n").collect::<Vec<_>>().try_into().unwrap();
        let mut lines = options.lines();
        let mut case = Case {
            name: lines.next().unwrap().to_owned(),
            set: Vec::new(),
            environment: Vec::new(),
            text: text.trim_end_matches('\n').to_owned(),
            expected: expected.trim_end_matches('\n').to_owned(),
        };
        for line in lines {
            match line.split_once(' ').unwrap() {
                ("set", text) => case.set.push(text.to_owned()),
                ("env", text) => {
                    let (name, value) = text.split_once('=').unwrap();
                    case.environment.push((name.to_owned(), value.to_owned()));
                }
                _ => panic!("{line}"),
            }
        }
        case
    };
    (head, parts.map(case).collect())
}

/// `UPDATE_BAD_CONFIGS=1` writes the current messages; review the difference.
#[test]
fn wrong_files_are_told_what_is_wrong() {
    let folder = Folder::new();
    let (head, cases) = cases();
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    let (mut updated, mut wrong) = (head, Vec::new());
    for case in &cases {
        let overrides = Overrides { variables: case.environment.clone().into_iter().collect(), set: case.set.clone() };
        let (_, said) = folder.said(&case.text, &overrides);
        assert!(!said.is_empty(), "{}: nothing is said", case.name);
        for secret in ["hunter2", "hun/ter2"] {
            assert!(!said.contains(secret), "{}: {said}", case.name);
        }
        if said != case.expected {
            wrong.push(format!("{}:\n{said}\ninstead of\n{}", case.name, case.expected));
        }
        let set = case.set.iter().map(|text| format!("set {text}\n"));
        let environment = case.environment.iter().map(|(name, value)| format!("env {name}={value}\n"));
        let options: String = set.chain(environment).collect();
        updated += &format!("\n== {}\n{options}--\n{}\n--\n{said}\n", case.name, case.text);
    }
    if std::env::var_os("UPDATE_BAD_CONFIGS").is_some() {
        std::fs::write(configs().join("bad.txt"), updated).unwrap();
    } else {
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }
}

fn url(source: &CameraSource) -> &str {
    match source {
        CameraSource::Rtsp { url, .. } => url.expose(),
        other => panic!("{other:?}"),
    }
}

/// A snippet alone, with a camera if it has none.
fn snippet(folder: &Folder, name: &str) -> Plan {
    let text = guide(name);
    let text = if name.starts_with("5.1") { format!("\"cameras\": {{\n{text}}}") } else { text };
    let text = if name.starts_with("5.3") { format!("\"processing\": {{\n{text}}}") } else { text };
    let cameras = ["cameras.RTSP_STREAMS=['test:ball']"];
    folder.plan(&text, if text.contains("\"cameras\"") { &[] } else { &cameras })
}

#[test]
fn the_guides_snippets_mean_what_it_says() {
    let folder = Folder::new();
    let plan = |name: &str| snippet(&folder, name);
    assert_eq!(plan("1.1-pipeline.json").pipeline, Pipeline::UnifiedGpu);
    assert_eq!(plan("1.2-gpu-only.json").decoder, Decoder::Nvdec);

    let performance = plan("1.3-performance.json");
    assert_eq!((performance.queue_size, performance.decoder_surfaces, performance.max_cameras), (20, 5, 2));
    for model in performance.cameras[0].models() {
        assert_eq!((model.options.batch_size, model.options.batch_timeout), (2, Duration::from_millis(5)));
    }
    let models = plan("1.4-tensorrt.json");
    let [detection, pose] = models.cameras[0].models().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((detection.options.workspace_size, pose.options.workspace_size), (2048, 2048));
    let folder_of = |path: &str| folder.0.path().join(path);
    assert_eq!(detection.onnx, folder_of("models/yolo12m.onnx"));
    assert_eq!(detection.engine, folder_of("models/engines/detection_fp16.engine"));
    assert_eq!(pose.onnx, folder_of("models/yolo11m-pose.onnx"));
    assert_eq!(pose.engine, folder_of("models/engines/pose_fp16.engine"));
    let options = pose.options_in(&models, 0);
    assert_eq!(options.model.as_ref(), Some(&pose.onnx), "whether it's there or not");
    assert_eq!(options.engine_file.as_ref(), Some(&pose.engine));

    let one = plan("4-one-camera.json");
    assert_eq!(url(&one.cameras[0].source), "rtsp://192.168.3.214:7447/stream1");
    let two = plan("5.1-cameras.json");
    assert_eq!(
        two.cameras.iter().map(|camera| camera.name.as_str()).collect::<Vec<_>>(),
        ["192.168.3.214-stream1", "192.168.3.214-stream2"]
    );
    assert_eq!(plan("5.3-threads.json").max_cameras, 3);
    assert_eq!(plan("6.2-memory.json").frame_memory, Some(500 << 20));
    let threads = plan("6.3-threads.json").threads;
    assert!(threads.affinity);
    assert_eq!((threads.priority, threads.decoder_priority), (Priority::High, Priority::Realtime));
    let rollback = plan("rollback.json");
    assert_eq!((rollback.pipeline, rollback.decoder), (Pipeline::Cpu, Decoder::Software));
}

/// Three keys of the guide's file and nothing else: the same cameras and outputs, on the CPU.
#[test]
fn rollback_changes_three_keys() {
    let folder = Folder::new();
    let gpu = folder.plan(&guide("config.json"), &[]);
    let three = ["USE_UNIFIED_GPU_PIPELINE=false", "ENABLE_DECOUPLED_PIPELINE=true", "processing.FORCE_GPU_ONLY=false"];
    let overrides = Overrides { variables: Variables::default(), set: three.map(String::from).to_vec() };
    let (cpu, said) = folder.said(&guide("config.json"), &overrides);
    let cpu = cpu.unwrap();
    assert_eq!((gpu.pipeline, gpu.decoder), (Pipeline::UnifiedGpu, Decoder::Nvdec));
    assert_eq!((cpu.pipeline, cpu.decoder), (Pipeline::Cpu, Decoder::Software));
    assert_eq!(gpu.cameras, cpu.cameras);
    // One notice for all keys that only the GPU pipeline has.
    assert_eq!(said.lines().count(), 1, "{said}");
    for key in ["models.ENABLE_TENSORRT", "models.FORCE_GPU_ONLY", "processing.ENABLE_NVDEC"] {
        assert!(said.starts_with("notice: ") && said.contains(key), "{said}");
    }
    // The legacy file from before the migration, which doesn't have the unified pipeline.
    let legacy = folder.plan("\"processing\": {\"ENABLE_MULTIPROCESSING\": true}", &["RTSP_STREAMS=['test:ball']"]);
    assert_eq!(legacy.pipeline, Pipeline::Cpu);
}

#[test]
fn set_overrides_the_environment_which_overrides_the_file() {
    let folder = Folder::new();
    let text = "\"processing\": {\"MAX_QUEUE_SIZE\": 1, \"GPU_BATCH_SIZE\": 1, \"NVDEC_BUFFER_SIZE\": 1},\n\
                \"cameras\": {\"RTSP_STREAMS\": ['rtsp://a/b', 'rtsp://c/d']}";
    let overrides = Overrides {
        variables: Variables::from_iter([
            ("GST_TRT_PROCESSING_MAX_QUEUE_SIZE", "2"),
            ("GST_TRT_PROCESSING_GPU_BATCH_SIZE", "2"),
            ("GST_TRT_MODELS_DETECTION_CONFIDENCE", "0.5"),
            ("GST_TRT_OUTPUTS_JSON_LINES", "out/{camera}.jsonl"),
            ("LOG_LEVEL", "debug"),
            ("HOME", "/root"),
        ]),
        set: [
            "processing.MAX_QUEUE_SIZE=3",
            "cameras.RTSP_STREAMS.1.NAME=door",
            "cameras.RTSP_STREAMS.1.DETECTION.CLASS_CONFIDENCE.person=0.75",
            "cameras.RTSP_STREAMS.2=test:snow",
            "models.DETECTION.CLASSES=['person', 'car']",
            "CPU_WARNING_PERCENT=20",
        ]
        .map(String::from)
        .to_vec(),
    };
    let (plan, said) = folder.said(text, &overrides);
    let plan = plan.unwrap_or_else(|| panic!("{said}"));
    let detection = plan.cameras[1].detection.as_ref().unwrap();
    assert_eq!((plan.queue_size, detection.options.batch_size, plan.decoder_surfaces), (3, 2, 1));
    assert_eq!(
        (detection.options.confidence, detection.options.classes.value().as_slice()),
        (0.5, ["person".to_owned(), "car".into()].as_slice())
    );
    assert_eq!(plan.monitoring.log_level, LogLevel::Debug);
    assert_eq!(plan.monitoring.cpu_warning, 20.0);
    assert_eq!(plan.cameras[1].name, "door");
    assert_eq!(url(&plan.cameras[1].source), "rtsp://c/d");
    assert_eq!(detection.options.class_confidence.value()[..], [("person".to_owned(), 0.75)]);
    assert!(matches!(&plan.cameras[2].source, CameraSource::Test { pattern, .. } if pattern == "snow"));
    assert_eq!(plan.cameras[1].outputs.lines, [LinesTarget::File(folder.0.path().join("out/door.jsonl"))]);
}

#[test]
fn cameras_say_what_differs() {
    let folder = Folder::new();
    let text = r#"
        "models": {
            "TENSORRT_FP16": false,
            "TENSORRT_WORKSPACE_SIZE": 0.5,
            "DETECTION": { "CONFIDENCE": 0.5, "CLASSES": ["person"], "MIN_SIZE": [8, 16], "ONNX": "models/yolo12m.onnx" },
            "POSE": { "LOOK_AT": "objects", "OBJECT_CLASSES": ["person"], "INTERVAL": 2 },
        },
        "cameras": {
            "TRANSPORT": "UDP",   // whatever the letters
            "LATENCY_MS": 100,
            "RTSP_STREAMS": [
                "rtsp://a/1",
                {
                    "NAME": "door", "URL": "rtsps://b/2", "TRANSPORT": "tcp", "CODEC": "h265", "WIDTH": 1920, "HEIGHT": 1080,
                    "FPS": 29.97, "GPU": 1,
                    "DETECTION": { "CONFIDENCE": 0.25, "REGIONS": [[0, 0.5, 1, 0.5]] },
                    "POSE": { "ENABLED": false },
                    "OUTPUTS": { "JSON_LINES": [], "PICTURES": { "FOLDER": "out/pictures", "CLASSES": ["person"] } }
                },
                { "URL": "clip.mp4", "GPU": "auto", "LOOP": false, "DETECTION": { "ONNX": "models/yolo11m-pose.onnx" }, "POSE": null },
                { "URL": "test:ball", "WIDTH": 320, "HEIGHT": 240, "FPS": 10, "GPU": "GPU-8f3c" },
            ],
        },
        "outputs": { "MQTT": { "URL": "mqtts://broker", "QOS": 2 } },
    "#;
    let plan = folder.plan(text, &[]);
    let [plain, door, clip, test] = plan.cameras.as_slice() else { panic!("{plan:?}") };
    let CameraSource::Rtsp { transport, latency, .. } = &plain.source else { panic!("{plain:?}") };
    assert_eq!((*transport, *latency), (Transport::Udp, Duration::from_millis(100)));
    assert_eq!(plain.gpu, Gpu::Auto);
    let pose = &plain.pose.as_ref().unwrap().options;
    assert_eq!((pose.region, pose.interval), (InferenceRegion::Objects, 2));
    assert_eq!(pose.object_classes.value(), &["person"]);
    assert_eq!(plain.outputs.lines, [], "MQTT is enough");

    let detection = door.detection.as_ref().unwrap();
    assert_eq!(
        (detection.options.confidence, detection.options.classes.value().as_slice()),
        (0.25, ["person".to_owned()].as_slice())
    );
    assert_eq!(
        (detection.options.workspace_size, *detection.options.min_size.value()),
        (512, Size { width: 8, height: 16 })
    );
    assert!(detection.engine.ends_with("models/engines/detection_fp32.engine"), "{detection:?}");
    assert_eq!(detection.options.roi.value().len(), 1);
    assert_eq!((door.pose.is_none(), door.gpu.clone()), (true, Gpu::Index(1)));
    assert_eq!(door.hint.codec, Some(Codec::H265));
    assert_eq!((door.hint.size, door.hint.framerate), (Some((1920, 1080)), Some(29.97)));
    assert!(matches!(&door.source, CameraSource::Rtsp { transport: Transport::Tcp, .. }));
    assert_eq!(door.outputs.pictures.as_ref().unwrap().classes, ["person"]);
    let mqtt = door.outputs.mqtt.as_ref().unwrap();
    assert_eq!(
        (mqtt.topic.as_str(), mqtt.qos, mqtt.broker.server.hosts[0].1),
        ("gst-trt/door/objects", Qos::ExactlyOnce, 8883)
    );
    assert_eq!(mqtt.broker, plain.outputs.mqtt.as_ref().unwrap().broker, "one connection for both");

    assert!(matches!(&clip.source, CameraSource::File { looping: false, path } if path.ends_with("clip.mp4")));
    let engine = &clip.detection.as_ref().unwrap().engine;
    assert!(engine.ends_with("models/engines/yolo11m-pose_fp32.engine"), "{engine:?}");
    assert_eq!(test.gpu, Gpu::Uuid("GPU-8f3c".into()));
    assert!(matches!(test.source, CameraSource::Test { size: (320, 240), framerate: 10.0, .. }));
}

#[test]
fn secrets_come_from_the_environment_and_are_never_printed() {
    let folder = Folder::new();
    let text = r#""cameras": { "RTSP_STREAMS": [{ "NAME": "door", "URL": "rtsp://${USER_1}:${PASSWORD_1}@10.0.0.5/${TOKEN_1}/a" }] },
                  "outputs": { "MQTT": { "URL": "mqtts://broker", "PASSWORD_ENV": "PASSWORD_2", "USERNAME_ENV": "USER_2" } }"#;
    let variables = [
        ("USER_1", "admin"),
        ("PASSWORD_1", "p@s/s"),
        ("TOKEN_1", "t0ken"),
        ("USER_2", "me"),
        ("PASSWORD_2", "hunter2"),
    ];
    let (plan, said) = folder.said(text, &Overrides { variables: Variables::from_iter(variables), set: vec![] });
    let plan = plan.unwrap_or_else(|| panic!("{said}"));
    let source = &plan.cameras[0].source;
    assert_eq!(url(source), "rtsp://admin:p%40s%2Fs@10.0.0.5/t0ken/a");
    assert_eq!(source.label(), "rtsp://***@10.0.0.5/${TOKEN_1}/a");
    let broker = &plan.cameras[0].outputs.mqtt.as_ref().unwrap().broker.server;
    assert_eq!((broker.username.as_deref(), broker.password.as_ref().unwrap().expose()), (Some("me"), "hunter2"));
    let printed = format!("{plan:?}");
    for secret in ["p@s/s", "p%40s", "t0ken", "hunter2"] {
        assert!(!printed.contains(secret), "{secret} is in {printed}");
    }
}

#[test]
fn findings_know_where_they_come_from() {
    let folder = Folder::new();
    let text = "{\n  \"cameras\": {\n    \"RTSP_STREAMS\": [{ \"URL\": 5 }]\n  }\n}";
    let overrides = Overrides { variables: Variables::default(), set: vec!["GPU_BATCH_SIZE=0".into()] };
    let findings = config::load_text(&folder.file(), text, &overrides).unwrap_err();
    let places: Vec<_> = findings.list.iter().map(|finding| (finding.key.as_str(), finding.origin.clone())).collect();
    let url = ("cameras.RTSP_STREAMS.0.URL", Some(Origin::File { line: 3, column: 31 }));
    assert_eq!(places, [url, ("processing.GPU_BATCH_SIZE", Some(Origin::Set))]);
    assert_eq!(findings.count(Severity::Error), 2);
    let missing = config::load(Path::new("/none/config.json"), &Overrides::default()).unwrap_err();
    assert!(missing.to_string().starts_with("error: /none/config.json: the file can't be read: "), "{missing}");
}

/// The plan's settings of a model are those of its element.
#[test]
fn elements_have_what_the_plan_says() {
    use gst::prelude::*;
    gst::init().unwrap();
    gsttensorrt::plugin_register_static().unwrap();
    let folder = Folder::new();
    let text = r#"
        "models": {
            "ENGINE_CACHE": "cache",
            "DETECTION": {
                "CONFIDENCE": 0.5, "CLASS_CONFIDENCE": { "person": 0.25, "2": 0.75 }, "IOU": 0.75, "CLASSES": ["person", "2"],
                "REGIONS": [[0, 0.5, 1, 0.5], [0, 0, 0.25, 0.25]], "INTERVAL": 3, "MAX_DETECTIONS": 7, "MIN_SIZE": [1, 2],
                "MAX_SIZE": [300, 0], "SKIP_WHEN_BUSY": true, "LABELS": "ca.pem", "HEAD": "yolo-end-to-end"
            },
            "POSE": { "LOOK_AT": "objects", "OBJECT_CLASSES": ["person", "rider, small"] },
        },
        "processing": { "PIPELINE_QUEUE_TIMEOUT_MS": 2.5, "GPU_BATCH_SIZE": 4 },
        "cameras": { "RTSP_STREAMS": ["test:ball"] }"#;
    for set in [&[][..], &["USE_UNIFIED_GPU_PIPELINE=false"]] {
        let plan = folder.plan(text, set);
        let camera = &plan.cameras[0];
        let made = |model: &Option<config::Model>, of: fn(InferenceOptions) -> ElementOptions| {
            let options = of(model.as_ref().unwrap().options_in(&plan, 3));
            ElementSetup { name: "model".into(), options, contents: vec![] }.make().unwrap()
        };
        let detect = made(&camera.detection, ElementOptions::detect);
        let pose = made(&camera.pose, ElementOptions::pose);
        let path = |path: &str| folder.0.path().join(path).display().to_string();
        let gpu = plan.pipeline == Pipeline::UnifiedGpu;
        let engine = gpu.then(|| path("models/engines/detection_fp16.engine"));
        for (name, value) in [
            ("model", Some(path("models/yolo12m.onnx"))),
            ("engine-file", engine),
            ("labels", Some(path("ca.pem"))),
            ("model-id", Some("detection".into())),
        ] {
            assert_eq!(detect.property::<Option<String>>(name), value, "{name}");
        }
        for (name, value) in [
            ("class-confidence", "2=0.75,person=0.25"),
            ("classes", "person,2"),
            ("roi", "0,0.5,1,0.5;0,0,0.25,0.25"),
            ("min-size", "1x2"),
            ("max-size", "300x0"),
        ] {
            assert_eq!(detect.property::<Option<String>>(name).as_deref(), Some(value), "{name}");
        }
        for (name, value) in
            [("batch-size", 4u32), ("interval", 3), ("max-detections", 7), ("device-id", if gpu { 3 } else { 0 })]
        {
            assert_eq!(detect.property::<u32>(name), value, "{name}");
        }
        assert_eq!(detect.property::<u64>("batch-timeout"), 2_500_000);
        assert_eq!((detect.property::<f32>("confidence"), detect.property::<f32>("iou")), (0.5, 0.75));
        assert!(detect.property::<bool>("skip-when-busy"));
        assert_eq!(pose.property::<Option<String>>("object-classes").as_deref(), Some(r"person,rider\, small"));
        let nick = |name: &str| pose.property_value(name).serialize().unwrap().to_string();
        assert_eq!(
            (nick("head"), detect.property_value("head").serialize().unwrap().to_string()),
            ("auto".into(), "yolo-end-to-end".into())
        );
        assert_eq!(nick("inference-region"), "objects");
        assert_eq!(nick("backend"), if gpu { "tensorrt" } else { "cpu" });
    }
}

/// Headings of docs/configuration.md, and the types whose keys their tables list.
const HEADINGS: [(&str, &str); 20] = [
    ("## The file", ""),
    ("## `processing`", "Processing"),
    ("### `TRACKER`", "Tracker"),
    ("### `COUNTING`", "Counting"),
    ("## `models`", "Models"),
    ("### `DETECTION`, `POSE` and `CLASSIFICATION`", "Model"),
    ("## `cameras`", "Cameras"),
    ("### A camera", "Camera"),
    ("### A zone", "Zone"),
    ("### A line", "Line"),
    ("### `CROWDING`", "Crowding"),
    ("## `outputs`", "Outputs"),
    ("### `MQTT`", "Mqtt"),
    ("### `KAFKA`", "Kafka"),
    ("### `REDIS`", "Redis"),
    ("### `PICTURES`", "Pictures"),
    ("### `SEGMENTS`", "Segments"),
    ("### `CLIPS`", "Clips"),
    ("#### A rule", "ClipRule"),
    ("## `monitoring`", "Monitoring"),
];

/// The documentation lists every key of the types and no other, with their defaults.
#[test]
fn documentation_has_the_types_keys_and_defaults() {
    let text = std::fs::read_to_string(find::root().join("docs/configuration.md")).unwrap();
    let schema = config::json_schema();
    let mut objects = 0;
    for (heading, name) in HEADINGS {
        let part = text.split(&format!("\n{heading}\n")).nth(1).unwrap_or_else(|| panic!("{heading} isn't there"));
        let part = part.split("\n#").next().unwrap();
        let rows: Vec<Vec<&str>> = part
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        let of_type = if name.is_empty() { schema } else { &schema["$defs"][name] };
        let properties = of_type["properties"].as_object().unwrap();
        let keys: Vec<&str> = properties.keys().map(String::as_str).collect();
        let mut documented: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
        documented.sort_unstable();
        assert_eq!(documented, keys, "{heading}");
        for row in rows.iter().filter(|_| !name.is_empty()) {
            let key = row[0].trim_matches('`');
            match properties[key].get("default") {
                Some(serde_json::Value::String(default)) => assert_eq!(row[1], format!("`{default}`"), "{key}"),
                Some(default) => assert_eq!(row[1], format!("`{default}`"), "{key}"),
                None => assert!(!row[1].is_empty(), "{key} has no default"),
            }
        }
        objects += 1;
    }
    // Every type with keys has a heading.
    let with_keys = schema["$defs"].as_object().unwrap().values().filter(|def| def.get("properties").is_some()).count();
    assert_eq!(objects, with_keys + 1);
}

/// configs/full.json has every key, and is valid; fuzzing starts from it too.
#[test]
fn the_full_file_has_every_key() {
    let folder = Folder::new();
    let text = std::fs::read_to_string(configs().join("full.json")).unwrap();
    for def in config::json_schema()["$defs"].as_object().unwrap().values() {
        for key in def["properties"].as_object().into_iter().flatten().map(|(key, _)| key) {
            assert!(text.contains(&format!("\"{key}\"")), "{key}");
        }
    }
    let variables = ["CAMERA_USER", "CAMERA_PASSWORD", "BROKER_USER", "BROKER_PASSWORD"].map(|name| (name, "x"));
    let (plan, said) = folder.said(&text, &Overrides { variables: Variables::from_iter(variables), set: vec![] });
    let plan = plan.unwrap_or_else(|| panic!("{said}"));
    assert_eq!(said.lines().count(), 1, "defragmentation: {said}");
    let door = &plan.cameras[1];
    assert_eq!((door.name.as_str(), door.outputs.lines.len(), plan.max_cameras), ("door", 3, 16));
    assert_eq!(door.outputs.mqtt.as_ref().unwrap().topic, "door");
    assert!(door.outputs.need_drawing());
    let kafka = door.outputs.kafka.as_ref().unwrap();
    assert_eq!(kafka.brokers.hosts, [("a.example".into(), 9093), ("b.example".into(), 9094)]);
    assert_eq!((kafka.mechanism, kafka.format), (SaslMechanism::ScramSha512, Format::DeepstreamProtobuf));
    let redis = door.outputs.redis.as_ref().unwrap();
    assert_eq!((&*redis.stream, &*redis.events_stream), ("objects:door", "events:door"));
    assert_eq!((redis.content, redis.format, door.outputs.format), (Content::Events, Format::Json, Format::Deepstream));
    let tracker = door.tracker.as_ref().unwrap();
    assert_eq!((tracker.options.algorithm, tracker.options.max_age), (Algorithm::BotSort, 60));
    assert_eq!(tracker.options.reid_max_age, Duration::from_secs(600));
    let reid = tracker.reid.as_ref().unwrap();
    assert!(
        reid.onnx.ends_with("models/yolo12m.onnx") && reid.engine.ends_with("models/engines/detection_fp16.engine")
    );
    assert_eq!(door.models().last(), Some(reid), "it is built and checked as the others are");
    let zones = door.zones.as_ref().unwrap();
    assert_eq!((zones.config.merge_s, zones.config.settle_s, zones.config.margin), (3.0, 0.2, 0.03));
    assert_eq!((&*zones.config.zones[0].name, zones.config.lines.len()), ("hall", 1));
    assert!(zones.state_file.as_ref().unwrap().ends_with("out/door-zones.json"));
    let mqtt = door.outputs.mqtt.as_ref().unwrap();
    assert_eq!(
        (&*mqtt.events_topic, mqtt.content, door.outputs.content),
        ("door/events", Content::Both, Content::Objects)
    );
    // What the file of zones doesn't say is as in COUNTING.
    let clip = &plan.cameras[2].zones.as_ref().unwrap().config;
    assert_eq!((&*clip.lines[0].name, clip.settle_s, clip.merge_s), ("road", 0.0, 2.0));
    assert!(plan.cameras[0].zones.is_none() && plan.cameras[0].tracker.is_some());
    assert_eq!(door.outputs.segments.as_ref().unwrap().limit, 1000 << 20);
    let clips = door.outputs.clips.as_ref().unwrap();
    let names: Vec<_> = clips.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!((names, clips.command_topic.as_deref()), (vec!["intruder", "event"], Some("cameras/door/clip")));
    assert_eq!((clips.before, clips.age), (Duration::from_millis(2500), Some(Duration::from_secs(14 * 24 * 3600))));
    assert_eq!((clips.memory, clips.limit, clips.files), (32 << 20, 1000 << 20, Some(500)));
    assert_eq!(plan.cameras[3].outputs.clips, None);
    assert_eq!(plan.monitoring.metrics, Some(([127, 0, 0, 1], 9464).into()));
}

/// Size alone doesn't make reading slow: many cameras, unknown keys, depth.
#[test]
fn large_files_are_read_in_a_moment() {
    let folder = Folder::new();
    let many = |count: usize, item: &str| vec![item; count].join(",");
    let start = std::time::Instant::now();
    let overrides = Overrides::default();
    let (plan, _) =
        folder.said(&format!("\"cameras\": {{\"RTSP_STREAMS\": [{}]}}", many(4000, "'test:ball'")), &overrides);
    assert_eq!(plan.unwrap().cameras.len(), 4000);
    let (_, said) =
        folder.said(&format!("\"cameras\": {{\"RTSP_STREAMS\": [{}]}}", many(200_000, "'test:ball'")), &overrides);
    assert!(said.contains("there are 200000 cameras, the maximum is 4096"), "{}", &said[..200]);
    let keys: Vec<_> = (0..20_000).map(|i| format!("\"MAX_QUEUE_{i}\": {i}")).collect();
    let (_, said) = folder.said(&format!("\"processing\": {{{}}}", keys.join(",")), &overrides);
    assert!(said.lines().count() > 20_000);
    let deep = format!("\"cameras\": {{\"RTSP_STREAMS\": {}{}}}", "[".repeat(400), "]".repeat(400));
    assert!(folder.said(&deep, &overrides).0.is_none());
    let (_, said) = folder.said(&format!("\"{}\": 1", "x".repeat(1_000_000)), &overrides);
    assert!(said.contains("unknown key"));
    assert!(folder.said(&" ".repeat(5 << 20), &overrides).1.contains("the maximum is"));
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

/// The configurations in the documents are valid: blocks marked `json config.json`.
#[test]
fn the_documents_files_hold() {
    let folder = Folder::new();
    // What the documents name.
    for name in ["media", "zones"] {
        std::fs::create_dir(folder.0.path().join(name)).unwrap();
    }
    for name in ["yolo12m.onnx", "models/yolov12n.onnx", "media/bikes.mp4"] {
        std::fs::write(folder.0.path().join(name), "").unwrap();
    }
    let pages = std::fs::read_dir(find::root().join("docs")).unwrap().flatten().map(|entry| entry.path());
    let pages = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut plans = Vec::new();
    for page in pages.chain([find::root().join("README.md")]) {
        let text = std::fs::read_to_string(&page).unwrap();
        for part in text.split("```json config.json\n").skip(1) {
            let block = part.split("```").next().unwrap();
            // A part of a file runs on the cameras that the whole has.
            let set: &[&str] = if block.contains("RTSP_STREAMS") { &[] } else { &["RTSP_STREAMS=['test:ball']"] };
            let overrides = Overrides { set: set.iter().map(ToString::to_string).collect(), ..Overrides::default() };
            let (plan, said) = folder.said(block, &overrides);
            let plan = plan.unwrap_or_else(|| panic!("{}: {said}", page.display()));
            assert!(!said.contains("unknown key") && !said.contains("no such file"), "{}: {said}", page.display());
            plans.push(plan.pipeline);
        }
    }
    for pipeline in [Pipeline::Cpu, Pipeline::UnifiedGpu] {
        assert!(plans.iter().filter(|found| **found == pipeline).count() >= 2, "{plans:?}");
    }
}
