//! Failures are reported once, with cause and remedy, and don't hang.

use crate::common::find::test_model;
use crate::common::picture::{Picture, Tolerance, assert_found};
use crate::common::running::{Running, caps, found_by, frame, pull};
use crate::frames::{around, with_model};
use crate::on_gpu;
use gst::prelude::*;
use gst_video::VideoFormat;
use std::time::{Duration, Instant};

const REMEDIES: [&str; 5] =
    ["GPU_BATCH_SIZE", "batch-size", "TENSORRT_WORKSPACE_SIZE", "workspace-size", "a smaller model"];

/// Endless frames, uploaded to the GPU.
const SOURCE: &str = "videotestsrc ! video/x-raw,format=RGBA,width=96,height=64 ! cudaupload";

/// The error of going to PLAYING, at once or later.
fn error_of(launch: &str) -> String {
    let running = Running::new(launch);
    let _ = running.0.set_state(gst::State::Playing);
    running.error()
}

on_gpu! {
    fn the_memory_limit_is_kept() {
        let launch = |more: &str| format!("{SOURCE} num-buffers=0 ! {} {more} ! fakesink", with_model("trtdetect", "tensorrt", "yolo-e2e"));
        let launch = |more: &str| launch(more).replace("cudaupload num-buffers=0", "cudaupload");
        let error = error_of(&launch("batch-size=32 gpu-memory-limit=1"));
        assert!(error.starts_with("GPU out of memory: yolo-e2e.onnx asked for "), "{error}");
        assert!(error.contains("limit 1.0 MiB (gpu-memory-limit)"), "{error}");
        for remedy in REMEDIES {
            assert!(error.contains(remedy), "{error}");
        }
        // All memory is freed, and a sufficient limit works.
        let running = Running::playing(&launch("batch-size=32 gpu-memory-limit=64"));
        running.message(&[gst::MessageType::AsyncDone]);
        let stats = running.stats("d");
        let [memory, peak, ours, beside] = ["gpu-memory", "gpu-memory-peak", "gpu-memory-ours", "gpu-memory-beside"]
            .map(|field| stats.get::<u64>(field).unwrap());
        assert!(memory > 1 << 20 && memory <= peak && peak <= 64 << 20, "{stats}");
        assert!(ours >= memory && beside > 0, "{stats}");
    }
}

on_gpu! {
    /// The stand-in's device has 6 MB: the frames fit, a large batch doesn't.
    fn a_full_device_names_the_remedies(STANDIN_MEMORY = "6000000") {
        let detect = with_model("trtdetect", "tensorrt", "yolo-e2e");
        let error = error_of(&format!("{SOURCE} ! {detect} batch-size=256 ! fakesink"));
        assert!(error.starts_with("GPU out of memory") && error.contains("the device is full"), "{error}");
        for remedy in REMEDIES {
            assert!(error.contains(remedy), "{error}");
        }
    }
}

on_gpu! {
    /// TensorRT's refusal is reported in its own words, and the state change fails.
    fn what_tensorrt_refuses_is_said(STANDIN_FAIL = "enqueue=1:999") {
        let error = error_of(&format!("{SOURCE} ! {} ! fakesink", with_model("trtdetect", "tensorrt", "yolo")));
        assert!(error.contains("TensorRT 10.6.0: enqueueV3 failed"), "{error}");
    }
}

/// Stops a pipeline, which takes at most a second.
fn stop_quickly(running: &Running) {
    let start = Instant::now();
    running.set_state(gst::State::Null);
    assert!(start.elapsed() < Duration::from_secs(1), "stopping took {:?}", start.elapsed());
}

on_gpu! {
    /// One of two services in two pipelines meets an illegal address: both fail with that cause, both stop, and both run when
    /// they are started again.
    fn a_failed_device_fails_every_service_once_and_can_be_left(STANDIN_FAIL = "graph=60:700") {
        let launch = |model: &str| format!("{SOURCE} ! {} ! appsink name=out sync=false drop=true max-buffers=2", with_model("trtdetect", "tensorrt", model));
        let (one, two) = (Running::new(&launch("yolo")), Running::new(&launch("yolo-e2e")));
        // Both are open before one of them gets the frames for the failing launch.
        for running in [&one, &two] {
            running.set_state(gst::State::Paused);
            running.message(&[gst::MessageType::AsyncDone]);
        }
        one.set_state(gst::State::Playing);
        two.set_state(gst::State::Playing);
        // The other thread's `cudaupload` may use the failed context before the detector has reported the error.
        let first = one.error_by("d");
        let start = Instant::now();
        let second = two.error_by("d");
        assert!(start.elapsed() < Duration::from_secs(1), "{:?} between the two", start.elapsed());
        assert!(first.contains("illegal memory access") && first.contains("start it again"), "{first}");
        assert_eq!(first, second, "the first cause");
        stop_quickly(&one);
        stop_quickly(&two);
        for running in [&one, &two] {
            running.set_state(gst::State::Playing);
            running.message(&[gst::MessageType::AsyncDone]);
            for _ in 0..5 {
                pull(&running.sink("out")).expect("a frame");
            }
            stop_quickly(running);
        }
    }
}

on_gpu! {
    /// Memory of one context can't be read from another: here both are on one device, in separate pipelines.
    fn frames_of_another_context_are_an_error() {
        let other = Running::playing(&format!("{SOURCE} ! video/x-raw(memory:CUDAMemory) ! appsink name=out sync=false"));
        let buffer = pull(&other.sink("out")).unwrap();
        let caps = other.sink("out").static_pad("sink").unwrap().current_caps().unwrap();
        let detect = with_model("trtdetect", "tensorrt", "yolo");
        let running = Running::playing(&format!("appsrc name=in format=time ! {detect} ! fakesink"));
        running.source("in").set_caps(Some(&caps));
        running.source("in").push_buffer(buffer).unwrap();
        let error = running.error();
        assert!(error.contains("another CUDA context of GPU 0") && error.contains("set_context"), "{error}");
    }
}

on_gpu! {
    fn frames_of_another_device_are_an_error_that_names_both(STANDIN_DEVICES = "2") {
        let source = SOURCE.replace("cudaupload", "cudaupload cuda-device-id=1");
        let error = error_of(&format!("{source} ! {} device-id=0 ! fakesink", with_model("trtdetect", "tensorrt", "yolo")));
        assert!(error.contains("device-id=0") && error.contains("GPU 1") && error.contains("set device-id=1"), "{error}");
        // The suggested remedy works.
        let running = Running::playing(&format!("{source} ! {} device-id=1 ! fakesink", with_model("trtdetect", "tensorrt", "yolo")));
        running.message(&[gst::MessageType::AsyncDone]);
    }
}

on_gpu! {
    fn a_device_that_is_not_there_is_named() {
        let error = error_of(&format!("{SOURCE} ! {} device-id=9 ! fakesink", with_model("trtdetect", "tensorrt", "yolo")));
        assert!(error.contains("device-id=9") && error.contains("CUDA_VISIBLE_DEVICES"), "{error}");
    }
}

on_gpu! {
    /// An unreadable frame is an error of its own stream; the stream that shares the batch continues.
    fn a_bad_frame_disturbs_no_other_stream() {
        // This doesn't test the rounding of whichever kernel TensorRT chooses.
        let detect = with_model("trtdetect", "tensorrt", "slow").replace("name=d", "precision=fp32");
        let stream = |k: usize, upload: &str| {
            format!("appsrc name=in{k} format=time ! {upload} {detect} name=d{k} batch-size=4 ! appsink name=out{k} sync=false ")
        };
        let other = Running::playing(&format!("{SOURCE} ! video/x-raw(memory:CUDAMemory) ! appsink name=out sync=false"));
        let foreign = pull(&other.sink("out")).unwrap();
        let foreign_caps = other.sink("out").static_pad("sink").unwrap().current_caps().unwrap();
        let (good, bad) = (Running::playing(&stream(0, "cudaupload !")), Running::playing(&stream(1, "")));
        let source = good.source("in0");
        source.set_caps(Some(&caps(&Picture::numbered(0), VideoFormat::Rgba)));
        for n in 0..6 {
            source.push_buffer(frame(&Picture::numbered(n), VideoFormat::Rgba, n)).unwrap();
        }
        bad.source("in1").set_caps(Some(&foreign_caps));
        bad.source("in1").push_buffer(foreign).unwrap();
        assert!(bad.error().contains("another CUDA context"));
        for n in 0..6 {
            let buffer = pull(&good.sink("out0")).unwrap();
            assert_found(&format!("frame {n}"), &found_by(&buffer, "d0"), &Picture::numbered(n).detections(), Tolerance::EXACT);
        }
    }
}

on_gpu! {
    /// Frames don't pass through system memory unnoticed.
    fn a_hidden_download_is_an_error_that_names_element_and_remedy() {
        let detect = with_model("trtdetect", "tensorrt", "yolo");
        for (launch, name) in [
            (format!("{SOURCE} ! cudadownload name=hidden ! video/x-raw ! {detect} ! fakesink"), "hidden"),
            (format!("videotestsrc name=cpu ! {detect} ! fakesink"), "cpu"),
            (format!("{SOURCE} ! cudadownload ! video/x-raw ! videoconvert name=hidden ! {detect} ! fakesink"), "hidden"),
        ] {
            let error = error_of(&launch);
            assert!(error.contains("memory:CUDAMemory") && error.contains(name), "{launch}: {error}");
            assert!(error.contains("cudaupload") || error.contains("nvh264dec"), "{error}");
            assert!(error.contains("backend=cpu"), "{error}");
        }
    }
}

on_gpu! {
    fn a_missing_engine_is_reported_as_in_the_guide() {
        let folder = tempfile::tempdir().unwrap();
        let engine = folder.path().join("detection_fp16.engine");
        let launch = format!("{SOURCE} ! trtdetect model={} ! fakesink", engine.display());
        let error = error_of(&launch);
        assert!(error.starts_with("TensorRT engine not found: ") && error.contains("gst-trt build"), "{error}");
        // Built from the ONNX beside it, if there is one.
        std::fs::copy(test_model("yolo"), engine.with_extension("onnx")).unwrap();
        let running = Running::playing(&launch);
        running.message(&[gst::MessageType::AsyncDone]);
        assert!(!engine.exists(), "it goes into the cache");
    }
}

on_gpu! {
    /// A model with one input too many, or without a head: as on the CPU.
    fn bad_models_are_refused_with_their_names() {
        for (model, word) in [("two-inputs", "2 inputs"), ("unknown-head", "known heads"), ("classify", "trtclassify")] {
            let error = error_of(&around("tensorrt", &with_model("trtdetect", "tensorrt", model)));
            assert!(error.contains(word), "{model}: {error}");
        }
        let error = error_of(&around("tensorrt", &(with_model("trtdetect", "tensorrt", "yolo") + " precision=int8")));
        assert!(error.contains("precision=int8") && error.contains("QuantizeLinear"), "{error}");
    }
}
