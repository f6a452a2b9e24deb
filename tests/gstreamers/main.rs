//! The plugin that was built here, on this machine's GStreamer and on those of the Debian roots: it is loaded and inspected,
//! runs without a complaint, and finds the same.

#[path = "../common/mod.rs"]
mod common;
mod examples;
mod iou_tracker;
mod libraries;

use common::find;
use common::systems::System;
use std::process::Output;
use std::sync::LazyLock;

const ELEMENTS: [&str; 5] = ["trtdetect", "trtpose", "trtpreprocess", "trtoverlay", "trtpublish"];

/// Warnings of GStreamer that aren't about the plugin, each with its reason.
const KNOWN: [(&str, &str); 4] = [
    ("<filesrc0> pad not activated yet", "qtdemux pulls from it, and activates its pad later"),
    ("failed to find fragment defaults for stream 1", "the clip is a fragmented MP4 without defaults for its sound"),
    ("<mix> Latency query failed", "compositor asks before each of its inputs has a source that runs"),
    ("chroma-site", "1.26 and 1.28: a decoder's base class reads caps of H.264 as if they were of pictures"),
];

/// The lines of a program's stderr that nothing explains.
fn complaints(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let known = |line: &str| line.contains(" WARN ") && KNOWN.iter().any(|(part, _)| line.contains(part));
    lines.filter(|line| !known(line)).map(str::to_owned).collect()
}

/// All systems, with registries in which every plugin is, so that none is scanned by the programs that are judged.
fn systems() -> &'static [System] {
    static SYSTEMS: LazyLock<Vec<System>> = LazyLock::new(|| {
        let systems = System::all();
        for system in &systems {
            let output = system.command("gst-inspect-1.0").arg("tensorrt").output().unwrap();
            assert!(output.status.success(), "{}: {}", system.name, String::from_utf8_lossy(&output.stderr));
        }
        systems
    });
    &SYSTEMS
}

/// Runs a program with all warnings shown, and returns what it prints.
#[track_caller]
fn quietly(system: &System, program: &str, arguments: &[&str]) -> String {
    let mut command = system.command(program);
    // Criticals are to be printed, not to end the process before others.
    command.args(arguments).env("GST_DEBUG", "2").env_remove("G_DEBUG").current_dir(find::root());
    let output = command.output().unwrap();
    let (said, complaints) = (String::from_utf8_lossy(&output.stdout).into_owned(), complaints(&output));
    assert!(
        output.status.success(),
        "{} {program} {arguments:?}: {}\n{said}\n{complaints:#?}",
        system.name,
        output.status
    );
    assert!(complaints.is_empty(), "{} {program} {arguments:?}: {complaints:#?}", system.name);
    said
}

#[track_caller]
fn launch(system: &System, pipeline: &str) -> String {
    quietly(system, "gst-launch-1.0", &[&["-q"], &pipeline.split_whitespace().collect::<Vec<_>>()[..]].concat())
}

#[test]
fn each_loads_and_inspects_it() {
    for system in systems() {
        let said = quietly(system, "gst-inspect-1.0", &["tensorrt"]);
        for element in ELEMENTS {
            assert!(said.contains(&format!("{element}: ")), "{}: {said}", system.name);
            let said = quietly(system, "gst-inspect-1.0", &[element]);
            assert!(said.contains("Element Properties"), "{}: {said}", system.name);
        }
    }
}

#[test]
fn each_runs_it_without_a_complaint() {
    if !find::onnx_runtime() {
        return;
    }
    let source = "videotestsrc num-buffers=5 ! video/x-raw,width=96,height=64,framerate=30/1";
    let model = |name: &str| format!("backend=cpu model=tests/models/{name}.onnx");
    let (detect, pose) = (format!("trtdetect {}", model("yolo")), format!("trtpose {}", model("yolo-pose")));
    let pipelines = [
        format!("{source} ! {detect} ! {pose} ! trtoverlay ! trtpublish location=- ! fakesink"),
        format!("{source} ! trtpreprocess {} ! {detect} ! trtpublish location=- ! fakesink", model("yolo")),
        format!(
            "{source},format=RGB ! {detect} ! videoconvert ! videoscale ! video/x-raw,format=NV12,width=48,height=32 ! trtpublish location=- ! fakesink"
        ),
        format!(
            "{source} ! {detect} ! tee name=t ! queue ! trtpublish location=- ! fakesink t. ! queue ! trtoverlay ! fakesink"
        ),
        format!(
            "{source} ! {detect} ! videoflip method=clockwise ! videocrop left=8 ! videorate ! video/x-raw,framerate=15/1 ! trtpublish location=- ! fakesink"
        ),
        format!(
            "{source} ! {detect} ! compositor name=mix ! trtpublish location=- ! fakesink {source} ! {pose} ! mix."
        ),
        format!(
            "{source},format=I420 ! x264enc tune=zerolatency ! h264parse ! avdec_h264 ! {detect} ! trtpublish location=- ! fakesink sync=true"
        ),
    ];
    for system in systems() {
        for pipeline in &pipelines {
            let said = launch(system, pipeline);
            assert!(said.lines().count() >= 2 && said.contains("\"objects\":["), "{} {pipeline}: {said}", system.name);
        }
    }
}

/// FFmpeg's H.264 decoder gives the same pictures in each version, and all systems use one ONNX Runtime.
#[test]
fn each_finds_the_same_in_a_clip() {
    let (Some(clip), Some(model)) = (find::media("bikes.mp4"), find::real_model("yolov12n")) else { return };
    if !find::onnx_runtime() {
        return;
    }
    let pipeline = format!(
        "filesrc location={} ! qtdemux ! h264parse ! avdec_h264 \
         ! trtdetect backend=cpu interval=9 model={} ! trtpose backend=cpu model=models/movenet-lightning.onnx \
         inference-region=objects object-classes=person ! trtpublish location=- stream-id=clip ! fakesink",
        clip.display(),
        model.display()
    );
    let [host, roots @ ..] = systems() else { unreachable!("this machine is one") };
    let here = launch(host, &pipeline);
    let objects = here.matches("\"class_id\":").count();
    assert!(here.lines().count() >= 200 && objects > 50 && here.contains("keypoints"), "{objects} objects: {here}");
    for system in roots {
        let there = launch(system, &pipeline);
        for (number, (here, there)) in here.lines().zip(there.lines()).enumerate() {
            assert_eq!(here, there, "frame {number} on {}", system.name);
        }
        assert_eq!(here.lines().count(), there.lines().count(), "{}", system.name);
    }
}
