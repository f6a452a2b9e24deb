//! The properties of `trtdetect`, `trtpose` and `trtpreprocess`, and their error messages.

use crate::common::find::test_model;
use crate::common::picture::{Colour, Picture, Square, Tolerance, assert_found};
use crate::common::running::{Running, caps, found_by, frame, pull, start, with_model};
use gst::glib;
use gst::prelude::*;
use gst_video::VideoFormat;
use gsttensorrt::meta::{self, Inference};
use model::{Detection, Rect};

/// Six squares of all classes.
fn picture() -> Picture {
    Picture::new(&[
        Square::new(Colour::Red, 0, 0, 255),
        Square::new(Colour::Green, 11, 0, 240),
        Square::new(Colour::Blue, 0, 7, 220),
        Square::new(Colour::Red, 11, 7, 200),
        Square::new(Colour::Red, 3, 4, 180),
        Square::new(Colour::Blue, 7, 2, 160),
    ])
}

/// Sends a picture `count` times through elements; returns the output, and the pipeline for its statistics.
fn run(elements: &str, picture: &Picture, count: usize) -> (Running, Vec<gst::Buffer>) {
    let p = Running::playing(&format!("appsrc name=in format=time ! {elements} ! appsink name=out sync=false"));
    let (source, sink) = (p.source("in"), p.sink("out"));
    source.set_caps(Some(&caps(picture, VideoFormat::Rgb)));
    for n in 0..count {
        source.push_buffer(frame(picture, VideoFormat::Rgb, n)).unwrap();
    }
    source.end_of_stream().unwrap();
    let buffers = std::iter::from_fn(|| pull(&sink)).collect();
    (p, buffers)
}

/// The results of `trtdetect` with these properties for one picture.
fn detect(properties: &str, picture: &Picture) -> Vec<Detection> {
    let (_, buffers) = run(&format!("{} name=d {properties}", with_model("trtdetect", "yolo")), picture, 1);
    found_by(&buffers[0], "d")
}

fn runs(buffers: &[gst::Buffer], model_id: &str) -> Vec<Inference> {
    let run = |b: &gst::Buffer| {
        let record = meta::record(b).unwrap();
        record.models.iter().find(|m| &*m.model_id == model_id).unwrap().inference
    };
    buffers.iter().map(run).collect()
}

fn stat(p: &Running, element: &str, name: &str) -> u64 {
    p.stats(element).get(name).unwrap()
}

#[test]
fn models_with_the_same_input_share_a_tensor() {
    if !start() {
        return;
    }
    let (detect, pose) = (with_model("trtdetect", "yolo"), with_model("trtpose", "yolo-pose"));
    let models = format!("{detect} name=d ! {pose} name=p attach=new");
    let (p, with) = run(&format!("trtpreprocess backend=cpu name=pre ! {models}"), &picture(), 5);
    assert_eq!(stat(&p, "pre", "tensors"), 5);
    for element in ["d", "p"] {
        assert_eq!((stat(&p, element, "tensors-shared"), stat(&p, element, "tensors-made")), (5, 0), "{element}");
    }
    let (p, without) = run(&models, &picture(), 5);
    assert_eq!((stat(&p, "d", "tensors-shared"), stat(&p, "d", "tensors-made")), (0, 5));
    for (with, without) in with.iter().zip(&without) {
        assert_eq!(meta::record(with), meta::record(without));
    }
    assert_found("detection", &found_by(&with[0], "d"), &picture().detections(), Tolerance::EXACT);
    assert_found("pose", &found_by(&with[0], "p"), &picture().poses(), Tolerance::EXACT);
}

#[test]
fn a_model_with_another_input_makes_its_own_tensor() {
    if !start() {
        return;
    }
    let models = [("yolo", "a"), ("yolo-nhwc", "b"), ("yolo-nhwc-u8", "c")];
    let models = models.map(|(model, name)| format!("{} name={name}", with_model("trtdetect", model))).join(" ! ");
    for (tensor, reader) in [
        ("", "a"),
        ("layout=nhwc", "b"),
        ("layout=nhwc tensor-type=uint8 normalization=none", "c"),
        ("keep-aspect-ratio=false", ""),
        ("normalization=imagenet", ""),
    ] {
        let pre = format!("trtpreprocess backend=cpu name=pre width=96 height=64 {tensor}");
        let (p, buffers) = run(&format!("{pre} ! {models}"), &picture(), 3);
        assert_eq!(stat(&p, "pre", "tensors"), 3);
        for element in ["a", "b", "c"] {
            let shared = if element == reader { 3 } else { 0 };
            let counts = (stat(&p, element, "tensors-shared"), stat(&p, element, "tensors-made"));
            assert_eq!(counts, (shared, 3 - shared), "{element} after {tensor}");
            assert_found(element, &found_by(&buffers[2], element), &picture().detections(), Tolerance::EXACT);
        }
    }
}

#[test]
fn the_tensor_is_made_for_the_frames_that_a_model_reads() {
    if !start() {
        return;
    }
    let detect = format!("{} name=d interval=2", with_model("trtdetect", "yolo"));
    let (p, buffers) = run(&format!("trtpreprocess backend=cpu name=pre ! {detect}"), &picture(), 7);
    use Inference::{Done, Interval};
    assert_eq!(runs(&buffers, "d"), [Done, Interval, Interval, Done, Interval, Interval, Done]);
    assert_eq!((stat(&p, "pre", "frames"), stat(&p, "pre", "tensors")), (7, 3));
    assert_eq!((stat(&p, "d", "tensors-shared"), stat(&p, "d", "tensors-made")), (3, 0));
    assert_eq!(["frames", "inferred", "skipped"].map(|name| stat(&p, "d", name)), [7, 3, 4]);
    // Two consumers: one tensor for each of their regions.
    let pose = format!("{} name=p interval=1", with_model("trtpose", "yolo-pose"));
    let (p, _) = run(&format!("trtpreprocess backend=cpu name=pre ! {detect} ! {pose}"), &picture(), 7);
    assert_eq!(stat(&p, "pre", "tensors"), 5, "frames 0, 2, 3, 4, 6");
    assert_eq!((stat(&p, "d", "tensors-made"), stat(&p, "p", "tensors-made")), (0, 0));
}

#[test]
fn an_interval_changed_while_playing_is_followed_by_the_tensor() {
    if !start() {
        return;
    }
    let detect = with_model("trtdetect", "yolo");
    let p = Running::playing(&format!(
        "appsrc name=in format=time ! trtpreprocess backend=cpu name=pre ! {detect} name=d interval=3 \
         ! appsink name=out sync=false"
    ));
    let (source, sink) = (p.source("in"), p.sink("out"));
    source.set_caps(Some(&caps(&picture(), VideoFormat::Rgb)));
    let send = |numbers: std::ops::Range<usize>| {
        for n in numbers {
            source.push_buffer(frame(&picture(), VideoFormat::Rgb, n)).unwrap();
            pull(&sink).unwrap();
        }
    };
    send(0..4);
    p.element("d").set_property("interval", 0u32);
    send(4..8);
    assert_eq!((stat(&p, "d", "inferred"), stat(&p, "d", "tensors-made")), (5, 0));
    assert_eq!(stat(&p, "pre", "tensors"), 5);
}

#[test]
fn a_tensor_without_a_consumer_or_for_differing_consumers_is_refused() {
    if !start() {
        return;
    }
    let source = "videotestsrc ! video/x-raw,format=RGB,width=96,height=64";
    let p = Running::playing(&format!("{source} ! trtpreprocess backend=cpu ! fakesink"));
    assert!(p.error().contains("no model downstream says what tensor it takes: set `model`, or `width` and `height`"));
    let (a, b) = (with_model("trtdetect", "yolo"), with_model("trtdetect", "yolo-nhwc"));
    let p = Running::playing(&format!("{source} ! trtpreprocess backend=cpu ! {a} name=a ! {b} name=b ! fakesink"));
    let error = p.error();
    for part in ["a takes 96x64", "b takes 96x64", "Nchw", "Nhwc", "trtpreprocess before each"] {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
    let text = Running::refusal(&format!("{source} ! trtpreprocess backend=cpu width=96 ! {a} ! fakesink"));
    assert!(text.contains("both `width` and `height`"), "{text}");
}

#[test]
fn thresholds_and_filters_choose_among_the_objects() {
    if !start() {
        return;
    }
    let picture = picture();
    let keep = |properties: &str, kept: &dyn Fn(&Detection) -> bool| {
        let wanted: Vec<_> = picture.detections().into_iter().filter(kept).collect();
        assert!(!wanted.is_empty() && wanted.len() < 6, "{properties} shows nothing");
        assert_found(properties, &detect(properties, &picture), &wanted, Tolerance::EXACT);
    };
    keep("confidence=0.8", &|d| d.confidence > 0.8);
    keep("class-confidence=red=0.9", &|d| d.class_id != 0 || d.confidence > 0.9);
    keep("classes=red,2", &|d| d.class_id != 1);
    keep("max-detections=2", &|d| d.confidence > 0.9);
    // Halves of the frame aren't scaled, and their borders are on whole cells.
    keep("roi=0,0.5,1,0.5", &|d| d.rect.y >= 0.5);
    keep("roi=0,0,0.5,1", &|d| d.rect.x < 0.5);
    let halves = detect("roi=0,0,0.5,1;0.5,0,0.5,1", &picture);
    assert_found("both halves", &halves, &picture.detections(), Tolerance::EXACT);
    assert_found("min-size", &detect("min-size=8x8", &picture), &picture.detections(), Tolerance::EXACT);
    assert!(detect("min-size=9x1", &picture).is_empty());
    assert!(detect("max-size=0x7", &picture).is_empty());
    assert_found("max-size", &detect("max-size=8x8", &picture), &picture.detections(), Tolerance::EXACT);
}

#[test]
fn a_value_that_doesnt_fit_is_refused_at_start_and_warned_of_while_playing() {
    if !start() {
        return;
    }
    let model = with_model("trtdetect", "yolo");
    let source = "videotestsrc ! video/x-raw,format=RGB,width=96,height=64";
    for (property, words) in [
        ("classes=dog", "classes: `dog` isn't one of the model's 3 classes (red, green, blue)"),
        ("class-confidence=red=2", "class-confidence"),
        ("roi=0,0,2,1", "roi"),
        ("min-size=big", "min-size"),
    ] {
        let text = Running::refusal(&format!("{source} ! {model} {property} ! fakesink"));
        assert!(text.contains(words), "{property}: {text}");
    }
    let p = Running::playing(&format!("{source} ! {model} name=d classes=red ! fakesink"));
    p.element("d").set_property("classes", "dog");
    let warning = p.message(&[gst::MessageType::Warning]);
    let gst::MessageView::Warning(warning) = warning.view() else { unreachable!() };
    assert!(warning.error().message().contains("the previous value stays in force"), "{}", warning.error());
}

#[test]
fn raw_outputs_ride_on_the_buffer() {
    if !start() {
        return;
    }
    let (yolo, nanodet) = (with_model("trtdetect", "yolo"), with_model("trtdetect", "nanodet"));
    let elements = format!(
        "{yolo} name=a output-tensors=true roi=0,0,0.5,1;0.5,0,0.5,1 ! {nanodet} name=b output-tensors=true ! {yolo} name=c"
    );
    let (_, buffers) = run(&elements, &picture(), 1);
    let meta = gst::meta::CustomMeta::from_buffer(&buffers[0], "TrtOutputTensors").unwrap();
    let tensors = meta.structure().get::<gst::Array>("tensors").unwrap();
    let tensors: Vec<_> = tensors.iter().map(|v| v.get::<gst::Structure>().unwrap()).collect();
    let text = |t: &gst::Structure, name: &str| t.get::<String>(name).unwrap();
    let numbers = |t: &gst::Structure| -> Vec<u32> {
        t.get::<gst::Array>("shape").unwrap().iter().map(|v| v.get().unwrap()).collect()
    };
    let of = |id: &str| tensors.iter().filter(|t| text(t, "model-id") == id).collect::<Vec<_>>();
    assert_eq!(of("a").len(), 2, "one output of two regions");
    for (tensor, left) in of("a").into_iter().zip([0.0, 48.0]) {
        assert_eq!((text(tensor, "name").as_str(), numbers(tensor)), ("output0", vec![7, 126]));
        let region = tensor.get::<gst::Array>("region").unwrap();
        assert_eq!(region.iter().map(|v| v.get::<f32>().unwrap()).collect::<Vec<_>>(), [left, 0.0, 48.0, 64.0]);
        let data = tensor.get::<glib::Bytes>("data").unwrap();
        assert_eq!(data.len(), 7 * 126 * 4);
        // Row 2 is the boxes' width: 8 in the network's pixels.
        let width = f32::from_ne_bytes(data[2 * 126 * 4..][..4].try_into().unwrap());
        assert_eq!(width, 8.0);
    }
    let shapes: Vec<_> = of("b").into_iter().map(|t| (text(t, "name"), numbers(t))).collect();
    for wanted in [("Identity_0:0", [96, 80]), ("Identity_3:0", [96, 44]), ("Identity_2:0", [6, 80])] {
        assert!(shapes.contains(&(wanted.0.into(), wanted.1.to_vec())), "no {wanted:?} in {shapes:?}");
    }
    assert_eq!(shapes.len(), 6);
    assert!(of("c").is_empty(), "not asked for");
}

/// Without ROI metas the objects are the same; a model that creates them doesn't remove those of another.
#[test]
fn roi_metas_are_made_where_they_are_wanted() {
    if !start() {
        return;
    }
    let yolo = with_model("trtdetect", "yolo");
    let metas = |elements: &str| {
        let (_, buffers) = run(elements, &picture(), 1);
        let found = ["a", "b"].map(|id| found_by(&buffers[0], id).len());
        (buffers[0].iter_meta::<gst_video::VideoRegionOfInterestMeta>().count(), found)
    };
    assert_eq!(metas(&format!("{yolo} name=a ! {yolo} name=b")), (12, [6, 6]));
    assert_eq!(metas(&format!("{yolo} name=a roi-meta=false ! {yolo} name=b roi-meta=false")), (0, [6, 6]));
    assert_eq!(metas(&format!("{yolo} name=a ! {yolo} name=b roi-meta=false")), (6, [6, 6]));
    assert_eq!(metas(&format!("{yolo} name=a roi-meta=false ! {yolo} name=b")), (12, [6, 6]));
}

#[test]
fn objects_are_looked_at_and_become_parents() {
    if !start() {
        return;
    }
    // A detector finds cells of 8 × 8 pixels; the second model gets the red ones, each scaled to its whole input.
    let elements = format!(
        "{} name=first ! {} name=second inference-region=objects object-classes=red",
        with_model("trtdetect", "yolo"),
        with_model("trtdetect", "yolo-coco"),
    );
    let (_, buffers) = run(&elements, &picture(), 1);
    let record = meta::record(&buffers[0]).unwrap();
    let parents: Vec<_> = record.objects.iter().filter(|o| &*o.source == "first" && &*o.label == "red").collect();
    assert_eq!(parents.len(), 3);
    let children: Vec<_> = record.objects.iter().filter(|o| &*o.source == "second").collect();
    assert!(!children.is_empty());
    for parent in &parents {
        let inside: Vec<_> = children.iter().filter(|c| c.parent == Some(parent.id)).collect();
        assert!(!inside.is_empty(), "object {} has no children", parent.id);
        for child in inside {
            assert_eq!(&*child.label, "person");
            assert!((child.confidence - parent.confidence).abs() < 0.01);
            let cut = child.rect.intersection(&grown(&parent.rect));
            assert!((cut.area() - child.rect.area()).abs() < 1e-6, "{:?} isn't in {:?}", child.rect, parent.rect);
        }
    }
    assert!(children.iter().all(|c| parents.iter().any(|p| c.parent == Some(p.id))));
    assert_eq!(runs(&buffers, "second"), [Inference::Done]);
    // No regions.
    let (_, buffers) = run(&elements, &Picture::new(&[Square::new(Colour::Blue, 2, 2, 255)]), 1);
    assert_eq!(runs(&buffers, "second"), [Inference::NoRegion]);
}

/// With a tolerance of one pixel.
fn grown(rect: &Rect) -> Rect {
    Rect::new(rect.x - 0.01, rect.y - 0.015, rect.w + 0.02, rect.h + 0.03)
}

#[test]
fn labels_come_from_the_file() {
    if !start() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.txt");
    std::fs::write(&path, "rouge\nvert\nbleu\n").unwrap();
    let model = format!("{} labels={}", with_model("trtdetect", "yolo"), path.display());
    let (_, buffers) = run(&format!("{model} classes=rouge"), &picture(), 1);
    let record = meta::record(&buffers[0]).unwrap();
    assert_eq!(record.objects.len(), 3);
    assert!(record.objects.iter().all(|o| &*o.label == "rouge" && o.class_id == Some(0)));

    let launch = format!("videotestsrc ! {model} ! fakesink");
    std::fs::write(&path, "rouge\nvert\n").unwrap();
    let text = Running::refusal(&launch);
    for part in ["labels.txt", "2", "3"] {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
    std::fs::remove_file(&path).unwrap();
    let text = Running::refusal(&launch);
    assert!(text.contains("labels.txt") && text.contains("`labels` property"), "{text}");
}

/// The element's message if upstream caps arrive only after linking.
fn refusal_after(caps: &str, element: &str) -> String {
    let p = Running::new(&format!("identity name=camera ! capsfilter name=caps ! {element} ! fakesink"));
    p.element("caps").set_property("caps", caps.parse::<gst::Caps>().unwrap());
    assert!(p.0.set_state(gst::State::Paused).is_err(), "{caps} ! {element}");
    p.error()
}

#[test]
fn frames_in_the_wrong_memory_or_format_are_refused_by_name() {
    if !start() {
        return;
    }
    let cuda = "video/x-raw(memory:CUDAMemory),format=NV12";
    for element in
        [with_model("trtdetect", "yolo"), with_model("trtpose", "yolo-pose"), "trtpreprocess backend=cpu".into()]
    {
        for caps in ["video/x-raw,format=GRAY8", cuda] {
            let text = refusal_after(caps, &element);
            for part in ["backend=cpu", "upstream camera", "videoconvert"] {
                assert!(text.contains(part), "no {part:?} in: {text}");
            }
        }
    }
    let text = refusal_after(cuda, &with_model("trtdetect", "yolo"));
    assert!(text.contains("memory:CUDAMemory") && text.contains("backend=tensorrt"), "{text}");
}

#[test]
fn no_model_or_one_for_the_other_element_is_refused() {
    if !start() {
        return;
    }
    for element in ["trtdetect", "trtpose"] {
        let text = Running::refusal(&format!("videotestsrc ! {element} backend=cpu ! fakesink"));
        assert!(text.contains("set the `model` property"), "{text}");
    }
    let text = Running::refusal(&format!("videotestsrc ! {} ! fakesink", with_model("trtpose", "yolo")));
    assert!(text.contains("yolo.onnx") && text.contains("use trtdetect"), "{text}");
    for pose in ["yolo-pose", "movenet"] {
        let text = Running::refusal(&format!("videotestsrc ! {} ! fakesink", with_model("trtdetect", pose)));
        assert!(text.contains(&format!("{pose}.onnx")) && text.contains("use trtpose"), "{text}");
    }
    let text = Running::refusal("videotestsrc ! trtdetect backend=cpu model=/nowhere/model.onnx ! fakesink");
    assert!(text.contains("/nowhere/model.onnx"), "{text}");
    let model = test_model("unknown-head");
    let text = Running::refusal(&format!("videotestsrc ! trtdetect backend=cpu model={} ! fakesink", model.display()));
    assert!(text.contains("unknown-head.onnx"), "{text}");
}
