//! TensorRT's results on frames of a clip, compared with the CPU engine on the same input tensors. Prints a table.
//!
//! Ignored without a GPU:
//! `cargo test --test gpu_objects -- --ignored tensorrt --nocapture`
//!
//! - `GPU_TEST_MODELS`: folder with `yolov12n.onnx`, `nanodet.onnx`, `movenet-multipose.onnx` and
//!   `movenet-lightning.onnx`; those missing are skipped.
//! - `GST_TENSORRT_LIBRARY`, `GPU_TEST_TIMINGS`, `GPU_TEST_OUT`: as for tests/gpu_tensorrt.rs.

#[path = "../common/mod.rs"]
mod common;

use common::agreement::{self, AGREE, Agreement, CELL, Distance, IOU, RAW, SURE, Tolerance};
use common::gpu::{Gpu, Lane, RunContext};
use common::picture::{Colour, Picture, Square};
use common::running::{self, Running, pull};
use common::{engine, find, plans};
use gst_video::VideoFormat;
use gsttensorrt::cpu;
use gsttensorrt::infer::{Engine, Frame, Output, RawTensor, Slot, Tensor, TensorData};
use model::{Detection, Head, Letterbox, Params, Rect, head, nms};
use std::path::Path;
use std::sync::Arc;
use tensorrt::{BuildSettings, Library, Onnx};

/// Maximum number of frames of each clip, and their distance.
const FRAMES: usize = 252;
const EVERY: usize = 4;
/// Margin around the person for top-down pose models, as with `inference-region=objects`.
const PADDING: f32 = 1.25;

/// The region that a model gets.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Regions {
    Frame,
    /// The persons that YOLOv12n finds on the CPU.
    Persons,
}

struct Case {
    model: &'static str,
    regions: Regions,
    tolerance: Tolerance,
    /// True if its outputs come from an arg-max, which the smallest difference may move to another position.
    picks: bool,
}

const CASES: [Case; 5] = [
    Case {
        model: "yolov12n",
        regions: Regions::Frame,
        tolerance: Tolerance { iou: Some(IOU), keypoints: 1.0 },
        picks: false,
    },
    Case {
        model: "nanodet",
        regions: Regions::Frame,
        tolerance: Tolerance { iou: Some(IOU), keypoints: 1.0 },
        picks: false,
    },
    Case {
        model: "movenet-multipose",
        regions: Regions::Frame,
        tolerance: Tolerance { iou: Some(IOU), keypoints: CELL },
        picks: true,
    },
    Case {
        model: "movenet-lightning",
        regions: Regions::Frame,
        tolerance: Tolerance { iou: None, keypoints: CELL },
        picks: true,
    },
    Case {
        model: "movenet-lightning",
        regions: Regions::Persons,
        tolerance: Tolerance { iou: None, keypoints: CELL },
        picks: true,
    },
];

/// One image for a model, preprocessed by the CPU engine.
struct Image {
    label: String,
    frame: Arc<Frame>,
    tensor: Arc<Tensor>,
}

impl Image {
    fn new(label: String, frame: &Arc<Frame>, region: Rect, engine: &dyn Engine) -> Self {
        let spec = engine.input().clone();
        let mut data = Vec::new();
        cpu::preprocess_frame(frame, region, &spec, &mut data).unwrap();
        Self {
            label,
            frame: Arc::clone(frame),
            tensor: Arc::new(Tensor { spec, region, data: TensorData::Host(data) }),
        }
    }
}

/// One side of the comparison: the outputs for an image, in the model's order.
type Run<'a> = dyn FnMut(&Image) -> Vec<RawTensor> + 'a;

/// ONNX Runtime.
fn on_cpu(engine: &dyn Engine) -> impl FnMut(&Image) -> Vec<RawTensor> + use<> {
    let mut lane = engine.lanes().unwrap().remove(0);
    let params = Arc::new(Params { output_tensors: true, ..Params::default() });
    move |image| {
        let mut slot = Slot {
            frame: Arc::clone(&image.frame),
            region: image.tensor.region,
            tensor: Some(Arc::clone(&image.tensor)),
            params: Arc::clone(&params),
            output: Output::default(),
        };
        lane.run(std::slice::from_mut(&mut slot)).unwrap();
        slot.output.tensors
    }
}

/// An engine, run without graphs at batch 1; its outputs have the shapes of the CPU engine's.
struct OnGpu {
    context: RunContext,
    lane: Lane,
}

impl OnGpu {
    fn new(library: &'static Library, name: &str, label: &str, onnx: &Onnx, settings: &BuildSettings) -> Self {
        let plan = plans::plan(library, name, label, onnx, settings);
        let engine = library.runtime(None).unwrap().deserialize(&plan, Path::new(name)).unwrap();
        let mut lane = Lane::new(&engine);
        Self { context: lane.context(1, 0), lane }
    }

    fn run(&mut self, image: &Image, like: &[RawTensor]) -> Vec<RawTensor> {
        self.context.write_input(image.tensor.data.host().expect("made on the host"));
        self.context.clear_outputs();
        self.context.enqueue(&self.lane);
        self.lane.synchronize();
        let of = |tensor: &RawTensor| RawTensor { data: self.context.output_named(&tensor.name), ..tensor.clone() };
        like.iter().map(of).collect()
    }
}

/// Objects in pixels of the network's input.
fn decode(head: &dyn Head, tensors: &[RawTensor]) -> Vec<Detection> {
    let outputs: Vec<_> = tensors.iter().map(|t| head::Output { shape: &t.shape, data: &t.data }).collect();
    let params = Params { confidence: agreement::SEEN, ..Params::default() };
    let mut found = Vec::new();
    head.decode(&outputs, &params, &mut found).unwrap();
    if head.needs_nms() {
        nms(&mut found, &params);
    }
    found
}

/// Objects and raw outputs of one model on all images.
#[derive(Default)]
struct Row {
    images: usize,
    objects: Agreement,
    raw: Distance,
}

impl Row {
    /// Compares `run` with the CPU engine's results.
    fn of(images: &[Image], expected: &[Vec<RawTensor>], head: &dyn Head, tolerance: Tolerance, run: &mut Run) -> Self {
        let mut row = Self { images: images.len(), ..Self::default() };
        for (image, expected) in images.iter().zip(expected) {
            let found = run(image);
            for (a, b) in expected.iter().zip(&found) {
                row.raw.add(Distance::of(&a.data, &b.data));
            }
            let (a, b) = (decode(head, expected), decode(head, &found));
            row.objects.add(&image.label, ["ONNX Runtime", "TensorRT"], &a, &b, tolerance);
        }
        row
    }

    fn print(&self, name: &str, precision: &str) {
        let Self { images, objects, raw } = self;
        println!(
            "{name:28} {precision:5} {images:6} {:8} {:8} {:7.2}% {:>15} {:11.2e} {:>16}",
            objects.objects,
            objects.matched,
            objects.percent(),
            format!("{}/{}", objects.near, objects.keypoints),
            raw.of_greatest,
            format!("{}/{}", raw.beyond, raw.values),
        );
        objects.unmatched.iter().for_each(|line| println!("    {line}"));
    }
}

fn print_head() {
    println!(
        "{:28} {:5} {:>6} {:>8} {:>8} {:>8} {:>15} {:>11} {:>16}",
        "model", "as", "images", "objects", "matched", "agree", "keypoints near", "raw, of max", "values > 1e-3"
    );
}

/// The frames to compare: some from each existing clip; else skips.
fn frames() -> Option<Vec<Arc<Frame>>> {
    if !running::start() {
        return None;
    }
    let clips: Vec<_> = find::CLIPS.into_iter().filter_map(find::media).collect();
    (!clips.is_empty()).then(|| clips.iter().flat_map(|clip| decoded(clip)).collect())
}

fn decoded(clip: &Path) -> Vec<Arc<Frame>> {
    let hardware = gst::ElementFactory::find("nvh264dec").is_some();
    let decoder = if hardware { "nvh264dec ! cudadownload" } else { "avdec_h264" };
    let running = Running::playing(&format!(
        "filesrc location={} ! qtdemux ! h264parse ! {decoder} ! videoconvert ! video/x-raw,format=RGB \
         ! appsink name=out sync=false max-buffers=4",
        clip.display()
    ));
    let sink = running.sink("out");
    let buffers: Vec<_> = std::iter::from_fn(|| pull(&sink)).take(FRAMES).step_by(EVERY).collect();
    let info = running::info(&sink);
    buffers.into_iter().map(|buffer| Arc::new(Frame { buffer, info: info.clone() })).collect()
}

fn whole(frame: &Frame) -> Rect {
    Rect::new(0.0, 0.0, frame.info.width() as f32, frame.info.height() as f32)
}

/// The padded person boxes of each frame, in frame pixels. `None` without the model.
fn persons(frames: &[Arc<Frame>]) -> Option<Vec<Vec<Rect>>> {
    let engine = engine::open(plans::model("yolov12n")?.path(), 1);
    let mut run = on_cpu(&*engine);
    let mut in_frame = |frame: &Arc<Frame>| {
        let image = Image::new(String::new(), frame, whole(frame), &*engine);
        let letterbox = Letterbox::new(whole(frame), engine.input());
        let mut found = decode(&**engine.head(), &run(&image));
        found.retain(|d| d.class_id == 0 && d.confidence >= SURE);
        found.iter_mut().for_each(|d| d.map_points(|x, y| letterbox.to_frame(x, y)));
        let padded = |r: Rect| {
            Rect::from_centre(r.x + r.w / 2.0, r.y + r.h / 2.0, PADDING * r.w, PADDING * r.h)
                .intersection(&whole(frame))
        };
        found.iter().map(|d| padded(d.rect)).filter(|r| r.w >= 1.0 && r.h >= 1.0).collect()
    };
    Some(frames.iter().map(&mut in_frame).collect())
}

fn images(frames: &[Arc<Frame>], regions: &[Vec<Rect>], engine: &dyn Engine) -> Vec<Image> {
    let mut images = Vec::new();
    for (index, (frame, regions)) in frames.iter().zip(regions).enumerate() {
        for (part, region) in regions.iter().enumerate() {
            images.push(Image::new(format!("frame {index} region {part}"), frame, *region, engine));
        }
    }
    images
}

/// The outputs for an image in the shapes of the CPU engine's.
type RunLike = dyn FnMut(&Image, &[RawTensor]) -> Vec<RawTensor>;
/// A precision, and the runner of the model in it.
type Side = (&'static str, Box<RunLike>);

/// Runs every case with the runners that `sides` creates for a model; returns the failures.
fn compare_all(sides: &mut dyn FnMut(&Onnx, &Case) -> Vec<Side>) -> Option<Vec<String>> {
    let frames = frames()?;
    let whole: Vec<_> = frames.iter().map(|frame| vec![whole(frame)]).collect();
    let persons = persons(&frames);
    let mut problems = Vec::new();
    let mut rows = Vec::new();
    for case in &CASES {
        let Some(onnx) = plans::model(case.model) else { continue };
        let regions = match case.regions {
            Regions::Frame => &whole,
            Regions::Persons => match &persons {
                Some(persons) => persons,
                None => continue,
            },
        };
        let name = match case.regions {
            Regions::Frame => case.model.to_owned(),
            Regions::Persons => format!("{} on persons", case.model),
        };
        let engine = engine::open(onnx.path(), 1);
        let images = images(&frames, regions, &*engine);
        let mut cpu = on_cpu(&*engine);
        let expected: Vec<_> = images.iter().map(&mut cpu).collect();
        for (precision, mut run) in sides(&onnx, case) {
            let mut expected_of = expected.iter();
            let mut run = |image: &Image| run(image, expected_of.next().expect("an image each"));
            let row = Row::of(&images, &expected, &**engine.head(), case.tolerance, &mut run);
            problems.extend(row.problems(case, precision).map(|problem| format!("{name} {precision}: {problem}")));
            rows.push((name.clone(), precision, row));
        }
    }
    print_head();
    rows.iter().for_each(|(name, precision, row)| row.print(name, precision));
    assert!(rows.iter().any(|(_, _, row)| row.objects.objects > 0), "the frames show nothing");
    Some(problems)
}

impl Row {
    fn problems(&self, case: &Case, precision: &str) -> impl Iterator<Item = String> {
        let percent = self.objects.percent();
        let few = self.objects.objects > 0 && percent < AGREE;
        let objects = few.then(|| format!("{percent:.2} % of {} objects agree", self.objects.objects));
        let raw = match precision {
            "fp32" if case.picks => 100 * self.raw.beyond > self.raw.values,
            "fp32" => self.raw.of_greatest > RAW,
            _ => false,
        };
        let raw = raw.then(|| format!("raw outputs: {:?}", self.raw));
        objects.into_iter().chain(raw)
    }
}

#[test]
#[ignore = "needs a GPU"]
fn tensorrt_finds_what_the_cpu_engine_finds() {
    let (library, _gpu) = (plans::library(), Gpu::open());
    println!("{} at {}", library.version(), library.path().display());
    let problems = compare_all(&mut |onnx, case| {
        let precisions = [("fp32", plans::fp32(case.model)), ("fp16", plans::settings(case.model))];
        let side = |(label, settings): (&'static str, BuildSettings)| -> Side {
            let mut gpu = OnGpu::new(library, case.model, label, onnx, &settings);
            (label, Box::new(move |image: &Image, like: &[RawTensor]| gpu.run(image, like)))
        };
        precisions.map(side).into()
    });
    assert_eq!(problems.unwrap_or_default(), [""; 0]);
}

/// The same with ONNX Runtime in place of TensorRT: the model itself, and converted to FP16 as for TensorRT 11. On a CPU
/// without FP16 arithmetic only the weights are rounded: those of NanoDet and MoveNet are FP16 originally.
#[test]
#[ignore = "takes minutes"]
fn the_conversion_finds_what_the_model_finds() {
    let folder = tempfile::tempdir().unwrap();
    let problems = compare_all(&mut |onnx, case| {
        let converted = folder.path().join(format!("{}.onnx", case.model));
        std::fs::write(&converted, onnx.to_fp16(&onnx.fp32_nodes().unwrap()).unwrap()).unwrap();
        let side = |(label, model): (&'static str, &Path)| -> Side {
            let mut run = on_cpu(&*engine::open(model, 1));
            (label, Box::new(move |image: &Image, _: &[RawTensor]| run(image)))
        };
        [("fp32", onnx.path()), ("fp16", &converted)].map(side).into()
    });
    assert_eq!(problems.unwrap_or_default(), [""; 0]);
}

/// The CPU engine agrees with itself, but not with itself on another picture.
#[test]
fn an_engine_agrees_with_itself() {
    gst::init().unwrap();
    if !find::onnx_runtime() {
        return;
    }
    let frame = |squares: &[Square]| Arc::new(Picture::new(squares).rgb().frame(VideoFormat::Rgb));
    let one = frame(&[Square::new(Colour::Red, 3, 4, 200), Square::new(Colour::Blue, 7, 2, 220)]);
    let other = frame(&[Square::new(Colour::Red, 8, 6, 200)]);
    let tolerance = Tolerance { iou: Some(IOU), keypoints: CELL };
    for model in ["yolo", "nanodet", "movenet-multipose"] {
        let engine = engine::open(&find::test_model(model), 1);
        let image = |frame| Image::new("frame".into(), frame, whole(frame), &*engine);
        let (images, other) = ([image(&one)], image(&other));
        let mut cpu = on_cpu(&*engine);
        let expected: Vec<_> = images.iter().map(&mut cpu).collect();
        let row = Row::of(&images, &expected, &**engine.head(), tolerance, &mut cpu);
        assert!(row.objects.objects > 0 && row.objects.unmatched.is_empty(), "{model}: {:?}", row.objects);
        assert_eq!((row.objects.percent(), row.raw.of_greatest, row.raw.beyond), (100.0, 0.0, 0), "{model}");
        let row = Row::of(&images, &expected, &**engine.head(), tolerance, &mut |_| cpu(&other));
        assert!(row.objects.percent() < AGREE && row.raw.of_greatest > RAW, "{model}: {:?}", row.objects);
        assert!(!row.objects.unmatched.is_empty(), "{model}");
    }
}
