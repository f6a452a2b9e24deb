//! The examples are built, run over the beginning of the sample clip, and compared. All three print the same objects.

use crate::common::find;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A clip of a few frames with objects, in `folder`.
fn short_clip(folder: &Path) -> Option<PathBuf> {
    let picture = find::media("bus.jpg")?;
    let clip = folder.join("short clip.mp4");
    let status = Command::new("gst-launch-1.0")
        .args(["-q", "filesrc", &format!("location={}", picture.display())])
        .args("! jpegdec ! imagefreeze num-buffers=3 ! videoconvert ! x264enc ! mp4mux ! filesink".split(' '))
        .arg(format!("location=\"{}\"", clip.display()))
        .status()
        .unwrap();
    assert!(status.success());
    Some(clip)
}

/// The arguments of every example.
struct Setting {
    folder: tempfile::TempDir,
    clip: PathBuf,
    model: PathBuf,
}

impl Setting {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let clip = short_clip(folder.path())?;
        let model = find::real_model("yolov12n")?;
        let plugins = folder.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        let library = std::env::current_exe().unwrap().with_file_name("libgsttensorrt.so");
        std::os::unix::fs::symlink(library, plugins.join("libgsttensorrt.so")).unwrap();
        find::onnx_runtime().then_some(Self { folder, clip, model })
    }

    /// The lines that an example prints.
    fn run(&self, program: &str, first: &[&Path]) -> Vec<String> {
        let output = self.command(program, first).output().unwrap();
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
    let Some(setting) = Setting::new() else { return };
    let rust = find::example("detect");
    let in_rust = setting.run(rust.to_str().unwrap(), &[]);
    for label in ["person", "bus"] {
        assert!(in_rust.iter().filter(|line| line.starts_with(label)).count() >= 3, "{in_rust:?}");
    }
    setting.fails(rust.to_str().unwrap(), &[]);

    let c = rust.with_file_name("detect-in-c");
    // A root runs what was built on its machine.
    if !find::in_root() {
        let compile = "cc -Wall -Wextra -Wno-unused-parameter -Werror examples/detect.c -o \"$0\" \
                       $(pkg-config --cflags --libs gstreamer-1.0 gstreamer-video-1.0)";
        let output = Command::new("sh").args(["-c", compile]).arg(&c).current_dir(find::root()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
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

    let gi = Command::new("/usr/bin/python3").args(["-c", "import gi; gi.require_version('GstVideo', '1.0')"]).output();
    if !gi.is_ok_and(|output| output.status.success()) {
        return find::skip("Python's GStreamer", "apt install python3-gst-1.0 gir1.2-gst-plugins-base-1.0");
    }
    let script = find::root().join("examples/detect.py");
    assert_eq!(setting.run("/usr/bin/python3", &[&script]), in_c);
    setting.fails("/usr/bin/python3", &[&script]);
}
