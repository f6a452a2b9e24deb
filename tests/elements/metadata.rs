//! The record and the tensors on buffers, through GStreamer's elements and as other programs read them.

use super::objects::{HEIGHT, WIDTH, frame, object, through};
use gst_video::VideoRegionOfInterestMeta;
use gsttensorrt::infer::{Tensor, TensorData};
use gsttensorrt::meta::{self, Inference, KeypointSet, ModelRun, Record};
use model::{ElementType, InputSpec, Keypoint, KeypointLayout, Layout, Normalization, Rect, Resize};
use std::sync::Arc;

/// Two objects, the second inside the first and with two keypoints.
fn sample() -> Arc<Record> {
    let layout = KeypointLayout { name: "pair", names: vec!["a".into(), "b".into()], limbs: vec![(0, 1)] };
    let points = vec![Keypoint { x: 0.3, y: 0.45, confidence: 0.9 }, Keypoint { x: 0.4, y: 0.6, confidence: 0.1 }];
    let mut person = object(1, "person", Rect::new(0.25, 0.3, 0.2, 0.6));
    person.parent = Some(0);
    person.keypoints = Some(KeypointSet { source: "pose".into(), layout: Arc::new(layout), points });
    Arc::new(Record {
        objects: vec![object(0, "car", Rect::new(-0.1, 0.25, 0.6, 0.7)), person],
        models: vec![
            ModelRun { model_id: "det".into(), inference: Inference::Done },
            ModelRun { model_id: "pose".into(), inference: Inference::Interval },
        ],
        ..Record::default()
    })
}

fn frame_with(record: Arc<Record>) -> gst::Buffer {
    let mut buffer = frame();
    meta::set_record(buffer.get_mut().unwrap(), record, WIDTH, HEIGHT);
    buffer
}

fn rois(buffer: &gst::BufferRef) -> usize {
    buffer.iter_meta::<VideoRegionOfInterestMeta>().count()
}

#[test]
fn survives_conversion_scaling_and_branches() {
    for (elements, width, height) in [
        ("videoconvert ! capsfilter caps=video/x-raw,format=NV12", WIDTH, HEIGHT),
        ("videoscale ! capsfilter caps=video/x-raw,width=100,height=74", 100, 74),
        ("videoscale ! capsfilter caps=video/x-raw,width=1280,height=960", 1280, 960),
        ("videoconvertscale ! capsfilter caps=video/x-raw,format=I420,width=640,height=480", 640, 480),
        (
            "videoscale ! capsfilter caps=video/x-raw,width=640,height=480 ! videoconvert ! capsfilter caps=video/x-raw,format=NV12",
            640,
            480,
        ),
        ("tee ! queue", WIDTH, HEIGHT),
        ("tee ! queue ! videoconvert ! capsfilter caps=video/x-raw,format=BGRA", WIDTH, HEIGHT),
    ] {
        let out = through(elements, frame_with(sample()));
        assert_eq!(meta::record(&out).as_deref(), Some(&*sample()), "{elements}");
        // The mirror isn't another object.
        assert_eq!((&*meta::read(&out, width, height), rois(&out)), (&*sample(), 2), "{elements}");
    }
}

#[test]
fn a_copied_buffer_shares_the_record() {
    let buffer = frame_with(sample());
    let copy = buffer.copy();
    assert!(Arc::ptr_eq(&meta::record(&buffer).unwrap(), &meta::record(&copy).unwrap()));
}

#[test]
fn nothing_found_differs_from_no_record() {
    assert_eq!(meta::record(&frame()), None);
    let empty = Record {
        objects: vec![],
        models: vec![ModelRun { model_id: "det".into(), inference: Inference::Done }],
        ..Record::default()
    };
    assert_eq!(meta::record(&frame_with(Arc::new(empty.clone()))).as_deref(), Some(&empty));
}

#[test]
fn mirror_has_ids_clipped_pixels_and_parameters() {
    let buffer = frame_with(sample());
    let metas: Vec<_> = buffer.iter_meta::<VideoRegionOfInterestMeta>().collect();
    assert_eq!(metas.len(), 2);
    let car = metas.iter().find(|m| m.id() == 0).unwrap();
    assert_eq!((car.roi_type(), car.parent_id(), car.rect()), ("car", -1, (0, 60, 160, 168)));
    let person = metas.iter().find(|m| m.id() == 1).unwrap();
    assert_eq!((person.roi_type(), person.parent_id(), person.rect()), ("person", 0, (80, 72, 64, 144)));

    let detection = car.param("detection").unwrap();
    assert!((detection.get::<f64>("confidence").unwrap() - 0.75).abs() < 1e-6);
    assert_eq!(detection.get::<i32>("label_id").unwrap(), 10);
    for (field, value) in [("x_min", -0.1), ("x_max", 0.5), ("y_min", 0.25), ("y_max", 0.95)] {
        assert!((detection.get::<f64>(field).unwrap() - value).abs() < 1e-6, "{field}");
    }
    assert!(car.param("keypoints").is_none());

    let pose = person.param("keypoints").unwrap();
    assert_eq!(pose.get::<gst::Array>("dims").unwrap().iter().map(|v| v.get().unwrap()).collect::<Vec<u32>>(), [2, 2]);
    let data = pose.get::<gst::glib::Variant>("data_buffer").unwrap();
    let data: Vec<f32> =
        data.fixed_array::<u8>().unwrap().chunks_exact(4).map(|b| f32::from_ne_bytes(b.try_into().unwrap())).collect();
    for (value, expected) in data.iter().zip([0.25, 0.25, 0.75, 0.5]) {
        assert!((value - expected).abs() < 1e-5, "{data:?}");
    }
    assert_eq!(data.len(), 4);
}

#[test]
fn setting_again_replaces_record_and_mirror_only() {
    let mut buffer = frame();
    let writable = buffer.get_mut().unwrap();
    VideoRegionOfInterestMeta::add(writable, "face", (8, 16, 32, 64)).set_id(0);
    meta::set_record(writable, sample(), WIDTH, HEIGHT);
    assert_eq!(rois(&buffer), 3);
    let next = Arc::new(Record { objects: vec![object(0, "bus", Rect::UNIT)], models: vec![], ..Record::default() });
    meta::set_record(buffer.get_mut().unwrap(), next.clone(), WIDTH, HEIGHT);
    assert_eq!(meta::record(&buffer), Some(next));
    let labels: Vec<_> = buffer.iter_meta::<VideoRegionOfInterestMeta>().map(|m| m.roi_type()).collect();
    assert_eq!(labels, ["face", "bus"]);
}

/// If two models run on one frame, the second changes a few objects of the first.
#[test]
fn metas_that_still_hold_stay() {
    let sequence_of = |buffer: &gst::BufferRef, id: i32| {
        let mut metas = buffer.iter_meta::<VideoRegionOfInterestMeta>().filter(|m| m.id() == id);
        let (meta, other) = (metas.next().unwrap(), metas.next());
        assert!(other.is_none(), "object {id} is there once");
        (meta.seqnum(), meta.params().count())
    };
    let with_pose = sample();
    let mut without = Record::clone(&with_pose);
    without.objects[1].keypoints = None;
    let mut buffer = frame_with(Arc::new(without));
    let before = [0, 1].map(|id| sequence_of(&buffer, id));
    meta::set_record(buffer.get_mut().unwrap(), with_pose, WIDTH, HEIGHT);
    let after = [0, 1].map(|id| sequence_of(&buffer, id));
    assert_eq!(before[0], after[0], "the car's stays");
    assert_ne!(before[1].0, after[1].0, "the person's is another");
    assert_eq!((before[1].1, after[1].1), (1, 2), "with its keypoints");
}

/// GStreamer drops them; programs in any language need them.
#[test]
fn parameters_are_there_again_behind_a_scaler() {
    let out = through("videoscale ! capsfilter caps=video/x-raw,width=640,height=480", frame_with(sample()));
    let metas: Vec<_> = out.iter_meta::<VideoRegionOfInterestMeta>().collect();
    assert_eq!(metas.iter().map(|m| (m.id(), m.params().count())).collect::<Vec<_>>(), [(0, 1), (1, 2)]);
    assert_eq!(metas.iter().map(|m| m.rect()).collect::<Vec<_>>(), [(0, 120, 320, 336), (160, 144, 128, 288)]);
    let person = metas[1].param("detection").unwrap();
    assert_eq!((person.get::<f64>("confidence"), person.get::<i32>("label_id")), (Ok(0.75), Ok(11)));
}

/// Another detector may count like us and use the same labels.
#[test]
fn a_foreign_meta_with_our_id_and_label_stays_behind_a_scaler() {
    let mut buffer = frame_with(sample());
    VideoRegionOfInterestMeta::add(buffer.get_mut().unwrap(), "person", (200, 16, 32, 64)).set_id(1);
    let out = through("videoscale ! capsfilter caps=video/x-raw,width=640,height=480", buffer);
    let read = meta::read(&out, 640, 480);
    assert_eq!((&read.objects[..2], read.objects.len(), rois(&out)), (&sample().objects[..], 3, 3));
    assert_eq!(read.objects[2].rect, Rect::new(400.0 / 640.0, 32.0 / 480.0, 64.0 / 640.0, 128.0 / 480.0));
}

/// Without ROI metas none appear.
#[test]
fn a_record_alone_stays_alone() {
    let mut buffer = frame();
    meta::set_record_alone(buffer.get_mut().unwrap(), sample(), WIDTH, HEIGHT);
    let out = through("videoscale ! capsfilter caps=video/x-raw,width=640,height=480", buffer);
    assert_eq!((meta::record(&out), rois(&out)), (Some(sample()), 0));
}

/// The next model repairs what another program removed.
#[test]
fn metas_without_their_parameters_are_recreated() {
    let mut buffer = frame();
    let writable = buffer.get_mut().unwrap();
    meta::set_record_alone(writable, sample(), WIDTH, HEIGHT);
    VideoRegionOfInterestMeta::add(writable, "car", (0, 60, 160, 168)).set_id(0);
    VideoRegionOfInterestMeta::add(writable, "person", (80, 72, 64, 144)).set_id(1);
    assert_eq!(*meta::read(writable, WIDTH, HEIGHT), *sample(), "they are those of the record");
    meta::set_record(writable, sample(), WIDTH, HEIGHT);
    let metas: Vec<_> = buffer.iter_meta::<VideoRegionOfInterestMeta>().collect();
    assert_eq!(metas.iter().map(|m| (m.id(), m.params().count())).collect::<Vec<_>>(), [(0, 1), (1, 2)]);
}

/// The record says where an object is; one of its ROI metas that another program moved isn't another object.
#[test]
fn a_moved_meta_is_the_same_object() {
    let mut buffer = frame_with(sample());
    buffer.get_mut().unwrap().foreach_meta_mut(|mut meta| {
        if let Some(roi) = meta.downcast_mut::<VideoRegionOfInterestMeta>() {
            roi.set_rect((1, 2, 30, 40));
        }
        std::ops::ControlFlow::Continue(gst::buffer::BufferMetaForeachAction::Keep)
    });
    assert_eq!(*meta::read(&buffer, WIDTH, HEIGHT), *sample());
    meta::set_record(buffer.get_mut().unwrap(), sample(), WIDTH, HEIGHT);
    assert_eq!(rois(&buffer), 2);
}

#[test]
fn foreign_objects_are_read_once_and_after_ours() {
    let mut buffer = frame_with(sample());
    let writable = buffer.get_mut().unwrap();
    // Same id and label as ours, different position.
    VideoRegionOfInterestMeta::add(writable, "person", (200, 16, 32, 64)).set_id(1);
    let mut face = VideoRegionOfInterestMeta::add(writable, "face", (210, 20, 16, 16));
    face.set_id(7);
    face.set_parent_id(1);
    let detection = gst::Structure::builder("detection")
        .field("confidence", 0.5f64)
        .field("label_id", 3)
        .field("x_min", 0.656f64)
        .field("x_max", 0.706f64)
        .field("y_min", 0.083f64)
        .field("y_max", 0.15f64)
        .build();
    face.add_param(detection);

    let all = meta::read(&buffer, WIDTH, HEIGHT);
    assert_eq!(all.objects.len(), 4);
    assert_eq!(all.objects[..2], sample().objects);
    assert_eq!(all.models, sample().models);
    let person = &all.objects[2];
    assert_eq!((person.id, &*person.label, person.class_id, person.confidence), (2, "person", None, 1.0));
    assert_eq!(person.rect, Rect::new(0.625, 16.0 / 240.0, 0.1, 64.0 / 240.0));
    let face = &all.objects[3];
    assert_eq!((face.id, face.parent, face.class_id, face.confidence), (3, Some(2), Some(3), 0.5));
    assert_eq!(face.rect, Rect::from_corners(0.656, 0.083, 0.706, 0.15));
}

/// DL Streamer's detector of oriented boxes: the box before its rotation, and the rotation.
#[test]
fn a_foreign_rotation_is_read() {
    let mut buffer = frame();
    let writable = buffer.get_mut().unwrap();
    let mut ship = VideoRegionOfInterestMeta::add(writable, "ship", (110, 100, 100, 40));
    let detection = |rotation: f64| {
        gst::Structure::builder("detection")
            .field("confidence", 0.5f64)
            .field("x_min", 110.0 / 320.0)
            .field("x_max", 210.0 / 320.0)
            .field("y_min", 100.0 / 240.0)
            .field("y_max", 140.0 / 240.0)
            .field("rotation", rotation)
            .build()
    };
    ship.add_param(detection(0.5));
    let mut upright = VideoRegionOfInterestMeta::add(writable, "boat", (110, 100, 100, 40));
    upright.add_param(detection(0.0));
    let read = meta::read(&buffer, WIDTH, HEIGHT);
    let [ship, boat] = &read.objects[..] else { panic!("{read:?}") };
    assert_eq!((boat.oriented, boat.rect), (None, Rect::from_corners(0.34375, 100.0 / 240.0, 0.65625, 140.0 / 240.0)));
    let oriented = ship.oriented.unwrap().scaled(WIDTH as f32, HEIGHT as f32);
    let near = |a: f32, b: f32| (a - b).abs() < 0.01;
    assert!(near(oriented.angle(), 0.5) && near(oriented.size().0, 100.0) && near(oriented.centre().0, 160.0));
    let (around, rect) = (oriented.enclosing(), ship.rect.scaled(WIDTH as f32, HEIGHT as f32));
    assert!(near(around.x, rect.x) && near(around.y, rect.y) && near(around.w, rect.w) && near(around.h, rect.h));
    // Taken over into a record of ours it is still one object.
    meta::set_record(buffer.get_mut().unwrap(), read.clone(), WIDTH, HEIGHT);
    assert_eq!(meta::read(&buffer, WIDTH, HEIGHT).objects.len(), 2);
}

#[test]
fn foreign_parameters_of_any_kind_are_read() {
    let mut buffer = frame();
    let writable = buffer.get_mut().unwrap();
    // If pixels contradict the parameters, as after a crop, the pixels count.
    let mut moved = VideoRegionOfInterestMeta::add(writable, "cat", (0, 0, 160, 120));
    let detection = gst::Structure::builder("detection")
        .field("confidence", f64::NAN)
        .field("label_id", -1)
        .field("x_min", 0.5f64)
        .field("x_max", 1.0f64)
        .field("y_min", 0.5f64)
        .field("y_max", 1.0f64)
        .build();
    moved.add_param(detection);
    let mut other = VideoRegionOfInterestMeta::add(writable, "", (10, 10, 4_000_000_000, 4_000_000_000));
    other.add_param(gst::Structure::builder("roi/encoder").field("delta-qp", -5).build());
    other.add_param(gst::Structure::builder("result").field("confidence", 7.0f32).build());
    let all = meta::read(&buffer, WIDTH, HEIGHT);
    let [cat, other] = &all.objects[..] else { panic!("{all:?}") };
    assert_eq!((cat.rect, cat.confidence, cat.class_id), (Rect::new(0.0, 0.0, 0.5, 0.5), 1.0, None));
    assert_eq!((other.id, &*other.label, other.confidence), (1, "", 1.0));
    assert!(meta::read(&buffer, 0, 0).objects.iter().all(|o| o.rect.x.is_finite() && o.rect.w.is_finite()));
}

/// Elements written in C may leave a ROI meta without a type.
#[test]
fn a_meta_without_type_is_an_object_without_label() {
    let mut buffer = frame();
    let buffer = buffer.get_mut().unwrap();
    // SAFETY: the buffer is valid and writable; 0 is a quark that C code may pass.
    let meta = unsafe {
        gst_video::ffi::gst_buffer_add_video_region_of_interest_meta_id(buffer.as_mut_ptr(), 0, 1, 2, 30, 40)
    };
    assert!(!meta.is_null());
    assert_eq!(&*meta::read(buffer, WIDTH, HEIGHT).objects[0].label, "");
}

fn tensor(width: u32) -> Arc<Tensor> {
    let spec = InputSpec {
        width,
        height: 32,
        layout: Layout::Nchw,
        element: ElementType::F32,
        normalization: Normalization::UNIT,
        bgr: false,
        resize: Resize::LETTERBOX,
        pad: 114,
    };
    let data = vec![0; spec.elements() * spec.element.size()];
    Arc::new(Tensor { spec, region: Rect::new(0.0, 0.0, WIDTH as f32, HEIGHT as f32), data: TensorData::Host(data) })
}

#[test]
fn tensors_stay_with_unchanged_pixels_only() {
    let with_two = || {
        let mut buffer = frame();
        meta::attach_tensor(buffer.get_mut().unwrap(), tensor(32));
        meta::attach_tensor(buffer.get_mut().unwrap(), tensor(64));
        buffer
    };
    let widths = |buffer: &gst::BufferRef| meta::tensors(buffer).iter().map(|t| t.spec.width).collect::<Vec<_>>();
    for keeps in ["identity", "tee ! queue"] {
        assert_eq!(widths(&through(keeps, with_two())), [32, 64], "{keeps}");
    }
    assert_eq!(widths(&with_two().copy()), [32, 64]);
    for drops in [
        "videoscale ! capsfilter caps=video/x-raw,width=160,height=120",
        "videoconvert ! capsfilter caps=video/x-raw,format=NV12",
        "videoconvertscale ! capsfilter caps=video/x-raw,format=NV12,width=160,height=120",
        "videoflip video-direction=horiz",
        "videocrop left=8",
    ] {
        assert!(widths(&through(drops, with_two())).is_empty(), "{drops}");
    }
}

/// GStreamer 1.28 says what its elements do; before, nothing is left. `survival` compares with the pixels.
#[test]
fn a_turned_or_cropped_frame_has_no_stale_boxes() {
    let is_told = gst::version() >= (1, 28, 0, 0);
    // The car reaches beyond the left edge; the person's keypoints are at 0.3, 0.45 and 0.4, 0.6.
    for (elements, car, person, points) in [
        (
            "videoflip video-direction=horiz",
            Rect::new(0.5, 0.25, 0.5, 0.7),
            Rect::new(0.55, 0.3, 0.2, 0.6),
            [(0.7, 0.45, 0.9), (0.6, 0.6, 0.1)],
        ),
        (
            "videocrop left=100",
            Rect::new(0.0, 0.25, 60.0 / 220.0, 0.7),
            Rect::new(0.0, 0.3, 44.0 / 220.0, 0.6),
            [(-4.0 / 220.0, 0.45, 0.0), (28.0 / 220.0, 0.6, 0.1)],
        ),
    ] {
        let out = through(elements, frame_with(sample()));
        if !is_told {
            assert_eq!((meta::record(&out), rois(&out)), (None, 0), "{elements}");
            continue;
        }
        let record = meta::record(&out).unwrap();
        let close = |a: f32, b: f32| (a - b).abs() < 1e-5;
        let same = |a: &Rect, b: &Rect| close(a.x, b.x) && close(a.y, b.y) && close(a.w, b.w) && close(a.h, b.h);
        let [found_car, found_person] = &record.objects[..] else { panic!("{record:?}") };
        assert!(same(&found_car.rect, &car) && same(&found_person.rect, &person), "{elements}: {record:?}");
        assert_eq!((found_person.parent, &record.models), (Some(0), &sample().models), "{elements}");
        let found = &found_person.keypoints.as_ref().unwrap().points;
        for (point, (x, y, confidence)) in found.iter().zip(points) {
            assert!(close(point.x, x) && close(point.y, y) && point.confidence == confidence, "{elements}: {found:?}");
        }
        assert_eq!(rois(&out), 2, "{elements}");
    }
}

/// What a scaler makes of a 1080p frame's metadata.
fn scaled(buffer: &gst::BufferRef) -> gst::Buffer {
    let info =
        |width, height| gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, width, height).build().unwrap();
    let (from, to) = (info(1920, 1080), info(960, 540));
    let scale = gst_video::video_meta::VideoMetaTransformScale::new(&from, &to);
    let mut out = gst::Buffer::new();
    buffer.foreach_meta(|meta| {
        // Metas that can't be scaled are omitted, as by the element.
        let _ = meta.transform(out.get_mut().unwrap(), &scale);
        std::ops::ControlFlow::Continue(())
    });
    out
}

/// 20 objects on a 1080p frame that already has a record, as for the second of two models. The limit is for an optimised
/// build; a debug build only prints the figure.
#[test]
fn cost_per_frame() {
    const ROUNDS: u32 = if cfg!(debug_assertions) { 50 } else { 2000 };
    let at = |y: f32| {
        let objects = (0..20).map(|i| object(i, "person", Rect::new(i as f32 / 25.0, y, 0.1, 0.5)));
        Arc::new(Record { objects: objects.collect(), models: vec![], ..Record::default() })
    };
    // No object of one matches the other's, so each mirror is created completely.
    let mut records = [at(0.2), at(0.4)];
    let mut buffer = frame();
    let buffer = buffer.get_mut().unwrap();
    let mut time = |what: &str, work: &mut dyn FnMut(&mut gst::BufferRef)| {
        // The minimum of several runs: other processes can only add to the time.
        let best = (0..10)
            .map(|_| {
                let start = std::time::Instant::now();
                (0..ROUNDS).for_each(|_| work(buffer));
                start.elapsed() / ROUNDS
            })
            .min()
            .unwrap();
        println!("{what}: {best:?}");
        best
    };
    let set = time("replace a record of 20 objects", &mut |b| {
        records.swap(0, 1);
        meta::set_record(b, records[0].clone(), 1920, 1080);
    });
    let read = time("read a record of 20 objects", &mut |b| assert_eq!(meta::read(b, 1920, 1080).objects.len(), 20));
    let follow = time("follow a scaled picture with 20 objects", &mut |b| assert_eq!(rois(&scaled(b)), 20));
    if !cfg!(debug_assertions) {
        let times = [set, read, follow].map(|time| time.as_micros());
        assert!(times.iter().zip([50, 10, 60]).all(|(time, limit)| *time <= limit), "{times:?}");
    }
}
