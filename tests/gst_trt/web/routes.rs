//! Each path of docs/openapi.json on a running program.

use crate::common::barcode::{self, Codec};
use crate::common::find;
use crate::common::http::{Answer, request};
use crate::common::operator::Operator;
use crate::common::running::start;
use crate::common::web::{Site, camera, config, whole};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn description() -> Value {
    serde_json::from_str(&std::fs::read_to_string(find::root().join("docs/openapi.json")).unwrap()).unwrap()
}

/// Follows a reference.
fn resolved<'a>(description: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => description.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => value,
    }
}

/// Checks that an answer is one of those that the description has for this method and path.
#[track_caller]
fn check(description: &Value, method: &str, path: &str, answer: &Answer) {
    let what = format!("{method} {path}: {}", answer.status);
    let responses = &description["paths"][path][method]["responses"];
    let response = resolved(description, &responses[answer.status.to_string()]);
    assert!(response.is_object(), "{what} isn't described: {}", answer.text());
    for (name, value) in [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")] {
        assert_eq!(answer.header(name), Some(value), "{what}");
    }
    assert!(answer.header("content-security-policy").unwrap().starts_with("default-src 'self';"), "{what}");
    let Some(content) = response["content"].as_object() else { return };
    let kind = answer.header("content-type").unwrap_or_else(|| panic!("{what}: no content type"));
    let bare = kind.split(';').next().unwrap();
    let described =
        content.iter().find(|(described, _)| *described == "*/*" || described.split(';').next() == Some(bare));
    let (_, described) = described.unwrap_or_else(|| panic!("{what}: {kind} isn't described"));
    if bare.ends_with("json") && described["schema"].is_object() {
        let mut schema = described["schema"].clone();
        schema["components"] = description["components"].clone();
        let schema = jsonschema::validator_for(&schema).unwrap();
        let json = answer.json();
        let wrong: Vec<_> =
            schema.iter_errors(&json).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{what}: {wrong:?}\n{json:#}");
    }
}

#[test]
fn every_described_path_answers_as_described() {
    if !start() {
        return;
    }
    let description = description();
    let operator = Operator::new();
    barcode::write_mp4(Codec::H264, 250, &operator.path("numbers.mp4"));
    let mut file = json!({ "NAME": "file", "URL": "numbers.mp4" });
    file["OUTPUTS"] = json!({ "CLIPS": { "FOLDER": operator.path("clips"), "BEFORE_S": 0.5, "AFTER_S": 0.5 } });
    let mut door = camera("door");
    door["ZONES"] = json!([whole("hall")]);
    door["LINES"] = json!([{ "NAME": "gate", "FROM": [0, 0.5], "TO": [1, 0.5] }]);
    operator.write(&config(&[door, file]));
    let site = Site::of(operator, &["--web", "127.0.0.1:0"], |_| ());
    site.wait_until_playing(&["door", "file"]);
    // A clip on request, and events: objects are in the zone at once.
    site.operator.signal("USR1");
    let files = |kind: &str| crate::common::clips_of_events::files(&site.operator.path("clips/file"), kind);
    // The document is written when the video is finished.
    site.operator.wait_for("clip", || !files("json").is_empty());
    let clips = || files("mp4");
    let clip = clips()[0].file_name().unwrap().to_str().unwrap().to_owned();
    site.operator.wait_for("points", || !site.get("/api/v1/history").json()["points"].as_array().unwrap().is_empty());
    site.operator.wait_for("events", || !site.get("/api/v1/events").json()["events"].as_array().unwrap().is_empty());
    let tag = site.get("/api/v1/cameras/door/zones").header("etag").unwrap().to_owned();

    let mut answered = BTreeSet::new();
    let mut ask = |method: &str, path: &str, actual: &str, headers: &[(&str, &str)], body: &str, status: u16| {
        let mut answer = request(&site.address, &method.to_uppercase(), actual, headers, body);
        assert_eq!(answer.status, status, "{method} {actual}: {}", answer.text());
        if answer.header("content-type").is_some_and(|kind| kind.starts_with("image/jpeg")) {
            assert!(answer.body.starts_with(&[0xff, 0xd8]) && answer.body.ends_with(&[0xff, 0xd9]), "{actual}");
            answer.body.clear();
        }
        check(&description, method, path, &answer);
        answered.insert(format!("{method} {path}"));
        answer
    };
    let json = ("Content-Type", "application/json");
    let (one, none) = ("/api/v1/cameras/{name}", "/api/v1/cameras/attic");
    ask("get", "/", "/", &[], "", 200);
    ask("get", "/assets/{file}", "/assets/index.html", &[], "", 200);
    ask("get", "/assets/{file}", "/assets/none.js", &[], "", 404);
    ask("get", "/api/v1/openapi.json", "/api/v1/openapi.json", &[], "", 200);
    let cameras = ask("get", "/api/v1/cameras", "/api/v1/cameras", &[], "", 200).json();
    assert_eq!(cameras["cameras"].as_array().unwrap().len(), 2);
    let door = ask("get", one, "/api/v1/cameras/door", &[], "", 200).json();
    assert_eq!((&door["width"], &door["height"], &door["from"]), (&320.into(), &240.into(), &"config".into()));
    assert_eq!(door["models"][0], json!({ "element": "detection", "file": "yolo.onnx" }));
    assert!(door["zones"][0]["occupancy"].as_u64() > Some(0) && door["lines"][0]["name"] == "gate", "{door}");
    ask("get", one, none, &[], "", 404);
    for (more, status) in
        [("", 200), ("?plain=1&width=100", 200), ("?plain=2", 400), ("?width=1", 400), ("?width=x", 400)]
    {
        ask("get", &format!("{one}/picture.jpg"), &format!("/api/v1/cameras/door/picture.jpg{more}"), &[], "", status);
    }
    ask("get", &format!("{one}/picture.jpg"), &format!("{none}/picture.jpg"), &[], "", 404);
    ask("get", &format!("{one}/live.mjpeg"), &format!("{none}/live.mjpeg"), &[], "", 404);
    ask("get", &format!("{one}/live.mjpeg"), "/api/v1/cameras/door/live.mjpeg?fps=0", &[], "", 400);
    let objects = ask("get", &format!("{one}/objects"), "/api/v1/cameras/door/objects", &[], "", 200).json();
    assert!(objects["stream"] == "door" && !objects["objects"].as_array().unwrap().is_empty(), "{objects}");
    ask("get", &format!("{one}/objects"), &format!("{none}/objects"), &[], "", 404);
    let events = ask("get", "/api/v1/events", "/api/v1/events", &[], "", 200).json();
    assert_eq!((&events["events"][0]["camera"], &events["missed"]), (&"door".into(), &0.into()));
    let last = events["last"].as_u64().unwrap();
    let later = ask("get", "/api/v1/events", &format!("/api/v1/events?after={}", last + 1000), &[], "", 200).json();
    assert_eq!((&later["events"], &later["missed"]), (&json!([]), &0.into()));
    ask("get", "/api/v1/events", "/api/v1/events?after=x", &[], "", 400);
    let history = ask("get", "/api/v1/history", "/api/v1/history?camera=door", &[], "", 200).json();
    assert!(history["points"][0]["camera"].is_object() && history["points"][0]["cpu_percent"].is_number(), "{history}");
    ask("get", "/api/v1/history", "/api/v1/history?camera=attic", &[], "", 404);
    let report = ask("get", "/api/v1/check", "/api/v1/check", &[], "", 200).json();
    assert_eq!((&report["ok"], &report["config"]["cameras"]), (&true.into(), &json!(["door", "file"])));
    let of_clip = format!("{one}/clips/{{file}}");
    let whole_clip = ask("get", &of_clip, &format!("/api/v1/cameras/file/clips/{clip}"), &[], "", 200);
    assert_eq!(whole_clip.body, std::fs::read(&clips()[0]).unwrap());
    let range = [("Range", "bytes=4-7")];
    let part = ask("get", &of_clip, &format!("/api/v1/cameras/file/clips/{clip}"), &range, "", 206);
    assert_eq!((part.body.as_slice(), part.header("content-range").is_some()), (&whole_clip.body[4..8], true));
    let beyond = [("Range", "bytes=99999999999-")];
    ask("get", &of_clip, &format!("/api/v1/cameras/file/clips/{clip}"), &beyond, "", 416);
    ask("get", &of_clip, "/api/v1/cameras/file/clips/none.mp4", &[], "", 404);
    let zones = format!("{one}/zones");
    let sent = json!({ "ZONES": [whole("hall"), whole("all")], "LINES": [] }).to_string();
    ask("get", &zones, "/api/v1/cameras/door/zones", &[], "", 200);
    ask("get", &zones, &format!("{none}/zones"), &[], "", 404);
    ask("put", &zones, "/api/v1/cameras/door/zones", &[json], &sent, 428);
    ask("put", &zones, "/api/v1/cameras/door/zones", &[json, ("If-Match", "\"other\"")], &sent, 412);
    ask("put", &zones, "/api/v1/cameras/door/zones", &[json, ("If-Match", &tag)], "{", 400);
    ask("put", &zones, "/api/v1/cameras/door/zones", &[("Content-Type", "text/plain"), ("If-Match", &tag)], &sent, 415);
    let long = format!("{{\"ZONES\": \"{}\"}}", "x".repeat(1 << 20));
    ask("put", &zones, "/api/v1/cameras/door/zones", &[json, ("If-Match", &tag)], &long, 413);
    ask("put", &zones, "/api/v1/cameras/door/zones", &[json, ("If-Match", &tag)], &sent, 200);
    ask("put", &zones, &format!("{none}/zones"), &[json, ("If-Match", &tag)], &sent, 404);
    let stream = |id: &str, change: &str| {
        let value = json!({ "camera_id": id, "camera_name": "Front", "camera_url": "test:ball", "change": change });
        json!({ "key": "sensor", "value": value, "headers": { "source": "vst" } }).to_string()
    };
    ask("post", "/api/v1/stream/add", "/api/v1/stream/add", &[json], &stream("front", "camera_add"), 200);
    ask("post", "/api/v1/stream/add", "/api/v1/stream/add", &[json], &stream("front", "camera_add"), 409);
    ask("post", "/api/v1/stream/add", "/api/v1/stream/add", &[json], &stream("a b", "camera_add"), 400);
    let info = ask("get", "/api/v1/stream/get-stream-info", "/api/v1/stream/get-stream-info", &[], "", 200).json();
    assert_eq!(info["stream-info"]["stream-info"][2]["camera_name"], "Front");
    ask("post", "/api/v1/stream/remove", "/api/v1/stream/remove", &[json], &stream("front", "camera_remove"), 200);
    ask("post", "/api/v1/stream/remove", "/api/v1/stream/remove", &[json], &stream("none", "camera_remove"), 404);
    ask("get", "/api/v1/health/get-dsready-state", "/api/v1/health/get-dsready-state", &[], "", 200);
    // What isn't described is refused.
    for (method, path) in
        [("DELETE", "/api/v1/cameras"), ("PUT", "/"), ("OPTIONS", "/api/v1/stream/add"), ("GET", "/api/v1/stream/add")]
    {
        let answer = request(&site.address, method, path, &[json], "");
        assert!(answer.status == 405 && answer.header("allow").is_some(), "{method} {path}: {}", answer.status);
    }
    assert_eq!(site.get("/api/v2/cameras").status, 404);

    // live.mjpeg has no end, and is asked for in a test of its own.
    let all =
        description["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
        });
    let all: BTreeSet<_> = all.collect();
    assert_eq!(answered, all);
    let said = site.operator.said();
    assert!(!said.iter().any(|line| line.contains("panicked") || line.contains("lost")), "{said:#?}");
}
