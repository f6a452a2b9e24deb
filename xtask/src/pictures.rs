//! `cargo xtask pictures`: what each family's model finds in a frame, drawn by the plugin, for docs/models.md.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{heading, run_quiet, step};
use crate::demo::{quoted, save_frame, words};
use crate::package::scratch;
use crate::paths::Paths;
use crate::plugin::{self, Plugin, Profile};

/// The frame of the sample clip: a cyclist beside a car.
const FRAME: usize = 130;
const SIZE: (u32, u32) = (480, 204);

/// Each picture's name, the elements that make it, and the model: a trained one of `models/`, or an export of tests/reference/exports
/// with seeded weights, of which the six surest objects are drawn.
const PICTURES: [(&str, &str, &str); 29] = [
    ("yolo", "trtdetect", "models/yolov12n.onnx"),
    ("nanodet", "trtdetect", "models/nanodet.onnx"),
    ("movenet", "trtpose inference-region=objects", "models/movenet-lightning.onnx"),
    ("movenet-multipose", "trtpose", "models/movenet-multipose.onnx"),
    ("yolo-world", "trtdetect", "yolo-world"),
    ("yolo-end-to-end", "trtdetect", "yolo-end-to-end"),
    ("yolo-pose", "trtpose", "yolo-pose"),
    ("yolo-seg", "trtdetect", "yolo-seg"),
    ("yolo-obb", "trtdetect", "yolo-obb"),
    ("ultralytics-rt-detr", "trtdetect", "ultralytics-rt-detr"),
    ("rt-detr", "trtdetect head=rt-detr", "rt-detr"),
    ("d-fine", "trtdetect head=d-fine", "d-fine"),
    ("deimv2", "trtdetect head=deimv2", "deimv2"),
    ("rf-detr", "trtdetect", "rf-detr"),
    ("rf-detr-seg", "trtdetect", "rf-detr-seg"),
    ("detr-sigmoid", "trtdetect head=detr-sigmoid", "detr-sigmoid"),
    ("detr-softmax", "trtdetect head=detr-softmax", "detr-softmax"),
    ("yolox", "trtdetect", "yolox"),
    ("yolov5", "trtdetect", "yolov5"),
    ("yolov7", "trtdetect", "yolov7"),
    ("pp-yoloe", "trtdetect normalization=imagenet", "pp-yoloe"),
    ("picodet", "trtdetect", "picodet"),
    ("damo-yolo", "trtdetect head=damo-yolo", "damo-yolo"),
    ("libreyolo-yolo9", "trtdetect", "libreyolo-yolo9"),
    ("simcc", "trtpose inference-region=objects", "simcc"),
    ("rtmo", "trtpose", "rtmo"),
    ("heatmap", "trtpose inference-region=objects head=heatmap", "heatmap"),
    ("heatmap-udp", "trtpose inference-region=objects", "heatmap-udp"),
    ("classification", "trtclassify inference-region=frame top-k=2 confidence=0", "tests/models/classify.onnx"),
];

/// Draws all of them anew into docs/models. Needs the clip and the models of `setup` and `models all`.
pub fn draw(paths: &Paths) -> Result<()> {
    let plugin = plugin::build(paths, Profile::Release)?;
    heading("Pictures");
    let folder = paths.root.join("docs/models");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let scratch = scratch(paths, "pictures")?;
    let frame = scratch.path().join("frame.png");
    save_frame(paths, &paths.root.join("media/bikes.mp4"), FRAME, &frame)?;
    for (name, element, model) in PICTURES {
        step(name, || picture(paths, &plugin, &frame, (element, model), &folder.join(format!("{name}.jpg"))))?;
    }
    Ok(())
}

fn picture(paths: &Paths, plugin: &Plugin, frame: &Path, model: (&str, &str), target: &Path) -> Result<()> {
    let description = format!(
        "filesrc location={} ! pngdec ! videoconvert ! videoscale ! video/x-raw,format=RGB,width={},height={} ! {} ! trtoverlay \
         ! videoconvert ! jpegenc quality=75 ! filesink location={}",
        quoted(frame)?,
        SIZE.0,
        SIZE.1,
        elements(model),
        quoted(target)?
    );
    let mut launch = Command::new("gst-launch-1.0");
    plugin.set_environment(&mut launch);
    launch.current_dir(&paths.root).arg("-q").args(words(&description));
    run_quiet(&mut launch).map(|_| ())
}

/// A model of crops runs on the persons of a trained detector.
fn elements((element, model): (&str, &str)) -> String {
    let own = match model.contains('/') {
        true => format!("{element} backend=cpu model={model}"),
        false => format!(
            "{element} backend=cpu model=tests/reference/exports/{model}.onnx max-detections=6 confidence=0.001"
        ),
    };
    match element.contains("inference-region=objects") {
        true => format!("trtdetect backend=cpu model=models/yolov12n.onnx classes=person ! {own}"),
        false => own,
    }
}
