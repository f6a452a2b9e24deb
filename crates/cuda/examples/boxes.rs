//! From a frame to boxes on the GPU, with given values instead of a model's run; the whole batch is one captured graph.
//! Without a GPU it exits with the error that says what to install.
//!
//! `cargo run --package gst-tensorrt-cuda --example boxes`

use cuda::{
    Context, CudaStream, DeviceBuffer, DeviceOutput, DevicePicture, Kernels, Postprocessor, Preprocessor, SlotResult,
    SlotSettings, SlotSource,
};
use model::head::{HeadChoice, Recognised, recognise};
use model::video::{Colorimetry, DeviceFormat, Matrix};
use model::{ElementType, Letterbox, ModelInfo, Params, Rect, TensorInfo};
use std::collections::BTreeMap;

/// Number of candidates, and of values per candidate: centre, size, and the scores of two classes.
const CANDIDATES: usize = 84;
const VALUES: usize = 6;
/// The frame's size.
const WIDTH: u32 = 320;
const HEIGHT: u32 = 180;

fn main() {
    if let Err(error) = run() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    // The tensors of a YOLOv8 export for 64×64 pixels and two classes.
    let tensor =
        |name: &str, shape: &[i64]| TensorInfo { name: name.into(), element: ElementType::F32, shape: shape.into() };
    let metadata = [("task", "detect"), ("names", "{0: 'person', 1: 'dog'}"), ("imgsz", "[64, 64]")];
    let info = ModelInfo {
        inputs: vec![tensor("images", &[1, 3, 64, 64])],
        outputs: vec![tensor("output0", &[1, VALUES as i64, CANDIDATES as i64])],
        metadata: BTreeMap::from(metadata.map(|(key, value)| (key.into(), value.into()))),
        gst_model_info: None,
        image_processor: None,
    };
    let Recognised { head, input, .. } = recognise(&info, HeadChoice::Auto)?;
    let plan = head.plan().ok_or("the kernels can't decode this head")?;

    let context = Context::create(0)?;
    println!("{}, compute capability {:?}", context.device_name()?, context.compute_capability()?);
    let (kernels, stream) = (Kernels::of(&context)?, CudaStream::new(&context)?);

    // A white frame in device memory, four bytes per pixel.
    let mut pixels = DeviceBuffer::new(&context, (4 * WIDTH * HEIGHT) as usize)?;
    pixels.fill(255, &stream)?;
    let picture = DevicePicture {
        format: DeviceFormat::Rgba,
        colorimetry: Colorimetry { matrix: Matrix::Bt709, full_range: false },
        width: WIDTH,
        height: HEIGHT,
        planes: [pixels.address(), 0, 0],
        pitches: [4 * WIDTH, 0, 0],
    };

    // The model's output: two overlapping boxes of the first class.
    let mut values = vec![0.0f32; VALUES * CANDIDATES];
    for (candidate, row) in [(3, [32.0, 32.0, 16.0, 16.0, 0.9, 0.0]), (4, [33.0, 32.0, 16.0, 16.0, 0.6, 0.0])] {
        for (at, value) in row.into_iter().enumerate() {
            values[at * CANDIDATES + candidate] = value;
        }
    }
    let mut output = DeviceBuffer::new(&context, size_of_val(&*values))?;
    output.upload(&values, &stream)?;
    let outputs =
        [DeviceOutput { address: output.address(), element: ElementType::F32, shape: vec![VALUES, CANDIDATES] }];

    let tensor = DeviceBuffer::new(&context, input.bytes())?;
    let mut preprocessor = Preprocessor::new(&context, &kernels, &input, 1)?;
    let mut postprocessor = Postprocessor::new(&context, &kernels, &plan, (2, head.needs_nms()), &outputs, 1)?;
    let graph = stream.capture(|| {
        // SAFETY: `tensor` has space for one image; the buffers are freed after the graph has run.
        unsafe { preprocessor.enqueue(&stream, tensor.address(), Some(&postprocessor), 1) }?;
        // A model would be queued here: it reads `tensor` and writes `output`.
        // SAFETY: `outputs` and both processors stay valid until the graph has run.
        unsafe { postprocessor.enqueue(&stream, 1) }
    })?;
    let mut graph = graph.instantiate()?;

    // What differs from frame to frame is set before each launch.
    let (region, params) = (Rect::new(0.0, 0.0, WIDTH as f32, HEIGHT as f32), Params::default());
    let letterbox = Letterbox::new(region, &input);
    preprocessor.set(0, &SlotSource::picture(&picture, region, &input)?)?;
    postprocessor.set(0, SlotSettings { params: &params, letterbox: &letterbox, frame: (WIDTH, HEIGHT) })?;
    // SAFETY: everything that the graph uses is still allocated.
    unsafe { graph.launch(&stream) }?;
    stream.synchronise()?;

    let mut pixel = [0.0f32; 1];
    tensor.download(&mut pixel, &stream)?;
    println!("the tensor begins with {:.3}, the border", pixel[0]);
    let mut found = SlotResult::default();
    postprocessor.results(0, &mut found)?;
    for detection in &found.detections {
        let Rect { x, y, w, h } = detection.rect;
        println!(
            "class {} ({:.2}): x {x:.3}, y {y:.3}, {w:.3}×{h:.3} of the frame",
            detection.class_id, detection.confidence
        );
    }
    assert_eq!(found.detections.len(), 1, "the other box is suppressed");
    Ok(())
}
