//! Failing outputs of `gst-trt run`: each is reported, counted and retried independently, and rotated files are
//! reopened.

use crate::common::operator::Operator;
use crate::common::outputs::{
    Answer, Broker, Element, PipeReader, Reader, cameras, number, numbers, run_with_failures,
};
use crate::common::supervised::Supervised;
use gsttensorrt::monitor::CameraState;
use gsttensorrt::run::Outcome;
use procfs::process::{FDTarget, Process};
use serde_json::json;
use std::net::TcpListener;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// One camera for each way in which an output can fail from the start; each also has a working file.
#[test]
fn a_failing_output_affects_no_other() {
    crate::common::running::start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::create_dir(path("gone")).unwrap();
    let nothing_listens = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let never_takes = Broker::with(|_, _| Answer::Close);
    let refuses = Broker::refusing(5);
    let mqtt =
        |broker: &Broker| json!({ "URL": format!("mqtt://127.0.0.1:{}", broker.port), "STATUS_TOPIC": "status/all" });
    let names = ["full", "pipe", "gone", "folder", "tcp", "refused", "never", "pictures"];
    let setups = cameras(&names, |name| {
        let good = path(&format!("{name}.jsonl"));
        match name {
            "full" => json!({ "JSON_LINES": ["/dev/full", good] }),
            "pipe" => json!({ "JSON_LINES": [path("pipe"), good] }),
            "gone" => json!({ "JSON_LINES": [path("gone/lines"), good] }),
            "folder" => json!({ "JSON_LINES": [path("folder"), good] }),
            "tcp" => json!({ "JSON_LINES": [format!("tcp://{nothing_listens}"), good] }),
            "refused" => json!({ "JSON_LINES": good, "MQTT": mqtt(&refuses) }),
            "never" => json!({ "JSON_LINES": good, "MQTT": mqtt(&never_takes) }),
            _ => json!({ "JSON_LINES": good, "PICTURES": { "FOLDER": path("pictures"), "INTERVAL_S": 0.1 } }),
        }
    });
    // As after the configuration was read.
    std::fs::remove_dir(path("gone")).unwrap();
    std::fs::create_dir(path("folder")).unwrap();
    let _ = std::fs::remove_dir_all(path("pictures"));
    std::fs::write(path("pictures"), "a file").unwrap();

    let running = Supervised::start(setups);
    for name in names {
        running.wait_for_pictures(name, 25, 30 * SECOND);
    }
    let said = |running: &Supervised, name: &str| {
        let begin = format!("{name}: ");
        let all = running.lines().into_iter().filter(|line| line.starts_with(&begin));
        all.filter(|line| !line.ends_with("starts") && !line.ends_with("plays")).collect::<Vec<_>>()
    };
    running.wait_for("an answer to what is never taken", 30 * SECOND, || {
        said(&running, "never").iter().any(|line| line.contains("dropped and counted"))
    });
    let words = [
        ("full", "No space left"),
        ("pipe", "start its reader first"),
        ("gone", "create its folder first"),
        ("folder", "irectory"),
        ("tcp", "refused"),
        ("refused", "refuses this user name and password"),
        ("pictures", "make the folder writable"),
    ];
    for (name, words) in words {
        let said = said(&running, name);
        assert!(said.len() == 1 && said[0].contains(words), "{name}: {said:#?}");
    }
    for camera in running.cameras() {
        assert_eq!((camera.state, camera.reconnects), (CameraState::Playing, 0), "{camera:?}: {:#?}", running.lines());
    }
    // Outputs that can be repaired then work.
    std::fs::create_dir(path("gone")).unwrap();
    std::fs::remove_dir(path("folder")).unwrap();
    std::fs::remove_file(path("pictures")).unwrap();
    for file in ["gone/lines", "folder", "pictures/pictures.jpg"] {
        running.wait_for(file, 20 * SECOND, || path(file).metadata().is_ok_and(|file| file.len() > 0));
    }
    let elements: Vec<_> = names
        .iter()
        .map(|name| {
            let output = if matches!(*name, "refused" | "never" | "pictures") { "lines-1" } else { "lines-2" };
            (*name, Element::of(&running, name, output))
        })
        .collect();
    let full = Element::of(&running, "full", "lines-1");
    let arrivals = running.arrivals_handle();
    assert_eq!(running.stop(), Outcome::Stopped);
    for (name, element) in elements {
        let made = arrivals.lock().unwrap()[name].len() as u64;
        let got = numbers(&std::fs::read_to_string(path(&format!("{name}.jsonl"))).unwrap());
        assert_eq!(got, (0..made).collect::<Vec<_>>(), "{name}");
        assert_eq!((element.stat("lines"), element.stat("dropped")), (made, 0), "{name}");
    }
    let made = arrivals.lock().unwrap()["full"].len() as u64;
    assert_eq!((full.stat("lines"), full.stat("dropped")), (0, made));
}

/// The monitor's figures, including those left at the end.
#[test]
fn what_an_output_loses_is_counted_for_its_camera() {
    crate::common::running::start();
    let reader = PipeReader::new();
    let setups = cameras(&["door"], |_| json!({ "JSON_LINES": [reader.path(), "/dev/full"] }));
    let running = Supervised::start(setups);
    running.wait_for_pictures("door", 25, 30 * SECOND);
    // 256 lines are queued.
    running.wait_for("drops", 30 * SECOND, || running.cameras()[0].lines_dropped > 0);
    let dropped = running.cameras()[0].lines_dropped;
    let made = running.count("door") as u64;
    assert!(dropped <= made - 200, "{dropped} of {made}");
    let arrivals = running.arrivals_handle();
    let (outcome, last) = running.stop_and_count("door");
    assert_eq!(outcome, Outcome::Stopped);
    let made = arrivals.lock().unwrap()["door"].len() as u64;
    assert_eq!(last.lines_dropped, made);
    assert_eq!(Box::new(reader).end(), (0..made).collect::<Vec<_>>());
}

#[test]
fn files_are_followed_when_they_are_rotated() {
    if !crate::common::running::start() {
        return;
    }
    let mut operator = Operator::new();
    let logs = operator.path("logs");
    std::fs::create_dir(&logs).unwrap();
    let yolo = crate::common::find::test_model("yolo");
    operator.write(&json!({
        "processing": {
            "USE_UNIFIED_GPU_PIPELINE": false, "FORCE_GPU_ONLY": false, "ENABLE_DECOUPLED_PIPELINE": true
        },
        "models": { "DETECTION": { "ONNX": yolo.to_str().unwrap() }, "POSE": { "ENABLED": false } },
        "cameras": { "RTSP_STREAMS": [
            { "NAME": "door", "URL": "test:ball", "WIDTH": 64, "HEIGHT": 48, "FPS": 25 },
            { "NAME": "yard", "URL": "test:ball", "WIDTH": 64, "HEIGHT": 48, "FPS": 25 }
        ] },
        "outputs": { "JSON_LINES": ["logs/{camera}.jsonl", "-"] }
    }));
    operator.run(&[]);
    let text = |name: &str| std::fs::read_to_string(logs.join(name)).unwrap_or_default();
    let wait = |operator: &Operator, name: &str| operator.wait_for(name, || text(name).lines().count() > 5);
    let (mut door, mut yard) = (String::new(), String::new());
    wait(&operator, "door.jsonl");
    wait(&operator, "yard.jsonl");
    // As logrotate does: moved, then a signal.
    std::fs::rename(logs.join("door.jsonl"), logs.join("door.jsonl.1")).unwrap();
    operator.signal("HUP");
    wait(&operator, "door.jsonl");
    operator.wait_for_line("read again");
    door += &text("door.jsonl.1");
    // Again, with an empty file created in its place.
    std::fs::rename(logs.join("door.jsonl"), logs.join("door.jsonl.1")).unwrap();
    std::fs::File::create(logs.join("door.jsonl")).unwrap();
    operator.signal("HUP");
    wait(&operator, "door.jsonl");
    door += &text("door.jsonl.1");
    // Without a signal.
    std::fs::rename(logs.join("yard.jsonl"), logs.join("yard.jsonl.1")).unwrap();
    wait(&operator, "yard.jsonl");
    yard += &text("yard.jsonl.1");
    // The folder with both files.
    std::fs::rename(&logs, operator.path("moved")).unwrap();
    operator.wait_for_line("create its folder first");
    std::fs::create_dir(&logs).unwrap();
    wait(&operator, "door.jsonl");
    wait(&operator, "yard.jsonl");
    let moved = |name: &str| std::fs::read_to_string(operator.path("moved").join(name)).unwrap();
    door += &moved("door.jsonl");
    yard += &moved("yard.jsonl");
    let stdout = operator.stop();
    door += &text("door.jsonl");
    yard += &text("yard.jsonl");
    for (camera, text) in [("door", door), ("yard", yard)] {
        let of = stdout.lines().filter(|line| line.contains(&format!("\"{camera}\""))).map(number);
        assert_eq!(numbers(&text), of.collect::<Vec<_>>(), "{camera}");
        assert!(!text.contains('\0'));
    }
    // After deletion no file stays open.
    operator.run(&[]);
    wait(&operator, "door.jsonl");
    std::fs::remove_file(logs.join("door.jsonl")).unwrap();
    wait(&operator, "door.jsonl");
    let open = Process::new(operator.id().cast_signed()).unwrap().fd().unwrap().flatten();
    let open: Vec<_> = open.map(|file| file.target).collect();
    assert!(!open.iter().any(is_deleted), "{open:?}");
    operator.stop();
}

fn is_deleted(file: &FDTarget) -> bool {
    matches!(file, FDTarget::Path(path) if path.to_string_lossy().contains("door.jsonl (deleted)"))
}

/// A few steps of the test that `soak_outputs` runs for minutes.
#[test]
fn outputs_fail_by_chance() {
    run_with_failures(7, 7, 2 * SECOND);
}
