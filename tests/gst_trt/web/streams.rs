//! Cameras that are added and removed as DeepStream's REST API does it.

use crate::common::http::{Answer, request};
use crate::common::running::start;
use crate::common::web::{Site, camera, config};
use serde_json::json;

fn post(site: &Site, what: &str, id: &str, url: &str) -> Answer {
    let value = json!({
        "camera_id": id, "camera_name": "Front door", "camera_url": url, "change": format!("camera_{what}"),
        "metadata": { "resolution": "1920x1080", "codec": "h264", "framerate": 30 }
    });
    let sent = json!({
        "key": "sensor", "value": value, "headers": { "source": "vst", "created_at": "2021-06-01T14:34:13.417Z" }
    });
    let headers = [("Content-Type", "application/json")];
    request(&site.address, "POST", &format!("/api/v1/stream/{what}"), &headers, &sent.to_string())
}

#[test]
fn cameras_come_and_go_as_with_deepstream() {
    if !start() {
        return;
    }
    let site = Site::start(&config(&[camera("door")]));
    site.operator.wait_for("readiness", || {
        site.get("/api/v1/health/get-dsready-state").json()["health-info"]["ds-ready"] == "YES"
    });
    let before = std::fs::read(site.operator.path("config.json")).unwrap();
    let added = post(&site, "add", "front", "test:smpte");
    assert_eq!(added.json(), json!({ "status": "HTTP/1.1 200 OK", "reason": "STREAM_ADD_SUCCESS" }));
    site.wait_until_playing(&["front", "door"]);
    let front = site.camera("front");
    assert_eq!((&front["from"], &front["models"][0]["file"]), (&"api".into(), &"yolo.onnx".into()));
    site.operator.wait_for("lines", || site.operator.lines("front") > 3);
    assert!(!site.get("/api/v1/cameras/front/zones").json()["editable"].as_bool().unwrap());
    let info = site.get("/api/v1/stream/get-stream-info").json();
    let streams = json!({
        "stream-count": 2,
        "stream-info": [
            { "camera_id": "door", "camera_name": "door", "source_id": 0 },
            { "camera_id": "front", "camera_name": "Front door", "source_id": 1 }
        ]
    });
    assert_eq!((&info["stream-info"], &info["reason"]), (&streams, &"GET_LIVE_STREAM_INFO_SUCCESS".into()));

    // It stays when the file is read again, and the file knows nothing of it.
    site.operator.signal("HUP");
    site.operator
        .wait_for("reading", || site.operator.said().iter().filter(|line| line.contains("read again")).count() == 2);
    assert_eq!(site.camera("front")["state"], "playing");
    assert_eq!(std::fs::read(site.operator.path("config.json")).unwrap(), before);

    for (what, id, url, status, text) in [
        ("add", "front", "test:ball", 409, "there is a camera front already"),
        ("add", "door", "test:ball", 409, "there is a camera door already"),
        ("add", "a/b", "test:ball", 400, "can't be a name"),
        ("add", "new", "", 400, "camera_url is missing"),
        ("add", "new", "gopher://a", 400, "gopher"),
        ("remove", "none", "", 404, "there is no camera none"),
    ] {
        let answer = post(&site, what, id, url);
        let json = answer.json();
        let reason = json["reason"].as_str().unwrap();
        assert_eq!(answer.status, status, "{reason}");
        assert!(
            reason.starts_with(&format!("STREAM_{}_FAIL, ", what.to_uppercase())) && reason.contains(text),
            "{reason}"
        );
        assert!(json["status"].as_str().unwrap().starts_with(&format!("HTTP/1.1 {status} ")), "{json}");
    }

    // All may go, and the program stays for others.
    for id in ["front", "door"] {
        let removed = post(&site, "remove", id, "test:smpte");
        assert_eq!(removed.json()["reason"], "STREAM_REMOVE_SUCCESS");
        site.operator.wait_for("end", || site.get(&format!("/api/v1/cameras/{id}")).status == 404);
    }
    site.operator.signal("HUP");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(site.get("/api/v1/cameras").json()["cameras"], json!([]));
    assert_eq!(post(&site, "add", "door", "test:ball").status, 200);
    site.wait_until_playing(&["door"]);
    assert_eq!(site.camera("door")["source"], "test:ball");
    let mut site = site;
    site.operator.stop();
}
