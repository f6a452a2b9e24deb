//! Models with real weights on clips give the same results as `backend=cpu` on the same decoded frames.
//!
//! With NVDEC whole clips are decoded on the GPU; on the stand-in, which has no decoder, a few frames are used.

use crate::common::agreement::{AGREE, Agreement, CELL, IOU, Tolerance};
use crate::common::running::{self, Running, found_by, pull};
use crate::common::{engine, find};
use crate::frames::with_file;
use crate::on_gpu;
use model::Detection;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Number of frames of a clip: all of the sample clip, and a part of a long one.
const FRAMES: usize = 250;

const BATCH: &str = "4";

const OBJECTS: Tolerance = Tolerance { iou: Some(IOU), keypoints: 1.0 };
/// Requirement for whole pipelines: a clip has few people, so one at 0.92 would be more than a percent.
const POSES: Tolerance = Tolerance { iou: Some(0.9), keypoints: CELL };

/// Element, model and tolerance.
const CASES: [(&str, &str, Tolerance); 3] =
    [("trtdetect", "yolov12n", OBJECTS), ("trtdetect", "nanodet", OBJECTS), ("trtpose", "movenet-multipose", POSES)];

/// A picture's size.
#[derive(Clone, Copy)]
struct Size(f32, f32);

/// From a file to NV12 in a backend's memory.
fn decoded(file: &Path, backend: &str) -> String {
    let hardware = gst::ElementFactory::find("nvh264dec").is_some();
    let decoder = match (hardware, backend) {
        (true, "cpu") => format!("nvh264dec ! cudadownload ! identity eos-after={}", FRAMES + 1),
        (true, _) => format!("nvh264dec ! identity eos-after={}", FRAMES + 1),
        (false, "cpu") => few("identity"),
        (false, _) => few("cudaupload"),
    };
    format!("filesrc location={} ! qtdemux ! h264parse ! {decoder}", file.display())
}

/// One frame per second, the first three.
fn few(upload: &str) -> String {
    format!(
        "avdec_h264 ! videorate ! video/x-raw,framerate=1/1 ! identity eos-after=4 ! videoconvert \
         ! video/x-raw,format=NV12 ! {upload}"
    )
}

/// Builds the engine that the elements look for, which on a GPU takes longer than a test waits for a frame.
fn build(model: &Path) {
    let arguments: [&OsStr; 4] = ["build".as_ref(), model.as_ref(), "--batch".as_ref(), BATCH.as_ref()];
    let built = Command::new(find::gst_trt()).args(arguments).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

/// The results of `streams` concurrent pipelines in each frame, in pixels of the frame, and the frame's size.
fn found(case: (&str, &Path), file: &Path, backend: &str, streams: usize) -> Vec<(Size, Vec<Vec<Detection>>)> {
    let (element, model) = case;
    let launch = format!(
        "{} ! {} confidence=0.25 batch-size={BATCH} ! appsink name=out sync=false",
        decoded(file, backend),
        with_file(element, backend, model)
    );
    let running: Vec<Running> = (0..streams).map(|_| Running::playing(&launch)).collect();
    // Each has its own reader thread, so that they really run concurrently.
    std::thread::scope(|scope| {
        let threads: Vec<_> = running.iter().map(|running| scope.spawn(|| read(running))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a stream's frames")).collect()
    })
}

fn read(running: &Running) -> (Size, Vec<Vec<Detection>>) {
    let sink = running.sink("out");
    let frames: Vec<_> = std::iter::from_fn(|| pull(&sink)).map(|buffer| found_by(&buffer, "d")).collect();
    let info = running::info(&sink);
    (Size(info.width() as f32, info.height() as f32), frames)
}

/// Converts fractions of the frame to pixels of the network's input, whose letterbox has one scale.
fn in_network(mut objects: Vec<Detection>, frame: Size, input: Size) -> Vec<Detection> {
    let scale = (input.0 / frame.0).min(input.1 / frame.1);
    for object in &mut objects {
        object.map_points(|x, y| (x * frame.0 * scale, y * frame.1 * scale));
    }
    objects
}

on_gpu! {
    fn real_models_find_what_the_cpu_finds() {
        let mut problems = Vec::new();
        for (element, name, tolerance) in CASES {
            let Some(model) = find::real_model(name) else { continue };
            build(&model);
            let spec = engine::open(&model, 1).input().clone();
            let input = Size(spec.width as f32, spec.height as f32);
            // Over all clips: some show no person that a model can detect.
            let mut seen = 0;
            let clips = find::CLIPS.map(|file| Some((file, find::media(file)?)));
            for (file, clip) in clips.iter().flatten() {
                let cpu = found((element, &model), clip, "cpu", 1).remove(0);
                for streams in [1, 3] {
                    let mut agreement = Agreement::default();
                    for gpu in found((element, &model), clip, "tensorrt", streams) {
                        assert_eq!(cpu.1.len(), gpu.1.len(), "{name} on {file}: frames");
                        for (n, (a, b)) in cpu.1.iter().zip(gpu.1).enumerate() {
                            let [a, b] = [a.clone(), b].map(|objects| in_network(objects, cpu.0, input));
                            agreement.add(&format!("frame {n}"), ["cpu", "tensorrt"], &a, &b, tolerance);
                        }
                    }
                    println!(
                        "compared {name} on {file}, {streams} stream(s): {} frames, {} of {} objects agree ({:.2} %)",
                        cpu.1.len(), agreement.matched, agreement.objects, agreement.percent()
                    );
                    agreement.unmatched.iter().for_each(|line| println!("  {line}"));
                    seen += agreement.objects;
                    if agreement.objects > 0 && agreement.percent() < AGREE {
                        problems.push(format!("{name} on {file}, {streams}: {:.2} %", agreement.percent()));
                    }
                }
            }
            assert!(clips.iter().all(Option::is_none) || seen >= 2, "{name}: the clips show {seen} objects");
        }
        assert_eq!(problems, [""; 0]);
    }
}
