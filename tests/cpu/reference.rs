//! Models on real pictures give the results of tests/reference/reference.py, families.py, detectors.py and poses.py, which use
//! ONNX Runtime, OpenCV and NumPy: trained models, and narrow networks with seeded weights of other families
//! (tests/reference/export_models.py, export_detectors.py, yolo_obb.py, segmentation.py, export_poses.py).

use crate::common::exports::{self, Export};
use crate::common::pixels::Rgb;
use crate::common::{engine, find};
use gst_video::VideoFormat;
use gsttensorrt::infer::ModelSettings;
use model::head::{HeadChoice, ModelChoice};
use model::mask::Rle;
use model::{Detection, Keypoint, OrientedBox, Params, Rect};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};

/// Tolerance of boxes and keypoints, pixels of the network's input.
const PIXELS: f32 = 1.0;
const CONFIDENCE: f32 = 0.01;
/// Objects with at least this confidence must be found.
const SURE: f32 = 0.3;

#[derive(Debug, Deserialize)]
struct Reference {
    confidence: f32,
    iou: f32,
    images: Vec<Image>,
}

#[derive(Debug, Deserialize)]
struct Image {
    name: String,
    results: Vec<Found>,
    classes: Vec<Classes>,
}

/// What a classifier, or a model for embeddings, says of a region of a picture.
#[derive(Debug, Deserialize)]
struct Classes {
    model: String,
    /// x, y, width, height in pixels of the picture.
    region: [f32; 4],
    /// The best five, and their confidences.
    #[serde(default)]
    classes: Vec<(u32, f32)>,
    #[serde(default)]
    vector: Vec<f32>,
}

/// The results of a model for a region of a picture.
#[derive(Debug, Deserialize)]
struct Found {
    model: String,
    /// x, y, width, height in pixels of the picture.
    region: [f32; 4],
    /// Pixels of the network's input per pixel of the picture.
    scale: [f32; 2],
    objects: Vec<Object>,
}

/// Coordinates in pixels of the picture.
#[derive(Debug, Deserialize)]
struct Object {
    class: u32,
    confidence: f32,
    #[serde(rename = "box")]
    corners: [f32; 4],
    mask: Option<Runs>,
    /// x and y of an oriented box's corners.
    #[serde(default, rename = "corners")]
    oriented: Option<[[f32; 2]; 4]>,
    /// x, y, confidence.
    #[serde(default)]
    keypoints: Vec<[f32; 3]>,
}

/// COCO's uncompressed run lengths.
#[derive(Debug, Deserialize)]
struct Runs {
    /// Height and width.
    size: [u32; 2],
    counts: Vec<u64>,
}

impl Runs {
    fn of(detection: &Detection, (width, height): (u32, u32)) -> Option<Self> {
        let mask = detection.mask.as_ref()?;
        let Rle { counts, .. } = Rle::of(&mask.in_frame(&detection.rect, (width, height)));
        Some(Self { size: [height, width], counts })
    }

    fn pixels(&self) -> Vec<bool> {
        let runs = self.counts.iter().zip([false, true].into_iter().cycle());
        runs.flat_map(|(&count, inside)| std::iter::repeat_n(inside, count as usize)).collect()
    }

    /// Intersection over union; 1 if both are empty.
    fn iou(&self, other: &Self) -> f64 {
        let (a, b) = (self.pixels(), other.pixels());
        assert_eq!((self.size, a.len()), (other.size, b.len()));
        let both = a.iter().zip(&b).filter(|(a, b)| **a && **b).count();
        let any = a.iter().zip(&b).filter(|(a, b)| **a || **b).count();
        if any == 0 { 1.0 } else { both as f64 / any as f64 }
    }
}

/// Least intersection over union of an object's mask, and the mean of all: boxes differ by up to [`PIXELS`], and with them the
/// edges of masks.
const MASK: f64 = 0.9;
const MASKS: f64 = 0.995;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("reference")
}

/// Computed once for all tests of this file; `None` if the pictures or Python are missing, which is reported.
static REFERENCE: LazyLock<Option<Reference>> = LazyLock::new(|| {
    let python = find::python()?;
    for file in ["bikes.mp4", "bus.jpg", "zidane.jpg"] {
        find::media(file)?;
    }
    let root = find::root();
    let script = root.join("tests/reference/reference.py");
    let mut command = Command::new(python);
    command.arg("-B").arg(script).arg("--out").arg(folder());
    command.arg("--media").arg(root.join("media")).arg(find::shared().join("media"));
    command.arg("--models").arg(root.join("models")).arg(find::shared().join("models"));
    command.arg("--exports").args(exports::detectors().iter().map(|export| exports::path(export.name)));
    command.arg("--poses").args(POSES.map(|(family, file, _)| format!("{family}={}", exports::path(file).display())));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read(folder().join("reference.json")).unwrap();
    Some(serde_json::from_slice(&text).unwrap())
});

/// Families of pose models, their exports, and the heads to be said for them.
const POSES: [(&str, &str, HeadChoice); 5] = [
    ("simcc", "simcc", HeadChoice::Auto),
    ("heatmap", "heatmap", HeadChoice::Heatmap),
    ("heatmap-dark", "heatmap", HeadChoice::HeatmapDark),
    ("heatmap-udp", "heatmap-udp", HeadChoice::Auto),
    ("rtmo", "rtmo", HeadChoice::Auto),
];

impl Object {
    fn detection(&self) -> Detection {
        let [x1, y1, x2, y2] = self.corners;
        let keypoints = self.keypoints.iter().map(|&[x, y, confidence]| Keypoint { x, y, confidence });
        Detection {
            rect: Rect::from_corners(x1, y1, x2, y2),
            oriented: self.oriented.map(|corners| OrientedBox { corners }),
            class_id: self.class,
            confidence: self.confidence,
            keypoints: keypoints.collect(),
            ..Detection::default()
        }
    }
}

impl Found {
    /// The difference of two objects: the greatest difference of a coordinate (network pixels) and of a confidence.
    fn distance(&self, a: &Detection, b: &Detection) -> (f32, f32) {
        let [sx, sy] = self.scale;
        let mut far = (0.0f32, 0.0f32);
        for (a, b) in points(a).iter().zip(points(b)) {
            far.0 = far.0.max(((a.x - b.x) * sx).abs()).max(((a.y - b.y) * sy).abs());
            far.1 = far.1.max((a.confidence - b.confidence).abs());
        }
        far
    }

    fn same(&self, a: &Detection, b: &Detection) -> bool {
        let (place, confidence) = self.distance(a, b);
        a.class_id == b.class_id
            && a.keypoints.len() == b.keypoints.len()
            && a.oriented.is_some() == b.oriented.is_some()
            && place <= PIXELS
            && confidence <= CONFIDENCE
    }
}

/// The corners of the box and of the oriented one, each with the object's confidence, and the keypoints.
fn points(d: &Detection) -> Vec<Keypoint> {
    let corner = |x, y| Keypoint { x, y, confidence: d.confidence };
    let mut points = vec![corner(d.rect.x, d.rect.y), corner(d.rect.right(), d.rect.bottom())];
    points.extend(d.oriented.iter().flat_map(|oriented| oriented.corners.map(|[x, y]| corner(x, y))));
    points.extend(&d.keypoints);
    points
}

/// Compares a trained model on all pictures; returns the number of objects that had to be found.
fn compare(model: &str) -> Option<usize> {
    compare_file(model, &find::real_model(model)?, HeadChoice::Auto)
}

fn compare_file(model: &str, path: &Path, choice: impl Into<ModelChoice>) -> Option<usize> {
    gst::init().unwrap();
    if !find::onnx_runtime() {
        return None;
    }
    let reference = REFERENCE.as_ref()?;
    let settings = ModelSettings { choice: choice.into(), ..engine::settings(path, 1) };
    let engine = gsttensorrt::cpu::open(&settings).unwrap_or_else(|error| panic!("{model}: {error}"));
    engine.lanes().unwrap().remove(0).examine().unwrap_or_else(|error| panic!("{model}: {error}"));
    let mut lane = engine.lanes().unwrap().remove(0);
    let params = Params { confidence: reference.confidence, iou: reference.iou, ..Params::default() };
    let params = Arc::new(params);
    let mut sure = 0;
    let mut problems = Vec::new();
    let mut overlaps = Vec::new();
    for image in &reference.images {
        let picture = Rgb::read_ppm(&folder().join(format!("{}.ppm", image.name)));
        let (width, height) = (picture.width as f32, picture.height as f32);
        let frame = picture.frame(VideoFormat::Rgb);
        for wanted in image.results.iter().filter(|r| r.model == model) {
            let [x, y, w, h] = wanted.region;
            let mut slot = engine::slot(frame.clone(), &params);
            slot.region = Rect::new(x, y, w, h);
            lane.run(std::slice::from_mut(&mut slot)).unwrap();
            let mut found = slot.output.detections;
            let size = (picture.width, picture.height);
            let masks: Vec<_> = found.iter().map(|detection| Runs::of(detection, size)).collect();
            found.iter_mut().for_each(|d| d.map_points(|x, y| (x * width, y * height)));
            let objects: Vec<_> = wanted.objects.iter().map(Object::detection).collect();
            let missing = objects.iter().filter(|o| o.confidence >= SURE && !found.iter().any(|f| wanted.same(f, o)));
            let extra = found
                .iter()
                .filter(|f| f.confidence >= SURE + CONFIDENCE && !objects.iter().any(|o| wanted.same(f, o)));
            for (what, object) in missing.map(|o| ("missing", o)).chain(extra.map(|o| ("not in the reference", o))) {
                let others = if what == "missing" { &found } else { &objects };
                let nearest = others
                    .iter()
                    .map(|o| wanted.distance(object, o))
                    .min_by(|a, b| (a.0 + 100.0 * a.1).total_cmp(&(b.0 + 100.0 * b.1)));
                problems.push(format!(
                    "{} {:?}: {what}: class {} {:.3} {:?}; the nearest is off by (pixels, confidence) {nearest:?}",
                    image.name, wanted.region, object.class_id, object.confidence, object.rect
                ));
            }
            for (object, detection) in wanted.objects.iter().zip(&objects).filter(|(o, _)| o.confidence >= SURE) {
                let ours = found.iter().zip(&masks).filter(|(f, _)| wanted.same(f, detection));
                let best = ours.filter_map(|(_, mask)| Some(mask.as_ref()?.iou(object.mask.as_ref()?)));
                let best = best.fold(0.0, f64::max);
                if object.mask.is_some() {
                    overlaps.push(best);
                    if best < MASK {
                        problems
                            .push(format!("{}: the masks of {:?} have an IoU of {best}", image.name, detection.rect));
                    }
                }
            }
            sure += objects.iter().filter(|o| o.confidence >= SURE).count();
        }
    }
    if !overlaps.is_empty() {
        let mean = overlaps.iter().sum::<f64>() / overlaps.len() as f64;
        println!("{model}: {} masks, mean IoU {mean:.5}", overlaps.len());
        if mean < MASKS {
            problems.push(format!("the masks have a mean IoU of {mean}"));
        }
    }
    assert!(problems.is_empty(), "{model}: {} of {sure} objects\n{}", problems.len(), problems.join("\n"));
    Some(sure)
}

#[test]
fn yolov12n_finds_what_the_reference_finds() {
    let Some(sure) = compare("yolov12n") else { return };
    assert!(sure >= 20, "only {sure} objects to compare");
    let images = &REFERENCE.as_ref().unwrap().images;
    let large = images.iter().filter(|i| i.results.iter().any(|r| r.region == [0.0, 0.0, 1920.0, 1080.0]));
    assert!(images.len() >= 5 && large.count() >= 2);
}

#[test]
fn nanodet_finds_what_the_reference_finds() {
    let Some(sure) = compare("nanodet") else { return };
    assert!(sure >= 20, "only {sure} objects to compare");
}

#[test]
fn movenet_multipose_finds_what_the_reference_finds() {
    let Some(sure) = compare("movenet-multipose") else { return };
    assert!(sure >= 5, "only {sure} persons to compare");
}

#[test]
fn movenet_lightning_finds_what_the_reference_finds() {
    let Some(sure) = compare("movenet-lightning") else { return };
    assert!(sure >= 5, "only {sure} persons to compare");
}

#[test]
fn exports_of_other_families_find_what_their_references_find() {
    for Export { name, choice } in exports::detectors() {
        let Some(sure) = compare_file(name, &exports::path(name), choice) else { return };
        assert!(sure >= 30, "{name}: only {sure} objects to compare");
    }
    assert!(REFERENCE.as_ref().unwrap().images.len() >= 5);
}

/// Compares a model of tests/reference/classifiers.py on all pictures and their quarters; returns the detections that the engine
/// gives for each region, with the reference's.
fn compare_classes(model: &str, head: HeadChoice, check: impl Fn(&Classes, &[Detection]) -> Result<(), String>) {
    gst::init().unwrap();
    if !find::onnx_runtime() {
        return;
    }
    let Some(reference) = REFERENCE.as_ref() else { return };
    let path = folder().join(format!("{model}.onnx"));
    let settings = ModelSettings { choice: head.into(), ..engine::settings(&path, 1) };
    let engine = gsttensorrt::cpu::open(&settings).unwrap_or_else(|error| panic!("{model}: {error}"));
    let mut lane = engine.lanes().unwrap().remove(0);
    lane.examine().unwrap_or_else(|error| panic!("{model}: {error}"));
    let params = Arc::new(Params { confidence: 0.0, max_detections: 5, ..Params::default() });
    let (mut problems, mut regions) = (Vec::new(), 0);
    for image in &reference.images {
        let picture = Rgb::read_ppm(&folder().join(format!("{}.ppm", image.name)));
        let frame = picture.frame(VideoFormat::Rgb);
        for wanted in image.classes.iter().filter(|classes| classes.model == model) {
            let [x, y, w, h] = wanted.region;
            let mut slot = engine::slot(frame.clone(), &params);
            slot.region = Rect::new(x, y, w, h);
            lane.run(std::slice::from_mut(&mut slot)).unwrap();
            regions += 1;
            if let Err(error) = check(wanted, &slot.output.detections) {
                problems.push(format!("{} {:?}: {error}", image.name, wanted.region));
            }
        }
    }
    assert!(problems.is_empty(), "{model}: {} of {regions} regions\n{}", problems.len(), problems.join("\n"));
    assert!(regions >= 25, "only {regions} regions to compare");
}

#[test]
fn classifiers_say_what_their_references_say() {
    for model in ["classify-ultralytics", "classify-torchvision"] {
        // The file says that it is a classifier: by its metadata, or by ImageNet's number of classes.
        compare_classes(model, HeadChoice::Auto, |wanted, found| {
            let wrong = || Err(format!("{:?} instead of {:?}", found, wanted.classes));
            if found.len() != 5 {
                return wrong();
            }
            for (found, (_, confidence)) in found.iter().zip(&wanted.classes) {
                // Classes whose confidences are as near may change places.
                let own = wanted.classes.iter().find(|(class, _)| *class == found.class_id);
                let near = |confidence: f32| (found.confidence - confidence).abs() <= CONFIDENCE;
                if !near(*confidence) || !own.is_none_or(|(_, confidence)| near(*confidence)) {
                    return wrong();
                }
            }
            Ok(())
        });
    }
}

#[test]
fn embeddings_point_where_their_reference_points() {
    compare_classes("embedding", HeadChoice::Embedding, |wanted, found| {
        let [Detection { embedding, .. }] = found else { return Err(format!("{} vectors", found.len())) };
        let cosine: f32 = embedding.iter().zip(&wanted.vector).map(|(a, b)| a * b).sum();
        if embedding.len() == wanted.vector.len() && cosine >= 0.999 {
            Ok(())
        } else {
            Err(format!("a cosine of {cosine}"))
        }
    });
}

/// Boxes of persons reach to the edges, so that the crops reach beyond them.
#[test]
fn exports_of_pose_models_find_what_their_references_find() {
    for (family, file, head) in POSES {
        let Some(sure) = compare_file(family, &exports::path(file), head) else { return };
        assert!(sure >= 30, "{family}: only {sure} persons to compare");
    }
    let images = &REFERENCE.as_ref().unwrap().images;
    let beyond = |r: &Found| r.region[0] < 0.0 || r.region[1] < 0.0;
    assert!(images.len() >= 5 && images.iter().flat_map(|i| &i.results).any(beyond));
}
