//! Models are identified by the content of all their files on the GPU too.

use crate::common::find::engine_cache;
use crate::common::onnx::{Export, KERNEL};
use crate::common::picture::{Tolerance, assert_found};
use crate::common::running::{Running, found_by};
use crate::frames::{around, numbered, run, with_file};
use crate::on_gpu;
use gst::prelude::*;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Two folders, each with a model of one graph, with different external weights: the second detects red as blue.
fn pair(folder: &Path) -> [PathBuf; 2] {
    [("one", Export::yolo()), ("two", Export::yolo().swapped())].map(|(name, export)| {
        std::fs::create_dir(folder.join(name)).unwrap();
        let model = folder.join(name).join("m.onnx");
        export.external(KERNEL, "weights.bin").write(&model);
        model
    })
}

fn detect(model: &Path, folder: &Path) -> String {
    with_file("trtdetect", "tensorrt", model) + &format!(" engine-cache={}", engine_cache(folder).display())
}

/// Checks the results of the model with these weights; returns the playing pipeline.
#[track_caller]
fn assert_finds(model: &Path, folder: &Path, swapped: bool) -> Running {
    let pictures = numbered(4);
    let (buffers, running) = run(&around("tensorrt", &detect(model, folder)), &pictures);
    for (n, (buffer, picture)) in buffers.iter().zip(&pictures).enumerate() {
        let mut wanted = picture.detections();
        if swapped {
            wanted.iter_mut().for_each(|detection| detection.class_id = 2 - detection.class_id);
        }
        assert_found(&format!("frame {n}"), &found_by(buffer, "d"), &wanted, Tolerance::EXACT);
    }
    running
}

on_gpu! {
    /// Concurrently: the first service is open while the second one opens.
    fn two_folders_with_one_graph_are_two_models() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = pair(folder.path());
        assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
        let first = assert_finds(&one, folder.path(), false);
        let second = assert_finds(&two, folder.path(), true);
        let service = |running: &Running| running.stats("d").get::<String>("service").unwrap();
        assert_ne!(service(&first), service(&second));
        // Replaced in place.
        std::fs::copy(two.with_file_name("weights.bin"), one.with_file_name("weights.bin")).unwrap();
        assert_eq!(service(&assert_finds(&one, folder.path(), true)), service(&second));
    }
}

on_gpu! {
    /// Set, and reloaded in place.
    fn the_weights_change_while_playing() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = pair(folder.path());
        let source = "videotestsrc is-live=true ! video/x-raw,format=RGBA,width=96,height=64 ! cudaupload";
        let running = Running::playing(&format!("{source} ! {} ! fakesink", detect(&one, folder.path())));
        let element = running.element("d");
        let service = || running.stats("d").get::<String>("service");
        let wait = |before: String| {
            let start = Instant::now();
            while service().is_ok_and(|now| now == before) {
                assert!(start.elapsed() < Duration::from_secs(60), "the old model stays");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let start = Instant::now();
        while service().is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "no model");
            std::thread::sleep(Duration::from_millis(5));
        }
        let first = service().unwrap();
        element.set_property("model", two.to_str().unwrap());
        wait(first);
        let second = service().unwrap();
        element.emit_by_name::<()>("reload-model", &[]);
        std::fs::copy(one.with_file_name("weights.bin"), two.with_file_name("weights.bin")).unwrap();
        element.emit_by_name::<()>("reload-model", &[]);
        wait(second);
        // A deleted external file: reported, and the model stays.
        std::fs::remove_file(two.with_file_name("weights.bin")).unwrap();
        let third = service().unwrap();
        element.emit_by_name::<()>("reload-model", &[]);
        let message = running.message(&[gst::MessageType::Warning, gst::MessageType::Error]);
        let gst::MessageView::Warning(warning) = message.view() else { panic!("{message:?}") };
        let text = warning.error().message().to_owned();
        assert!(text.contains("weights.bin") && text.ends_with("the previous model stays in force"), "{text}");
        assert_eq!(service().unwrap(), third);
    }
}
