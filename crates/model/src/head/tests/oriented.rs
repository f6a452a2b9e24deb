//! YOLO-OBB: recognition, decoding and suppression.

use super::super::super::{OrientedBox, nms};
use super::*;

const AERIAL: [(&str, &str); 3] =
    [("author", "Ultralytics"), ("task", "obb"), ("names", "{0: 'plane', 1: 'ship', 2: 'bridge'}")];

#[test]
fn oriented_boxes_are_recognised_by_their_task() {
    let with = |more: &[(&'static str, &'static str)]| [&AERIAL[..], more].concat();
    for (shape, metadata, name) in [
        (&[1, 8, 8400][..], with(&[]), "yolo-obb"),
        (&[-1, 8, -1], with(&[("imgsz", "[640, 640]")]), "yolo-obb"),
        (&[1, 8400, 8], with(&[]), "yolo-obb"),
        // YOLO26, with and without `end2end=False`; NMS inside.
        (&[1, 300, 7], with(&[("end2end", "True")]), "yolo-obb-end-to-end"),
        (&[-1, 300, -1], with(&[("end2end", "True")]), "yolo-obb-end-to-end"),
        (&[1, 8, 8400], with(&[("end2end", "False")]), "yolo-obb"),
        (&[1, 100, 7], with(&[("end2end", "False"), ("args", "{'nms': True}")]), "yolo-obb-end-to-end"),
        // Before the entry `end2end`.
        (&[1, 300, 7], with(&[]), "yolo-obb-end-to-end"),
    ] {
        let found = recognise(&model(&FIXED, &[shape], &metadata), HeadChoice::Auto).unwrap();
        assert_eq!(
            (found.head.name(), found.head.classes(), found.reading.trust),
            (name, 3, Trust::Vouched),
            "{shape:?}"
        );
        assert_eq!(found.head.needs_nms(), name == "yolo-obb");
        assert_eq!(&*found.head.labels().get(1), "ship");
        assert_eq!((found.input.pad, found.input.resize), (114, Resize::LETTERBOX));
    }
    // As many columns as an RT-DETR with two classes has, but that has no directions.
    let two = [("author", "Ultralytics"), ("task", "obb"), ("names", "['a', 'b']")];
    assert_eq!(known(&model(&FIXED, &[&[1, 300, 7]], &two)).0.name(), "yolo-obb-end-to-end");
    // Without names as many classes as there are channels for.
    let (head, _) = known(&model(&FIXED, &[&[1, 20, 8400]], &[("task", "obb")]));
    assert_eq!((head.name(), head.class_count()), ("yolo-obb", Some(15)));
    let (head, _) = known(&model(&FIXED, &[&[1, 300, 7]], &[("task", "obb"), ("end2end", "True")]));
    assert_eq!((head.name(), head.class_count()), ("yolo-obb-end-to-end", None));
}

#[test]
fn what_the_file_does_not_say_has_to_be_said() {
    let chosen = |choice, shape: &[i64], metadata: &[(&str, &str)]| {
        let found = recognise(&model(&FIXED, &[shape], metadata), choice).unwrap();
        (found.head.name(), found.head.class_count())
    };
    assert_eq!(chosen(HeadChoice::YoloObb, &[1, 20, 8400], &[]), ("yolo-obb", Some(15)));
    assert_eq!(chosen(HeadChoice::YoloObb, &[1, 8400, 20], &[]), ("yolo-obb", Some(15)));
    assert_eq!(chosen(HeadChoice::YoloObb, &[1, 8, 8400], &[AERIAL[2]]), ("yolo-obb", Some(3)));
    assert_eq!(chosen(HeadChoice::YoloObbEndToEnd, &[1, 300, 7], &[]), ("yolo-obb-end-to-end", None));
    for (choice, shape, metadata) in [
        (HeadChoice::YoloObb, &[1, 7, 8400][..], &[AERIAL[2]][..]),
        (HeadChoice::YoloObb, &[1, 300, 7], &[]),
        (HeadChoice::YoloObb, &[1, 5, 8400], &[]),
        (HeadChoice::YoloObbEndToEnd, &[1, 300, 6], &[]),
        (HeadChoice::YoloObbEndToEnd, &[1, 20, 8400], &[]),
        (HeadChoice::Yolo, &[1, 8, 8400], &AERIAL),
        (HeadChoice::YoloEndToEnd, &[1, 300, 7], &AERIAL),
    ] {
        let text = refused_as(choice, &model(&FIXED, &[shape], metadata));
        assert!(text.contains(&format!("head={} doesn't fit", choice.nick())), "{choice:?} {shape:?}: {text}");
    }
    for (shape, metadata, words) in [
        (&[1, 300, 7][..], &[][..], &["yolo-obb-end-to-end", "ultralytics-rt-detr of an older export: 3 classes"][..]),
        (&[1, 8, 8400], &[AERIAL[2]], &["names 3 classes", "but the output has 8", "yolo-obb: 3 classes and an angle"]),
        (&[1, 9, 8400], &AERIAL, &["8 channels with the box and the angle, but the output has 9"]),
        (&[1, 300, 6], &[AERIAL[0], AERIAL[1], ("names", "['a']"), ("end2end", "True")], &["don't have 7 columns"]),
    ] {
        let text = refused(&model(&FIXED, &[shape], metadata));
        for word in words {
            assert!(text.contains(word), "{word} in {text}");
        }
    }
}

fn detection(values: [f32; 5], class_id: u32, confidence: f32) -> Detection {
    let [cx, cy, w, h, angle] = values;
    let oriented = OrientedBox::new(cx, cy, w, h, angle).unwrap();
    let rect = oriented.enclosing();
    Detection { rect, oriented: Some(oriented), class_id, confidence, ..Detection::default() }
}

#[test]
fn anchors_and_rows_become_oriented_boxes() {
    let boxes = [
        ([100.0, 80.0, 40.0, 10.0, 0.5], 1, 0.9),
        ([30.0, 200.0, 12.0, 60.0, 2.3], 0, 0.75),
        ([400.0, 300.0, 20.0, 20.0, -7.0], 2, 0.5),
    ];
    let expected = boxes.map(|(values, class, confidence)| detection(values, class, confidence));
    let columns = boxes.map(|([cx, cy, w, h, angle], class, confidence)| {
        let scores = [0, 1, 2].map(|c| if c == class { confidence } else { 0.1 });
        [cx, cy, w, h, scores[0], scores[1], scores[2], angle]
    });
    let (rows, odd) = (columns.concat(), [f32::NAN, 0.0, 1.0, 1.0, 0.9, 0.0, 0.0, 0.0]);
    let anchors_first = [&rows[..], &odd].concat();
    let channels_first: Vec<f32> =
        (0..8).flat_map(|c| (0..4).map(move |a| (a, c))).map(|(a, c)| anchors_first[8 * a + c]).collect();
    let (head, _) = known(&model(&FIXED, &[&[1, 8, 8400]], &AERIAL));
    assert_eq!(decode(&*head, &[(&[8, 4], &channels_first)], &Params::default()), expected);
    let (head, _) = known(&model(&FIXED, &[&[1, 8400, 8]], &AERIAL));
    assert_eq!(decode(&*head, &[(&[4, 8], &anchors_first)], &Params::default()), expected);
    let only = Params { classes: Some([0].into()), ..Params::default() };
    assert_eq!(decode(&*head, &[(&[4, 8], &anchors_first)], &only), expected[1..2]);

    let row = |([cx, cy, w, h, angle], class, confidence): ([f32; 5], u32, f32)| {
        [cx, cy, w, h, confidence, class as f32, angle]
    };
    let nothing = [0.0; 7];
    let rows = [row(boxes[2]), row(boxes[0]), nothing, row(boxes[1])].concat();
    let (head, _) = known(&model(&FIXED, &[&[1, 300, 7]], &AERIAL));
    assert_eq!(decode(&*head, &[(&[4, 7], &rows)], &Params::default()), expected);
    let params = Params { max_detections: 1, confidence: 0.6, ..Params::default() };
    assert_eq!(decode(&*head, &[(&[4, 7], &rows)], &params), expected[..1]);
    for shape in [&[4, 8][..], &[5, 7], &[28]] {
        assert!(head.decode(&[Output { shape, data: &rows }], &Params::default(), &mut Vec::new()).is_err());
    }
}

/// Two ships side by side, turned by an eighth: their upright boxes overlap by more than a half, they don't.
#[test]
fn neighbours_that_are_turned_are_two() {
    let ship = |shift: f32, confidence| {
        let [x, y] = [100.0 + 6.0 * shift, 100.0 - 6.0 * shift];
        detection([x, y, 80.0, 12.0, std::f32::consts::FRAC_PI_4], 1, confidence)
    };
    let mut found = vec![ship(0.0, 0.8), ship(2.0, 0.9), ship(0.1, 0.7)];
    assert!(found[0].rect.iou(&found[1].rect) > 0.45);
    let expected = [found[1].clone(), found[0].clone()];
    nms(&mut found, &Params::default());
    assert_eq!(found, expected);
    // Points of the frame.
    found[0].map_points(|x, y| (x / 200.0, y / 100.0));
    let [[x, y], ..] = found[0].oriented.unwrap().corners;
    let [[wx, wy], ..] = expected[0].oriented.unwrap().corners;
    assert_eq!((x, y), (wx / 200.0, wy / 100.0));
}
