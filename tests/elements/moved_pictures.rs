//! Our elements behind elements that move the picture: what the models found is drawn, written and looked at where it is
//! now. Before GStreamer 1.28 elements don't say where that is.

use super::objects::object;
use crate::common::picture::{Colour, Picture, Square};
use crate::common::pipeline::Pipeline;
use crate::common::running::{Running, caps, frame, pull, register, start, with_model};
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoCropMeta, VideoFormat, VideoInfo, VideoMeta};
use gsttensorrt::infer::Frame;
use gsttensorrt::meta::{self, Inference, ModelRun, Object, Record};
use model::{OrientedBox, Rect};
use serde_json::json;
use std::sync::Arc;

const GREY: u8 = 110;

/// True if this GStreamer's elements say what they do to the picture.
fn is_told() -> bool {
    gst::version() >= (1, 28, 0, 0)
}

fn info() -> VideoInfo {
    VideoInfo::builder(VideoFormat::Rgb, 320, 240).fps(gst::Fraction::new(25, 1)).build().unwrap()
}

/// One person from (32, 60) to (128, 180) in a grey frame of 320 × 240.
fn person() -> gst::Buffer {
    let object = Object { class_id: Some(4), ..object(0, "person", Rect::new(0.1, 0.25, 0.3, 0.5)) };
    let models = vec![ModelRun { model_id: "det".into(), inference: Inference::Done }];
    let mut buffer = gst::Buffer::from_mut_slice(vec![GREY; info().size()]);
    meta::set_record(
        buffer.get_mut().unwrap(),
        Arc::new(Record { objects: vec![object], models, ..Record::default() }),
        320,
        240,
    );
    buffer
}

#[test]
fn a_mirrored_person_is_drawn_on_the_other_side() {
    register();
    let mut harness = Harness::new_parse("videoflip video-direction=horiz ! trtoverlay");
    harness.set_src_caps(info().to_caps().unwrap());
    let out = harness.push_and_pull(person()).unwrap();
    let pixels = out.map_readable().unwrap();
    let is_drawn = |x: usize, y: usize| pixels[(y * 320 + x) * 3..][..3] != [GREY; 3];
    // The lower edge of the box, and that of the box before.
    assert_eq!((is_drawn(240, 179), is_drawn(80, 179)), (is_told(), false));
}

#[test]
fn a_person_between_borders_is_written_once() {
    let pipeline = Pipeline::new(
        "appsrc name=source format=time ! videoscale ! video/x-raw,width=320,height=320,pixel-aspect-ratio=1/1 \
         ! trtpublish location=LINES ! fakesink",
    );
    pipeline.push(0, Frame { buffer: person(), info: info() });
    let lines = pipeline.finish().unwrap();
    let [line] = &lines[..] else { panic!("{lines:?}") };
    if is_told() {
        let box_ = json!({"x": 32.0, "y": 100.0, "width": 96.0, "height": 120.0});
        let person =
            json!({"id": 0, "label": "person", "class_id": 4, "confidence": 0.75, "box": box_, "source": "det"});
        assert_eq!((&line["objects"], &line["inferred"]), (&json!([person]), &json!({"det": "done"})));
    } else {
        // Not "done": the model found something, and its place isn't known.
        assert_eq!((&line["objects"], &line["inferred"]), (&json!([]), &json!({})));
    }
}

#[test]
fn the_next_model_looks_where_the_objects_are_now() {
    if !start() {
        return;
    }
    let picture = Picture::new(&[Square::new(Colour::Red, 3, 1, 255), Square::new(Colour::Blue, 7, 2, 255)]);
    let p = Running::playing(&format!(
        "appsrc name=in format=time ! {} name=first \
         ! videoscale ! video/x-raw,width=192,height=192,pixel-aspect-ratio=1/1 \
         ! {} name=second inference-region=objects object-classes=red ! appsink name=out sync=false",
        with_model("trtdetect", "yolo"),
        with_model("trtdetect", "yolo-coco"),
    ));
    p.source("in").set_caps(Some(&caps(&picture, VideoFormat::Rgb)));
    p.source("in").push_buffer(frame(&picture, VideoFormat::Rgb, 0)).unwrap();
    p.source("in").end_of_stream().unwrap();
    let out = pull(&p.sink("out")).unwrap();
    let record = meta::record(&out).unwrap();
    let of = |model: &str| record.objects.iter().filter(|o| &*o.source == model).collect::<Vec<_>>();
    let second = record.models.iter().find(|run| &*run.model_id == "second").unwrap();
    if !is_told() {
        assert_eq!((second.inference, record.objects.len()), (Inference::NoRegion, 0));
        return;
    }
    // The picture of 96 × 64 has twice its size, between two borders of 32 pixels.
    let red = of("first").into_iter().find(|o| &*o.label == "red").unwrap();
    let at = red.rect.scaled(192.0, 192.0);
    assert!((at.x - 48.0).abs() < 1.5 && (at.y - 48.0).abs() < 1.5, "{at:?}");
    // The second model sees red and nothing else; the scaler blended the edge.
    let children = of("second");
    assert!(
        !children.is_empty() && children.iter().all(|c| c.parent == Some(red.id) && c.confidence > 0.7),
        "{record:?}"
    );
}

/// One ship of 120 × 40 pixels at (160, 120), turned by 0.5.
fn ship() -> gst::Buffer {
    let oriented = OrientedBox::new(160.0, 120.0, 120.0, 40.0, 0.5).unwrap().scaled(1.0 / 320.0, 1.0 / 240.0);
    let ship = Object { oriented: Some(oriented), ..object(0, "ship", oriented.enclosing()) };
    let mut buffer = gst::Buffer::from_mut_slice(vec![GREY; info().size()]);
    meta::set_record(
        buffer.get_mut().unwrap(),
        Arc::new(Record { objects: vec![ship], models: vec![], ..Record::default() }),
        320,
        240,
    );
    buffer
}

/// The lower edge of the upright box and a side of the oriented one, of the ship and of its mirror image.
#[test]
fn an_oriented_box_is_drawn_as_it_lies() {
    register();
    let (lower, side, mirrored) = ((160, 166), (135, 129), (185, 129));
    for (elements, turned) in [("trtoverlay", side), ("videoflip video-direction=horiz ! trtoverlay", mirrored)] {
        let mut harness = Harness::new_parse(elements);
        harness.set_src_caps(info().to_caps().unwrap());
        let out = harness.push_and_pull(ship()).unwrap();
        let pixels = out.map_readable().unwrap();
        let is_drawn = |(x, y): (usize, usize)| {
            let mut around = (x - 2..=x + 2).flat_map(|x| (y - 2..=y + 2).map(move |y| (x, y)));
            around.any(|(x, y)| pixels[(y * 320 + x) * 3..][..3] != [GREY; 3])
        };
        let is_told = turned == side || is_told();
        assert_eq!(
            [lower, side, mirrored].map(is_drawn),
            [false, is_told && turned == side, is_told && turned == mirrored]
        );
    }
}

/// A crop through it: the oriented box stays whole.
#[test]
fn an_oriented_box_is_written_where_it_is() {
    register();
    let mut harness = Harness::new_parse("videocrop left=160 top=40");
    harness.add_propose_allocation_meta(VideoMeta::meta_api(), None);
    harness.add_propose_allocation_meta(VideoCropMeta::meta_api(), None);
    harness.set_src_caps(info().to_caps().unwrap());
    let out = harness.push_and_pull(ship()).unwrap();
    let read = meta::read(&out, 160, 200);
    let [ship] = &read.objects[..] else { panic!("{read:?}") };
    let oriented = ship.oriented.unwrap().scaled(160.0, 200.0);
    let near = |a: f32, b: f32| (a - b).abs() < 0.01;
    assert!(near(oriented.centre().0, 0.0) && near(oriented.centre().1, 80.0), "{oriented:?}");
    assert!(near(oriented.size().0, 120.0) && near(oriented.size().1, 40.0), "{oriented:?}");
    assert!(near(oriented.angle(), 0.5) && near(ship.rect.x, 0.0), "{ship:?}");

    let pipeline = Pipeline::new(
        "appsrc name=source format=time ! videoflip video-direction=90r ! trtpublish location=LINES ! fakesink",
    );
    pipeline.push(0, Frame { buffer: self::ship(), info: info() });
    let lines = pipeline.finish().unwrap();
    let objects = lines[0]["objects"].as_array().unwrap();
    assert_eq!(objects.len(), usize::from(is_told()));
    for ship in objects {
        assert_eq!((&lines[0]["width"], ship["angle"].as_f64()), (&json!(240), Some(2.0708)), "{ship}");
        let corners: Vec<_> = ship["corners"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| (c["x"].as_f64().unwrap(), c["y"].as_f64().unwrap()))
            .collect();
        let expected = OrientedBox::new(120.0, 160.0, 120.0, 40.0, 0.5 + std::f32::consts::FRAC_PI_2).unwrap();
        for ((x, y), [wx, wy]) in corners.iter().zip(expected.corners) {
            assert!(
                (x - f64::from(wx)).abs() < 0.02 && (y - f64::from(wy)).abs() < 0.02,
                "{corners:?}, not {expected:?}"
            );
        }
    }
}

/// `videocrop` in front of a sink that crops leaves the buffer as it is.
#[test]
fn a_crop_that_the_sink_makes_moves_boxes_on_every_version() {
    register();
    let mut harness = Harness::new_parse("videocrop left=80 top=120 right=40");
    harness.add_propose_allocation_meta(VideoMeta::meta_api(), None);
    harness.add_propose_allocation_meta(VideoCropMeta::meta_api(), None);
    harness.set_src_caps(info().to_caps().unwrap());
    let out = harness.push_and_pull(person()).unwrap();
    assert_eq!(out.size(), info().size(), "the picture isn't cropped");
    let read = meta::read(&out, 200, 120);
    let [person] = &read.objects[..] else { panic!("{read:?}") };
    let at = person.rect.scaled(200.0, 120.0);
    let near = |a: f32, b: f32| (a - b).abs() < 0.01;
    assert!(near(at.x, 0.0) && near(at.y, 0.0) && near(at.right(), 48.0) && near(at.bottom(), 60.0), "{at:?}");
}
