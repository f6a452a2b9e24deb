//! The examples that read GStreamer's analytics metadata, where GStreamer has it.

use super::common::find;
use super::common::systems::System;
use super::systems;
use std::path::Path;
use std::process::Command;

/// A clip of three pictures with squares that the test models find.
fn clip(folder: &Path) -> std::path::PathBuf {
    let clip = folder.join("clip.mp4");
    let launch = format!(
        "-q videotestsrc num-buffers=3 pattern=smpte ! video/x-raw,format=I420,width=192,height=128,framerate=30/1 \
         ! x264enc ! mp4mux ! filesink location={}",
        clip.display()
    );
    let status = Command::new("gst-launch-1.0").args(launch.split_whitespace()).status().unwrap();
    assert!(status.success());
    clip
}

/// The example in C, with the headers and the library of this root.
fn compiled(root: &System, folder: &Path) -> String {
    let program = folder.join(format!("detect-{}", root.name));
    let compile = "cc -Wall -Wextra -Wno-unused-parameter -Werror -DANALYTICS -DGST_USE_UNSTABLE_API -I\"$1\" \
                   examples/detect.c -o \"$0\" $(pkg-config --cflags --libs gstreamer-1.0 gstreamer-video-1.0) \
                   -Wl,--allow-shlib-undefined \"$2\"";
    let arguments = [
        program.clone(),
        root.file("usr/include/gstreamer-1.0"),
        root.file("usr/lib/x86_64-linux-gnu/libgstanalytics-1.0.so.0"),
    ];
    let output = Command::new("sh").args(["-c", compile]).args(arguments).current_dir(find::root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program.to_str().unwrap().into()
}

/// Python and C read the same from analytics metadata, behind converters and scalers too.
#[test]
fn python_and_c_read_analytics_metadata() {
    if !find::onnx_runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (clip, model) = (clip(folder.path()), find::test_model("yolo"));
    let smaller = "videoconvert ! videoscale ! video/x-raw,format=RGB,width=96,height=64";
    for root in &systems()[1..] {
        let c = compiled(root, folder.path());
        let run = |program: &str, first: &[&str], behind: &str| {
            let mut command = root.command(program);
            command.args(first).arg(&clip).arg(&model).arg(behind).current_dir(find::root());
            let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
            assert!(output.status.success(), "{}: {}", root.name, String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        for behind in ["identity", smaller] {
            let in_c = run(&c, &[], behind);
            assert!(in_c.contains("red 0.") && in_c.lines().count() >= 9, "{}: {in_c}", root.name);
            assert_eq!(run("python3", &["examples/detect.py"], behind), in_c, "{} {behind}", root.name);
        }
    }
}
