//! trtpublish: its output, its timing, and its failures.

use crate::common::running::register;
use crate::gst_launch;
use gst::prelude::*;
use gst_check::Harness;
use gsttensorrt::config::MaskFormat;
use gsttensorrt::meta::{self, Inference, KeypointSet, ModelRun, Object, Record};
use gsttensorrt::publish;
use model::{Keypoint, KeypointLayout, Rect};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const CAPS: &str = "video/x-raw,format=GRAY8,width=64,height=32,framerate=30/1";

fn harness(properties: &str) -> Harness {
    register();
    let mut harness = Harness::new_parse(&format!("trtpublish name=publish {properties}"));
    harness.set_src_caps_str(CAPS);
    harness
}

fn element(harness: &Harness) -> gst::Element {
    harness.element().unwrap().downcast::<gst::Bin>().unwrap().by_name("publish").unwrap()
}

fn frame(number: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::with_size(64 * 32).unwrap();
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(number));
    buffer
}

fn frame_with(number: u64, record: Record) -> gst::Buffer {
    let mut buffer = frame(number);
    meta::set_record(buffer.get_mut().unwrap(), Arc::new(record), 64, 32);
    buffer
}

/// Every kind of object and of inference state.
fn record() -> Record {
    let object = |id, label: &str, rect| Object {
        id,
        rect,
        class_id: Some(id),
        label: label.into(),
        confidence: 0.5,
        source: "det".into(),
        ..Object::default()
    };
    let layout = KeypointLayout { name: "one", names: vec!["nose".into()], limbs: vec![] };
    let points = vec![Keypoint { x: 0.25, y: 0.5, confidence: 0.9 }];
    let keypoints = Some(KeypointSet { source: "pose".into(), layout: Arc::new(layout), points });
    Record {
        objects: vec![
            Object { keypoints, track_id: Some(7), ..object(0, "person", Rect::new(0.125, 0.25, 0.25, 0.5)) },
            Object { parent: Some(0), class_id: None, ..object(1, "bag", Rect::new(-0.125, 0.25, 0.25, 0.5)) },
        ],
        models: [Inference::Done, Inference::Interval, Inference::Busy, Inference::NoRegion]
            .into_iter()
            .zip(["det", "pose", "busy", "region"])
            .map(|(inference, id)| ModelRun { model_id: id.into(), inference })
            .collect(),
        ..Record::default()
    }
}

fn parse(text: &str) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with('\n'), "torn: {text:?}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn lines(path: &Path) -> Vec<Value> {
    parse(&std::fs::read_to_string(path).unwrap())
}

fn numbers(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["frame"].as_u64().unwrap()).collect()
}

fn stat(element: &gst::Element, name: &str) -> u64 {
    element.property::<gst::Structure>("stats").get(name).unwrap()
}

/// A named pipe and its open reading end, which reads nothing by itself.
fn pipe() -> (TempDir, PathBuf, File) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("objects.pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // Opened for reading and writing, so that it neither waits for a writer nor ends with it.
    let reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    (folder, path, reader)
}

fn read_lines(reader: File, count: usize) -> Vec<Value> {
    BufReader::new(reader).lines().take(count).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn every_frame_is_a_line_that_the_schema_allows() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("objects.jsonl");
    let mut h = harness(&format!("stream-id=camera-1 location={}", path.display()));
    let mut dated = frame_with(2, Record::default());
    let ntp = gst::Caps::new_empty_simple("timestamp/x-ntp");
    // 2026-05-04T12:34:56.5Z, from 1900.
    let time = gst::ClockTime::from_mseconds((1_777_898_096 + 2_208_988_800) * 1000 + 500);
    gst::ReferenceTimestampMeta::add(dated.get_mut().unwrap(), &ntp, time, None);
    let mut foreign = frame(3);
    gst_video::VideoRegionOfInterestMeta::add(foreign.get_mut().unwrap(), "face", (16, 8, 32, 16));
    foreign.get_mut().unwrap().set_pts(None);
    for buffer in [frame(0), frame_with(1, record()), dated, foreign] {
        let pixels = buffer.as_ptr();
        assert_eq!(h.push_and_pull(buffer).unwrap().as_ptr(), pixels);
    }
    assert!(h.push_event(gst::event::Eos::new()));

    let lines = lines(&path);
    let schema = serde_json::from_str(include_str!("../../docs/objects.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for line in &lines {
        assert!(schema.is_valid(line), "{:?}", schema.iter_errors(line).map(|e| e.to_string()).collect::<Vec<_>>());
    }
    assert_eq!(
        lines[0],
        json!({"stream": "camera-1", "frame": 0, "pts": 0, "width": 64, "height": 32, "inferred": {}, "objects": []})
    );
    assert_eq!(
        lines[1],
        json!({
            "stream": "camera-1", "frame": 1, "pts": 1_000_000, "width": 64, "height": 32,
            "inferred": {"det": "done", "pose": "interval", "busy": "busy", "region": "no-region"},
            "objects": [
                {
                    "id": 0, "label": "person", "class_id": 0, "confidence": 0.5,
                    "box": {"x": 8.0, "y": 8.0, "width": 16.0, "height": 16.0}, "source": "det", "track_id": 7,
                    "keypoints": [{"name": "nose", "x": 16.0, "y": 16.0, "confidence": 0.9}],
                    "keypoints_source": "pose",
                },
                {
                    "id": 1, "label": "bag", "confidence": 0.5,
                    "box": {"x": -8.0, "y": 8.0, "width": 16.0, "height": 16.0}, "source": "det", "parent": 0,
                },
            ],
        })
    );
    assert_eq!(lines[2]["ntp"], "2026-05-04T12:34:56.500000000Z");
    assert_eq!(lines[3]["pts"], Value::Null);
    assert_eq!(
        lines[3]["objects"],
        json!([{
            "id": 0, "label": "face", "confidence": 1.0,
            "box": {"x": 16.0, "y": 8.0, "width": 32.0, "height": 16.0}, "source": "roi",
        }])
    );
    assert_eq!(lines.len(), 4);
    let element = element(&h);
    assert_eq!((stat(&element, "lines"), stat(&element, "dropped")), (4, 0));
    assert_eq!(stat(&element, "bytes"), std::fs::metadata(&path).unwrap().len());
}

/// The schema must reject anything that isn't a line.
#[test]
fn the_schema_refuses_other_objects() {
    let schema = serde_json::from_str(include_str!("../../docs/objects.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let good = json!({"stream": "", "frame": 0, "pts": 0, "width": 1, "height": 1, "inferred": {}, "objects": []});
    assert!(schema.is_valid(&good));
    let event = json!({"stream": "", "type": "entered", "zone": "hall", "pts": 0, "track_id": 1, "label": "car"});
    assert!(schema.is_valid(&event));
    let mut both = event.clone();
    both["line"] = json!("door");
    assert!(!schema.is_valid(&both));
    for (key, value) in [("type", json!("totals")), ("objects", json!([])), ("stream", json!(1)), ("count", json!(0))] {
        let mut bad = event.clone();
        bad[key] = value;
        assert!(!schema.is_valid(&bad), "{bad}");
    }
    for (key, value) in [
        ("frame", json!(-1)),
        ("inferred", json!({"det": "maybe"})),
        ("ntp", json!("yesterday")),
        ("objects", json!([{"id": 0}])),
        ("more", json!(1)),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        assert!(!schema.is_valid(&bad), "{key}");
    }
}

#[test]
fn stream_is_the_id_of_the_stream_unless_set() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("objects.jsonl");
    let mut h = harness(&format!("location={}", path.display()));
    h.push(frame(0)).unwrap();
    assert!(h.push_event(gst::event::StreamStart::new("other/stream")));
    assert!(h.push_event(gst::event::Caps::new(&CAPS.replace("64", "80").parse().unwrap())));
    assert!(h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
    h.push(frame(1)).unwrap();
    element(&h).set_property("stream-id", "mine");
    h.push(frame(2)).unwrap();
    assert!(h.push_event(gst::event::Eos::new()));
    let lines = lines(&path);
    assert_ne!(lines[0]["stream"], "other/stream");
    assert_eq!((&lines[1]["stream"], &lines[1]["width"]), (&json!("other/stream"), &json!(80)));
    assert_eq!((&lines[2]["stream"], &lines[2]["frame"]), (&json!("mine"), &json!(2)));
}

#[test]
fn a_file_is_emptied_or_added_to() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("objects.jsonl");
    for (append, total) in [(false, 2), (true, 4), (false, 2)] {
        let mut h = harness(&format!("location={} append={append}", path.display()));
        h.push(frame(0)).unwrap();
        h.push(frame(1)).unwrap();
        // Without EOS, stopping writes the queued lines.
        drop(h);
        assert_eq!(lines(&path).len(), total, "append={append}");
    }
}

#[test]
fn any_memory_and_format_passes() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("objects.jsonl");
    for caps in [
        "video/x-raw(memory:CUDAMemory),format=NV12,width=64,height=32",
        "video/x-raw(memory:DMABuf),format=DMA_DRM,drm-format=NV12,width=64,height=32",
    ] {
        let mut h = harness(&format!("location={}", path.display()));
        h.set_src_caps_str(caps);
        h.push_and_pull(frame(0)).unwrap();
        assert!(h.push_event(gst::event::Eos::new()));
        assert_eq!(lines(&path)[0]["width"], 64, "{caps}");
    }
}

/// With a reader that is much slower than the frames, frames wait, no line is lost, and EOS comes after the last line.
#[test]
fn block_waits_for_a_slow_reader_and_eos_for_the_last_line() {
    let (_folder, path, reader) = pipe();
    for settings in ["overflow=block", "overflow=auto"] {
        let mut h = harness(&format!("{settings} max-queue=4 location={}", path.display()));
        // For `auto`: only live streams may lose lines.
        h.set_live(settings == "overflow=block");
        let mut reader = BufReader::new(reader.try_clone().unwrap());
        let reading = std::thread::spawn(move || {
            let mut line = String::new();
            let mut got = Vec::new();
            while got.len() < 1500 {
                line.clear();
                reader.read_line(&mut line).unwrap();
                got.push(serde_json::from_str::<Value>(&line).unwrap());
                if got.len() % 100 == 0 {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            got
        });
        for number in 0..1500 {
            h.push(frame(number)).unwrap();
        }
        assert!(h.push_event(gst::event::Eos::new()));
        assert_eq!(stat(&element(&h), "lines"), 1500);
        assert_eq!(numbers(&reading.join().unwrap()), (0..1500).collect::<Vec<_>>(), "{settings}");
    }
}

#[test]
fn a_live_stream_into_a_jammed_pipe_drops_lines_and_no_frame() {
    let (_folder, path, reader) = pipe();
    let mut h = harness(&format!("max-queue=8 location={}", path.display()));
    h.set_live(true);
    for number in 0..3000 {
        h.push_and_pull(frame_with(number, record())).unwrap();
    }
    let element = element(&h);
    let dropped = stat(&element, "dropped");
    assert!(dropped > 0);
    let reading = std::thread::spawn(move || read_lines(reader, 3000 - dropped as usize));
    assert!(h.push_event(gst::event::Eos::new()));
    assert_eq!((stat(&element, "lines"), stat(&element, "dropped")), (3000 - dropped, dropped));
    let numbers = numbers(&reading.join().unwrap());
    // The oldest were dropped; the newest were still queued.
    assert_eq!(numbers[numbers.len() - 8..], (2992..3000).collect::<Vec<_>>());
    assert!(numbers.is_sorted());
}

#[test]
fn a_live_stream_into_a_file_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("objects.jsonl");
    let mut h = harness(&format!("max-queue=1 location={}", path.display()));
    h.set_live(true);
    for number in 0..2000 {
        h.push(frame(number)).unwrap();
    }
    assert!(h.push_event(gst::event::Eos::new()));
    assert_eq!(numbers(&lines(&path)), (0..2000).collect::<Vec<_>>());
}

/// A pipeline whose streaming thread is blocked by a reader that never reads.
fn jammed(path: &Path) -> gst::Pipeline {
    register();
    let launch = format!(
        "videotestsrc ! video/x-raw,width=64,height=32 ! trtpublish name=publish overflow=block max-queue=2 location={} \
         ! fakesink sync=false name=sink",
        path.display()
    );
    let pipeline = gst::parse::launch(&launch).unwrap().downcast::<gst::Pipeline>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let publish = pipeline.by_name("publish").unwrap();
    // Blocked, once nothing has moved for a while.
    wait_until("the pipe is full", || {
        let lines = stat(&publish, "lines");
        std::thread::sleep(Duration::from_millis(100));
        lines > 0 && lines == stat(&publish, "lines")
    });
    pipeline
}

#[test]
fn stopping_a_blocked_stream_takes_less_than_a_second() {
    let (_folder, path, _reader) = pipe();
    let pipeline = jammed(&path);
    let publish = pipeline.by_name("publish").unwrap();
    for _ in 0..2 {
        let start = Instant::now();
        pipeline.set_state(gst::State::Ready).unwrap();
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        // The line being written and the two queued ones.
        assert_eq!(stat(&publish, "dropped"), 3);
        pipeline.set_state(gst::State::Playing).unwrap();
        wait_until("restarted and jammed", || {
            publish.static_pad("sink").unwrap().current_caps().is_some() && stat(&publish, "dropped") == 0
        });
        std::thread::sleep(Duration::from_millis(200));
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_flush_frees_a_jammed_stream() {
    let (_folder, path, reader) = pipe();
    let pipeline = jammed(&path);
    let start = Instant::now();
    // The first half of a seek: the second would only block again.
    let publish = pipeline.by_name("publish").unwrap();
    let source = publish.static_pad("sink").unwrap().peer().unwrap();
    assert!(source.push_event(gst::event::FlushStart::new()));
    // The stream lock is free: the streaming thread has left.
    drop(publish.static_pad("sink").unwrap().stream_lock());
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let taken = stat(&publish, "lines") as usize + 3;
    let lines = read_lines(reader, taken);
    assert_eq!(numbers(&lines), (0..taken as u64).collect::<Vec<_>>(), "lines taken before the flush are written");
    pipeline.set_state(gst::State::Null).unwrap();
}

/// The error that ends a pipeline.
fn error_of(launch: &str) -> (gst::glib::Error, String) {
    register();
    let pipeline = gst::parse::launch(launch).unwrap().downcast::<gst::Pipeline>().unwrap();
    let _ = pipeline.set_state(gst::State::Playing);
    let bus = pipeline.bus().unwrap();
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(20), &[gst::MessageType::Error]).unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    (error.error(), error.error().message().to_owned())
}

#[test]
fn what_cannot_be_opened_is_an_error_at_start() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("no/folder.jsonl");
    let (_pipe_folder, pipe, reader) = pipe();
    drop(reader);
    for (location, words) in [
        (missing.to_str().unwrap(), "create its folder first"),
        (folder.path().to_str().unwrap(), "set location to a file"),
        (pipe.to_str().unwrap(), "start its reader first"),
        ("\"\"", "set location to a file's path"),
    ] {
        register();
        let launch = format!("videotestsrc ! trtpublish location={location} ! fakesink");
        let pipeline = gst::parse::launch(&launch).unwrap();
        assert!(pipeline.set_state(gst::State::Paused).is_err(), "{location}");
        pipeline.set_state(gst::State::Null).unwrap();
        let (error, text) = error_of(&launch);
        assert!(error.matches(gst::ResourceError::OpenWrite) || error.matches(gst::ResourceError::NotFound), "{text}");
        assert!(text.contains(words), "{text}");
        assert!(location == "\"\"" || text.contains(location), "{text}");
    }
}

#[test]
fn a_failed_write_is_an_error_that_names_the_file() {
    let (error, text) = error_of("videotestsrc ! trtpublish location=/dev/full ! fakesink");
    assert!(error.matches(gst::ResourceError::NoSpaceLeft), "{text}");
    assert!(text.contains("/dev/full") && text.contains("free some space"), "{text}");

    let (_folder, path, reader) = pipe();
    let closing = std::thread::spawn(move || drop(read_lines(reader, 3)));
    let (error, text) = error_of(&format!("videotestsrc ! trtpublish location={} ! fakesink", path.display()));
    closing.join().unwrap();
    assert!(error.matches(gst::ResourceError::Write), "{text}");
    assert!(text.contains(path.to_str().unwrap()) && text.contains("its reader has closed it"), "{text}");
}

/// Log rotation: the file is moved, copied and truncated, deleted, replaced, and deleted with its folder.
#[test]
fn a_moved_or_deleted_file_is_reopened() {
    let folder = TempDir::new().unwrap();
    let (place, aside) = (folder.path().join("place"), folder.path().join("aside.jsonl"));
    std::fs::create_dir(&place).unwrap();
    let path = place.join("objects.jsonl");
    for append in [false, true] {
        let mut h = harness(&format!("location={} append={append}", path.display()));
        let mut pushed = 0;
        // Pushes lines until they are in the file, and returns their numbers.
        let mut more = || {
            let first = pushed;
            for _ in 0..3 {
                h.push(frame(pushed)).unwrap();
                pushed += 1;
            }
            let last = format!("\"frame\":{},", pushed - 1);
            let text = || std::fs::read_to_string(&path).unwrap_or_default();
            wait_until("lines in the file", || text().ends_with('\n') && text().contains(&last));
            let numbers = numbers(&parse(&text()));
            assert_eq!(numbers[numbers.len() - 3..], [first, first + 1, first + 2], "append={append}");
            numbers
        };
        more();
        let before = more();
        // Moved.
        std::fs::rename(&path, &aside).unwrap();
        let after = more();
        assert_eq!(numbers(&lines(&aside)), before);
        assert_eq!(after.len(), 3);
        // Moved, with an empty file in its place, as with logrotate's `create`.
        std::fs::rename(&path, &aside).unwrap();
        File::create(&path).unwrap();
        assert_eq!(more().len(), 3);
        // Copied and truncated, as with its `copytruncate`: no hole at the beginning.
        OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        assert_eq!(more().len(), 3);
        // Deleted.
        std::fs::remove_file(&path).unwrap();
        assert_eq!(more().len(), 3);
        // Replaced by a file with content.
        std::fs::rename(&aside, &path).unwrap();
        let had = lines(&path).len();
        assert_eq!(more().len(), had + 3);
        // The folder was deleted and created again.
        std::fs::remove_dir_all(&place).unwrap();
        std::fs::create_dir(&place).unwrap();
        assert_eq!(more().len(), 3);
        // At once, without a line.
        std::fs::rename(&path, &aside).unwrap();
        element(&h).emit_by_name::<()>("reopen", &[]);
        wait_until("an empty file", || path.exists());
        let dropped = stat(&element(&h), "dropped");
        drop(h);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(dropped, 0);
    }
}

#[test]
fn a_file_that_cannot_be_reopened_is_an_error() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().join("place");
    std::fs::create_dir(&place).unwrap();
    let path = place.join("objects.jsonl");
    register();
    let launch = format!("videotestsrc is-live=true ! trtpublish location={} ! fakesink", path.display());
    let pipeline = gst::parse::launch(&launch).unwrap().downcast::<gst::Pipeline>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    wait_until("lines", || std::fs::metadata(&path).is_ok_and(|file| file.len() > 0));
    std::fs::remove_dir_all(&place).unwrap();
    let message =
        pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(20), &[gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null).unwrap();
    let message = message.expect("an error");
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    let text = error.error().message().to_owned();
    assert!(text.contains(path.to_str().unwrap()) && text.contains("create its folder first"), "{text}");
}

/// With `on-error=retry` each failure causes one warning; lines are queued, the oldest are dropped and counted, and the rest is
/// written in order after the recovery.
#[test]
fn an_output_that_fails_is_tried_again_if_asked_for() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("place/objects.jsonl");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    let (_pipe_folder, fifo, reader) = pipe();
    drop(reader);
    type Break = fn(&Path);
    type Mend = fn(&Path) -> Option<File>;
    let removed: Mend = |path| {
        std::fs::remove_file(path).or_else(|_| std::fs::remove_dir(path)).unwrap();
        None
    };
    let cases: [(&Path, &str, Break, Mend); 4] = [
        (&path, "free some space", |path| std::os::unix::fs::symlink("/dev/full", path).unwrap(), removed),
        (&path, "irectory", |path| std::fs::create_dir(path).unwrap(), removed),
        (
            &path,
            "create its folder first",
            |path| std::fs::remove_dir(path.parent().unwrap()).unwrap(),
            |path| {
                std::fs::create_dir(path.parent().unwrap()).unwrap();
                None
            },
        ),
        (
            &fifo,
            "start its reader first",
            |_| (),
            |path| Some(OpenOptions::new().read(true).write(true).open(path).unwrap()),
        ),
    ];
    for (path, words, break_it, mend) in cases {
        break_it(path);
        register();
        let properties = format!("location={} on-error=retry max-queue=10 overflow=drop-oldest", path.display());
        let element = gst::parse::launch(&format!("trtpublish {properties}")).unwrap();
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
        h.set_src_caps_str(CAPS);
        let warnings = || bus.iter().filter(|m| m.type_() == gst::MessageType::Warning).collect::<Vec<_>>();
        for number in 0..30 {
            h.push(frame(number)).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        let first = warnings();
        let [warning] = &first[..] else { panic!("{first:?}") };
        let gst::MessageView::Warning(warning) = warning.view() else { unreachable!() };
        let text = warning.error().message().to_owned();
        assert!(text.contains(words) && text.contains("retrying"), "{text}");
        let reader = mend(path);
        wait_until("lines", || stat(&element, "lines") > 0);
        assert!(h.push_event(gst::event::Eos::new()));
        let (written, dropped) = (stat(&element, "lines"), stat(&element, "dropped"));
        // The queued lines, and those that the writer was writing.
        assert!(written + dropped == 30 && (10..=20).contains(&written), "{written} and {dropped}");
        assert!(warnings().is_empty());
        let got = match reader {
            Some(reader) => numbers(&read_lines(reader, written as usize)),
            None => numbers(&lines(path)),
        };
        assert_eq!(got[got.len() - 10..], (20..30).collect::<Vec<_>>(), "{words}");
        assert_eq!(got.len() as u64, written);
        drop(h);
        let _ = std::fs::remove_file(path);
    }
}

#[test]
fn standard_output_has_the_lines_and_nothing_else() {
    let launch = "videotestsrc num-buffers=3 ! trtpublish location=- stream-id=camera-1 ! fakesink";
    let output = gst_launch(launch).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(numbers(&parse(std::str::from_utf8(&output.stdout).unwrap())), [0, 1, 2]);
}

/// In a program that doesn't ignore SIGPIPE, the signal would end the process without a message.
#[test]
fn a_reader_of_standard_output_that_leaves_is_an_error() {
    let launch = "videotestsrc ! trtpublish ! fakesink";
    let mut child = gst_launch(launch).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("Can't write objects to standard output"), "{text}");
}

/// The cost of a frame with 20 objects: of its line alone, and of the whole element including the writing.
#[test]
fn cost_per_frame() {
    const ROUNDS: u64 = if cfg!(debug_assertions) { 500 } else { 20_000 };
    let object = record().objects[1].clone();
    let objects = (0..20).map(|i| Object { id: i, class_id: Some(i), ..object.clone() }).collect();
    let record = Record { objects, models: record().models, ..Record::default() };
    let mut line = Vec::new();
    let frame =
        publish::Frame { stream: "camera-1", number: 1, pts: Some(1), captured: None, width: 1919, height: 1079 };
    // The minimum of several runs: other processes can only add to the time.
    let written = (0..10)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..ROUNDS / 10 {
                line.clear();
                publish::write_line(&mut line, &frame, &record, MaskFormat::Rle);
            }
            start.elapsed() / (ROUNDS / 10) as u32
        })
        .min()
        .unwrap();
    println!("a line of 20 objects, {} bytes: {written:?}", line.len());

    let folder = TempDir::new().unwrap();
    let mut h = harness(&format!("location={}", folder.path().join("objects.jsonl").display()));
    let buffer = frame_with(0, record);
    let before = cpu_time();
    for _ in 0..ROUNDS {
        h.push_and_pull(buffer.clone()).unwrap();
    }
    assert!(h.push_event(gst::event::Eos::new()));
    let published = (cpu_time() - before) / ROUNDS as u32;
    println!("trtpublish into a file, 20 objects: {published:?} of CPU");
    if !cfg!(debug_assertions) {
        assert!(written.as_micros() <= 50, "{written:?}");
    }
}

/// CPU time of all threads of this process.
fn cpu_time() -> Duration {
    let stat = procfs::process::Process::myself().unwrap().stat().unwrap();
    Duration::from_secs(stat.utime + stat.stime) / procfs::ticks_per_second() as u32
}
