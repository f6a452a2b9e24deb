//! Models are identified by their content: the graph, and every file that holds its tensors.

use crate::common::onnx::{BOXES, Export, KERNEL};
use crate::common::picture::{Picture, Tolerance, assert_found};
use crate::common::running::{Running, caps, found_by, frame, pull, start};
use gst::prelude::*;
use gst_video::VideoFormat;
use model::Detection;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn detect(model: &Path) -> String {
    format!("trtdetect name=d backend=cpu model={}", model.display())
}

/// Sends one frame at a time through a model.
struct FrameSequence {
    running: Running,
    next: usize,
}

impl FrameSequence {
    fn new(model: &Path) -> Self {
        let running = Running::playing(&format!("appsrc name=in ! {} ! appsink name=out sync=false", detect(model)));
        running.source("in").set_caps(Some(&caps(&Picture::numbered(0), VideoFormat::Rgb)));
        Self { running, next: 0 }
    }

    /// The results for the next picture, and those of `yolo` for it.
    #[track_caller]
    fn pass(&mut self) -> (Vec<Detection>, Vec<Detection>) {
        let picture = Picture::numbered(self.next);
        self.running.source("in").push_buffer(frame(&picture, VideoFormat::Rgb, self.next)).unwrap();
        self.next += 1;
        let buffer = pull(&self.running.sink("out")).expect("a frame");
        (found_by(&buffer, "d"), picture.detections())
    }

    fn service(&self) -> String {
        self.running.stats("d").get("service").unwrap()
    }
}

/// The results of the model's variants where `yolo` gives `wanted`.
fn same(wanted: Vec<Detection>) -> Vec<Detection> {
    wanted
}

fn swapped(mut wanted: Vec<Detection>) -> Vec<Detection> {
    wanted.iter_mut().for_each(|detection| detection.class_id = 2 - detection.class_id);
    wanted
}

/// Frames without squares in the last column, where the shifted box would leave the frame.
fn shifted(mut wanted: Vec<Detection>) -> Vec<Detection> {
    wanted.iter_mut().for_each(|detection| detection.rect.x += 1.0 / 12.0);
    wanted
}

#[track_caller]
fn assert_finds(stream: &mut FrameSequence, what: &str, variant: fn(Vec<Detection>) -> Vec<Detection>) {
    for n in 0..3 {
        let (found, wanted) = stream.pass();
        assert_found(&format!("{what}, frame {n}"), &found, &variant(wanted), Tolerance::EXACT);
    }
}

/// Two folders, each with a model of the same graph and different external data.
struct Pair {
    _folder: tempfile::TempDir,
    one: PathBuf,
    two: PathBuf,
}

impl Pair {
    fn new(one: &Export, two: &Export) -> Self {
        assert_eq!(one.bytes(), two.bytes(), "the same graph");
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["one", "two"].map(|name| {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            folder.path().join(name).join("m.onnx")
        });
        one.write(&first);
        two.write(&second);
        Self { _folder: folder, one: first, two: second }
    }

    fn kernels() -> Self {
        let outside = |export: Export| export.external(KERNEL, "weights.bin");
        Self::new(&outside(Export::yolo()), &outside(Export::yolo().swapped()))
    }

    /// Both at the same time, each with its own results.
    #[track_caller]
    fn assert_two_models(&self, of_the_second: fn(Vec<Detection>) -> Vec<Detection>) {
        let (mut one, mut two) = (FrameSequence::new(&self.one), FrameSequence::new(&self.two));
        assert_ne!(one.service(), two.service());
        assert_finds(&mut one, "one", same);
        assert_finds(&mut two, "two", of_the_second);
        assert_eq!(FrameSequence::new(&self.one).service(), one.service(), "the same files are one model");
    }
}

#[test]
fn two_folders_with_one_graph_are_two_models() {
    if start() {
        Pair::kernels().assert_two_models(swapped);
    }
}

/// The second of two external files differs; the first is the same, in its own folder.
#[test]
fn every_file_counts() {
    if !start() {
        return;
    }
    let outside = |export: Export| export.external(KERNEL, "data/kernel.bin").external(BOXES, "boxes.bin");
    Pair::new(&outside(Export::yolo()), &outside(Export::yolo().shifted())).assert_two_models(shifted);
    // Several tensors in one file, the second of which differs.
    let outside = |export: Export| export.external(BOXES, "all.bin").external(KERNEL, "all.bin");
    Pair::new(&outside(Export::yolo()), &outside(Export::yolo().swapped())).assert_two_models(swapped);
}

#[test]
fn tensors_of_graphs_inside_nodes_count() {
    if !start() {
        return;
    }
    let outside = |export: Export| export.external(KERNEL, "weights.bin").in_a_subgraph(KERNEL);
    Pair::new(&outside(Export::yolo()), &outside(Export::yolo().swapped())).assert_two_models(swapped);
}

/// A symbolic link to a shared graph: the external files beside the link belong to the model.
#[test]
fn a_linked_graph_has_the_files_beside_the_link() {
    if !start() {
        return;
    }
    let pair = Pair::kernels();
    let graph = pair.one.parent().unwrap().parent().unwrap().join("graph.onnx");
    std::fs::rename(&pair.one, &graph).unwrap();
    for link in [&pair.one, &pair.two] {
        let _ = std::fs::remove_file(link);
        std::os::unix::fs::symlink(&graph, link).unwrap();
    }
    pair.assert_two_models(swapped);
}

#[test]
fn the_model_changes_between_two_of_one_graph_while_playing() {
    if !start() {
        return;
    }
    let pair = Pair::kernels();
    let mut stream = FrameSequence::new(&pair.one);
    assert_finds(&mut stream, "before", same);
    let service = stream.service();
    stream.running.element("d").set_property("model", pair.two.to_str().unwrap());
    let start = Instant::now();
    while stream.service() == service {
        assert!(start.elapsed() < Duration::from_secs(30), "the old model stays");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_finds(&mut stream, "after", swapped);
}

/// Overwritten with the same size, and even the same modification time.
#[test]
fn files_replaced_in_place_are_another_model() {
    if !start() {
        return;
    }
    let pair = Pair::kernels();
    let weights = |model: &Path| model.with_file_name("weights.bin");
    let time = weights(&pair.one).metadata().unwrap().modified().unwrap();
    let mut before = FrameSequence::new(&pair.one);
    assert_finds(&mut before, "before", same);
    // Cached file information isn't used for a file that was changed a moment ago.
    std::thread::sleep(Duration::from_millis(2500));
    drop(FrameSequence::new(&pair.one));
    std::fs::copy(weights(&pair.two), weights(&pair.one)).unwrap();
    std::fs::File::options().write(true).open(weights(&pair.one)).unwrap().set_modified(time).unwrap();
    let mut after = FrameSequence::new(&pair.one);
    assert_finds(&mut after, "after", swapped);
    assert_finds(&mut before, "the one that runs", same);
}

#[test]
fn files_that_are_missing_cut_off_or_elsewhere_are_named() {
    if !start() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let model = inner.join("m.onnx");
    let refusal = || Running::refusal(&format!("videotestsrc ! {} ! fakesink", detect(&model)));

    Export::yolo().external(KERNEL, "weights.bin").write(&model);
    let weights = inner.join("weights.bin");
    let content = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &content[..content.len() - 1]).unwrap();
    let error = refusal();
    assert!(error.contains("weights.bin") && error.contains("2304") && error.contains("2303"), "{error}");
    std::fs::remove_file(&weights).unwrap();
    let error = refusal();
    assert!(error.contains("inner/weights.bin") && error.contains("m.onnx") && error.contains("copy"), "{error}");
    std::fs::create_dir(&weights).unwrap();
    assert!(refusal().contains("inner/weights.bin"));

    std::fs::write(folder.path().join("weights.bin"), &content).unwrap();
    let absolute = folder.path().join("weights.bin");
    for location in ["../weights.bin", absolute.to_str().unwrap(), "a/../../weights.bin", "", "."] {
        std::fs::write(&model, Export::yolo().external(KERNEL, location).bytes()).unwrap();
        let error = refusal();
        assert!(error.contains(&format!("{location:?}")) && error.contains("m.onnx"), "{error}");
        assert!(error.contains("isn't in the model's folder"), "{error}");
    }
}
