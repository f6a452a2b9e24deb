//! Trackers and zones of a config.json: they count, change while a camera runs, and go on after a restart.

use crate::common::find;
use crate::common::operator::Operator;
use crate::common::running::start;
use crate::watch::ask;
use serde_json::{Value, json};

/// A standing picture, so that what is found once stays where it is.
fn config(left: f64, cameras: &[&str]) -> Value {
    let camera = |name: &&str| {
        json!({
            "NAME": name, "URL": "test:smpte", "WIDTH": 320, "HEIGHT": 240, "FPS": 25,
            "ZONES": [
                { "NAME": "all", "POLYGON": [[0, 0], [1, 0], [1, 1], [0, 1]], "ANCHOR": "centre" },
                { "NAME": "left", "POLYGON": [[0, 0], [left, 0], [left, 1], [0, 1]], "ANCHOR": "centre" },
            ],
            "LINES": [{ "NAME": "line", "FROM": [0.5, 0], "TO": [0.5, 1] }],
        })
    };
    let cameras: Vec<_> = cameras.iter().map(camera).collect();
    json!({
        "processing": {
            "USE_UNIFIED_GPU_PIPELINE": false,
            "FORCE_GPU_ONLY": false,
            "TRACKER": { "REID": find::test_model("classify-logits").to_str().unwrap() },
            "COUNTING": { "SETTLE_S": 0, "STATE_FILE": "{camera}-zones.json" },
        },
        "models": { "DETECTION": { "ONNX": find::test_model("yolo").to_str().unwrap() }, "POSE": { "ENABLED": false } },
        "cameras": { "RTSP_STREAMS": cameras },
        "outputs": { "JSON_LINES": "{camera}.jsonl", "CONTENT": "both" }
    })
}

/// The totals of a zone, from the oldest, and in which frame each was counted.
fn totals(operator: &Operator, camera: &str, zone: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(operator.path(&format!("{camera}.jsonl"))).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["type"] == "totals" && line["zone"] == zone).collect()
}

/// How many have entered, left, and are inside.
fn counts(totals: &Value) -> [u64; 3] {
    ["entered", "left", "occupancy"].map(|key| totals[key].as_u64().unwrap())
}

#[test]
fn zones_count_change_and_go_on() {
    if !start() {
        return;
    }
    let mut operator = Operator::new();
    operator.write(&config(0.5, &["door", "yard"]));
    operator.run(&["--metrics", "127.0.0.1:0"]);
    let last = |zone: &str| totals(&operator, "door", zone).last().map(counts);
    operator.wait_for("objects", || last("all").is_some_and(|[entered, ..]| entered > 0));
    operator.wait_for("lines", || operator.lines("door") > 60);
    let all @ [entered, left, inside] = last("all").unwrap();
    let [of_left, ..] = last("left").unwrap();
    assert!(entered == inside && left == 0 && of_left > 0 && of_left < entered, "{all:?} {of_left}");
    let text = std::fs::read_to_string(operator.path("door.jsonl")).unwrap();
    let frame = text.lines().rfind(|line| line.contains("\"objects\":[{")).unwrap();
    assert!(frame.contains("\"state\":\"confirmed\""), "{frame}");

    let address = operator
        .said()
        .iter()
        .find_map(|line| Some(line.split_once("metrics at http://")?.1.strip_suffix("/metrics")?.to_owned()));
    let address = address.unwrap();
    let metrics = ask(&address);
    for line in [
        format!("gst_trt_zone_occupancy{{camera=\"door\",zone=\"all\"}} {inside}"),
        format!("gst_trt_zone_entered_total{{camera=\"yard\",zone=\"all\"}} {entered}"),
        "gst_trt_line_crossings_total{camera=\"door\",line=\"line\",direction=\"in\"} 0".to_owned(),
    ] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in\n{metrics}");
    }

    // Another shape of one zone: the other goes on, and so does the camera.
    let before = totals(&operator, "door", "left").len();
    operator.write(&config(0.25, &["door"]));
    operator.signal("HUP");
    operator.wait_for("the zone", || {
        totals(&operator, "door", "left")
            .get(before..)
            .is_some_and(|new| new.iter().any(|totals| counts(totals)[0] > 0))
    });
    operator.wait_for("lines", || operator.lines("yard") > 0);
    let anew = &totals(&operator, "door", "left")[before..];
    let [entered_anew, left_anew, _] = counts(anew.last().unwrap());
    assert!(entered_anew < of_left && left_anew == 0, "{anew:?}");
    assert_eq!(last("all").unwrap(), all);
    operator.wait_for("the camera to go", || !ask(&address).contains("camera=\"yard\""));
    let said = operator.said();
    assert!(!said.iter().any(|line| line.contains("door") && line.contains("anew")), "{said:#?}");

    // At the end all leave; after the restart they come again.
    operator.stop();
    let lines = totals(&operator, "door", "all").len();
    assert_eq!(counts(totals(&operator, "door", "all").last().unwrap()), [entered, entered, 0]);
    operator.run(&[]);
    operator.wait_for("totals", || totals(&operator, "door", "all").len() > lines);
    let again = counts(&totals(&operator, "door", "all")[lines]);
    assert!(again[0] >= entered && again[1] == entered, "{again:?}");
    operator.stop();
}

#[test]
fn check_opens_the_model_for_re_identification() {
    if !start() {
        return;
    }
    let operator = Operator::new();
    operator.write(&config(0.5, &["door"]));
    let check = || {
        let mut command = std::process::Command::new(find::gst_trt());
        let output = command.arg("check").arg("--config").arg(operator.path("config.json")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let said = check();
    assert!(said.contains("classify-logits.onnx") && said.contains("embedding"), "{said}");
    let mut wrong = config(0.5, &["door"]);
    wrong["processing"]["TRACKER"]["REID"] = find::test_model("yolo-bare").to_str().unwrap().into();
    operator.write(&wrong);
    let said = check();
    assert!(said.contains("yolo-bare.onnx") && said.contains("only output"), "{said}");
}
