//! SIGHUP, and files whose content changes under the same name: the new content is used, or an error says why not.

use crate::common::onnx::{Export, KERNEL};
use crate::common::operator::Operator;
use crate::common::running::start;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

const NEW: [&str; 3] = ["new red", "new green", "new blue"];

/// Two cameras: `door` has the model that changes, `yard` another one.
struct Site {
    operator: Operator,
}

impl Site {
    /// With these settings in `DETECTION` beside the model.
    fn new(export: &Export, more: &[(&str, &str)]) -> Option<Self> {
        if !start() {
            return None;
        }
        let mut operator = Operator::new();
        export.write(&operator.path("m.onnx"));
        let mut detection = json!({ "ONNX": "m.onnx" });
        more.iter().for_each(|(key, value)| detection[*key] = (*value).into());
        let camera = |name: &str| json!({ "NAME": name, "URL": "test:smpte", "WIDTH": 320, "HEIGHT": 240 });
        let mut yard = camera("yard");
        yard["URL"] = "test:ball".into();
        yard["DETECTION"] = json!({ "ONNX": crate::common::find::test_model("yolo-coco").to_str().unwrap() });
        let mut door = camera("door");
        door["DETECTION"] = detection;
        operator.write(&json!({
            "processing": { "USE_UNIFIED_GPU_PIPELINE": false, "FORCE_GPU_ONLY": false },
            "models": { "POSE": { "ENABLED": false } },
            "cameras": { "RTSP_STREAMS": [door, yard] },
            "outputs": { "JSON_LINES": "{camera}.jsonl" }
        }));
        write_labels(&operator.path("labels.txt"), &["a", "b", "c"]);
        operator.run(&[]);
        let site = Self { operator };
        for camera in ["door", "yard"] {
            site.operator.wait_for("lines", || site.operator.lines(camera) > 3);
        }
        Some(site)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.operator.path(name)
    }

    /// The objects of the last line of `door`: label and left edge, in order.
    fn objects(&self) -> Vec<(String, i64)> {
        let text = std::fs::read_to_string(self.path("door.jsonl")).unwrap();
        let last = text.lines().rfind(|line| line.ends_with('}')).unwrap();
        let Ok(line) = serde_json::from_str::<Value>(last) else { return vec![] };
        let object = |object: &Value| {
            (object["label"].as_str().unwrap().to_owned(), object["box"]["x"].as_f64().unwrap().round() as i64)
        };
        let mut objects: Vec<_> = line["objects"].as_array().unwrap().iter().map(object).collect();
        objects.sort();
        objects
    }

    fn labels(&self) -> Vec<String> {
        let mut labels: Vec<_> = self.objects().into_iter().map(|(label, _)| label).collect();
        labels.dedup();
        labels
    }

    fn said(&self, text: &str) -> usize {
        self.operator.said().iter().filter(|line| line.contains(text)).count()
    }

    /// Triggers a reading of the file, and waits until it is reported.
    #[track_caller]
    fn reload(&self) {
        let before = self.said("read again");
        self.operator.signal("HUP");
        self.operator.wait_for("reading", || self.said("read again") > before);
    }

    /// `door` continues with its current model.
    #[track_caller]
    fn goes_on(&self, with: &[&str]) {
        let lines = self.operator.lines("door");
        self.operator.wait_for("more lines", || self.operator.lines("door") > lines + 5);
        assert_eq!(self.labels(), with);
    }

    /// The other camera was not touched, and neither was restarted.
    #[track_caller]
    fn end(mut self) {
        let said = self.operator.said();
        assert!(!said.iter().any(|line| line.contains("anew") || line.contains("lost")), "{said:#?}");
        assert!(!said.iter().any(|line| line.contains("yard: detection")), "{said:#?}");
        self.operator.stop();
    }
}

fn write_labels(path: &std::path::Path, labels: &[&str]) {
    std::fs::write(path, labels.join("\n")).unwrap();
}

#[test]
fn labels_that_have_changed_count() {
    let Some(site) = Site::new(&Export::yolo(), &[("LABELS", "labels.txt")]) else { return };
    site.operator.wait_for("labels", || site.labels().contains(&"a".to_owned()));
    let known = site.labels();
    write_labels(&site.path("labels.txt"), &["d", "e", "f"]);
    site.reload();
    site.operator.wait_for("new labels", || !site.labels().is_empty() && site.labels()[0] == "d");
    // Too few labels.
    write_labels(&site.path("labels.txt"), &["one"]);
    site.operator.signal("HUP");
    site.operator.wait_for_line("wasn't applied");
    site.operator.wait_for_line("labels.txt: the labels file has 1 names, the model has 3 classes");
    let as_before: Vec<_> = known.iter().map(|label| ["d", "e", "f"][(label.as_bytes()[0] - b'a') as usize]).collect();
    site.goes_on(&as_before);
    // A correction takes effect.
    write_labels(&site.path("labels.txt"), &["g", "h", "i"]);
    site.reload();
    site.operator.wait_for("labels put right", || !site.labels().is_empty() && site.labels()[0] == "g");
    site.end();
}

#[test]
fn a_model_that_has_changed_counts() {
    let Some(site) = Site::new(&Export::yolo(), &[]) else { return };
    site.operator.wait_for("objects", || site.labels().contains(&"red".to_owned()));
    let before = site.objects();
    Export::yolo().swapped().write(&site.path("m.onnx"));
    site.reload();
    site.operator.wait_for("the new model", || {
        let now = site.objects();
        now.len() == before.len() && now != before
    });
    Export::yolo().named(NEW).write(&site.path("m.onnx"));
    // The file is watched, and read as after a signal.
    let text = std::fs::read_to_string(site.path("config.json")).unwrap();
    std::fs::write(site.path("config.json"), text + "\n").unwrap();
    site.operator.wait_for("the new names", || site.labels().contains(&"new red".to_owned()));
    site.end();
}

#[test]
fn weights_beside_a_model_that_have_changed_count() {
    let outside = |export: Export| export.external(KERNEL, "weights.bin");
    let Some(site) = Site::new(&outside(Export::yolo()), &[]) else { return };
    site.operator.wait_for("objects", || site.labels().contains(&"red".to_owned()));
    let before = site.objects();
    outside(Export::yolo().swapped()).write_files(&site.path(""));
    site.reload();
    site.operator.wait_for("the new weights", || {
        let now = site.objects();
        now.len() == before.len() && now != before
    });
    // Deleted: reported each time, and the current models stay.
    std::fs::remove_file(site.path("weights.bin")).unwrap();
    let labels = site.labels();
    for time in 1..=2 {
        site.reload();
        site.operator.wait_for("complaint", || site.said("the previous model stays in force") == time);
    }
    assert!(site.said("weights.bin") >= 2);
    site.goes_on(&labels.iter().map(String::as_str).collect::<Vec<_>>());
    site.end();
}

#[test]
fn a_broken_or_deleted_model_is_reported_and_the_old_one_stays() {
    let Some(site) = Site::new(&Export::yolo(), &[]) else { return };
    site.operator.wait_for("objects", || site.labels().contains(&"red".to_owned()));
    let labels = site.labels();
    let labels: Vec<_> = labels.iter().map(String::as_str).collect();
    for (content, word) in [(&b"<!doctype html>"[..], "web page"), (b"PK\x03\x04", "zip file"), (b"", "is empty")] {
        std::fs::write(site.path("m.onnx"), content).unwrap();
        site.reload();
        site.operator.wait_for_line(word);
        site.goes_on(&labels);
    }
    assert_eq!(site.said("the previous model stays in force"), 3);
    std::fs::remove_file(site.path("m.onnx")).unwrap();
    site.operator.signal("HUP");
    site.operator.wait_for_line("wasn't applied");
    // The rest of the same message.
    site.operator.wait_for_line("there is no file");
    site.goes_on(&labels);
    // Restored: nothing has to be done.
    Export::yolo().write(&site.path("m.onnx"));
    site.reload();
    site.goes_on(&labels);
    site.end();
}

#[test]
fn what_has_not_changed_is_left_alone() {
    let Some(site) = Site::new(&Export::yolo(), &[("LABELS", "labels.txt")]) else { return };
    let said = site.operator.said().len();
    for _ in 0..2 {
        site.reload();
    }
    // The file is watched too.
    let text = std::fs::read_to_string(site.path("config.json")).unwrap();
    std::fs::write(site.path("config.json"), text + "\n").unwrap();
    site.operator.wait_for("reading", || site.said("read again") == 3);
    // Rewritten with the same content.
    Export::yolo().write(&site.path("m.onnx"));
    site.reload();
    site.goes_on(&site.labels().iter().map(String::as_str).collect::<Vec<_>>());
    std::thread::sleep(Duration::from_millis(500));
    let more = site.operator.said()[said..].to_vec();
    assert!(more.len() == 4 && more.iter().all(|line| line.ends_with("read again")), "{more:#?}");
    site.end();
}

/// Certificates are read when a connection begins: their cameras restart, unless the files can't be read.
#[test]
fn certificates_that_have_changed_count() {
    if !start() {
        return;
    }
    let mut operator = Operator::new();
    let certificate = || rcgen::generate_simple_self_signed(["localhost".into()]).unwrap().cert.pem();
    std::fs::write(operator.path("ca.pem"), certificate()).unwrap();
    let camera = |name: &str, pattern: &str| json!({ "NAME": name, "URL": format!("test:{pattern}") });
    let mut door = camera("door", "smpte");
    // There is no broker: the test reads the lines in the file.
    door["OUTPUTS"] = json!({ "MQTT": { "URL": "mqtts://localhost:9", "CA_FILE": "ca.pem" } });
    operator.write(&json!({
        "processing": { "USE_UNIFIED_GPU_PIPELINE": false, "FORCE_GPU_ONLY": false },
        "models": {
            "DETECTION": { "ONNX": crate::common::find::test_model("yolo").to_str().unwrap() },
            "POSE": { "ENABLED": false }
        },
        "cameras": { "RTSP_STREAMS": [door, camera("yard", "ball")] },
        "outputs": { "JSON_LINES": "{camera}.jsonl" }
    }));
    operator.run(&[]);
    for name in ["door", "yard"] {
        operator.wait_for("lines", || operator.lines(name) > 3);
    }
    let said = |operator: &Operator, text: &str| operator.said().iter().filter(|line| line.contains(text)).count();
    for (content, word) in [("nonsense", "it contains no certificate"), ("", "it contains no certificate")] {
        std::fs::write(operator.path("ca.pem"), content).unwrap();
        let before = said(&operator, "wasn't applied");
        operator.signal("HUP");
        operator.wait_for("refusal", || said(&operator, "wasn't applied") > before);
        operator.wait_for_line(word);
        let lines = operator.lines("door");
        operator.wait_for("more lines", || operator.lines("door") > lines + 3);
    }
    assert_eq!(said(&operator, "starts anew"), 0);
    std::fs::write(operator.path("ca.pem"), certificate()).unwrap();
    operator.signal("HUP");
    operator.wait_for_line("door: starts anew");
    operator.wait_for("the new start", || said(&operator, "door: plays") == 2);
    assert_eq!(said(&operator, "yard: starts anew"), 0);
    operator.stop();
}
