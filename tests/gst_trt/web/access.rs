//! Who may ask for what, and that no answer has a secret.

use crate::common::http::{Answer, request};
use crate::common::operator::Operator;
use crate::common::running::start;
use crate::common::web::{Site, camera, config};
use serde_json::{Value, json};
use std::process::Command;

const TOKEN: &str = "a-token-of-more-than-16";

fn with_token(config: &Value, address: &str) -> Site {
    let operator = Operator::new();
    operator.write(config);
    Site::of(operator, &["--web", address], |command| {
        command.env("GST_TRT_WEB_TOKEN", TOKEN);
    })
}

#[test]
fn beyond_loopback_a_token_is_needed() {
    if !start() {
        return;
    }
    for token in [None, Some("short")] {
        let mut operator = Operator::new();
        operator.write(&config(&[camera("door")]));
        operator.run_in(&["--web", "0.0.0.0:0"], |command: &mut Command| match token {
            Some(token) => drop(command.env("GST_TRT_WEB_TOKEN", token)),
            None => drop(command.env_remove("GST_TRT_WEB_TOKEN")),
        });
        let (status, said, _) = operator.end();
        assert!(!status.success(), "{said:#?}");
        assert!(said.iter().any(|line| line.contains("GST_TRT_WEB_TOKEN")), "{said:#?}");
    }
}

#[test]
fn only_those_with_the_token_are_answered() {
    if !start() {
        return;
    }
    let site = with_token(&config(&[camera("door")]), "127.0.0.1:0");
    let said = site.operator.said();
    assert!(said.iter().any(|line| line.contains("for those who have the token")), "{said:#?}");
    assert!(!said.iter().any(|line| line.contains(TOKEN)), "{said:#?}");
    let ask = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| -> Answer {
        request(&site.address, method, path, headers, body)
    };
    let bearer = format!("Bearer {TOKEN}");
    let login = ask("GET", &format!("/?token={TOKEN}"), &[], "");
    assert_eq!((login.status, login.header("location")), (303, Some("/")));
    let set = login.header("set-cookie").unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && !set.contains(TOKEN), "{set}");
    let cookie = set.split(';').next().unwrap();
    for path in
        ["/api/v1/cameras", "/api/v1/cameras/door/picture.jpg", "/api/v1/check", "/api/v1/stream/get-stream-info"]
    {
        let refused = ask("GET", path, &[], "");
        assert_eq!((refused.status, refused.header("content-type")), (401, Some("application/problem+json")), "{path}");
        assert!(refused.header("www-authenticate").is_some());
        for wrong in [("Authorization", "Bearer x"), ("Authorization", TOKEN), ("Cookie", "gst-trt-token=x")] {
            assert_eq!(ask("GET", path, &[wrong], "").status, 401, "{path} {wrong:?}");
        }
        assert_ne!(ask("GET", path, &[("Authorization", &bearer)], "").status, 401, "{path}");
        assert_ne!(ask("GET", path, &[("Cookie", cookie)], "").status, 401, "{path}");
    }
    // A browser is asked for it, and the page's files say nothing of the cameras.
    let page = ask("GET", "/", &[], "");
    assert!(page.status == 401 && page.text().starts_with("<!doctype html>"), "{}", page.text());
    assert_eq!(ask("GET", "/?token=wrong", &[], "").status, 401);
    assert_eq!(ask("GET", "/", &[("Cookie", cookie)], "").status, 200);
    // With the cookie alone a change must come from the page.
    let json = ("Content-Type", "application/json");
    let add = json!({ "value": { "camera_id": "yard", "camera_url": "test:ball", "change": "add" } }).to_string();
    let origin = format!("http://{}", site.address);
    let post = |headers: &[(&str, &str)]| ask("POST", "/api/v1/stream/add", headers, &add).status;
    assert_eq!(post(&[json]), 401);
    assert_eq!(post(&[json, ("Cookie", cookie)]), 403);
    for foreign in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        assert_eq!(post(&[json, ("Cookie", cookie), ("Origin", foreign)]), 403, "{foreign}");
        assert_eq!(post(&[json, ("Authorization", &bearer), ("Origin", foreign)]), 403, "{foreign}");
    }
    assert_eq!(post(&[("Content-Type", "text/plain"), ("Cookie", cookie), ("Origin", &origin)]), 415);
    assert_eq!(post(&[json, ("Cookie", cookie), ("Origin", &origin)]), 200);
    let remove = add.replace("\"add\"", "\"remove\"");
    assert_eq!(ask("POST", "/api/v1/stream/remove", &[json, ("Authorization", &bearer)], &remove).status, 200);
}

#[test]
fn names_of_other_sites_are_refused() {
    if !start() {
        return;
    }
    let site = Site::start(&config(&[camera("door")]));
    let host = |host: &str, path: &str| request(&site.address, "GET", path, &[("Host", host)], "").status;
    let port = site.address.rsplit(':').next().unwrap();
    for path in ["/", "/api/v1/cameras"] {
        assert_eq!(host(&format!("localhost:{port}"), path), 200);
        assert_eq!(host("evil.example", path), 421, "{path}");
        assert_eq!(host(&format!("evil.example:{port}"), path), 421, "{path}");
    }
}

#[test]
fn no_answer_has_a_secret() {
    if !start() {
        return;
    }
    let secrets = ["s3cret-of-url", "s3cret-of-mqtt", "s3cret-of-query", "s3cret-of-variable"];
    let operator = Operator::new();
    let mut config = config(&[
        json!({ "NAME": "door", "URL": "rtsp://admin:s3cret-of-url@127.0.0.1:1/a?token=s3cret-of-query" }),
        json!({ "NAME": "yard", "URL": "rtsp://admin:${CAMERA_WORD}@127.0.0.1:1/b" }),
        camera("hall"),
    ]);
    config["outputs"]["MQTT"] = json!({ "URL": "mqtt://127.0.0.1:1" });
    operator.write(&config);
    let site = Site::of(operator, &["--web", "127.0.0.1:0"], |command| {
        command.env("CAMERA_WORD", "s3cret-of-variable");
        command.env("MQTT_USERNAME", "user").env("MQTT_PASSWORD", "s3cret-of-mqtt");
    });
    site.wait_until_playing(&["hall"]);
    site.operator.wait_for("a reason", || {
        site.camera("door")["reason"].is_string() && site.camera("yard")["reason"].is_string()
    });
    let mut answers = Vec::new();
    for path in
        ["cameras", "cameras/door", "cameras/yard", "history?camera=door", "events", "check", "stream/get-stream-info"]
    {
        answers.push((path.to_owned(), site.get(&format!("/api/v1/{path}")).text()));
    }
    for camera in ["door", "yard", "hall"] {
        for what in ["zones", "objects", "picture.jpg"] {
            let path = format!("cameras/{camera}/{what}");
            answers.push((path.clone(), site.get(&format!("/api/v1/{path}")).text()));
        }
    }
    // A client can't have a variable sent to an address of its choice, or written where it's shown.
    let json = [("Content-Type", "application/json")];
    let add =
        json!({ "value": { "camera_id": "x", "camera_url": "rtsp://127.0.0.1:1/${CAMERA_WORD}", "change": "add" } });
    let answer = request(&site.address, "POST", "/api/v1/stream/add", &json, &add.to_string());
    assert_eq!(answer.status, 400, "{}", answer.text());
    answers.push(("add".into(), answer.text()));
    let tag = site.get("/api/v1/cameras/hall/zones").header("etag").unwrap().to_owned();
    let mut zone = crate::common::web::whole("${CAMERA_WORD}");
    let headers = [("Content-Type", "application/json"), ("If-Match", tag.as_str())];
    let put = |zone: &Value| {
        let sent = json!({ "ZONES": [zone], "LINES": [] }).to_string();
        request(&site.address, "PUT", "/api/v1/cameras/hall/zones", &headers, &sent)
    };
    let named = put(&zone);
    zone["NAME"] = "all".into();
    zone["CLASSES"] = json!(["${CAMERA_WORD}"]);
    let of_class = put(&zone);
    for answer in [named, of_class] {
        assert_eq!(answer.status, 400, "{}", answer.text());
        answers.push(("zones".into(), answer.text()));
    }
    for (path, text) in answers {
        for secret in secrets {
            assert!(!text.contains(secret), "{path} has {secret}: {text}");
        }
    }
    assert_eq!(site.camera("door")["source"], "rtsp://***@127.0.0.1:1/a?token=***");
}

#[test]
fn paths_lead_nowhere_else() {
    if !start() {
        return;
    }
    let operator = Operator::new();
    let mut door = camera("door");
    door["URL"] = "numbers.mp4".into();
    door["OUTPUTS"] = json!({ "CLIPS": { "FOLDER": operator.path("clips") } });
    crate::common::barcode::write_mp4(crate::common::barcode::Codec::H264, 50, &operator.path("numbers.mp4"));
    operator.write(&config(&[door]));
    let site = Site::of(operator, &["--web", "127.0.0.1:0"], |_| ());
    site.wait_until_playing(&["door"]);
    let clips = site.operator.path("clips/door");
    std::fs::create_dir_all(&clips).unwrap();
    std::os::unix::fs::symlink(site.operator.path("config.json"), clips.join("link.json")).unwrap();
    for path in [
        "/assets/../Cargo.toml",
        "/assets/%2e%2e%2fCargo.toml",
        "/../etc/passwd",
        "//etc/passwd",
        "/api/v1/cameras/door/clips/../../config.json",
        "/api/v1/cameras/door/clips/..%2f..%2fconfig.json",
        "/api/v1/cameras/door/clips/..%2F..%2Fnumbers.mp4",
        "/api/v1/cameras/door/clips/%2e%2e%2f%2e%2e%2fnumbers.mp4",
        "/api/v1/cameras/door/clips/link.json",
        "/api/v1/cameras/door/clips/%00.mp4",
        "/api/v1/cameras/..%2fdoor/clips/a.mp4",
        "/api/v1/cameras/%2e%2e/clips/config.json",
        "/api/v1/cameras/door/clips/",
    ] {
        let answer = site.get(path);
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
}
