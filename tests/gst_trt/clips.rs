//! Clips on request: the signal, the command topic, what `check` and the metrics say of them.

use crate::common::barcode::{self, Codec};
use crate::common::clips_of_events::{Clip, files};
use crate::common::find;
use crate::common::mosquitto::Mosquitto;
use crate::common::operator::Operator;
use crate::common::rtsp::Camera;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;

/// Two cameras without models, with clips from 1 s before a request to 1 s after it.
fn config(cameras: &Value, outputs: &Value) -> Value {
    json!({
        "processing": {
            "USE_UNIFIED_GPU_PIPELINE": false, "FORCE_GPU_ONLY": false, "ENABLE_DECOUPLED_PIPELINE": true
        },
        "models": {
            "DETECTION": { "ONNX": find::test_model("yolo").to_str().unwrap() }, "POSE": { "ENABLED": false }
        },
        "cameras": { "RTSP_STREAMS": cameras },
        "outputs": outputs
    })
}

/// The clips of a camera.
fn clips(operator: &Operator, camera: &str) -> Vec<PathBuf> {
    files(&operator.path("clips").join(camera), "json")
}

#[test]
fn a_signal_and_a_message_record_a_clip() {
    if !crate::common::running::start() {
        return;
    }
    let Some(broker) = Mosquitto::open() else { return };
    let mut operator = Operator::new();
    let server = Camera::start(Codec::H264);
    barcode::write_mp4(Codec::H265, 250, &operator.path("numbers.mp4"));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let publish = |topic: &str, more: &[&str]| {
        let mut command = Command::new("mosquitto_pub");
        command.args(["-p", &broker.port.to_string(), "-t", topic, "-q", "1"]).args(more);
        assert!(command.status().unwrap().success());
    };
    // From before: not a request of now.
    publish("site/door/clip", &["-r", "-m", "old"]);
    let mut config = config(
        &json!([
            { "NAME": "door", "URL": server.url() },
            { "NAME": "yard", "URL": "numbers.mp4" },
            { "NAME": "test", "URL": "test:ball", "OUTPUTS": { "CLIPS": { "ENABLED": false } } }
        ]),
        &json!({
            "JSON_LINES": "{camera}.jsonl",
            "MQTT": { "URL": format!("mqtt://127.0.0.1:{}", broker.port), "CLIENT_ID": "hall" },
            "CLIPS": {
                "FOLDER": "clips", "BEFORE_S": 1, "AFTER_S": 1, "RULES": [], "COMMAND_TOPIC": "site/{camera}/clip"
            }
        }),
    );
    config["monitoring"] = json!({ "METRICS": format!("127.0.0.1:{port}") });
    operator.write(&config);
    operator.run(&[]);
    for camera in ["door", "yard"] {
        operator.wait_for("frames", || operator.lines(camera) > 100);
    }
    operator.signal("USR1");
    for camera in ["door", "yard"] {
        operator.wait_for("a clip", || clips(&operator, camera).len() == 1);
        let clip = Clip::read(&clips(&operator, camera)[0].with_extension("mp4"));
        assert_eq!(clip.document["events"][0]["rule"], "signal");
        let at = clip.events_at()[0];
        assert!((0.99..1.5).contains(&at) && clip.length() - at > 0.95, "{}", clip.document);
        assert!(clip.path.to_str().unwrap().ends_with("-signal.mp4"));
    }
    operator.wait_for("the subscription", || broker.log().contains("site/yard/clip (QoS 1)"));
    publish("site/yard/clip", &["-m", "the guard's \"button\""]);
    operator.wait_for_line("yard: records ");
    operator.wait_for("a clip", || clips(&operator, "yard").len() == 2);
    let clip = Clip::read(&clips(&operator, "yard")[1].with_extension("mp4"));
    assert_eq!(clip.document["events"][0]["rule"], "command");
    assert_eq!(clip.document["events"][0]["text"], "the guard's \"button\"");
    assert_eq!(clips(&operator, "door").len(), 1, "another camera's topic, and what was retained");
    let metrics = metrics(port);
    for line in [
        "gst_trt_camera_clips_total{camera=\"yard\"} 2",
        "gst_trt_camera_clips_total{camera=\"door\"} 1",
        "gst_trt_camera_clips_lost_total{camera=\"door\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in\n{metrics}");
    }
    assert!(metrics.contains("gst_trt_camera_clip_buffer_bytes{camera=\"door\"} "), "{metrics}");
    assert!(!metrics.contains("clips_total{camera=\"test\"}"), "{metrics}");
    // Another topic, without a restart.
    config["outputs"]["CLIPS"]["COMMAND_TOPIC"] = "site/all/clip".into();
    operator.write(&config);
    operator.wait_for_line("read again");
    operator.wait_for("the subscription", || broker.log().contains("site/all/clip (QoS 1)"));
    for camera in ["door", "yard"] {
        let lines = operator.lines(camera);
        operator.wait_for("frames", || operator.lines(camera) > lines + 60);
    }
    publish("site/all/clip", &["-n"]);
    operator.wait_for("both clips", || clips(&operator, "door").len() == 2 && clips(&operator, "yard").len() == 3);
    operator.stop();
}

fn metrics(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// From pixels to a clip: the model finds the square, the tracker follows it, the zone notices it, and the clip shows it.
#[test]
fn an_object_that_enters_a_zone_has_a_clip() {
    const APPEARS: u64 = 125;
    if !crate::common::running::start() {
        return;
    }
    let mut operator = Operator::new();
    barcode::write_with_object(APPEARS, &operator.path("numbers.mp4"));
    let zone = |name: &str, left: f64, right: f64| json!({ "NAME": name, "POLYGON": [[left, 0], [right, 0], [right, 1], [left, 1]] });
    let mut config = config(
        &json!([{
            "NAME": "yard", "URL": "numbers.mp4",
            "ZONES": [zone("gate", 0.0, 0.5), zone("street", 0.5, 1.0)]
        }]),
        &json!({
            "JSON_LINES": "{camera}.jsonl",
            "CLIPS": {
                "FOLDER": "clips", "BEFORE_S": 1, "AFTER_S": 1,
                "RULES": [
                    { "NAME": "elsewhere", "ZONES": ["street"] },
                    { "NAME": "intruder", "ZONES": ["gate"], "EVENTS": ["entered"], "CLASSES": ["red"] }
                ]
            }
        }),
    );
    config["processing"]["COUNTING"] = json!({ "SETTLE_S": 0.5, "MERGE_S": 3 });
    operator.write(&config);
    operator.run(&[]);
    operator.wait_for("a clip", || clips(&operator, "yard").len() == 1);
    let clip = Clip::read(&clips(&operator, "yard")[0].with_extension("mp4"));
    assert!(clip.path.to_str().unwrap().ends_with("-intruder.mp4"));
    let at = clip.events_at()[0];
    let shown = clip.numbers[(at * barcode::FRAMES_PER_SECOND as f64).round() as usize].unwrap();
    assert!((APPEARS..APPEARS + 5).contains(&shown), "{shown}: {}", clip.document);
    let gop = barcode::KEY_DISTANCE as f64 * barcode::PERIOD.as_secs_f64();
    assert!(
        at > 0.99 && at < 1.05 + gop && clip.length() - clip.events_at().last().unwrap() > 0.95,
        "{}",
        clip.document
    );
    let event = &clip.document["events"][0];
    assert_eq!(
        (&event["rule"], &event["type"], &event["zone"], &event["label"]),
        (&"intruder".into(), &"entered".into(), &"gate".into(), &"red".into())
    );
    let tracks = clip.document["tracks"].as_array().unwrap();
    let track = tracks.iter().find(|track| track["track_id"] == event["track_id"]).unwrap();
    assert!(track["boxes"].as_array().unwrap().len() > 20, "{track}");
    let text = std::fs::read_to_string(operator.path("yard.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let events: Vec<_> = lines.iter().filter_map(|line| line["events"].as_array()).flatten().collect();
    let entered: Vec<_> = events.iter().filter(|event| event["type"] == "entered").collect();
    assert!(entered.iter().all(|event| event["clip"].is_string()), "{entered:?}");
    let in_clip = entered.iter().filter(|event| event["clip"] == clip.document["clip"]);
    assert_eq!(in_clip.count(), clip.events_at().len(), "{}", clip.document);
    let others = events.iter().filter(|event| event["type"] != "entered");
    assert!(others.into_iter().all(|event| event.get("clip").is_none()), "{events:?}");
    operator.stop();
}

#[test]
fn a_broker_that_allows_no_subscription_is_told_and_lines_go_on() {
    if !crate::common::running::start() {
        return;
    }
    // Nothing listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut operator = Operator::new();
    barcode::write_mp4(Codec::H264, 250, &operator.path("numbers.mp4"));
    operator.write(&config(
        &json!([{ "NAME": "yard", "URL": "numbers.mp4" }]),
        &json!({
            "JSON_LINES": "{camera}.jsonl",
            "MQTT": { "URL": format!("mqtt://127.0.0.1:{port}") },
            "CLIPS": { "FOLDER": "clips", "RULES": [], "COMMAND_TOPIC": "clip" }
        }),
    ));
    operator.run(&[]);
    operator.wait_for_line("commands aren't received from 127.0.0.1: ");
    operator.wait_for("frames", || operator.lines("yard") > 10);
    operator.stop();
    let said = operator.path("yard.jsonl");
    assert!(said.exists());
}

#[test]
fn check_says_where_clips_go_and_that_they_cannot() {
    crate::common::running::register();
    let operator = Operator::new();
    barcode::write_mp4(Codec::H264, 25, &operator.path("numbers.mp4"));
    std::fs::create_dir(operator.path("clips")).unwrap();
    operator.write(&config(
        &json!([{ "NAME": "yard", "URL": "numbers.mp4" }]),
        &json!({ "CLIPS": { "FOLDER": "clips", "BEFORE_S": 2.5 } }),
    ));
    let check = || {
        let mut command = Command::new(find::gst_trt());
        let output = command.args(["check", "--json", "--config"]).arg(operator.path("config.json")).output().unwrap();
        let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
        let list = checked["checks"].as_array().or(checked.as_array()).unwrap().clone();
        list.into_iter().find(|check| check["name"] == "camera yard: clips").unwrap_or_else(|| panic!("{checked}"))
    };
    let fine = check();
    assert_eq!(fine["verdict"], "ok");
    assert!(
        fine["found"].as_str().unwrap().ends_with("clips/yard, from 2.5 s before an event to 10 s after it"),
        "{fine}"
    );
    // Not even root can make a file there.
    std::fs::write(operator.path("clips/yard"), "in the way").unwrap();
    let wrong = check();
    assert_eq!(wrong["verdict"], "missing");
    assert!(wrong["remedy"].as_str().unwrap().contains("make the folder writable"), "{wrong}");
}
