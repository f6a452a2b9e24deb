//! Detectors beyond YOLO's find what they find with `backend=cpu`: heads, second inputs and ways of resizing.

use crate::common::agreement::{self, Agreement};
use crate::common::exports;
use crate::common::picture::{Colour, Picture, Square};
use crate::common::standin;
use crate::frames::{around, assert_same, objects, with_model};
use crate::objects::near;
use crate::on_gpu;
use model::Detection;

/// Pictures of the input's size, and larger and smaller ones of other shapes, with squares near edges and elsewhere.
fn pictures() -> Vec<Vec<Picture>> {
    let squares = |places: &[(Colour, u32, u32, u8)]| -> Vec<Square> {
        places.iter().map(|&(colour, x, y, level)| Square::new(colour, x, y, level)).collect()
    };
    let few = squares(&[(Colour::Red, 2, 2, 255), (Colour::Green, 6, 4, 240), (Colour::Blue, 10, 6, 180)]);
    let wide = squares(&[(Colour::Red, 1, 2, 250), (Colour::Green, 10, 4, 200), (Colour::Blue, 5, 3, 180)]);
    let tall = squares(&[(Colour::Blue, 1, 5, 250), (Colour::Red, 3, 1, 230)]);
    vec![
        vec![Picture::new(&few), Picture::numbered(1), Picture::numbered(2)],
        vec![Picture::sized(384, 216, &wide); 2],
        vec![Picture::sized(50, 70, &tall)],
    ]
}

/// What both backends find in all pictures, on the CPU first.
fn found(element: impl Fn(&str) -> String) -> [Vec<Vec<Detection>>; 2] {
    let all = |backend: &str| {
        pictures().iter().flat_map(|pictures| objects(&around(backend, &element(backend)), pictures)).collect()
    };
    [all("cpu"), all("tensorrt")]
}

fn compare(what: &str, element: impl Fn(&str) -> String) {
    let [cpu, gpu] = found(element);
    assert_same(what, &cpu, &gpu, near());
}

/// Required percentage of agreeing objects on a real GPU, whose TF32 moves what lies near a threshold, and more so in
/// networks of random weights.
const AGREE: f32 = 90.0;

/// Asserts the same objects on the stand-in, and on a GPU returns what is wrong if not nearly the same ones are found there;
/// `side` is the input's size.
fn compare_network(what: &str, side: f32, element: impl Fn(&str) -> String) -> Option<String> {
    let [cpu, gpu] = found(element);
    if standin::is_this() {
        assert_same(what, &cpu, &gpu, near());
        return None;
    }
    let mut agreement = Agreement::default();
    // What these weights are surest of in pictures of squares isn't much.
    let best = cpu.iter().flatten().map(|object| object.confidence).fold(f32::MIN_POSITIVE, f32::max);
    let pixels = |found: &[Detection]| -> Vec<Detection> {
        let mut found = found.to_vec();
        for object in &mut found {
            object.map_points(|x, y| (x * side, y * side));
            object.confidence /= best;
        }
        found
    };
    let tolerance = agreement::Tolerance { iou: Some(agreement::IOU), keypoints: 0.0 };
    for (n, (cpu, gpu)) in cpu.iter().zip(&gpu).enumerate() {
        agreement.add(&n.to_string(), ["the CPU", "the GPU"], &pixels(cpu), &pixels(gpu), tolerance);
    }
    println!("{what}, seeded weights: {:.1} % of {} objects agree", agreement.percent(), agreement.objects);
    let wrong = agreement.objects == 0 || agreement.percent() < AGREE;
    wrong.then(|| format!("{what}: {:.1} %, {:#?}", agreement.percent(), agreement.unmatched))
}

on_gpu! {
    fn every_head_finds_what_the_cpu_finds() {
        for (model, properties) in [
            ("rt-detr", "head=rt-detr"),
            ("rt-detr", "head=d-fine"),
            ("rt-detr", "normalization=unit resize=top-left"),
            ("pp-yoloe", "head=pp-yoloe normalization=unit"),
            ("pp-yoloe", "head=pp-yoloe normalization=unit resize=letterbox-antialias"),
            ("damo-yolo", "head=damo-yolo"),
            ("damo-yolo", "head=damo-yolo resize=stretch-antialias"),
            ("damo-yolo", "head=damo-yolo resize=letterbox-cubic"),
            ("picodet", ""),
            ("yolov5", ""),
            ("yolov5", "head=yolov5 resize=top-left-antialias"),
            ("yolox", "head=yolox-decoded normalization=unit color=rgb"),
            ("yolox", "head=yolox-decoded normalization=0,0,0/255,255,255 color=bgr resize=letterbox"),
            ("rtdetr-bare", "head=ultralytics-rt-detr"),
        ] {
            let what = format!("{model} {properties}");
            compare(&what, |backend| format!("{} {properties} confidence=0.2", with_model("trtdetect", backend, model)));
        }
    }
}

on_gpu! {
    /// Narrow models in the form of the families' exports, with seeded weights.
    fn exports_find_what_the_cpu_finds() {
        let compare = |export: exports::Export| {
            compare_network(export.name, 320.0, |backend| {
                format!("{} name=d backend={backend} precision=fp32 confidence=0.02", export.element())
            })
        };
        let wrong: Vec<_> = exports::detectors().into_iter().filter_map(compare).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

on_gpu! {
    /// A batch of frames, some of them with other settings, and a second input with a row for each.
    fn a_batch_has_a_second_input_for_each_frame() {
        let elements = |backend: &str| {
            let element = with_model("trtdetect", backend, "rt-detr");
            format!("{element} head=rt-detr batch-size=4 roi=0,0,0.5,1;0.5,0,0.5,1;0,0,1,1")
        };
        compare("regions", elements);
    }
}
