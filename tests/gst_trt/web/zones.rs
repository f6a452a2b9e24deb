//! Zones that are sent are in config.json, with its comments, and count.

use crate::common::http::{Answer, request};
use crate::common::operator::Operator;
use crate::common::running::start;
use crate::common::web::{Site, camera, config, whole};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/cameras/door/zones";

#[track_caller]
fn put(site: &Site, zones: &Value, lines: &Value) -> Answer {
    let tag = site.get(PATH).header("etag").unwrap().to_owned();
    let sent = json!({ "ZONES": zones, "LINES": lines }).to_string();
    request(&site.address, "PUT", PATH, &[("Content-Type", "application/json"), ("If-Match", &tag)], &sent)
}

/// A configuration as people write it.
fn written(operator: &Operator) -> String {
    let model = crate::common::find::test_model("yolo").display().to_string();
    let text = format!(
        r#"// The hall's cameras.
{{
  "processing": {{ "USE_UNIFIED_GPU_PIPELINE": false, "FORCE_GPU_ONLY": false, "COUNTING": {{ "SETTLE_S": 0 }} }},
  "models": {{ "DETECTION": {{ "ONNX": "{model}" }}, "POSE": {{ "ENABLED": false }} }}, # one model
  "cameras": {{
    "RTSP_STREAMS": [
      {{
        "NAME": "door", "URL": "test:smpte", "WIDTH": 320, "HEIGHT": 240, "FPS": 25,
        "ZONES": [
          // Everything.
          {{ "NAME": "all", "POLYGON": [[0, 0], [1, 0], [1, 1], [0, 1]], "ANCHOR": "centre" }}, # counted
        ]
      }},
      {{ "NAME": "yard", "URL": "test:ball" }} // without
    ]
  }},
  "outputs": {{ "JSON_LINES": "{{camera}}.jsonl" }}
}}
"#
    );
    std::fs::write(operator.path("config.json"), &text).unwrap();
    text
}

#[test]
fn zones_are_written_with_comments_kept_and_count() {
    if !start() {
        return;
    }
    let operator = Operator::new();
    let before = written(&operator);
    let site = Site::of(operator, &["--web", "127.0.0.1:0"], |_| ());
    site.wait_until_playing(&["door", "yard"]);
    let file = || std::fs::read_to_string(site.operator.path("config.json")).unwrap();
    let zone = |name: &str| {
        let zones = site.camera("door")["zones"].clone();
        zones.as_array().unwrap().iter().find(|zone| zone["name"] == name).cloned().unwrap_or_default()
    };
    site.operator.wait_for("objects", || zone("all")["occupancy"].as_u64() > Some(0));
    let entered = zone("all")["entered"].clone();
    let shown = site.get(PATH).json();
    assert_eq!((&shown["ZONES"], &shown["editable"]), (&json!([whole("all")]), &true.into()));

    let second = json!({ "NAME": "left", "POLYGON": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]], "ANCHOR": "centre" });
    let answer = put(&site, &json!([whole("all"), second]), &json!([]));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["ZONES"].as_array().unwrap().len(), 2);
    let after = file();
    let new: Vec<_> = after.lines().filter(|line| !before.lines().any(|known| known == *line)).collect();
    assert_eq!(new.len(), 1, "{after}");
    assert!(before.lines().all(|line| after.lines().any(|known| known == line)), "{after}");
    // It's applied: the new zone counts, the other goes on, and the camera wasn't restarted.
    site.operator.wait_for("new zone", || zone("left")["occupancy"].as_u64() > Some(0));
    assert_eq!(zone("all")["entered"], entered);
    let said = site.operator.said();
    assert!(said.iter().any(|line| line.contains("door: changed: zones")), "{said:#?}");
    assert!(!said.iter().any(|line| line.contains("anew") || line.contains("lost")), "{said:#?}");
    assert_eq!(said.iter().filter(|line| line.contains("read again")).count(), 1, "{said:#?}");

    // What is wrong is refused, and says what is.
    let twice = put(&site, &json!([whole("all"), whole("all")]), &json!([]));
    assert_eq!(twice.status, 422, "{}", twice.text());
    assert!(
        twice.json()["findings"][0]["key"].as_str().unwrap().starts_with("cameras.RTSP_STREAMS.0"),
        "{}",
        twice.text()
    );
    let flat = json!([{ "NAME": "flat", "POLYGON": [[0, 0], [1, 1]] }]);
    assert_eq!(put(&site, &flat, &json!([])).status, 422);
    assert_eq!(put(&site, &json!([{ "NAME": 3 }]), &json!([])).status, 422);
    assert_eq!(put(&site, &json!({}), &json!([])).status, 400);
    assert_eq!(file(), after);

    // Back to what was there.
    assert_eq!(put(&site, &json!([whole("all")]), &json!([])).status, 200);
    assert_eq!(site.get(PATH).json()["ZONES"], json!([whole("all")]));
    site.operator.wait_for("one zone", || site.camera("door")["zones"].as_array().unwrap().len() == 1);

    // A file that was changed by an editor is read first.
    let tag = site.get(PATH).header("etag").unwrap().to_owned();
    std::fs::write(site.operator.path("config.json"), file() + "\n").unwrap();
    let sent = json!({ "ZONES": [], "LINES": [] }).to_string();
    let stale = request(&site.address, "PUT", PATH, &[("Content-Type", "application/json"), ("If-Match", &tag)], &sent);
    assert_eq!(stale.status, 412, "{}", stale.text());
}

#[test]
fn what_cannot_be_written_says_why() {
    if !start() {
        return;
    }
    let operator = Operator::new();
    let mut elsewhere = camera("door");
    elsewhere["ZONES_FILE"] = "zones.json".into();
    std::fs::write(operator.path("zones.json"), r#"{"zones": [{"name": "a", "polygon": [[0,0],[1,0],[1,1]]}]}"#)
        .unwrap();
    operator.write(&config(&[elsewhere, camera("yard")]));
    let set = r#"cameras.RTSP_STREAMS.1.ZONES=[{"NAME": "set", "POLYGON": [[0,0],[1,0],[1,1]]}]"#;
    let site = Site::of(operator, &["--web", "127.0.0.1:0", "--set", set], |_| ());
    site.wait_until_playing(&["door", "yard"]);
    let shown = site.get(PATH).json();
    assert_eq!((&shown["editable"], &shown["ZONES"][0]["NAME"]), (&false.into(), &"a".into()));
    assert!(shown["why_not"].as_str().unwrap().contains("ZONES_FILE"), "{shown}");
    let file = || std::fs::read_to_string(site.operator.path("config.json")).unwrap();
    let before = file();
    let path = "/api/v1/cameras/yard/zones";
    let tag = site.get(path).header("etag").unwrap().to_owned();
    let sent = json!({ "ZONES": [whole("a"), whole("b")], "LINES": [] }).to_string();
    let headers = [("Content-Type", "application/json"), ("If-Match", tag.as_str())];
    for (path, text) in [(PATH, "ZONES_FILE"), (path, "--set")] {
        let answer = request(&site.address, "PUT", path, &headers, &sent);
        assert_eq!(answer.status, 409, "{}", answer.text());
        assert!(answer.json()["detail"].as_str().unwrap().contains(text), "{}", answer.text());
    }
    assert_eq!(file(), before);
}
