//! Decodes a model's tensors to boxes in a frame, with given values instead of a model's run:
//! `cargo run --package gst-tensorrt-model --example decode`.

use model::head::{HeadChoice, Output, Recognised, recognise};
use model::{ElementType, Letterbox, ModelInfo, Params, Rect, TensorInfo, nms, refine};
use std::collections::BTreeMap;

/// Number of candidates, and of values per candidate: centre, size, and the scores of two classes.
const CANDIDATES: usize = 84;
const VALUES: usize = 6;

fn main() -> Result<(), Box<dyn std::error::Error>> {
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
    println!("{}, input {}×{}", head.describe(), input.width, input.height);

    // A frame of 1280×720 is scaled to 64×36, with borders above and below.
    let frame = (1280, 720);
    let letterbox = Letterbox::new(Rect::new(0.0, 0.0, 1280.0, 720.0), &input);

    // Two overlapping boxes of the first class.
    let mut data = vec![0.0; VALUES * CANDIDATES];
    for (candidate, values) in [(3, [32.0, 32.0, 16.0, 16.0, 0.9, 0.0]), (4, [33.0, 32.0, 16.0, 16.0, 0.6, 0.0])] {
        for (row, value) in values.into_iter().enumerate() {
            data[row * CANDIDATES + candidate] = value;
        }
    }

    let (params, mut found) = (Params::default(), Vec::new());
    head.decode(&[Output { shape: &[VALUES, CANDIDATES], data: &data }], &params, &mut found)?;
    if head.needs_nms() {
        nms(&mut found, &params);
    }
    for detection in &mut found {
        detection.map_points(|x, y| {
            let (x, y) = letterbox.to_frame(x, y);
            (x / frame.0 as f32, y / frame.1 as f32)
        });
    }
    refine(&mut found, &params, frame);
    for detection in &found {
        let Rect { x, y, w, h } = detection.rect;
        println!(
            "class {} ({:.2}): x {x:.3}, y {y:.3}, {w:.3}×{h:.3} of the frame",
            detection.class_id, detection.confidence
        );
    }
    assert_eq!(found.len(), 1, "the other box is suppressed");
    Ok(())
}
