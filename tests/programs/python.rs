//! A Python script reads the results of the plugin's elements, with nothing of this crate in its process except the
//! plugin.

use crate::common::find;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The keypoints of red cells according to tests/models/README.md: x, y in pixels of the 96 × 64 frame.
const CELLS: [(u32, u32); 3] = [(8, 16), (48, 8), (80, 40)];

/// A black frame with three red cells.
fn picture() -> Vec<u8> {
    let mut rgb = vec![0; 96 * 64 * 3];
    for (left, top) in CELLS {
        for y in top..top + 8 {
            for x in left..left + 8 {
                rgb[((y * 96 + x) * 3) as usize] = 200;
            }
        }
    }
    rgb
}

/// Sends two frames through `elements`; returns the script's output.
fn read(elements: &str) -> Option<Vec<Vec<Value>>> {
    let gi = Path::new("/usr/bin/python3").exists()
        && Command::new("/usr/bin/python3")
            .args(["-c", "import gi; gi.require_version('GstVideo', '1.0'); from gi.repository import Gst, GstVideo"])
            .status()
            .is_ok_and(|status| status.success());
    if !gi {
        find::skip("Python's GStreamer", "apt install python3-gst-1.0 gir1.2-gst-plugins-base-1.0");
        return None;
    }
    if !find::onnx_runtime() {
        return None;
    }
    let folder = tempfile::TempDir::new().unwrap();
    let frames = folder.path().join("frames.rgb");
    std::fs::write(&frames, [picture(), picture()].concat()).unwrap();
    let launch = format!(
        "filesrc location={} ! rawvideoparse format=rgb width=96 height=64 framerate=1/1 ! {elements} ! appsink name=sink",
        frames.display()
    );
    let library = std::env::current_exe().unwrap().with_file_name("libgsttensorrt.so");
    let output = Command::new("/usr/bin/python3")
        .arg(find::root().join("tests/python/read_objects.py"))
        .args([library.to_str().unwrap(), &launch])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn model(name: &str) -> String {
    find::test_model(name).display().to_string()
}

/// Objects by the corner of their box, since the detector chooses their order.
fn at(objects: &[Value], (x, y): (u32, u32)) -> &Value {
    objects.iter().find(|o| o["rect"] == serde_json::json!([x, y, 8, 8])).unwrap_or_else(|| panic!("{objects:?}"))
}

#[test]
fn all_objects_are_found_by_their_ids() {
    let Some(frames) = read(&format!("trtdetect backend=cpu model={}", model("yolo"))) else { return };
    assert_eq!(frames.len(), 2);
    for objects in frames {
        assert_eq!(objects.iter().map(|o| o["id"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
        for (x, y) in CELLS {
            let object = at(&objects, (x, y));
            assert_eq!((&object["label"], &object["parent"]), (&Value::from("red"), &Value::from(-1)));
            let detection = &object["detection"];
            assert_eq!(detection["label_id"], 0);
            for (field, expected) in [
                ("confidence", 200.0 / 255.0),
                ("x_min", f64::from(x) / 96.0),
                ("x_max", f64::from(x + 8) / 96.0),
                ("y_min", f64::from(y) / 64.0),
                ("y_max", f64::from(y + 8) / 64.0),
            ] {
                assert!((detection[field].as_f64().unwrap() - expected).abs() < 0.005, "{field}: {detection}");
            }
            assert_eq!(object["keypoints"], Value::Null);
        }
    }
}

#[test]
fn keypoints_are_read_too() {
    let Some(frames) = read(&format!("trtpose backend=cpu model={}", model("yolo-pose"))) else { return };
    assert_eq!(frames.len(), 2);
    for objects in frames {
        assert_eq!(objects.len(), 3);
        for (x, y) in CELLS {
            let points = at(&objects, (x, y))["keypoints"].as_array().unwrap();
            assert_eq!(points.len(), 17);
            for (k, point) in points.iter().enumerate() {
                let k = k as f64;
                let expected = [
                    (f64::from(x) + 8.0 * (k + 1.0) / 20.0) / 96.0,
                    (f64::from(y) + 8.0 * (k + 2.0) / 20.0) / 64.0,
                    200.0 / 255.0 * (20.0 - k) / 20.0,
                ];
                for (value, expected) in point.as_array().unwrap().iter().zip(expected) {
                    assert!((value.as_f64().unwrap() - expected).abs() < 0.005, "{k}: {point}");
                }
            }
        }
    }
}
