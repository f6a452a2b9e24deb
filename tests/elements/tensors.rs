//! Tensors for GStreamer's own decoders: `GstTensorMeta` on the buffers, and the caps that announce them.

use crate::common::analytics::Relations;
use crate::common::find::{skip, test_model};
use crate::common::picture::{Colour, Picture, Square};
use crate::common::running::{Running, caps, frame, pull, start, with_model};
use crate::common::tensors::{COL_MAJOR, FLOAT32, ROW_MAJOR, Tensor, gst_tensors};
use gst::prelude::*;
use gst_video::VideoFormat;
use gsttensorrt::meta;
use model::Rect;
use std::path::{Path, PathBuf};

/// Twice the model's width and three times its height: half the size in the middle of the input.
const WIDTH: u32 = 192;
const HEIGHT: u32 = 192;

fn picture() -> Picture {
    let squares = [Square::new(Colour::Red, 5, 1, 255), Square::new(Colour::Blue, 6, 6, 200)];
    Picture::sized(WIDTH, HEIGHT, &squares)
}

/// False, with a line that says so, where GStreamer has no tensor metadata.
fn tensors_exist() -> bool {
    let exist = meta::gst_tensors_exist();
    if !exist {
        skip("libgstanalytics with tensors", "GStreamer 1.26 or later");
    }
    exist
}

/// False, with a line that says so, where caps don't describe tensors.
fn caps_describe_tensors() -> bool {
    let since = gst::version() >= (1, 28, 0, 0);
    if !since {
        skip("caps that describe tensors", "GStreamer 1.28 or later");
    }
    since
}

/// A picture's frame behind `elements`, and the caps with which it leaves.
fn output(elements: &str, picture: &Picture) -> (gst::Buffer, gst::Caps) {
    let p = Running::playing(&format!("appsrc name=in format=time ! {elements} ! appsink name=out sync=false"));
    p.source("in").set_caps(Some(&caps(picture, VideoFormat::Rgb)));
    p.source("in").push_buffer(frame(picture, VideoFormat::Rgb, 0)).unwrap();
    p.source("in").end_of_stream().unwrap();
    let buffer = pull(&p.sink("out")).unwrap_or_else(|| panic!("{}", p.error()));
    let caps = p.sink("out").static_pad("sink").unwrap().current_caps().unwrap();
    (buffer, caps)
}

/// The boxes of the anchors with a score of more than a half, in a tensor `[1, 4 + classes, anchors]`.
fn boxes(tensor: &Tensor) -> Vec<Rect> {
    let [_, channels, anchors] = tensor.dims[..] else { panic!("{:?}", tensor.dims) };
    let values = tensor.floats();
    let at = |channel: usize, anchor: usize| values[channel * anchors + anchor];
    let found = (0..anchors).filter(|&anchor| (4..channels).any(|channel| at(channel, anchor) > 0.5));
    found.map(|anchor| Rect::from_centre(at(0, anchor), at(1, anchor), at(2, anchor), at(3, anchor))).collect()
}

fn expected(picture: &Picture) -> Vec<Rect> {
    let detections = picture.detections().into_iter();
    detections.map(|detection| detection.rect.scaled(picture.width as f32, picture.height as f32)).collect()
}

fn assert_near(found: &[Rect], expected: &[Rect]) {
    assert_eq!(found.len(), expected.len(), "{found:?} instead of {expected:?}");
    for (found, expected) in found.iter().zip(expected) {
        let sides = |rect: &Rect| [rect.x, rect.y, rect.w, rect.h];
        let near = sides(found).iter().zip(sides(expected)).all(|(a, b)| (a - b).abs() < 0.01);
        assert!(near, "{found:?} instead of {expected:?}");
    }
}

#[test]
fn raw_outputs_are_gstreamers_tensors_too() {
    if !start() || !tensors_exist() {
        return;
    }
    let picture = picture();
    let yolo = with_model("trtdetect", "yolo");
    let (buffer, _) = output(&format!("{yolo} output-tensors=true ! {yolo}"), &picture);
    let [tensors] = &gst_tensors(&buffer)[..] else { panic!("{:?}", gst_tensors(&buffer)) };
    let [tensor] = &tensors[..] else { panic!("{tensors:?}") };
    assert_eq!((tensor.id.as_str(), tensor.data_type, tensor.dims_order), ("yolo-v8-out", FLOAT32, COL_MAJOR));
    assert_eq!(tensor.dims, [1, 7, 126]);
    // Decoders take boxes for pixels of the frame.
    assert_near(&boxes(tensor), &expected(&picture));
}

#[test]
fn each_model_and_each_region_has_its_tensors() {
    if !start() || !tensors_exist() {
        return;
    }
    let picture = picture();
    let (yolo, end_to_end) = (with_model("trtdetect", "yolo"), with_model("trtdetect", "yolo-e2e"));
    let (pose, nanodet) = (with_model("trtpose", "yolo-pose"), with_model("trtdetect", "nanodet"));
    let elements = format!(
        "{yolo} output-tensors=true roi=0,0,0.5,1;0.5,0,0.5,1 ! {end_to_end} output-tensors=true \
         ! {pose} output-tensors=true ! {nanodet} output-tensors=true"
    );
    let (buffer, _) = output(&elements, &picture);
    let all = gst_tensors(&buffer);
    let kinds: Vec<_> =
        all.iter().map(|tensors| (tensors[0].id.as_str(), tensors[0].dims_order, tensors.len())).collect();
    let (yolo, end_to_end, pose) = ("yolo-v8-out", "yolo-26-end2end-out", "yolo-v8-pose-out");
    assert_eq!(kinds[..2], [(yolo, COL_MAJOR, 1), (yolo, COL_MAJOR, 1)]);
    assert_eq!(kinds[2..4], [(end_to_end, ROW_MAJOR, 1), (pose, ROW_MAJOR, 1)]);
    // No decoder has names for this one's.
    assert!(all[4].iter().any(|tensor| tensor.id == "Identity_0:0") && all[4].len() == 6, "{kinds:?}");
    assert_eq!((&all[2][0].dims[..], &all[3][0].dims[..]), (&[1, 300, 6][..], &[1, 56, 126][..]));
    // The end-to-end model's rows: x1, y1, x2, y2, score, class.
    let rows = all[2][0].floats();
    let mut found: Vec<_> = rows.as_chunks::<6>().0.iter().filter(|row| row[4] > 0.5).collect();
    found.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let found: Vec<_> = found.iter().map(|row| Rect::new(row[0], row[1], row[2] - row[0], row[3] - row[1])).collect();
    assert_near(&found, &expected(&picture));
}

#[test]
fn a_preprocessed_input_is_a_tensor_too() {
    if !start() || !tensors_exist() {
        return;
    }
    let model = test_model("yolo");
    let made = format!("trtpreprocess backend=cpu model={}", model.display());
    let asked = format!("trtpreprocess backend=cpu ! {}", with_model("trtdetect", "yolo"));
    let nhwc = "trtpreprocess backend=cpu width=32 height=16 layout=nhwc tensor-type=uint8 normalization=none";
    for (elements, id, data_type, dims) in [
        (made.as_str(), "images", FLOAT32, [1, 3, 64, 96]),
        (&asked, "images", FLOAT32, [1, 3, 64, 96]),
        (nhwc, "image", 6, [1, 16, 32, 3]),
    ] {
        let (buffer, _) = output(elements, &picture());
        let tensor = gst_tensors(&buffer).concat().pop().unwrap();
        assert_eq!((tensor.id.as_str(), tensor.data_type, tensor.dims_order), (id, data_type, ROW_MAJOR));
        assert_eq!(tensor.dims, dims);
        assert_eq!(Some(&tensor.data[..]), meta::tensors(&buffer)[0].data.host());
    }
}

/// False, with a line that says so, if GStreamer lacks this element.
fn has(element: &str, since: &str) -> bool {
    let has = gst::ElementFactory::make(element).build().is_ok();
    if !has {
        skip(element, since);
    }
    has
}

/// GStreamer's own decoder finds in our tensors what we find, in a frame of another size and shape than the model's input,
/// from models of other types and batches too.
#[test]
fn gstreamers_decoder_reads_our_tensors() {
    if !start() || !has("yolov8tensordec", "GStreamer 1.28 or later") {
        return;
    }
    let picture = picture();
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("labels.txt");
    std::fs::write(&labels, "red\ngreen\nblue\n").unwrap();
    let ours = "output-tensors=true roi-meta=false analytics-meta=false";
    let decoder = format!("yolov8tensordec class-confidence-threshold=0.5 label-file={}", labels.display());
    for (model, decoder) in
        [("yolo", &*decoder), ("yolo-f16", &decoder), ("yolo-batch4", &decoder), ("yolo", "tensordecodebin")]
    {
        let (buffer, _) = output(&format!("{} {ours} ! {decoder}", with_model("trtdetect", model)), &picture);
        let found = Relations::of(&buffer).map(Relations::objects).unwrap_or_default();
        let mut found: Vec<_> = found.iter().map(|entry| (&*entry.label, entry.place)).collect();
        found.sort_by_key(|(_, place)| place[0]);
        let expected = expected(&picture).into_iter().zip(["red", "blue"]).map(|(rect, label)| {
            let label = if decoder == "tensordecodebin" { "Yolo-None" } else { label };
            (label, [rect.x, rect.y, rect.w, rect.h].map(|at| at as i32))
        });
        assert_eq!(found, expected.collect::<Vec<_>>(), "{model} ! {decoder}");
    }
}

/// The groups of tensors in caps, with the ids of each.
fn groups(caps: &gst::CapsRef) -> Vec<(String, String)> {
    let groups = caps.structure(0).unwrap().get::<gst::Structure>("tensors");
    let text = |value: &gst::glib::SendValue| value.serialize().map_or_else(|e| panic!("{e}"), |text| text.to_string());
    groups.iter().flat_map(|groups| groups.iter().map(|(name, value)| (name.to_string(), text(value)))).collect()
}

#[test]
fn caps_announce_the_tensors_of_all_models() {
    if !start() || !caps_describe_tensors() {
        return;
    }
    let (yolo, pose) = (with_model("trtdetect", "yolo"), with_model("trtpose", "yolo-pose"));
    let (_, caps) = output(&format!("{yolo} ! {pose}"), &picture());
    assert_eq!(groups(&caps), []);
    // Ours between them pass the field on.
    let (_, caps) =
        output(&format!("{yolo} output-tensors=true ! trtoverlay ! {pose} output-tensors=true"), &picture());
    let groups = groups(&caps);
    let names: Vec<_> = groups.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["yolo-v8-out", "yolo-v8-pose-out"]);
    for (text, parts) in [(&groups[0].1, ["7", "126", "col-major"]), (&groups[1].1, ["56", "126", "row-major"])] {
        assert!(parts.iter().all(|part| text.contains(part)) && text.contains("float32"), "{text}");
    }
}

/// The caps change with the property and the model, before the first frame that they are about.
#[test]
fn caps_follow_the_property_and_the_model() {
    if !start() || !caps_describe_tensors() {
        return;
    }
    let yolo = with_model("trtdetect", "yolo");
    let p = Running::playing(&format!("appsrc name=in format=time ! {yolo} name=d ! appsink name=out sync=false"));
    let picture = picture();
    p.source("in").set_caps(Some(&caps(&picture, VideoFormat::Rgb)));
    let mut count = 0;
    let mut next = || {
        p.source("in").push_buffer(frame(&picture, VideoFormat::Rgb, count)).unwrap();
        count += 1;
        let sample = p.sink("out").pull_sample().unwrap();
        let tensors = gst_tensors(sample.buffer().unwrap()).len();
        (groups(sample.caps().unwrap()).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), tensors)
    };
    assert_eq!(next(), (vec![], 0));
    p.element("d").set_property("output-tensors", true);
    assert_eq!(next(), (vec!["yolo-v8-out".into()], 1));
    p.element("d").set_property("model", test_model("yolo-e2e").to_str().unwrap());
    // The model is replaced once it is open.
    let changed = (0..1000).map(|_| next()).find(|(names, _)| names[0] != "yolo-v8-out");
    assert_eq!(changed, Some((vec!["yolo-26-end2end-out".into()], 1)));
    p.element("d").set_property("output-tensors", false);
    assert_eq!(next(), (vec![], 0));
}

/// A copy of a test model in a folder, with this text beside it.
fn with_model_info(folder: &Path, model: &str, text: &str) -> PathBuf {
    let copy = folder.join("model.onnx");
    std::fs::copy(test_model(model), &copy).unwrap();
    std::fs::write(folder.join("model.onnx.modelinfo"), text).unwrap();
    copy
}

const MODEL_INFO: &str = "[modelinfo]
version=1.0
group-id=my-group

[images]
id=my-input
type=float32
dims=-1,3,64,96
dir=input
ranges=0.0,0.5

[output0]
id=my-output
type=float32
dims=-1,7,126
dir=output
";

/// The normalisation in a model info file beside a model is applied: half of the usual range makes half of the confidence.
#[test]
fn a_model_info_beside_the_model_is_applied() {
    if !start() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = with_model_info(folder.path(), "yolo", MODEL_INFO);
    let detect = format!("trtdetect name=d backend=cpu confidence=0.1 model={}", model.display());
    let (buffer, _) = output(&format!("trtpreprocess backend=cpu ! {detect} output-tensors=true"), &picture());
    let record = meta::record(&buffer).unwrap();
    let mut confidences: Vec<_> = record.objects.iter().map(|object| (object.confidence * 510.0).round()).collect();
    confidences.sort_by(f32::total_cmp);
    assert_eq!(confidences, [200.0, 255.0]);
    if tensors_exist() {
        let tensors = gst_tensors(&buffer).concat();
        let ids: Vec<_> = tensors.iter().map(|tensor| (tensor.id.as_str(), tensor.dims_order)).collect();
        assert_eq!(ids, [("my-input", ROW_MAJOR), ("my-output", ROW_MAJOR)]);
    }
    // A model of the same content without it is another model, also in the same process.
    let (buffer, _) = output(&with_model("trtdetect", "yolo"), &picture());
    let confidences = meta::record(&buffer).unwrap().objects.iter().map(|object| object.confidence).fold(0.0, f32::max);
    assert!((confidences - 1.0).abs() < 0.01, "{confidences}");
}

/// A model info file that doesn't fit its model is an error that names both.
#[test]
fn a_model_info_that_does_not_fit_is_refused() {
    if !start() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (text, error) in [
        (MODEL_INFO.replace("dims=-1,7,126", "dims=-1,8,126"), "no section fits the model's output output0"),
        (MODEL_INFO.replace("version=1.0", "version=2.0"), "model.onnx.modelinfo: line 2: version=2.0"),
    ] {
        let model = with_model_info(folder.path(), "yolo", &text);
        let launch = format!("videotestsrc ! trtdetect backend=cpu model={} ! fakesink", model.display());
        let found = Running::refusal(&launch);
        assert!(found.contains(error) && found.contains("model.onnx"), "{found}");
        assert!(found.contains("remove it"), "{found}");
    }
}

/// While playing, `reload-model` finds a changed model info file, as it finds a changed model.
#[test]
fn a_changed_model_info_is_a_changed_model() {
    if !start() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = with_model_info(folder.path(), "yolo", MODEL_INFO);
    let elements = format!("trtdetect name=d backend=cpu confidence=0.1 model={}", model.display());
    let p = Running::playing(&format!("appsrc name=in format=time ! {elements} ! appsink name=out sync=false"));
    let picture = picture();
    p.source("in").set_caps(Some(&caps(&picture, VideoFormat::Rgb)));
    let mut count = 0;
    let mut highest = || {
        p.source("in").push_buffer(frame(&picture, VideoFormat::Rgb, count)).unwrap();
        count += 1;
        let buffer = pull(&p.sink("out")).unwrap();
        meta::record(&buffer).unwrap().objects.iter().map(|object| object.confidence).fold(0.0, f32::max)
    };
    assert!((highest() - 0.5).abs() < 0.01);
    std::fs::write(folder.path().join("model.onnx.modelinfo"), MODEL_INFO.replace("0.0,0.5", "0.0,1.0")).unwrap();
    p.element("d").emit_by_name::<()>("reload-model", &[]);
    let changed = (0..1000).map(|_| highest()).find(|confidence| (confidence - 1.0).abs() < 0.01);
    assert!(changed.is_some(), "the changed file isn't in force");
}
