//! Models that run on other elements' objects.

use crate::common::analytics::{self, Relations};
use crate::common::picture::{Colour, Picture, Square};
use crate::common::pipeline::Pipeline;
use crate::common::running::{start, with_model};
use gst::prelude::*;
use gst_video::{VideoFormat, VideoRegionOfInterestMeta};
use serde_json::Value;

/// How another detector reports an object.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Roi,
    Analytics,
    Both,
}
use Form::{Analytics, Both, Roi};

/// The lines behind `elements` for one frame with another element's object, and the frame's ROI metas and entries.
fn run(elements: &str, picture: &Picture, label: &str, place: [i32; 4], form: Form) -> (Vec<Value>, usize, usize) {
    let pipeline = Pipeline::new(&format!(
        "appsrc name=source format=time ! {elements} ! trtpublish location=LINES ! appsink name=sink sync=false"
    ));
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    let mut frame = picture.rgb().frame(VideoFormat::Rgb);
    let buffer = frame.buffer.get_mut().unwrap();
    if form != Roi {
        Relations::of_or_added(buffer).add_object(Some(label), place, 0.5);
    }
    if form != Analytics {
        let [x, y, w, h] = place.map(|at| at as u32);
        let mut roi = VideoRegionOfInterestMeta::add(buffer, label, (x, y, w, h));
        roi.set_id(77);
        roi.add_param(gst::Structure::builder("detection").field("confidence", 0.5).build());
    }
    pipeline.push(0, frame);
    let sink: gst_app::AppSink = pipeline.element("sink").downcast().unwrap();
    let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(60)).expect("a frame comes");
    let buffer = sample.buffer().unwrap();
    let rois = buffer.iter_meta::<VideoRegionOfInterestMeta>().count();
    let entries = if analytics::is_there() { Relations::of(buffer).map_or(0, |r| r.objects().len()) } else { 0 };
    let objects = pipeline.finish().unwrap()[0]["objects"].as_array().unwrap().clone();
    (objects, rois, entries)
}

fn forms() -> &'static [Form] {
    if analytics::is_there() { &[Roi, Analytics, Both] } else { &[Roi] }
}

/// Each square fills the object's box, so that the model sees nothing else.
#[test]
fn a_model_runs_on_other_elements_objects() {
    if !start() {
        return;
    }
    let picture = Picture::new(&[Square::new(Colour::Green, 2, 2, 255), Square::new(Colour::Red, 9, 5, 255)]);
    let detect = with_model("trtdetect", "yolo");
    for &form in forms() {
        // The left half of the picture.
        let region = format!("{detect} name=d inference-region=objects");
        let (objects, rois, entries) = run(&region, &picture, "area", [0, 0, 48, 64], form);
        let [area, found] = &objects[..] else { panic!("{form:?}: {objects:#?}") };
        assert_eq!((&area["label"], &area["id"], area.get("parent")), (&"area".into(), &0.into(), None), "{form:?}");
        let source = if form == Analytics { "analytics" } else { "roi" };
        assert!(area["source"] == source || form == Both, "{area}");
        assert_eq!((&found["source"], &found["parent"]), (&"d".into(), &0.into()), "{form:?}");
        assert_eq!(found["label"], "green");
        // Both objects in both forms, once.
        assert_eq!(rois, 2, "{form:?}");
        assert_eq!(entries, if analytics::is_there() { 2 } else { 0 }, "{form:?}");
        // Another model behind it doesn't double anything.
        let again = format!("{region} ! {detect} name=e ! videoconvert ! {detect} name=f");
        let (objects, ..) = run(&again, &picture, "area", [0, 0, 48, 64], form);
        assert_eq!(objects.iter().filter(|object| object["label"] == "area").count(), 1, "{form:?}: {objects:#?}");
        assert_eq!(objects.iter().filter(|object| object["source"] == "d").count(), 1, "{form:?}: {objects:#?}");
        // The classes that are looked at.
        let classes = format!("{detect} name=d inference-region=objects object-classes=other");
        let (objects, ..) = run(&classes, &picture, "area", [0, 0, 48, 64], form);
        assert_eq!(objects.len(), 1, "{form:?}: {objects:#?}");
    }
}

/// A pose belongs to the person that another element found.
#[test]
fn a_pose_is_added_to_other_elements_persons() {
    if !start() {
        return;
    }
    let picture = Picture::new(&[Square::new(Colour::Red, 5, 3, 255)]);
    let pose = with_model("trtpose", "yolo-pose");
    for &form in forms() {
        for elements in [format!("{pose} name=p"), format!("{pose} name=p roi-meta=false ! {pose} name=q")] {
            let (objects, rois, entries) = run(&elements, &picture, "person", [40, 24, 8, 8], form);
            let persons: Vec<_> = objects.iter().filter(|object| object["keypoints_source"] == "p").collect();
            let [person] = persons[..] else { panic!("{form:?}: {objects:#?}") };
            assert_eq!((person["id"].as_u64(), person["label"].as_str()), (Some(0), Some("person")), "{form:?}");
            assert_eq!(person["keypoints"].as_array().unwrap().len(), 17);
            assert!(person["source"] == "analytics" || person["source"] == "roi", "{person}");
            if !elements.contains("name=q") {
                assert_eq!((objects.len(), rois), (1, 1), "{form:?}: {objects:#?}");
                assert_eq!(entries, usize::from(analytics::is_there()), "{form:?}");
            }
        }
        // Elements that change the picture move the person once, in all forms.
        for change in
            ["videoscale ! video/x-raw,width=192,height=128", "videoflip method=horizontal-flip", "videoconvert"]
        {
            let (objects, rois, entries) =
                run(&format!("{pose} name=p ! {change}"), &picture, "person", [40, 24, 8, 8], form);
            if objects.is_empty() && change.starts_with("videoflip") {
                // Before 1.28 nothing is left.
                assert_eq!((rois, entries), (0, 0), "{form:?}");
                continue;
            }
            assert_eq!((objects.len(), rois), (1, 1), "{form:?} {change}: {objects:#?}");
            assert_eq!(entries, usize::from(analytics::is_there()), "{form:?} {change}");
            assert_eq!(objects[0]["keypoints"].as_array().unwrap().len(), 17);
        }
        let (objects, ..) = run(&format!("{pose} name=p attach=new"), &picture, "person", [40, 24, 8, 8], form);
        let sources: Vec<_> = objects.iter().map(|object| object["source"].as_str().unwrap()).collect();
        assert!(sources.len() == 2 && sources[0] == "p", "{form:?}: ours come first: {sources:?}");
    }
}

#[test]
fn analytics_metadata_is_an_error_where_the_library_is_missing() {
    if !start() || analytics::is_there() {
        return;
    }
    use crate::common::running::Running;
    let detect = with_model("trtdetect", "yolo");
    let error = Running::refusal(&format!("videotestsrc ! {detect} analytics-meta=true ! fakesink"));
    for part in ["analytics-meta=true", "libgstanalytics-1.0.so.0", "1.24", "analytics-meta=false"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn analytics_metadata_is_the_default_where_the_library_is_found() {
    gst::init().unwrap();
    crate::common::running::register();
    for element in ["trtdetect", "trtpose"] {
        let element = gst::ElementFactory::make(element).build().unwrap();
        assert_eq!(element.property::<bool>("analytics-meta"), analytics::is_there());
        let default = element.find_property("analytics-meta").unwrap().default_value().get::<bool>();
        assert_eq!(default, Ok(analytics::is_there()));
    }
}
