//! Building, cancelling, changing the model while playing, starting and stopping.

use crate::common::find::{self, test_model};
use crate::common::picture::{Picture, Tolerance, assert_found};
use crate::common::running::{PATIENCE, Running, caps, found_by, frame, number, pull};
use crate::common::standin;
use crate::frames::{around, objects, with_file, with_model};
use crate::on_gpu;
use cuda::{Device, PrimaryContext};
use gst::prelude::*;
use gst_video::VideoFormat;
use gsttensorrt::meta;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tensorrt::EngineCache;

const SOURCE: &str = "videotestsrc ! video/x-raw,format=RGBA,width=96,height=64 ! cudaupload";

/// The progress messages up to one of these types: type, text, percentage.
fn progress_until(running: &Running, ends: &[gst::ProgressType]) -> Vec<(gst::ProgressType, String, Option<u32>)> {
    let mut told = Vec::new();
    loop {
        let message = running.message(&[gst::MessageType::Progress, gst::MessageType::Error]);
        let gst::MessageView::Progress(progress) = message.view() else { panic!("{message:?}") };
        let (kind, code, text) = progress.get();
        assert_eq!(code, "build-engine");
        told.push((kind, text.to_owned(), message.structure().unwrap().get("percent").ok()));
        if ends.contains(&kind) {
            return told;
        }
    }
}

fn engines() -> usize {
    EngineCache::new(EngineCache::default_folder(), u64::MAX).list().unwrap().len()
}

/// Files of the cache that are neither complete entries nor files kept beside them.
fn leftovers() -> Vec<String> {
    let files = std::fs::read_dir(EngineCache::default_folder()).into_iter().flatten().flatten();
    let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".part") || name.ends_with(".engine")).collect()
}

on_gpu! {
    /// While an engine is built, the application's thread continues and gets messages; frames wait.
    fn a_build_is_told_and_does_not_block_the_application(STANDIN_BUILD_TIME = "1200") {
        let detect = with_model("trtdetect", "tensorrt", "yolo");
        let running = Running::new(&format!("{SOURCE} ! {detect} ! appsink name=out sync=false"));
        let start = Instant::now();
        let change = running.0.set_state(gst::State::Playing);
        assert_eq!(change, Ok(gst::StateChangeSuccess::Async));
        assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
        let told = progress_until(&running, &[gst::ProgressType::Complete]);
        assert_eq!(told[0].0, gst::ProgressType::Start);
        assert!(told.len() > 4 && told.iter().all(|(_, text, _)| text.starts_with("yolo.onnx: ")), "{told:?}");
        let percent: Vec<_> = told.iter().filter_map(|(_, _, percent)| *percent).collect();
        assert!(percent.is_sorted() && percent.last() == Some(&100), "{percent:?}");
        assert!(start.elapsed() >= Duration::from_millis(1200));
        for n in 0..3 {
            let buffer = pull(&running.sink("out")).expect("a frame");
            assert_eq!(meta::record(&buffer).unwrap().models.len(), 1, "frame {n}");
        }
        running.0.state(PATIENCE).0.unwrap();
        assert_eq!(running.0.current_state(), gst::State::Playing);

        // From the cache: at once, and without messages.
        drop(running);
        let start = Instant::now();
        let running = Running::playing(&format!("{SOURCE} ! {detect} ! fakesink"));
        running.message(&[gst::MessageType::AsyncDone]);
        assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
        assert!(running.0.bus().unwrap().pop_filtered(&[gst::MessageType::Progress]).is_none());
    }
}

on_gpu! {
    fn stopping_cancels_a_build_and_leaves_no_file(STANDIN_BUILD_TIME = "30000") {
        let detect = with_model("trtdetect", "tensorrt", "yolo");
        // NULL last: it waits for the thread's end, and this process may exit after it.
        for state in [gst::State::Ready, gst::State::Null] {
            let running = Running::new(&format!("{SOURCE} ! {detect} ! fakesink"));
            running.set_state(gst::State::Playing);
            progress_until(&running, &[gst::ProgressType::Start]);
            let start = Instant::now();
            running.set_state(state);
            assert!(start.elapsed() < Duration::from_secs(1), "{state:?} took {:?}", start.elapsed());
            if state == gst::State::Ready {
                progress_until(&running, &[gst::ProgressType::Canceled]);
            }
        }
        assert_eq!((engines(), leftovers()), (0, vec![]));
    }
}

on_gpu! {
    /// Of two pipelines with one model one builds and the other waits: the waiting one stops at once, and the build continues.
    fn stopping_does_not_wait_for_the_build_of_another_pipeline(STANDIN_BUILD_TIME = "15000") {
        let detect = with_model("trtdetect", "tensorrt", "yolo");
        let [builds, waits] = [0, 1].map(|_| Running::new(&format!("{SOURCE} ! {detect} ! appsink name=out sync=false")));
        builds.set_state(gst::State::Playing);
        progress_until(&builds, &[gst::ProgressType::Continue]);
        waits.set_state(gst::State::Playing);
        progress_until(&waits, &[gst::ProgressType::Start]);
        for state in [gst::State::Ready, gst::State::Playing, gst::State::Null] {
            let start = Instant::now();
            waits.set_state(state);
            assert!(start.elapsed() < Duration::from_secs(2), "{state:?} took {:?}", start.elapsed());
        }
        let told = progress_until(&builds, &[gst::ProgressType::Complete]);
        assert!(told.iter().all(|(kind, ..)| *kind != gst::ProgressType::Canceled), "{told:?}");
        assert!(pull(&builds.sink("out")).is_some());
        assert_eq!(engines(), 1);
    }
}

on_gpu! {
    /// If the building pipeline stops, the other one builds.
    fn a_waiting_pipeline_builds_once_the_build_is_cancelled(STANDIN_BUILD_TIME = "4000") {
        let detect = with_model("trtdetect", "tensorrt", "yolo");
        let [builds, waits] = [0, 1].map(|_| Running::new(&format!("{SOURCE} ! {detect} ! appsink name=out sync=false")));
        builds.set_state(gst::State::Playing);
        progress_until(&builds, &[gst::ProgressType::Continue]);
        waits.set_state(gst::State::Playing);
        std::thread::sleep(Duration::from_millis(300));
        builds.set_state(gst::State::Null);
        progress_until(&waits, &[gst::ProgressType::Complete]);
        assert!(pull(&waits.sink("out")).is_some());
    }
}

on_gpu! {
    /// In a live pipeline, which doesn't wait for PAUSED.
    fn a_live_pipeline_plays_when_its_engine_is_ready(STANDIN_BUILD_TIME = "800") {
        let live = SOURCE.replace("videotestsrc", "videotestsrc is-live=true");
        let detect = with_model("trtdetect", "tensorrt", "yolo");
        let running = Running::new(&format!("{live} ! {detect} ! appsink name=out sync=false"));
        running.set_state(gst::State::Playing);
        progress_until(&running, &[gst::ProgressType::Complete]);
        assert!(pull(&running.sink("out")).is_some());
        running.0.state(PATIENCE).0.unwrap();
        assert_eq!(running.element("d").current_state(), gst::State::Playing);
    }
}

on_gpu! {
    /// Both share one code path, and so one cache.
    fn gst_trt_builds_what_elements_look_for(STANDIN_BUILD_TIME = "1500") {
        let model = test_model("yolo");
        let built = Command::new(find::gst_trt())
            .args([Path::new("build"), &model, Path::new("--batch"), Path::new("4")])
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        assert_eq!(engines(), 1);
        let start = Instant::now();
        let running = Running::playing(&format!("{SOURCE} ! {} batch-size=4 ! fakesink", with_model("trtdetect", "tensorrt", "yolo")));
        running.message(&[gst::MessageType::AsyncDone]);
        assert!(start.elapsed() < Duration::from_millis(1500), "it was built again");
        assert_eq!(engines(), 1);
    }
}

on_gpu! {
    /// An engine file as `gst-trt build -o` writes it, with neither its ONNX nor the cache.
    fn an_engine_file_runs_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let engine = folder.path().join("detection_fp16.engine");
        let model = test_model("yolo");
        let built = Command::new(find::gst_trt())
            .args([Path::new("build"), &model, Path::new("-o"), &engine])
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let cache = folder.path().join("cache");
        let pictures: Vec<_> = (0..4).map(Picture::numbered).collect();
        let detect = with_file("trtdetect", "tensorrt", &engine) + &format!(" engine-cache={}", cache.display());
        for (n, found) in objects(&around("tensorrt", &detect), &pictures).iter().enumerate() {
            assert_found(&format!("frame {n}"), found, &pictures[n].detections(), Tolerance::EXACT);
        }
        assert!(EngineCache::new(cache, u64::MAX).list().unwrap().is_empty(), "nothing was built");
    }
}

on_gpu! {
    /// Built while the current model continues; then the old one's memory is freed.
    fn another_model_takes_over_while_playing(STANDIN_BUILD_TIME = "500") {
        let detect = with_model("trtdetect", "tensorrt", "yolo");
        let running = Running::playing(&format!("appsrc name=in format=time ! cudaupload ! {detect} ! appsink name=out sync=false"));
        let (source, sink, element) = (running.source("in"), running.sink("out"), running.element("d"));
        source.set_caps(Some(&caps(&Picture::numbered(0), VideoFormat::Rgba)));
        let mut next = 0;
        let mut pass = || {
            source.push_buffer(frame(&Picture::numbered(next), VideoFormat::Rgba, next)).unwrap();
            let buffer = pull(&sink).expect("a frame");
            assert_eq!(number(&buffer), next, "lost or out of order");
            assert_eq!(found_by(&buffer, "d").len(), Picture::numbered(next).squares.len());
            next += 1;
            meta::record(&buffer).unwrap().objects[0].label.to_string()
        };
        assert!(["red", "green", "blue"].contains(&pass().as_str()));
        let memory = || running.stats("d").get::<u64>("gpu-memory-ours").unwrap();
        let before = memory();
        element.set_property("model", test_model("yolo-coco").to_str().unwrap());
        let (start, mut on_the_old) = (Instant::now(), 0);
        while !["person", "bicycle", "car"].contains(&pass().as_str()) {
            on_the_old += 1;
            assert!(start.elapsed() < Duration::from_secs(30), "the old model stays");
        }
        assert!(on_the_old > 5, "frames went on while the engine was built: {on_the_old}");
        let told = progress_until(&running, &[gst::ProgressType::Complete]);
        assert!(told[0].1.starts_with("yolo.onnx") || told[0].1.starts_with("yolo-coco.onnx"), "{told:?}");
        // Both have outputs of about the same size; the old one's memory has been freed.
        let start = Instant::now();
        while memory() > before * 3 {
            assert!(start.elapsed() < Duration::from_secs(5), "{} of {before} bytes are still taken", memory());
            std::thread::sleep(Duration::from_millis(10));
        }

        element.set_property("model", "/nonexistent.onnx");
        let message = running.message(&[gst::MessageType::Warning, gst::MessageType::Error]);
        let gst::MessageView::Warning(warning) = message.view() else { panic!("{message:?}") };
        assert!(warning.error().message().ends_with("the previous model stays in force"), "{}", warning.error());
        assert!(["person", "bicycle", "car"].contains(&pass().as_str()));
    }
}

/// Device memory in use, and this process's own, in bytes.
fn memory() -> (u64, u64) {
    let device = Device::open(0).unwrap();
    let context = PrimaryContext::enter(&device).unwrap();
    let (free, total) = context.memory().unwrap();
    let resident = procfs::process::Process::myself().unwrap().statm().unwrap().resident;
    (total - free, resident * procfs::page_size())
}

on_gpu! {
    fn fifty_starts_and_stops_take_no_more_memory_than_ten() {
        let detect = with_model("trtdetect", "tensorrt", "yolo");
        let running = Running::new(&format!("{SOURCE} ! {detect} batch-size=4 ! fakesink"));
        let mut after = Vec::new();
        for cycle in 1..=50 {
            running.set_state(gst::State::Playing);
            let start = Instant::now();
            while running.stats("d").get::<u64>("frames").unwrap() < 3 {
                assert!(start.elapsed() < Duration::from_secs(30), "no frames come");
                std::thread::sleep(Duration::from_millis(1));
            }
            running.set_state(gst::State::Null);
            if [10, 50].contains(&cycle) {
                after.push(memory());
            }
        }
        let [(device_ten, host_ten), (device_fifty, host_fifty)] = after[..] else { panic!("{after:?}") };
        // A driver gives a context memory in pieces, and may add one late; tests/soak_gpu.rs starts more often.
        let piece = if standin::is_this() { 0 } else { 2 << 20 };
        assert!(device_fifty.abs_diff(device_ten) <= piece, "device memory: {device_ten}, then {device_fifty}");
        assert!(host_fifty < host_ten + (2 << 20), "host memory: {host_ten}, then {host_fifty}");
    }
}
