//! `trtclassify` on objects and on frames: what is attached, when it runs, and whose objects it takes.

use crate::common::analytics::{self, RELATE_TO, Relations};
use crate::common::picture::{Colour, Picture, Square};
use crate::common::pipeline::{Failure, Pipeline};
use crate::common::running::{Running, caps, frame, pull, start, with_model};
use gst::prelude::*;
use gst_video::{VideoFormat, VideoRegionOfInterestMeta};
use gsttensorrt::meta::{self, Classification, Inference, Object, Record};
use model::Rect;
use serde_json::{Value, json};
use std::sync::Arc;

fn picture() -> Picture {
    Picture::new(&[
        Square::new(Colour::Red, 0, 0, 255),
        Square::new(Colour::Green, 11, 0, 240),
        Square::new(Colour::Blue, 3, 4, 220),
    ])
}

/// The line for one picture behind these elements.
fn line(elements: &str, picture: &Picture) -> Result<Value, Failure> {
    let pipeline =
        Pipeline::new(&format!("appsrc name=source format=time ! {elements} ! trtpublish location=LINES ! fakesink"));
    pipeline.push(0, picture.rgb().frame(VideoFormat::Rgb));
    pipeline.finish().map(|mut lines| lines.remove(0))
}

fn classify(model: &str, properties: &str) -> String {
    format!("{} name=colour {properties}", with_model("trtclassify", model))
}

/// On the objects of a detector.
fn detected(model: &str, properties: &str) -> String {
    format!("{} ! {}", with_model("trtdetect", "yolo"), classify(model, properties))
}

fn labels(classes: &Value) -> Vec<&str> {
    classes.as_array().map_or(vec![], |classes| classes.iter().map(|c| c["label"].as_str().unwrap()).collect())
}

#[test]
fn objects_get_their_most_probable_classes() {
    if !start() {
        return;
    }
    let all = line(&detected("classify", "top-k=2 confidence=0"), &picture()).unwrap();
    assert_eq!(all["inferred"]["colour"], "done");
    let objects = all["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 3);
    for object in objects {
        let classes = &object["classifications"];
        assert_eq!(labels(classes).len(), 2);
        assert_eq!(classes[0]["label"], object["label"], "{object}");
        assert_eq!(classes[0]["class_id"], object["class_id"]);
        assert_eq!(classes[0]["source"], "colour");
        // A softmax of 8 times the level, and of two zeros.
        let e = (8.0 * object["confidence"].as_f64().unwrap()).exp();
        let confidence = classes[0]["confidence"].as_f64().unwrap();
        assert!((confidence - e / (e + 2.0)).abs() < 2e-3, "{confidence} {e}");
    }
    assert!(all.get("classifications").is_none(), "none of the frame");
    // One, from a confidence of 0.25 on.
    let one = line(&detected("classify", ""), &picture()).unwrap();
    assert!(one["objects"].as_array().unwrap().iter().all(|o| labels(&o["classifications"]).len() == 1));
    let none = line(&detected("classify", "confidence=1"), &picture()).unwrap();
    assert!(none["objects"].as_array().unwrap().iter().all(|o| o.get("classifications").is_none()));
}

#[test]
fn objects_are_selected_by_class_size_and_place() {
    if !start() {
        return;
    }
    let classified = |properties: &str| -> (Vec<String>, String) {
        let line = line(&detected("classify", properties), &picture()).unwrap();
        let of = line["objects"].as_array().unwrap().iter().filter(|o| o.get("classifications").is_some());
        let labels = of.map(|o| o["label"].as_str().unwrap().to_owned()).collect();
        (labels, line["inferred"]["colour"].as_str().unwrap().to_owned())
    };
    let done = |labels: &[&str]| (labels.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>(), "done".to_owned());
    assert_eq!(classified("object-classes=green"), done(&["green"]));
    // The objects have 8 by 8 pixels.
    assert_eq!(classified("min-size=8x8 max-size=8x8").0.len(), 3);
    assert_eq!(classified("min-size=9x0"), (vec![], "no-region".into()));
    assert_eq!(classified("max-size=0x7"), (vec![], "no-region".into()));
    assert_eq!(classified("roi=0,0,0.5,0.5"), done(&["red"]));
    // The classes of the model, not those of the objects.
    assert_eq!(classified("classes=blue confidence=0.5"), done(&["blue"]));
}

#[test]
fn whole_frames_are_classified() {
    if !start() {
        return;
    }
    let full = |colour| {
        let squares = (0..96).map(|n| Square::new(colour, n % 12, n / 12, 255)).collect::<Vec<_>>();
        Picture::new(&squares)
    };
    let line =
        line(&classify("classify", "inference-region=frame top-k=3 confidence=0"), &full(Colour::Green)).unwrap();
    assert_eq!(line["objects"], json!([]));
    assert_eq!(labels(&line["classifications"])[0], "green");
    assert_eq!(line["classifications"].as_array().unwrap().len(), 3);
    let confidence = line["classifications"][0]["confidence"].as_f64().unwrap();
    assert!((confidence - 8f64.exp() / (8f64.exp() + 2.0)).abs() < 2e-3, "{confidence}");
}

#[test]
fn logits_become_confidences_and_vectors_get_length_1() {
    if !start() {
        return;
    }
    let line_of = |head: &str| line(&detected("classify-logits", head), &picture()).unwrap();
    let soft = line(&detected("classify", ""), &picture()).unwrap();
    let logits = line_of("head=classification-logits");
    for (a, b) in soft["objects"].as_array().unwrap().iter().zip(logits["objects"].as_array().unwrap()) {
        let [a, b] = [a, b].map(|object| &object["classifications"][0]);
        assert_eq!(a["class_id"], b["class_id"]);
        assert_eq!(b["label"], format!("class {}", b["class_id"]));
        assert!((a["confidence"].as_f64().unwrap() - b["confidence"].as_f64().unwrap()).abs() < 2e-3);
    }
    let vectors = line_of("head=embedding");
    for object in vectors["objects"].as_array().unwrap() {
        let vector = &object["embeddings"][0];
        assert_eq!(vector["source"], "colour");
        let values: Vec<f64> = vector["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let at = object["class_id"].as_u64().unwrap() as usize;
        assert!(values.len() == 3 && (values[at] - 1.0).abs() < 1e-3, "{object}");
        assert!(object.get("classifications").is_none());
    }
}

/// Frames with these records, behind `trtclassify` and for `number` frames; their pictures are of one colour each.
fn through(properties: &str, frames: &[(Colour, Record)]) -> (Running, Vec<gst::Buffer>) {
    let p = Running::playing(&format!(
        "appsrc name=in format=time ! {} ! appsink name=out sync=false",
        classify("classify", properties)
    ));
    let (source, sink) = (p.source("in"), p.sink("out"));
    let full = |colour| {
        let squares = (0..96).map(|n| Square::new(colour, n % 12, n / 12, 255)).collect::<Vec<_>>();
        Picture::new(&squares)
    };
    source.set_caps(Some(&caps(&full(Colour::Red), VideoFormat::Rgb)));
    for (n, (colour, record)) in frames.iter().enumerate() {
        let picture = full(*colour);
        let mut buffer = frame(&picture, VideoFormat::Rgb, n);
        let (width, height) = (picture.width, picture.height);
        meta::set_record(buffer.get_mut().unwrap(), Arc::new(record.clone()), width, height);
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    let buffers = std::iter::from_fn(|| pull(&sink)).collect();
    (p, buffers)
}

fn object(id: u32, track_id: Option<u64>) -> Object {
    let rect = Rect::new(0.25 * id as f32, 0.25, 0.25, 0.5);
    Object { id, rect, label: "car".into(), confidence: 0.75, source: "det".into(), track_id, ..Object::default() }
}

/// The best class of each object of each frame.
fn best(buffers: &[gst::Buffer]) -> Vec<Vec<Option<String>>> {
    let label = |object: &Object| object.classifications.first().map(|class| class.label.to_string());
    buffers.iter().map(|b| meta::record(b).unwrap().objects.iter().map(label).collect()).collect()
}

fn runs(buffers: &[gst::Buffer]) -> Vec<Inference> {
    buffers.iter().map(|b| meta::record(b).unwrap().models.last().unwrap().inference).collect()
}

#[test]
fn the_interval_is_that_of_each_track_and_its_classes_are_kept() {
    if !start() {
        return;
    }
    let record = |objects: Vec<Object>| Record { objects, ..Record::default() };
    // Track 7 is in all frames, track 9 from the second on, and an object without a track in all.
    let frame = |n: usize| {
        let mut objects = vec![object(0, Some(7)), object(1, None)];
        if n > 0 {
            objects.push(object(2, Some(9)));
        }
        record(objects)
    };
    let colours = [Colour::Red, Colour::Green, Colour::Blue, Colour::Green, Colour::Red, Colour::Blue];
    let frames: Vec<_> = colours.into_iter().enumerate().map(|(n, colour)| (colour, frame(n))).collect();
    let (p, buffers) = through("interval=2", &frames);
    let some = |label: &str| Some(label.to_owned());
    assert_eq!(
        best(&buffers),
        [
            vec![some("red"), some("red")],
            vec![some("red"), None, some("green")],
            vec![some("red"), None, some("green")],
            vec![some("green"), some("green"), some("green")],
            vec![some("green"), None, some("red")],
            vec![some("green"), None, some("red")],
        ]
    );
    use Inference::{Done, Interval};
    assert_eq!(runs(&buffers), [Done, Done, Interval, Done, Done, Interval]);
    assert_eq!(p.stats("colour").get::<u64>("inferred"), Ok(4));
    // Nothing is attached twice.
    let most = buffers.iter().flat_map(|b| meta::record(b).unwrap().objects.clone()).map(|o| o.classifications.len());
    assert_eq!(most.max(), Some(1));
}

#[test]
fn a_track_that_is_not_sure_any_more_loses_its_classes() {
    if !start() {
        return;
    }
    let record = || Record { objects: vec![object(0, Some(7))], ..Record::default() };
    let frames: Vec<_> = [Colour::Red, Colour::Red, Colour::Blue, Colour::Blue].map(|c| (c, record())).to_vec();
    let (_, buffers) = through("interval=1 classes=red confidence=0.5", &frames);
    let red = || vec![Some("red".to_owned())];
    assert_eq!(best(&buffers), [red(), red(), vec![None], vec![None]]);
}

/// The structures `classification` of a ROI meta: label and confidence.
fn params(meta: &VideoRegionOfInterestMeta) -> Vec<(String, f64, String)> {
    let of = meta.params().filter(|s| s.name() == "classification");
    of.map(|s| (s.get("label").unwrap(), s.get("confidence").unwrap(), s.get("model_name").unwrap())).collect()
}

#[test]
fn other_programs_read_the_classes_and_their_objects_get_some() {
    if !start() {
        return;
    }
    let has_analytics = analytics::is_there();
    let p = Running::playing(&format!(
        "appsrc name=in format=time ! {} ! {} ! appsink name=out sync=false",
        classify("classify", "top-k=2 confidence=0"),
        with_model("trtclassify", "classify") + " name=again object-classes=van",
    ));
    let (source, sink) = (p.source("in"), p.sink("out"));
    let picture = picture();
    source.set_caps(Some(&caps(&picture, VideoFormat::Rgb)));
    let mut buffer = frame(&picture, VideoFormat::Rgb, 0);
    {
        let buffer = buffer.get_mut().unwrap();
        let own = Object { rect: Rect::new(0.0, 0.0, 8.0 / 96.0, 8.0 / 64.0), ..object(0, None) };
        let record = Arc::new(Record { objects: vec![own], ..Record::default() });
        meta::set_record(buffer, record, picture.width, picture.height);
        // Another detector's object, and one with its class from another classifier.
        VideoRegionOfInterestMeta::add(buffer, "van", (88, 0, 8, 8));
        let mut known = VideoRegionOfInterestMeta::add(buffer, "truck", (24, 32, 8, 8));
        let detection = gst::Structure::builder("detection").field("confidence", 0.5).build();
        let class = gst::Structure::builder("make").field("label", "volvo").field("confidence", 0.875).build();
        known.add_param(detection);
        known.add_param(class);
    }
    source.push_buffer(buffer).unwrap();
    source.end_of_stream().unwrap();
    let buffer = pull(&sink).unwrap();
    let metas: Vec<_> = buffer.iter_meta::<VideoRegionOfInterestMeta>().collect();
    assert_eq!(metas.len(), 3, "no object is listed twice");
    let of = |label: &str| metas.iter().find(|meta| meta.roi_type() == label).unwrap();
    let labels =
        |label: &str| params(of(label)).into_iter().map(|(label, _, model)| (label, model)).collect::<Vec<_>>();
    let pair = |label: &str, model: &str| (label.to_owned(), model.to_owned());
    assert_eq!(labels("car")[0], pair("red", "colour"));
    assert_eq!(labels("car").len(), 2);
    assert_eq!(labels("van")[0], pair("green", "colour"));
    assert_eq!(labels("van")[2], pair("green", "again"));
    assert_eq!(labels("van").len(), 3);
    assert_eq!(labels("truck")[0], pair("blue", "colour"));
    assert!(of("truck").params().any(|s| s.name() == "make"), "the other classifier's stays");

    // A program without our record reads the same.
    let mut copy = gst::Buffer::with_size(buffer.size()).unwrap();
    {
        let copy = copy.get_mut().unwrap();
        let whole = gst::meta::MetaTransformCopy::new(..);
        buffer.foreach_meta(|meta| {
            if meta.api() == VideoRegionOfInterestMeta::meta_api() {
                meta.transform(copy, &whole).unwrap();
            }
            std::ops::ControlFlow::Continue(())
        });
    }
    let read = meta::read(&copy, picture.width, picture.height);
    let classes = |label: &str| {
        let object = read.objects.iter().find(|object| &*object.label == label).unwrap();
        object.classifications.iter().map(|c| (c.label.to_string(), c.source.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(classes("van"), labels("van"));
    assert_eq!(classes("truck")[0], pair("volvo", "make"));
    assert_eq!(classes("truck")[1..], labels("truck"));

    if has_analytics {
        let relations = Relations::of(&buffer).unwrap();
        let objects = relations.objects();
        assert_eq!(objects.len(), 3);
        let van = objects.iter().find(|entry| entry.label == "van").unwrap();
        let related: Vec<_> =
            relations.classes().into_iter().filter(|(id, _)| relations.relation(van.id, *id) == RELATE_TO).collect();
        let labels: Vec<Vec<_>> =
            related.iter().map(|(_, classes)| classes.iter().map(|(label, _)| label.as_str()).collect()).collect();
        assert!(labels.iter().any(|l| l.len() == 2 && l[0] == "green"), "{labels:?}");
        assert!(labels.iter().any(|l| *l == ["green"]), "{labels:?}");
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_says_why() {
    if !start() {
        return;
    }
    let refused = |elements: &str, words: &[&str]| {
        let error = line(elements, &picture()).unwrap_err().message;
        for word in words {
            assert!(error.contains(word), "no {word:?} in: {error}");
        }
    };
    refused(&classify("yolo", ""), &["use trtdetect", "DETECTION"]);
    refused(&with_model("trtdetect", "classify"), &["use trtclassify", "CLASSIFICATION"]);
    refused(&classify("classify-logits", ""), &["head=classification-logits", "head=embedding"]);
    refused(&classify("classify", "head=classification-logits"), &["head=classification-softmax"]);
    refused(&classify("nanodet", "head=classification-logits"), &["only output"]);
    refused(&classify("yolo-bare", "head=embedding"), &["only output"]);
    refused(&classify("classify", "classes=purple"), &["purple"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.txt");
    std::fs::write(&path, "rot\ngruen\n").unwrap();
    refused(&classify("classify", &format!("labels={}", path.display())), &["labels.txt", "2 names", "3 classes"]);
    std::fs::write(&path, "rot\ngruen\nblau\n").unwrap();
    let line = line(&detected("classify", &format!("labels={}", path.display())), &picture()).unwrap();
    let found = |label: &str| {
        labels(&line["objects"].as_array().unwrap().iter().find(|o| o["label"] == label).unwrap()["classifications"])
    };
    assert_eq!((found("red"), found("blue")), (vec!["rot"], vec!["blau"]));
    // Where nothing was detected there is nothing to classify.
    let empty = self::line(&detected("classify", ""), &Picture::new(&[])).unwrap();
    assert_eq!(empty["inferred"]["colour"], "no-region");
}

#[test]
fn the_overlay_shows_the_best_class() {
    if !start() {
        return;
    }
    let drawn = |classifications: Vec<Classification>| {
        let mut buffer = crate::objects::frame();
        let object = Object { classifications, ..crate::objects::object(0, "car", Rect::new(0.25, 0.5, 0.5, 0.25)) };
        let record = Arc::new(Record { objects: vec![object], ..Record::default() });
        meta::set_record(buffer.get_mut().unwrap(), record, crate::objects::WIDTH, crate::objects::HEIGHT);
        crate::objects::through("trtoverlay", buffer).map_readable().unwrap().to_vec()
    };
    let class = |label: &str, confidence| Classification {
        source: "c".into(),
        class_id: None,
        label: label.into(),
        confidence,
    };
    let (none, one) = (drawn(vec![]), drawn(vec![class("red", 0.75)]));
    assert_ne!(none, one);
    assert_eq!(one, drawn(vec![class("red", 0.75), class("blue", 0.125)]), "only the best");
}

#[test]
fn the_properties_are_those_of_a_second_stage() {
    if !start() {
        return;
    }
    let element = gst::ElementFactory::make("trtclassify").build().unwrap();
    assert_eq!(element.property::<u32>("top-k"), 1);
    let region = |element: &gst::Element| {
        let value = element.property_value("inference-region");
        gst::glib::EnumValue::from_value(&value).unwrap().1.nick().to_owned()
    };
    assert_eq!(region(&element), "objects");
    element.set_property_from_str("inference-region", "frame");
    assert_eq!(region(&element), "frame");
}
