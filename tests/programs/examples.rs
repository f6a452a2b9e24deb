//! The examples are built, run over the beginning of the sample clip, and compared. All three languages print the same.

use crate::common::find;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A clip of a few frames with objects, in `folder`.
fn standing(folder: &Path) -> Option<PathBuf> {
    Some(clip(folder, &find::media("bus.jpg")?, "jpegdec ! imagefreeze num-buffers=3 ! videoconvert"))
}

/// A clip of 80 frames with objects that move, in `folder`.
fn moving(folder: &Path) -> Option<PathBuf> {
    let decode = "qtdemux ! h264parse ! avdec_h264 ! identity eos-after=81";
    Some(clip(folder, &find::media("bikes.mp4")?, decode))
}

fn clip(folder: &Path, source: &Path, decode: &str) -> PathBuf {
    let clip = folder.join("short clip.mp4");
    let status = Command::new("gst-launch-1.0")
        .args(["-q", "filesrc", &format!("location={}", source.display()), "!"])
        .args(format!("{decode} ! x264enc ! mp4mux ! filesink").split(' '))
        .arg(format!("location=\"{}\"", clip.display()))
        .status()
        .unwrap();
    assert!(status.success());
    clip
}

/// The arguments of every example.
struct Setting {
    folder: tempfile::TempDir,
    clip: PathBuf,
    model: PathBuf,
}

impl Setting {
    fn new(clip: fn(&Path) -> Option<PathBuf>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let clip = clip(folder.path())?;
        let model = find::real_model("yolov12n")?;
        let plugins = folder.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        let library = std::env::current_exe().unwrap().with_file_name("libgsttensorrt.so");
        std::os::unix::fs::symlink(library, plugins.join("libgsttensorrt.so")).unwrap();
        find::onnx_runtime().then_some(Self { folder, clip, model })
    }

    /// The lines that an example prints.
    fn run(&self, program: &str, first: &[&Path]) -> Vec<String> {
        self.run_with(program, first, "identity")
    }

    /// The lines that an example prints with this last argument, such as elements to put behind the detector.
    fn run_with(&self, program: &str, first: &[&Path], last: &str) -> Vec<String> {
        let output = self.command(program, first).arg(last).output().unwrap();
        assert!(output.status.success(), "{program}: {}", text(&output.stderr));
        text(&output.stdout).lines().map(str::to_owned).collect()
    }

    fn command(&self, program: &str, first: &[&Path]) -> Command {
        let mut command = Command::new(program);
        command.args(first).arg(&self.clip).arg(&self.model);
        command.env("GST_PLUGIN_PATH", self.folder.path().join("plugins"));
        command.env("GST_REGISTRY", self.folder.path().join("registry.bin"));
        command
    }

    /// A missing model causes an error that names it.
    fn fails(&self, program: &str, first: &[&Path]) {
        let without = Self { folder: tempfile::tempdir().unwrap(), clip: self.clip.clone(), model: "no.onnx".into() };
        let mut command = without.command(program, first);
        command.env("GST_PLUGIN_PATH", self.folder.path().join("plugins"));
        let Output { status, stderr, .. } = command.output().unwrap();
        assert!(!status.success() && text(&stderr).contains("no.onnx"), "{program}: {}", text(&stderr));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An example's line: label, confidence and x, y, width, height.
fn parse(line: &str) -> (&str, Vec<f64>) {
    let mut words = line.rsplitn(6, ' ').collect::<Vec<_>>();
    words.reverse();
    (words[0], words[1..].iter().map(|word| word.parse().unwrap()).collect())
}

#[test]
fn rust_python_and_c_see_the_same() {
    let Some(setting) = Setting::new(standing) else { return };
    let rust = find::example("detect");
    let in_rust = setting.run(rust.to_str().unwrap(), &[]);
    for label in ["person", "bus"] {
        assert!(in_rust.iter().filter(|line| line.starts_with(label)).count() >= 3, "{in_rust:?}");
    }
    setting.fails(rust.to_str().unwrap(), &[]);

    let c = rust.with_file_name("detect-in-c");
    assert!(compiled("detect", &c, &[], &["gstreamer-1.0", "gstreamer-video-1.0"]), "GStreamer's headers are there");
    let in_c = setting.run(c.to_str().unwrap(), &[]);
    setting.fails(c.to_str().unwrap(), &[]);

    assert_eq!(in_rust.len(), in_c.len());
    for (one, other) in in_rust.iter().zip(&in_c) {
        let ((label, one), (other_label, other)) = (parse(one), parse(other));
        assert_eq!(label, other_label);
        // ROI metas have integer pixels, and end at the frame's edge; a record keeps the model's values.
        assert!((one[0] - other[0]).abs() <= 0.011, "{one:?} {other:?}");
        assert!(one[1..].iter().zip(&other[1..]).all(|(a, b)| (a - b).abs() <= 8.0), "{one:?} {other:?}");
    }

    let with_analytics = rust.with_file_name("detect-in-c-analytics");
    let packages = ["gstreamer-1.0", "gstreamer-video-1.0", "gstreamer-analytics-1.0"];
    if !find::in_root() && compiled("detect", &with_analytics, &["-DANALYTICS", "-DGST_USE_UNSTABLE_API"], &packages) {
        assert_eq!(setting.run(with_analytics.to_str().unwrap(), &[]), in_c);
    } else {
        find::skip("gstreamer-analytics-1.0 or a compiler", "GStreamer's headers, 1.24 or later");
    }

    // Half the size: the same objects, with everything that is known of them.
    let smaller = "videoconvert ! videoscale ! video/x-raw,format=RGB,width=405,height=540";
    let script = find::root().join("examples/detect.py");
    let mut programs = vec![(rust.to_str().unwrap(), vec![]), (c.to_str().unwrap(), vec![])];
    if python_has_gstreamer() {
        assert_eq!(setting.run(PYTHON, &[&script]), in_c);
        setting.fails(PYTHON, &[&script]);
        programs.push((PYTHON, vec![&*script]));
    }
    for (program, first) in programs {
        let lines = setting.run_with(program, &first, smaller);
        assert_eq!(lines.len(), in_c.len(), "{program}: {lines:?}");
        for (line, whole) in lines.iter().zip(&in_c) {
            let ((label, half), (whole_label, whole)) = (parse(line), parse(whole));
            assert_eq!((label, half[0]), (whole_label, whole[0]), "{program}");
            assert!(half[1..].iter().zip(&whole[1..]).all(|(a, b)| (a * 2.0 - b).abs() <= 8.0), "{half:?} {whole:?}");
        }
    }
}

/// A zone and a line in the middle of the clip with traffic.
const ZONES: &str = r#"{
    "zones": [{"name": "right half", "polygon": [[0.5, 0], [1, 0], [1, 1], [0.5, 1]],
               "crowding": {"more_than": 1, "for_s": 0.1}, "loitering_s": 0.5}],
    "lines": [{"name": "middle", "from": [0.5, 0], "to": [0.5, 1], "anchor": "centre"}]
}"#;

#[test]
fn events_are_the_same_in_rust_python_and_c() {
    let Some(setting) = Setting::new(moving) else { return };
    let zones = setting.folder.path().join("zones.json");
    std::fs::write(&zones, ZONES).unwrap();
    let zones = zones.to_str().unwrap();
    let rust = find::example("events");
    let in_rust = setting.run_with(rust.to_str().unwrap(), &[], zones);
    for what in [
        "right half: entered, car ",
        "right half: left, car ",
        "right half: loitering, ",
        "middle: crossed out, person ",
    ] {
        assert!(in_rust.iter().any(|line| line.contains(what)), "{what}: {in_rust:?}");
    }
    for what in [", 2 objects", "dispersed, after "] {
        assert!(in_rust.iter().any(|line| line.contains(what)), "{what}: {in_rust:?}");
    }
    let c = rust.with_file_name("events-in-c");
    assert!(compiled("events", &c, &[], &["gstreamer-1.0"]), "GStreamer's headers are there");
    assert_eq!(setting.run_with(c.to_str().unwrap(), &[], zones), in_rust);
    if python_has_gstreamer() {
        let script = find::root().join("examples/events.py");
        assert_eq!(setting.run_with(PYTHON, &[&script], zones), in_rust);
    }
    let mut command = setting.command(c.to_str().unwrap(), &[]);
    let Output { status, stderr, .. } = command.arg("no.json").output().unwrap();
    assert!(!status.success() && text(&stderr).contains("no.json"), "{}", text(&stderr));
}

const PYTHON: &str = "/usr/bin/python3";

/// False, with a line that says so, without gst-python.
fn python_has_gstreamer() -> bool {
    let gi = Command::new(PYTHON).args(["-c", "import gi; gi.require_version('GstVideo', '1.0')"]).output();
    let has = gi.is_ok_and(|output| output.status.success());
    if !has {
        find::skip("Python's GStreamer", "apt install python3-gst-1.0 gir1.2-gst-plugins-base-1.0");
    }
    has
}

/// Compiles an example to `program`; false if one of the packages isn't there.
fn compiled(example: &str, program: &Path, options: &[&str], packages: &[&str]) -> bool {
    if find::in_root() {
        return true;
    }
    let flags = Command::new("pkg-config").args(["--cflags", "--libs"]).args(packages).output().unwrap();
    if !flags.status.success() {
        return false;
    }
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-o"]).arg(program);
    cc.arg(format!("examples/{example}.c"));
    cc.args(options).args(text(&flags.stdout).split_whitespace());
    let output = cc.current_dir(find::root()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    true
}

/// What other detectors leave on a buffer: ROI metas with and without parameters, and analytics metadata, which is read
/// first where Python has it.
const FOREIGN: &str = "
import detect
from detect import GLib, Gst, GstVideo, objects

Gst.init(None)
buffer = Gst.Buffer.new()
for number, confidence in enumerate([0.5, None]):
    meta = GstVideo.buffer_add_video_region_of_interest_meta(buffer, 'car', 1, 2, 3, 4)
    meta.id = number
    if confidence:
        detection = Gst.Structure.new_empty('detection')
        detection.set_value('confidence', confidence)
        meta.add_param(detection)
assert objects(buffer) == [('car', 0.5, 1, 2, 3, 4), ('car', None, 1, 2, 3, 4)], objects(buffer)
if detect.GstAnalytics:
    relations = detect.GstAnalytics.buffer_add_analytics_relation_meta(buffer)
    relations.add_one_cls_mtd(0.25, GLib.quark_from_string('no object'))
    relations.add_od_mtd(GLib.quark_from_string('bus'), 5, 6, 7, 8, 0.75)
    assert objects(buffer) == [('bus', 0.75, 5, 6, 7, 8)], objects(buffer)
else:
    print('skipped: GstAnalytics')
assert objects(Gst.Buffer.new()) == []
";

#[test]
fn python_reads_what_other_detectors_leave() {
    if !python_has_gstreamer() {
        return;
    }
    let mut python = Command::new(PYTHON);
    python.args(["-c", FOREIGN]).current_dir(find::root().join("examples"));
    let output = python.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    if text(&output.stdout).contains("skipped: GstAnalytics") {
        find::skip("Python's GstAnalytics", "gir1.2-gst-plugins-bad-1.0 of GStreamer 1.24 or later");
    }
}
