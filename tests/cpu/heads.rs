//! How a model's head is determined: by the author of its file, its outputs, and the user's setting. Also its labels. This
//! tests the CPU; tests/gpu_pipelines/heads.rs does the same on a GPU.

use crate::common::find::{self, onnx_runtime, test_model};
use crate::common::models::{ultralytics, with_metadata};
use crate::common::picture::{Colour, Picture, Square};
use crate::common::pipeline::{Failure, Pipeline};
use crate::common::{engine, exports};
use gst_video::VideoFormat;
use gsttensorrt::backend;
use gsttensorrt::infer::ModelSettings;
use model::head::HeadChoice;
use model::{Normalization, Resize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

fn pipeline(element: &str, model: &Path, properties: &str) -> Pipeline {
    Pipeline::new(&format!(
        "appsrc name=source format=time ! {element} name=ours backend=cpu model={} {properties} \
         ! trtpublish location=LINES ! fakesink",
        model.display()
    ))
}

/// One square of each colour.
fn squares() -> Picture {
    Picture::new(&[
        Square::new(Colour::Red, 2, 2, 255),
        Square::new(Colour::Green, 6, 4, 240),
        Square::new(Colour::Blue, 9, 6, 220),
    ])
}

/// The objects in one picture, or the element's error.
fn found(element: &str, model: &Path, properties: &str) -> Result<Vec<Value>, Failure> {
    let pipeline = pipeline(element, model, properties);
    pipeline.push(0, squares().rgb().frame(VideoFormat::Rgb));
    let lines = pipeline.finish()?;
    Ok(lines[0]["objects"].as_array().unwrap().clone())
}

#[track_caller]
fn refused(element: &str, model: &Path, properties: &str, words: &[&str]) {
    let failure = match found(element, model, properties) {
        Err(failure) => failure,
        Ok(objects) => panic!("{} {properties} is taken: {objects:?}", model.display()),
    };
    assert_eq!(failure.element, "ours", "{failure:?}");
    let file = model.file_name().unwrap().to_str().unwrap();
    for word in [&[file], words].concat() {
        assert!(failure.message.contains(word), "no {word:?} in: {}", failure.message);
    }
}

fn count_by<'a>(objects: &'a [Value], key: &str) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for object in objects {
        *counts.entry(object[key].as_str().unwrap()).or_default() += 1;
    }
    counts
}

/// Shapes that several heads share are told apart by the outputs.
#[test]
fn outputs_that_are_not_a_heads_are_refused_with_what_they_may_be() {
    if !onnx_runtime() {
        return;
    }
    let refused = |element, model, words: &[&str]| refused(element, &test_model(model), "", words);
    refused(
        "trtdetect",
        "pose5-bare",
        &["scores are 0-1", "yolo-pose: one class, 5 keypoints of 3 values", "head=NAME", "HEAD"],
    );
    refused("trtpose", "pose5-bare", &["scores are 0-1", "yolo-pose: one class, 5 keypoints of 3 values"]);
    refused("trtdetect", "obb-bare", &["of an empty picture", "yolo-obb: 1 class and an angle", "head=NAME"]);
    refused("trtdetect", "rtdetr-bare", &["pixels are due", "set head=ultralytics-rt-detr"]);
    // Its boxes are decoded, which the file doesn't say.
    refused("trtdetect", "yolox", &["relative to their cells", "set head=yolox-decoded"]);
    refused(
        "trtdetect",
        "two-inputs",
        &["has 2 inputs", "images", "previous", "export the model with the image as its only input"],
    );
    // Probably a detector, but the file doesn't say so.
    let failure = found("trtpose", &test_model("yolo-bare"), "").unwrap_err();
    let first = failure.message.lines().next().unwrap().to_owned();
    assert!(first.contains("is taken for a yolo head") && first.contains("doesn't say what it is"), "{first}");
    assert!(!failure.message.contains("use trtdetect"), "{}", failure.message);
    // With its metadata it is accepted.
    refused("trtpose", "yolo", &["has a yolo head: use trtdetect"]);
    refused("trtpose", "heatmaps", &["set head=heatmap-udp", "ViTPose", "head=heatmap ", "segmentation"]);
    // Fitting models without metadata keep working.
    for (model, objects) in [("yolo-bare", 3), ("yolo-coco", 3), ("yolo-e2e-bare", 3)] {
        assert_eq!(found("trtdetect", &test_model(model), "").unwrap().len(), objects, "{model}");
    }
    assert_eq!(found("trtpose", &test_model("yolo-pose-e2e"), "").unwrap().len(), 1);
}

/// Files with the same shapes whose metadata name another exporter.
#[test]
fn files_of_other_exporters_are_refused_by_name() {
    if !onnx_runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let detect = [("task", "detect"), ("names", r#"{"0": "a", "1": "b", "2": "c"}"#)];
    let with = |name: &str, model: &str, more: &[(&str, &str)]| {
        with_metadata(folder.path(), name, model, &[&detect[..], more].concat())
    };
    for family in ["rtmdet", "yolonas"] {
        let libre = [("libreyolo_version", "1.6.0"), ("model_family", family)];
        for base in ["yolo-bare", "yolo-e2e-bare"] {
            let model = with(family, base, &libre);
            refused("trtdetect", &model, "", &["LibreYOLO 1.6.0", family, "no head here reads"]);
        }
    }
    // A family whose boxes are corners, with boxes that are centre and size.
    let libre = with("yolo9", "yolo-bare", &[("libreyolo_version", "1.6.0"), ("model_family", "yolo9")]);
    refused("trtdetect", &libre, "", &["left of and above their others"]);
    let rtdetr =
        with("rtdetr", "rtdetr-bare", &[("author", "Ultralytics"), ("head", "RTDETRDecoder"), ("end2end", "False")]);
    for properties in ["", "head=ultralytics-rt-detr"] {
        assert_eq!(count_by(&found("trtdetect", &rtdetr, properties).unwrap(), "label").len(), 3);
    }
    // Like an export from before `head` was written.
    let older = with("older", "rtdetr-bare", &[("author", "Ultralytics"), ("end2end", "True")]);
    refused("trtdetect", &older, "", &["pixels are due"]);
    for (key, value) in [("author", "Megvii"), ("model_family", "foo"), ("author", "Deci")] {
        let foreign = with("foreign", "yolo-bare", &[(key, value)]);
        refused("trtdetect", &foreign, "", &[value, "not by Ultralytics", "head=NAME"]);
        // The user sets it.
        assert_eq!(found("trtdetect", &foreign, "head=yolo").unwrap().len(), 3);
        refused("trtdetect", &foreign, "head=yolo-end-to-end", &["head=yolo-end-to-end doesn't fit"]);
    }
    for (task, why) in [("classify", "one row of scores"), ("segment", "prototypes")] {
        let other = with_metadata(folder.path(), task, "yolo-bare", &ultralytics(task, "['a', 'b', 'c']"));
        refused("trtdetect", &other, "", &[task, why]);
    }
    // One channel too few for these names.
    let other = with_metadata(folder.path(), "obb", "yolo-bare", &ultralytics("obb", "['a', 'b', 'c']"));
    refused("trtdetect", &other, "", &["8 channels with the box and the angle, but the output has 7"]);
}

/// The pixels of a frame's mask from `counts` in COCO's text, column by column.
fn pixels(mask: &Value) -> Vec<bool> {
    let (mut counts, mut inside) = (Vec::<i64>::new(), false);
    let (mut value, mut shift) = (0, 0);
    for character in mask["counts"].as_str().unwrap().bytes() {
        let group = i64::from(character) - 48;
        value |= (group & 0x1f) << shift;
        shift += 5;
        if group & 0x20 == 0 {
            let signed = if group & 0x10 == 0 { value } else { value - (1 << shift) };
            let before = if counts.len() > 2 { counts[counts.len() - 2] } else { 0 };
            counts.push(signed + before);
            (value, shift) = (0, 0);
        }
    }
    let mut pixels = Vec::new();
    for count in counts {
        pixels.resize(pixels.len() + usize::try_from(count).unwrap(), inside);
        inside = !inside;
    }
    pixels
}

/// Red squares are objects in their upper half, green ones in their left half, blue ones all over: tests/models/README.md.
#[test]
fn segmentation_models_give_masks() {
    if !onnx_runtime() {
        return;
    }
    for model in ["yolo-seg", "yolo-seg-e2e"] {
        let objects = found("trtdetect", &test_model(model), "").unwrap();
        assert_eq!(objects.len(), 3, "{model}");
        for object in &objects {
            let side = |side: &str| object["box"][side].as_f64().unwrap() as usize;
            let (left, top) = (side("x"), side("y"));
            let (width, height) = match object["label"].as_str().unwrap() {
                "red" => (8, 4),
                "green" => (4, 8),
                _ => (8, 8),
            };
            assert_eq!(object["mask"]["size"], serde_json::json!([64, 96]), "{model}");
            let pixels = pixels(&object["mask"]);
            assert_eq!(pixels.len(), 64 * 96, "{model}");
            let inside = |x: usize, y: usize| (left..left + width).contains(&x) && (top..top + height).contains(&y);
            let wrong = (0..pixels.len()).find(|&at| pixels[at] != inside(at / 64, at % 64));
            assert_eq!(wrong, None, "{model}: {object}");
        }
    }
}

#[test]
fn masks_are_written_in_the_format_that_is_set() {
    if !onnx_runtime() {
        return;
    }
    let model = test_model("yolo-seg");
    let of = |format: &str| {
        let pipeline = Pipeline::new(&format!(
            "appsrc name=source format=time ! trtdetect backend=cpu model={} \
             ! trtpublish location=LINES mask-format={format} ! fakesink",
            model.display()
        ));
        pipeline.push(0, squares().rgb().frame(VideoFormat::Rgb));
        pipeline.finish().unwrap()[0]["objects"].as_array().unwrap().clone()
    };
    assert!(of("none").iter().all(|object| object.get("mask").is_none()));
    for object in of("polygon") {
        let rings = object["mask"].as_array().unwrap();
        assert_eq!(rings.len(), 1, "{object}");
        let points: Vec<f64> = rings[0].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        let [x, y, width, height] = ["x", "y", "width", "height"].map(|side| object["box"][side].as_f64().unwrap());
        let range = |values: Vec<f64>| {
            values.iter().fold((f64::MAX, f64::MIN), |(low, high), &value| (low.min(value), high.max(value)))
        };
        let across = range(points.iter().copied().step_by(2).collect());
        let down = range(points.iter().copied().skip(1).step_by(2).collect());
        let (right, bottom) = match object["label"].as_str().unwrap() {
            "red" => (x + width, y + height / 2.0),
            "green" => (x + width / 2.0, y + height),
            _ => (x + width, y + height),
        };
        assert_eq!((across, down), ((x, right), (y, bottom)), "{object}");
    }
}

#[test]
fn a_head_by_its_name_has_to_fit() {
    if !onnx_runtime() {
        return;
    }
    let objects = found("trtpose", &test_model("pose5-bare"), "head=yolo-pose").unwrap();
    assert_eq!(objects.len(), 1);
    let keypoints = objects[0]["keypoints"].as_array().unwrap();
    assert_eq!(keypoints.len(), 5);
    // Cell 2, 2; see tests/models/README.md.
    assert_eq!((&keypoints[1]["name"], keypoints[1]["x"].as_f64()), (&"keypoint 1".into(), Some(16.8)));
    assert_eq!(found("trtdetect", &test_model("yolo-e2e-bare"), "head=yolo-end-to-end").unwrap().len(), 3);
    assert_eq!(found("trtdetect", &test_model("rtdetr-bare"), "head=ultralytics-rt-detr").unwrap().len(), 3);
    let oriented = found("trtdetect", &test_model("obb-bare"), "head=yolo-obb").unwrap();
    assert_eq!((oriented.len(), oriented[0]["angle"].as_f64()), (1, Some(0.6)));
    // YOLOX's scores are squared here: the model multiplies them by an objectness of the same value.
    let values = "head=yolox-decoded normalization=unit color=rgb resize=letterbox";
    assert_eq!(found("trtdetect", &test_model("yolox"), values).unwrap().len(), 3);
    let failure = found("trtdetect", &test_model("yolox"), "normalization=bytes").unwrap_err();
    assert!(failure.message.contains("`bytes` isn't auto, unit, none, imagenet"), "{}", failure.message);
    for (model, head, word) in [
        ("rtdetr-bare", "yolo-end-to-end", "set head=ultralytics-rt-detr"),
        ("yolo-e2e-bare", "ultralytics-rt-detr", "pixels, where 0-1 is due"),
        ("yolox", "yolov5", "head=yolov5 doesn't fit"),
        ("yolo", "rf-detr", "head=rf-detr doesn't fit"),
        ("pose5-bare", "yolo", "scores are 0-1"),
        ("obb-bare", "yolo", "of an empty picture"),
        ("yolo-obb", "yolo", "head=yolo doesn't fit"),
        ("yolo-obb", "yolo-obb-end-to-end", "head=yolo-obb-end-to-end doesn't fit"),
        ("yolo-e2e", "yolo-obb-end-to-end", "head=yolo-obb-end-to-end doesn't fit"),
        ("yolo", "yolo-end-to-end", "head=yolo-end-to-end doesn't fit"),
        ("yolo", "yolo-pose", "head=yolo-pose doesn't fit"),
        ("yolo", "nanodet", "head=nanodet doesn't fit"),
        ("yolo-e2e", "yolo", "head=yolo doesn't fit"),
        ("yolox", "yolo-end-to-end", "head=yolo-end-to-end doesn't fit"),
        ("yolo", "movenet", "head=movenet doesn't fit"),
    ] {
        refused("trtdetect", &test_model(model), &format!("head={head}"), &[word]);
    }
}

/// A model whose scores are right on black, and exceed 1 on bright pictures.
#[test]
fn a_confidence_above_1_is_an_error_at_its_frame() {
    if !onnx_runtime() {
        return;
    }
    let pipeline = pipeline("trtdetect", &test_model("yolo-loud"), "");
    let dim = Picture::new(&[Square::new(Colour::Red, 2, 2, 60)]);
    for n in 0..3 {
        pipeline.push(n, dim.rgb().frame(VideoFormat::Rgb));
    }
    pipeline.push(3, squares().rgb().frame(VideoFormat::Rgb));
    let failure = pipeline.finish().unwrap_err();
    for word in ["yolo-loud.onnx", "class 0 has a confidence of 3", "confidences are 0-1", "yolo head"] {
        assert!(failure.message.contains(word), "no {word:?} in: {}", failure.message);
    }
    for object in pipeline.lines().iter().flat_map(|line| line["objects"].as_array().unwrap()) {
        let confidence = object["confidence"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&confidence), "{object}");
    }
}

#[test]
fn keypoints_have_the_files_names() {
    if !onnx_runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let five = ["left-eye", "right-eye", "nose", "left mouth", "Ωmega"];
    let quoted: Vec<String> = five.iter().map(|name| format!("'{name}'")).collect();
    let list = quoted.join(", ");
    for kpt_names in [format!("{{0: [{list}]}}"), format!("[{list}]"), format!("{{0: ({list}), 1: ['x']}}")] {
        let more = [("kpt_shape", "(5, 3)"), ("kpt_names", &*kpt_names)];
        let metadata = [&ultralytics("pose", "{0: 'face'}")[..], &more].concat();
        let model = with_metadata(folder.path(), "face", "pose5-bare", &metadata);
        let objects = found("trtpose", &model, "").unwrap();
        let names: Vec<_> =
            objects[0]["keypoints"].as_array().unwrap().iter().map(|k| k["name"].as_str().unwrap()).collect();
        assert_eq!((objects[0]["label"].as_str(), &names[..]), (Some("face"), &five[..]), "{kpt_names}");
    }
}

/// Models without names, with those of a labels file.
#[test]
fn labels_of_a_file_do_for_names_that_are_none() {
    if !onnx_runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("labels.txt");
    std::fs::write(&labels, "rouge\nvert\nbleu\n").unwrap();
    let properties = format!("labels={}", labels.display());
    for names in ["None", "{}", "[]", ""] {
        for (base, more) in [("yolo-bare", ("stride", "32")), ("yolo-e2e-bare", ("end2end", "True"))] {
            let metadata = [&ultralytics("detect", names)[..], &[more]].concat();
            let model = with_metadata(folder.path(), "nameless", base, &metadata);
            let objects = found("trtdetect", &model, &properties).unwrap();
            let expected = BTreeMap::from([("rouge", 1), ("vert", 1), ("bleu", 1)]);
            assert_eq!(count_by(&objects, "label"), expected, "{base} {names:?}");
            let objects = found("trtdetect", &model, &format!("{properties} classes=vert")).unwrap();
            assert_eq!(count_by(&objects, "label"), BTreeMap::from([("vert", 1)]), "{base} {names:?}");
        }
    }
    // If the channels determine the number of classes, the file must have as many.
    std::fs::write(&labels, "rouge\nvert\n").unwrap();
    let failure = found("trtdetect", &test_model("yolo-bare"), &properties).unwrap_err();
    assert!(failure.message.contains("2 names, the model has 3 classes"), "{}", failure.message);
}

/// A name selects all classes that have it, and every label can be written.
#[test]
fn classes_are_chosen_by_any_label() {
    if !onnx_runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, &str, &[&str]); 9] = [
        ("['car', 'van', 'car']", "classes=car", &["car", "car"]),
        ("['car', 'car', 'car']", "class-confidence=car=1", &["car"]),
        ("['car', 'van', 'car']", "class-confidence=\"car=1,van=1\"", &["car"]),
        (r"['cup, small', 'cup', 'a=b']", r#"classes="cup\\, small""#, &["cup, small"]),
        (r"['cup, small', 'cup', 'a=b']", r#"classes="cup\\, small,a=b""#, &["cup, small", "a=b"]),
        (r"['cup, small', 'cup', 'a=b']", r#"class-confidence="cup\\, small=1,a=b=1,cup=1""#, &["cup, small"]),
        // A label takes precedence over a number; a class without a name is named by its number.
        ("['1', '2', '0']", "classes=1", &["1"]),
        ("['ab', ' ', '']", "classes=\"class 1,2\"", &["class 1", "class 2"]),
        ("['Straße', '日本', '🚗']", "classes=\"日本,🚗\"", &["日本", "🚗"]),
    ];
    for (names, properties, expected) in cases {
        let model = with_metadata(folder.path(), "labelled", "yolo-bare", &ultralytics("detect", names));
        let objects =
            found("trtdetect", &model, properties).unwrap_or_else(|failure| panic!("{properties}: {failure:?}"));
        let mut labels: Vec<_> = objects.iter().map(|object| object["label"].as_str().unwrap()).collect();
        let mut expected = expected.to_vec();
        labels.sort_unstable();
        expected.sort_unstable();
        assert_eq!(labels, expected, "{names} {properties}");
    }
    let model = with_metadata(folder.path(), "near", "yolo-bare", &ultralytics("detect", "['red', 'cup, small', 'x']"));
    for (properties, meant) in [("classes=Red", "`red`"), (r#"classes="cup\\, smal""#, r"`cup\, small`")] {
        let failure = found("trtdetect", &model, properties).unwrap_err();
        assert!(failure.message.contains(&format!("did you mean {meant}?")), "{}", failure.message);
    }
}

/// Exports of DETRs and of YOLOX that are cut off, or said to be what they aren't.
#[test]
fn damaged_and_mislabelled_exports_are_refused() {
    if !onnx_runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["rt-detr", "d-fine", "rf-detr", "detr-sigmoid", "detr-softmax", "yolox"] {
        let whole = std::fs::read(exports::path(name)).unwrap();
        for part in [2, 3, 100] {
            let cut = folder.path().join("cut.onnx");
            std::fs::write(&cut, &whole[..whole.len() / part]).unwrap();
            refused("trtdetect", &cut, "head=rt-detr", &["can't load it"]);
        }
    }
    for (name, properties, words) in [
        ("rt-detr", "", &["head=rt-detr", "head=d-fine", "head=deimv2"][..]),
        ("rt-detr", "normalization=unit", &["head=d-fine", "resize and normalization"]),
        ("rt-detr", "head=rf-detr", &["head=rf-detr doesn't fit"]),
        ("rt-detr", "head=yolo-end-to-end", &["head=yolo-end-to-end doesn't fit"]),
        ("rf-detr", "head=d-fine", &["head=d-fine doesn't fit"]),
        ("detr-sigmoid", "", &["head=detr-sigmoid", "head=detr-softmax", "preprocessor_config.json"]),
        ("detr-softmax", "head=rf-detr", &["head=rf-detr doesn't fit"]),
        ("yolox", "head=yolox-decoded", &["set head=yolox"]),
        ("yolox", "head=yolov5", &["head=yolov5 doesn't fit"]),
        ("yolox", "head=picodet", &["head=picodet doesn't fit"]),
    ] {
        refused("trtdetect", &exports::path(name), properties, words);
    }
}

/// Exporters that leave the batch open often lose the outputs' other sizes with it.
#[test]
fn sizes_that_a_file_leaves_open_are_learnt_by_running_it() {
    let Some(python) = find::python().filter(|_| onnx_runtime()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = "import sys, onnx\n\
                  model = onnx.load(sys.argv[1])\n\
                  for o, output in enumerate(model.graph.output):\n\
                  \x20   for d, dim in enumerate(output.type.tensor_type.shape.dim):\n\
                  \x20       dim.Clear()\n\
                  \x20       dim.dim_param = f'open_{o}_{d}'\n\
                  onnx.save(model, sys.argv[2])\n";
    for name in ["yolox", "rf-detr", "detr-softmax", "yolov5", "d-fine"] {
        let open = folder.path().join(format!("{name}.onnx"));
        let made = Command::new(&python).args(["-c", script]).arg(exports::path(name)).arg(&open).status().unwrap();
        assert!(made.success(), "{name}");
        let export = exports::detectors().into_iter().find(|export| export.name == name).unwrap();
        let said =
            format!("head={} normalization={} confidence=0", export.choice.head.nick(), export.choice.normalization);
        let expected = found("trtdetect", &exports::path(name), &said).unwrap();
        assert!(!expected.is_empty(), "{name}");
        let learnt = found("trtdetect", &open, &said).unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        assert_eq!(learnt, expected, "{name}");
    }
}

/// The file that Hugging Face's repositories have beside an export, or above its folder.
#[test]
fn a_processor_of_hugging_face_beside_the_model_says_its_input() {
    if !onnx_runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("onnx/model.onnx");
    std::fs::create_dir(folder.path().join("onnx")).unwrap();
    std::fs::copy(exports::path("detr-sigmoid"), &model).unwrap();
    let processor = |text: &str| std::fs::write(folder.path().join("preprocessor_config.json"), text).unwrap();
    let settings = ModelSettings { choice: HeadChoice::DetrSigmoid.into(), ..engine::settings(&model, 1) };
    let opened = || gsttensorrt::cpu::open(&settings).map(|engine| engine.input().clone());
    let without = (opened().unwrap(), backend::content(&settings).unwrap());
    assert_eq!((without.0.resize, without.0.normalization), (Resize::STRETCH.antialiased(), Normalization::UNIT));

    processor(r#"{"do_normalize": true, "image_mean": 0.5, "image_std": 0.25, "size": {"height": 320, "width": 320}}"#);
    let Normalization { mean, scale } = opened().unwrap().normalization;
    assert!((mean[0] - 127.5).abs() < 0.01 && (scale[0] - 4.0 / 255.0).abs() < 1e-6, "{mean:?} {scale:?}");
    // It decides what the model finds: elements with and without it don't share a model.
    assert_ne!(backend::content(&settings).unwrap(), without.1);

    processor(r#"{"do_normalize": false, "size": {"shortest_edge": 800, "longest_edge": 1333}}"#);
    refused("trtdetect", &model, "head=detr-sigmoid", &["preprocessor_config.json", "aspect ratio", "set resize"]);
}
