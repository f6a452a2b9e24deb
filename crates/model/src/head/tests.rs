//! Tests of recognition by shapes and metadata, and of each head's decoding against a direct implementation of its
//! definition.

use super::super::{
    Detection, ElementType, InputSpec, Keypoint, Layout, ModelInfo, Normalization, Params, Rect, Resize, TensorInfo,
};
use super::{Head, HeadChoice, HeadError, HeadKind, Output, Trust, recognise};
use proptest::prelude::*;
use std::sync::Arc;

const NAMES: [(&str, &str); 2] = [("task", "detect"), ("names", "{0: 'red', 1: 'green', 2: 'blue'}")];

fn tensor(name: &str, element: ElementType, shape: &[i64]) -> TensorInfo {
    TensorInfo { name: name.into(), element, shape: shape.to_vec() }
}

fn model(input: &[i64], outputs: &[&[i64]], metadata: &[(&str, &str)]) -> ModelInfo {
    let f32 = ElementType::F32;
    ModelInfo {
        inputs: vec![tensor("images", f32, input)],
        outputs: outputs.iter().enumerate().map(|(i, shape)| tensor(&format!("output{i}"), f32, shape)).collect(),
        metadata: metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        gst_model_info: None,
        image_processor: None,
    }
}

/// Metadata with names for `classes` classes.
fn names(classes: usize) -> String {
    format!("{{{}}}", (0..classes).map(|i| format!("{i}: 'n{i}'")).collect::<Vec<_>>().join(", "))
}

fn known(model: &ModelInfo) -> (Arc<dyn Head>, InputSpec) {
    let recognised = recognise(model, HeadChoice::Auto).unwrap_or_else(|e| panic!("{model:?}: {e}"));
    (recognised.head, recognised.input)
}

fn refused(model: &ModelInfo) -> String {
    refused_as(HeadChoice::Auto, model)
}

fn refused_as(choice: HeadChoice, model: &ModelInfo) -> String {
    match recognise(model, choice) {
        Err(HeadError::Unknown(text)) => text,
        other => panic!("{model:?}: {other:?}"),
    }
}

fn decode(head: &dyn Head, outputs: &[(&[usize], &[f32])], params: &Params) -> Vec<Detection> {
    let outputs: Vec<_> = outputs.iter().map(|&(shape, data)| Output { shape, data }).collect();
    let mut found = Vec::new();
    head.decode(&outputs, params, &mut found).unwrap();
    found
}

const FIXED: [i64; 4] = [1, 3, 640, 640];

const CHOICES: [HeadChoice; 33] = [
    HeadChoice::Auto,
    HeadChoice::Yolo,
    HeadChoice::YoloEndToEnd,
    HeadChoice::YoloPose,
    HeadChoice::YoloPoseEndToEnd,
    HeadChoice::YoloSeg,
    HeadChoice::YoloSegEndToEnd,
    HeadChoice::Nanodet,
    HeadChoice::Movenet,
    HeadChoice::MovenetMultipose,
    HeadChoice::UltralyticsRtDetr,
    HeadChoice::RtDetr,
    HeadChoice::DFine,
    HeadChoice::DeimV2,
    HeadChoice::RfDetr,
    HeadChoice::DetrSigmoid,
    HeadChoice::DetrSoftmax,
    HeadChoice::Yolox,
    HeadChoice::YoloxDecoded,
    HeadChoice::Yolov5,
    HeadChoice::PpYoloe,
    HeadChoice::Picodet,
    HeadChoice::DamoYolo,
    HeadChoice::YoloObb,
    HeadChoice::YoloObbEndToEnd,
    HeadChoice::ClassificationSoftmax,
    HeadChoice::ClassificationLogits,
    HeadChoice::Embedding,
    HeadChoice::Simcc,
    HeadChoice::Rtmo,
    HeadChoice::Heatmap,
    HeadChoice::HeatmapDark,
    HeadChoice::HeatmapUdp,
];

#[test]
fn released_exports_are_recognised_by_their_shapes() {
    let cases: [(&[i64], &str, usize, HeadKind); 5] = [
        (&[1, 84, 8400], "yolo", 80, HeadKind::Detection),
        (&[1, 7, 8400], "yolo", 3, HeadKind::Detection),
        (&[1, 300, 6], "yolo-end-to-end", 80, HeadKind::Detection),
        (&[1, 56, 8400], "yolo-pose", 1, HeadKind::Pose),
        (&[1, 300, 57], "yolo-pose-end-to-end", 1, HeadKind::Pose),
    ];
    for (shape, name, classes, kind) in cases {
        let (head, spec) = known(&model(&FIXED, &[shape], &[]));
        assert_eq!((head.name(), head.classes(), head.kind()), (name, classes, kind), "{shape:?}");
        assert_eq!(head.keypoints().map_or(0, |k| k.names.len()), if kind == HeadKind::Pose { 17 } else { 0 });
        assert_eq!(head.needs_nms(), !name.ends_with("end-to-end"));
        assert_eq!((spec.width, spec.height, spec.layout), (640, 640, Layout::Nchw));
        assert_eq!(
            (spec.normalization, spec.pad, spec.bgr, spec.resize),
            (Normalization::UNIT, 114, false, Resize::LETTERBOX)
        );
    }
    let (head, _) = known(&model(&FIXED, &[&[1, 84, 8400]], &[]));
    assert_eq!(&*head.labels().get(2), "car");
    assert_eq!(&*known(&model(&FIXED, &[&[1, 56, 8400]], &[])).0.labels().get(0), "person");
}

#[test]
fn metadata_decides_where_shapes_do_not() {
    let dynamic = [-1, 3, -1, -1];
    let coco = names(80);
    let detect = [("task", "detect"), ("names", coco.as_str()), ("imgsz", "[384, 640]")];
    let with = |more: &[(&'static str, &'static str)]| [&detect[..], more].concat();
    let name = |shape: &[i64], metadata: &[(&str, &str)]| known(&model(&dynamic, &[shape], metadata)).0.name();
    // This is a dynamic export; the order of `imgsz` is height, width.
    let (head, spec) = known(&model(&dynamic, &[&[-1, 84, -1]], &detect));
    assert_eq!((head.name(), head.classes(), spec.width, spec.height), ("yolo", 80, 640, 384));
    assert_eq!(&*head.labels().get(79), "n79");
    assert_eq!(name(&[-1, -1, -1], &detect), "yolo");
    assert_eq!(name(&[-1, -1, 84], &detect), "yolo");
    // End-to-end exports have a dynamic last dimension too.
    assert_eq!(name(&[-1, 300, -1], &with(&[("end2end", "True")])), "yolo-end-to-end");
    assert_eq!(name(&[-1, 300, -1], &detect), "yolo-end-to-end");
    assert_eq!(name(&[-1, 100, 6], &with(&[("end2end", "False"), ("args", "{'nms': True}")])), "yolo-end-to-end");
    // 296 classes make 300 channels.
    let many = names(296);
    assert_eq!(name(&[-1, 300, -1], &[("task", "detect"), ("names", &many), ("imgsz", "640")]), "yolo");
    // 52 classes make 56 channels, as many as a pose model has.
    let many = names(52);
    assert_eq!(name(&[-1, 56, -1], &[("task", "detect"), ("names", &many), ("imgsz", "640")]), "yolo");
    // Transposed.
    let (head, _) = known(&model(&FIXED, &[&[1, 8400, 7]], &NAMES));
    assert_eq!((head.name(), head.classes()), ("yolo", 3));
    // Two classes: six channels, but as many rows as anchors.
    let two = [("task", "detect"), ("names", "['a', 'b']")];
    assert_eq!(known(&model(&FIXED, &[&[1, 8400, 6]], &two)).0.name(), "yolo");
}

#[test]
fn pose_exports_take_their_keypoints_from_the_metadata() {
    let eighty = names(80);
    let (head, _) =
        known(&model(&FIXED, &[&[1, 135, 8400]], &[("task", "pose"), ("names", &eighty), ("kpt_shape", "[17, 3]")]));
    assert_eq!((head.name(), head.classes()), ("yolo-pose", 80));
    assert_eq!(head.keypoints().unwrap().name, "coco-17");
    let hand = [("task", "pose"), ("names", "{0: 'hand'}"), ("kpt_shape", "[21, 2]")];
    let (head, _) = known(&model(&FIXED, &[&[1, 47, 8400]], &hand));
    assert_eq!((head.classes(), head.keypoints().unwrap().names.len()), (1, 21));
    let rows = [&hand[..], &[("end2end", "True")]].concat();
    let (head, _) = known(&model(&FIXED, &[&[1, 300, 48]], &rows));
    assert_eq!((head.name(), head.kind()), ("yolo-pose-end-to-end", HeadKind::Pose));
}

#[test]
fn what_cannot_be_told_apart_is_refused() {
    let refused = |shapes: &[&[i64]], metadata: &[(&str, &str)]| refused(&model(&FIXED, shapes, metadata));
    // YOLOX under another name of its output (also with one class), RT-DETR, SimCC, a transposed export without names,
    // and plain rows.
    refused(&[&[1, 8400, 85]], &[]);
    refused(&[&[1, 25200, 6]], &[("names", "['a', 'b', 'c']")]);
    refused(&[&[1, 8400, 6]], &[]);
    refused(&[&[1, 300, 84]], &[]);
    refused(&[&[1, 17, 384], &[1, 17, 512]], &[]);
    refused(&[&[1, 8400, 84]], &[]);
    refused(&[&[-1, -1, -1]], &[]);
    refused(&[&[1000]], &[]);
    refused(&[], &[]);
    refused(&[&[1, 0, 8400]], &[]);
    let rtdetr = refused(&[&[1, 300, 6]], &[("task", "detect"), ("names", "['a', 'b']")]);
    assert!(rtdetr.contains("RT-DETR"), "{rtdetr}");
    refused(&[&[1, 300, 6]], &[("task", "detect"), ("names", "['a', 'b']"), ("end2end", "False")]);
    let text = refused(&[&[1, 84, 8400]], &NAMES);
    assert!(text.contains("names 3 classes") && text.contains("has 84"), "{text}");
}

#[test]
fn the_error_says_what_was_seen_and_what_is_known() {
    let metadata = [("task", "depth"), ("names", "{0: 'a'}")];
    let text = refused(&model(&FIXED, &[&[1, 6, 8400], &[1, 32, 160, 160]], &metadata));
    for part in
        ["\"depth\"", "output0 f32 [1, 6, 8400]", "output1 f32 [1, 32, 160, 160]", "images f32 [1, 3, 640, 640]"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    for name in
        ["yolo ", "yolo-end-to-end", "yolo-pose ", "yolo-pose-end-to-end", "nanodet", "movenet ", "movenet-multipose"]
    {
        assert!(text.contains(name), "{name} in {text}");
    }
    // Each known head has a separate, indented line.
    let lines = text.lines().skip_while(|line| *line != "known heads:").skip(1).take(32);
    assert!(lines.clone().count() == 32 && lines.clone().all(|line| line.starts_with("  ")), "{text}");
    for task in ["classify", "depth"] {
        assert!(refused(&model(&FIXED, &[&[1, 84, 8400]], &[("task", task)])).contains(task));
    }
}

#[test]
fn the_input_is_read_off_the_model() {
    let with = |element, shape: &[i64]| {
        let mut model = model(shape, &[&[-1, 7, -1]], &NAMES);
        model.inputs[0].element = element;
        model
    };
    let (_, spec) = known(&with(ElementType::U8, &[-1, 320, 416, 3]));
    assert_eq!((spec.layout, spec.width, spec.height), (Layout::Nhwc, 416, 320));
    assert_eq!((spec.element, spec.normalization), (ElementType::U8, Normalization::NONE));
    let (_, spec) = known(&with(ElementType::F16, &[1, 3, 320, 416]));
    assert_eq!((spec.element, spec.normalization), (ElementType::F16, Normalization::UNIT));
    assert_eq!(known(&with(ElementType::I32, &FIXED)).1.normalization, Normalization::NONE);
    for (element, shape, part) in [
        (ElementType::I64, &FIXED[..], "i64"),
        (ElementType::F32, &[1, 3, 640], "four dimensions"),
        (ElementType::F32, &[1, 1, 640, 640], "three channels"),
        (ElementType::F32, &[1, 3, -1, 640], "imgsz"),
        (ElementType::F32, &[1, 3, 1 << 40, 640], "8192"),
    ] {
        let text = refused(&with(element, shape));
        assert!(text.contains(part), "{part} in {text}");
    }
    let mut two = with(ElementType::F32, &FIXED);
    two.inputs.push(tensor("sizes", ElementType::I64, &[1, 2]));
    assert!(refused(&two).contains("sizes"));
}

#[test]
fn impossible_numbers_of_classes_and_keypoints_are_refused() {
    let many = 1i64 << 62;
    let text = refused_as(HeadChoice::Yolo, &model(&FIXED, &[&[1, many, many + 1]], &[]));
    assert!(text.contains(&format!("{} classes", many - 4)), "{text}");
    let text = refused_as(HeadChoice::YoloPose, &model(&FIXED, &[&[1, 5 + 3 * (many / 4), -1]], &[]));
    assert!(text.contains(&format!("{} keypoints", many / 4)), "{text}");
    // NanoDet-Plus has four strides of a 416 × 416 picture.
    let text = refused(&model(&[1, 3, 416, 416], &[&[1, 52 * 52 + 26 * 26 + 13 * 13 + 7 * 7, many]], &[]));
    assert!(text.contains(&format!("{} classes", many - 32)), "{text}");
}

proptest! {
    /// Every file gives a result or an error, but never a panic.
    #[test]
    fn recognition_never_panics(
        input in prop::collection::vec(prop_oneof![Just(-1i64), Just(3), 0i64..1000, any::<i64>()], 0..5),
        outputs in prop::collection::vec(
            prop::collection::vec(prop_oneof![Just(-1i64), Just(300), Just(6), Just(8400), any::<i64>()], 0..5), 0..7),
        task in prop_oneof![Just("detect"), Just("pose"), Just("x")],
        names in prop_oneof![Just("{0: 'a'}"), Just("[]"), Just("{7: 1}")],
        end2end: bool,
    ) {
        let end2end = if end2end { "True" } else { "False" };
        let outputs: Vec<&[i64]> = outputs.iter().map(Vec::as_slice).collect();
        let metadata = [("task", task), ("names", names), ("end2end", end2end)];
        for choice in CHOICES {
            let _ = recognise(&model(&input, &outputs, &metadata), choice);
            let _ = recognise(&model(&input, &outputs, &[]), choice);
        }
    }

    /// All three forms of the same anchors, with the reference written anchor by anchor.
    #[test]
    fn yolo_heads_agree_with_the_naive_form(
        seed in prop::collection::vec(0f32..1.0, 211),
        confidence in 0.3f32..1.0,
        pose: bool,
    ) {
        let (classes, keypoints, anchors) = (3, if pose { 17 } else { 0 }, 8400);
        let channels = 4 + classes + keypoints * 3;
        let at = |c: usize, a: usize| seed[(c * 37 + a) % seed.len()] * if c < 4 { 640.0 } else { 1.0 };
        let params = Params { confidence, ..Params::default() };
        let expected: Vec<_> = (0..anchors).filter_map(|a| {
            let best = (0..classes).fold(0, |best, c| if at(4 + c, a) > at(4 + best, a) { c } else { best });
            let confidence = at(4 + best, a);
            let first = 4 + classes;
            let point = |k: usize| {
                let [x, y, confidence] = [0, 1, 2].map(|i| at(first + 3 * k + i, a));
                Keypoint { x, y, confidence }
            };
            (confidence >= params.confidence).then(|| Detection {
                rect: Rect::new(at(0, a) - at(2, a) / 2.0, at(1, a) - at(3, a) / 2.0, at(2, a), at(3, a)),
                class_id: best as u32,
                confidence,
                keypoints: (0..keypoints).map(point).collect(),
                ..Detection::default()
            })
        }).collect();
        let metadata = if pose { [("task", "pose"), NAMES[1]] } else { NAMES };
        let (c, n) = (channels as i64, anchors as i64);
        let (head, _) = known(&model(&FIXED, &[&[1, c, n]], &metadata));
        let data: Vec<f32> = (0..channels * anchors).map(|i| at(i / anchors, i % anchors)).collect();
        prop_assert_eq!(&decode(&*head, &[(&[channels, anchors], &data)], &params), &expected);
        let (head, _) = known(&model(&FIXED, &[&[1, n, c]], &metadata));
        let data: Vec<f32> = (0..channels * anchors).map(|i| at(i % channels, i / channels)).collect();
        prop_assert_eq!(&decode(&*head, &[(&[anchors, channels], &data)], &params), &expected);
    }
}

#[test]
fn another_shape_than_recognised_is_an_error() {
    for (outputs, metadata) in [
        (vec![&[1i64, 84, 8400][..]], vec![]),
        (vec![&[1, 56, 8400]], vec![]),
        (vec![&[1, 300, 6]], vec![]),
        (vec![&[1, 8400, 7]], NAMES.to_vec()),
    ] {
        let (head, _) = known(&model(&FIXED, &outputs, &metadata));
        let data = [0.0; 12];
        for (shape, data) in
            [(&[3usize, 4][..], &data[..]), (&[84, 8400], &data), (&[12], &data), (&[0, 0], &[]), (&[], &[])]
        {
            let mut found = Vec::new();
            let error = head.decode(&[Output { shape, data }], &Params::default(), &mut found).unwrap_err();
            assert!(matches!(&error, HeadError::Shape(text) if text.contains(head.name())), "{error}");
        }
        assert!(head.decode(&[], &Params::default(), &mut Vec::new()).is_err());
    }
    // A shape without anchors is valid.
    let (head, _) = known(&model(&FIXED, &[&[-1, 84, -1]], &[]));
    assert_eq!(decode(&*head, &[(&[84, 0], &[])], &Params::default()), []);
}

#[test]
fn end_to_end_rows_come_sorted_and_filtered() {
    let (head, _) = known(&model(&FIXED, &[&[1, 300, 6]], &[]));
    let nan = f32::NAN;
    let rows = [
        [10.0, 20.0, 30.0, 60.0, 0.5, 2.0],
        [0.0, 0.0, 5.0, 5.0, 0.9, 0.0],
        [0.0, 0.0, 5.0, 5.0, 0.1, 0.0],
        [0.0, nan, 5.0, 5.0, 0.9, 0.0],
        [0.0, 0.0, 5.0, 5.0, nan, 0.0],
        [0.0, 0.0, 5.0, 5.0, 0.9, -1.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    ]
    .concat();
    let found = decode(&*head, &[(&[7, 6], &rows)], &Params::default());
    let one = |rect, class_id, confidence| Detection { rect, class_id, confidence, ..Detection::default() };
    let first = one(Rect::new(0.0, 0.0, 5.0, 5.0), 0, 0.9);
    assert_eq!(found, [first.clone(), one(Rect::new(10.0, 20.0, 20.0, 40.0), 2, 0.5)]);
    assert_eq!(decode(&*head, &[(&[7, 6], &rows)], &Params { max_detections: 1, ..Params::default() }), [first]);
}

#[test]
fn end_to_end_pose_rows() {
    let hand = [("task", "pose"), ("names", "{0: 'hand'}"), ("kpt_shape", "[2, 3]"), ("end2end", "True")];
    let (head, _) = known(&model(&FIXED, &[&[1, 300, 12]], &hand));
    let row = [1.0, 2.0, 3.0, 4.0, 0.5, 0.0, 10.0, 11.0, 0.25, f32::NAN, 11.0, 0.5];
    let found = decode(&*head, &[(&[1, 12], &row)], &Params::default());
    let points: Vec<_> = found[0].keypoints.iter().map(|k| (k.x, k.y, k.confidence)).collect();
    assert_eq!(points, [(10.0, 11.0, 0.25), (0.0, 0.0, 0.0)]);
}

fn movenet(input: [i64; 4], output: &[i64]) -> ModelInfo {
    let mut model = model(&input, &[output], &[]);
    model.inputs[0].element = ElementType::I32;
    model
}

#[test]
fn movenet_finds_one_person_by_its_keypoints() {
    let (head, spec) = known(&movenet([1, 192, 192, 3], &[1, 1, 17, 3]));
    assert_eq!((head.name(), head.kind(), head.needs_nms()), ("movenet", HeadKind::TopDownPose, false));
    assert_eq!((spec.layout, spec.element, spec.pad), (Layout::Nhwc, ElementType::I32, 0));
    assert_eq!((spec.normalization, spec.width, spec.resize), (Normalization::NONE, 192, Resize::LETTERBOX));
    // The values are y, x, score; the keypoints that aren't visible lie elsewhere.
    let mut values = [[0.9, 0.9, 0.1]; 17];
    values[0] = [0.25, 0.5, 0.9];
    values[16] = [0.75, 0.625, 0.7];
    let decode_it =
        |values: &[[f32; 3]; 17], params: &Params| decode(&*head, &[(&[1, 17, 3], values.as_flattened())], params);
    let low = Params { confidence: 0.1, ..Params::default() };
    let found = decode_it(&values, &low);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].rect, Rect::from_corners(96.0, 48.0, 120.0, 144.0));
    assert!((found[0].confidence - (0.9 + 0.7 + 15.0 * 0.1) / 17.0).abs() < 1e-6);
    assert_eq!((found[0].keypoints[16].x, found[0].keypoints[16].y), (120.0, 144.0));
    assert_eq!(decode_it(&values, &Params::default()), [], "the mean is below 0.25");
    values[16][2] = 0.1;
    assert_eq!(decode_it(&values, &low), [], "one visible keypoint isn't a person");
    assert!(decode_it(&[[f32::NAN; 3]; 17], &low).is_empty());
}

#[test]
fn movenet_finds_several_persons() {
    let (head, spec) = known(&movenet([1, -1, -1, 3], &[1, 6, 56]));
    assert_eq!((head.name(), head.kind()), ("movenet-multipose", HeadKind::Pose));
    assert_eq!((spec.width, spec.height), (256, 256));
    let mut values = [[0.0; 56]; 6];
    values[1][..3].copy_from_slice(&[0.5, 0.25, 0.8]);
    values[1][51..].copy_from_slice(&[0.25, 0.125, 0.75, 0.5, 0.6]);
    values[4][51..].copy_from_slice(&[0.0, 0.0, 1.0, 1.0, 0.7]);
    let found = decode(&*head, &[(&[6, 56], values.as_flattened())], &Params::default());
    assert_eq!(found.iter().map(|d| d.confidence).collect::<Vec<_>>(), [0.7, 0.6]);
    assert_eq!(found[1].rect, Rect::from_corners(32.0, 64.0, 128.0, 192.0));
    let nose = found[1].keypoints[0];
    assert_eq!((nose.x, nose.y, nose.confidence, found[1].keypoints.len()), (64.0, 128.0, 0.8, 17));
}

#[test]
fn nanodet_is_told_by_its_grids() {
    let legacy: [&[i64]; 6] =
        [&[1, 169, 80], &[1, 169, 44], &[1, 676, 80], &[1, 2704, 80], &[1, 676, 44], &[1, 2704, 44]];
    let (head, spec) = known(&model(&[1, 3, 416, 416], &legacy, &[]));
    assert_eq!((head.name(), head.classes(), head.needs_nms()), ("nanodet", 80, true));
    assert_eq!((spec.bgr, spec.resize, spec.pad), (true, Resize::LETTERBOX, 0));
    assert_eq!(spec.normalization.mean[0], 103.53);
    // NanoDet-m and -g in one output; NanoDet-Plus stretches.
    assert_eq!(known(&model(&[1, 3, 320, 320], &[&[1, 2100, 112]], &[])).1.resize, Resize::LETTERBOX);
    assert_eq!(known(&model(&[1, 3, 416, 416], &[&[1, 3549, 124]], &[])).1.resize, Resize::LETTERBOX);
    let (head, spec) = known(&model(&[1, 3, 320, 320], &[&[1, 2125, 35]], &[]));
    assert_eq!((head.classes(), spec.resize), (3, Resize::STRETCH));
    // There are as many classes as box channels, so only names can decide.
    let same: [&[i64]; 6] =
        [&[1, 169, 44], &[1, 169, 32], &[1, 676, 44], &[1, 2704, 44], &[1, 676, 32], &[1, 2704, 32]];
    assert!(refused(&model(&[1, 3, 416, 416], &same, &[])).contains("44 or 32"));
    let many = names(44);
    assert_eq!(known(&model(&[1, 3, 416, 416], &same, &[("names", &many)])).0.classes(), 44);
}

/// Distributions that are concentrated in one bin.
fn bins(at: [usize; 4], reg_max: usize) -> Vec<f32> {
    at.iter().flat_map(|&at| (0..=reg_max).map(move |i| if i == at { 50.0 } else { 0.0 })).collect()
}

#[test]
fn nanodet_boxes_are_distances_from_their_cell() {
    // 64 × 32 pixels: grids of 8 × 4, 4 × 2, 2 × 1. Scores come after the distributions here.
    let shapes: [&[i64]; 6] = [&[1, 32, 44], &[1, 8, 44], &[1, 2, 44], &[1, 32, 3], &[1, 8, 3], &[1, 2, 3]];
    let (head, _) = known(&model(&[1, 3, 32, 64], &shapes, &[]));
    let mut data: Vec<Vec<f32>> = shapes.iter().map(|s| vec![0.0; (s[1] * s[2]) as usize]).collect();
    // Row 1, column 2 of the grid of 4 × 2 at stride 16: its point is (40, 24).
    let cell = 4 + 2;
    data[4][cell * 3 + 1] = 0.75;
    data[1][cell * 44..][..44].copy_from_slice(&bins([1, 1, 1, 10], 10));
    data[1][cell * 44 + 33 + 10] = f32::NAN;
    let outputs = |data: &[Vec<f32>]| -> Vec<Detection> {
        let shapes: Vec<_> = shapes.iter().map(|s| [s[1] as usize, s[2] as usize]).collect();
        let outputs: Vec<_> = shapes.iter().zip(data).map(|(s, d)| (&s[..], &d[..])).collect();
        decode(&*head, &outputs, &Params::default())
    };
    assert_eq!(outputs(&data), [], "a distance that isn't a number");
    data[1][cell * 44..][..44].copy_from_slice(&bins([1, 1, 1, 10], 10));
    let found = outputs(&data);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].class_id, found[0].confidence), (1, 0.75));
    // The bottom, 160 pixels down, is clipped to the input.
    assert_eq!(found[0].rect, Rect::from_corners(24.0, 8.0, 56.0, 32.0));
}

#[test]
fn nanodet_plus_cells_begin_at_their_corner() {
    let rows = 64 + 16 + 4 + 1;
    let (head, _) = known(&model(&[1, 3, 64, 64], &[&[1, rows, 34]], &[]));
    let mut data = vec![0.0; rows as usize * 34];
    // Column 1 of row 1 at stride 16: its corner is (16, 16).
    let row = &mut data[(64 + 4 + 1) * 34..][..34];
    row[1] = 0.5;
    row[2..].copy_from_slice(&bins([1, 0, 2, 1], 7));
    let found = decode(&*head, &[(&[rows as usize, 34], &data)], &Params::default());
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].rect, found[0].class_id), (Rect::from_corners(0.0, 16.0, 48.0, 32.0), 1));
}

/// Another exporter's metadata counts more than the shapes.
#[test]
fn files_of_other_exporters_are_refused_by_their_name() {
    let detect = [("task", "detect"), NAMES[1]];
    let with = |more: &[(&'static str, &'static str)]| [&detect[..], more].concat();
    let libre = |family| with(&[("libreyolo_version", "1.6.0"), ("model_family", family)]);
    for family in ["rtmdet", "yolonas", "a-new-one"] {
        for shape in [&[1, 7, 8400][..], &[1, 8400, 7], &[-1, -1, -1]] {
            let text = refused(&model(&FIXED, &[shape], &libre(family)));
            assert!(
                text.contains("LibreYOLO 1.6.0") && text.contains(family) && text.contains("yolox, yolo9"),
                "{text}"
            );
        }
    }
    // The same for another task of a family whose detectors are read.
    let pose = with(&[("libreyolo_version", "1.6.0"), ("model_family", "yolo9"), ("task", "pose")]);
    let text = refused(&model(&FIXED, &[&[1, 7, 8400], &[1, 8400, 17, 3]], &pose));
    assert!(text.contains("task pose"), "{text}");
    // With an unknown author or family, only the user can declare that the file is like Ultralytics'.
    for more in [("author", "Megvii"), ("model_family", "foo")] {
        let model = model(&FIXED, &[&[1, 7, 8400]], &with(&[more]));
        let text = refused(&model);
        assert!(text.contains(more.1) && text.contains("head=NAME") && text.contains("yolo: 3 classes"), "{text}");
        let chosen = recognise(&model, HeadChoice::Yolo).unwrap();
        assert_eq!((chosen.head.name(), chosen.reading.trust), ("yolo", Trust::Plausible));
    }
}

#[test]
fn other_families_are_named_by_their_tensors() {
    let named = |inputs: &[(&str, &[i64])], outputs: &[(&str, &[i64])], words: &[&str]| {
        let tensors = |list: &[(&str, &[i64])]| list.iter().map(|(n, s)| tensor(n, ElementType::F32, s)).collect();
        let text = refused(&ModelInfo { inputs: tensors(inputs), outputs: tensors(outputs), ..ModelInfo::default() });
        for word in words {
            assert!(text.contains(word), "{word} in {text}");
        }
        assert!(text.starts_with("it looks like ") && text.contains("heads that are read: yolo, "), "{text}");
    };
    let image: (&str, &[i64]) = ("images", &FIXED);
    named(&[image], &[("dets", &[1, 100, 5]), ("labels", &[1, 100])], &["MMDetection"]);
    named(&[image], &[("output0", &[1, 25200, 117]), ("output1", &[1, 32, 160, 160])], &["segmentation", "YOLOv5"]);
}

#[test]
fn a_chosen_head_has_to_fit() {
    let chosen = |choice: HeadChoice, shape: &[i64], metadata: &[(&str, &str)]| {
        let found = recognise(&model(&FIXED, &[shape], metadata), choice).unwrap_or_else(|e| panic!("{shape:?}: {e}"));
        let keypoints = found.head.keypoints().map_or(0, |k| k.names.len());
        (found.head.name(), found.head.class_count(), keypoints)
    };
    assert_eq!(chosen(HeadChoice::Yolo, &[1, 20, 8400], &[]), ("yolo", Some(16), 0));
    assert_eq!(chosen(HeadChoice::Yolo, &[1, 8400, 7], &[]), ("yolo", Some(3), 0));
    // The number of channels is that of a released pose model.
    assert_eq!(chosen(HeadChoice::Yolo, &[1, 56, 8400], &[]), ("yolo", Some(52), 0));
    assert_eq!(chosen(HeadChoice::YoloPose, &[1, 20, 8400], &[]), ("yolo-pose", Some(1), 5));
    assert_eq!(chosen(HeadChoice::YoloPose, &[1, 404, 8400], &[]), ("yolo-pose", Some(1), 133));
    assert_eq!(chosen(HeadChoice::YoloPose, &[1, 9, 8400], &[]), ("yolo-pose", Some(1), 2), "x and y alone");
    assert_eq!(chosen(HeadChoice::YoloPose, &[1, 47, 8400], &[("kpt_shape", "[21, 2]")]), ("yolo-pose", Some(1), 21));
    assert_eq!(chosen(HeadChoice::YoloPose, &[1, 22, 8400], &[NAMES[1]]), ("yolo-pose", Some(3), 5));
    assert_eq!(chosen(HeadChoice::YoloEndToEnd, &[1, 300, 6], &[]), ("yolo-end-to-end", None, 0));
    assert_eq!(chosen(HeadChoice::YoloEndToEnd, &[-1, -1, 6], &[]), ("yolo-end-to-end", None, 0));
    assert_eq!(chosen(HeadChoice::YoloPoseEndToEnd, &[1, 300, 21], &[]), ("yolo-pose-end-to-end", None, 5));
    for (choice, shape, metadata) in [
        (HeadChoice::Yolo, &[1, 300, 6][..], &[][..]),
        (HeadChoice::Yolo, &[1, 25200, 85], &[]),
        (HeadChoice::Yolo, &[1, 84, 8400], &[NAMES[1]]),
        (HeadChoice::Yolo, &[-1, -1, -1], &[]),
        (HeadChoice::YoloEndToEnd, &[1, 84, 8400], &[]),
        (HeadChoice::YoloEndToEnd, &[1, 300, 7], &[]),
        (HeadChoice::YoloPose, &[1, 84, 8400], &[]),
        (HeadChoice::YoloPose, &[1, 300, 6], &[]),
        (HeadChoice::YoloPose, &[1, 84, 8400], &[("kpt_shape", "[17, 3]")]),
        (HeadChoice::YoloPoseEndToEnd, &[1, 300, 6], &[]),
        (HeadChoice::Nanodet, &[1, 84, 8400], &[]),
        (HeadChoice::Movenet, &[1, 84, 8400], &[]),
        (HeadChoice::MovenetMultipose, &[1, 300, 6], &[]),
        (HeadChoice::UltralyticsRtDetr, &[1, 84, 8400], &[]),
        (HeadChoice::RtDetr, &[1, 300, 6], &[]),
        (HeadChoice::RfDetr, &[1, 300, 6], &[]),
        (HeadChoice::DetrSoftmax, &[1, 300, 6], &[]),
        (HeadChoice::Yolox, &[1, 25200, 85], &[]),
        (HeadChoice::Yolov5, &[1, 84], &[]),
        (HeadChoice::Picodet, &[1, 8400, 85], &[]),
        (HeadChoice::DamoYolo, &[1, 8400, 84], &[]),
    ] {
        let text = refused_as(choice, &model(&FIXED, &[shape], metadata));
        assert!(text.contains(&format!("head={} doesn't fit", choice.nick())), "{choice:?} {shape:?}: {text}");
    }
    let two = refused_as(HeadChoice::Yolo, &model(&FIXED, &[&[1, 25200, 85]], &[("task", "segment")]));
    assert!(two.contains("segment"), "{two}");
}

#[test]
fn keypoints_have_the_names_of_the_metadata() {
    let names = |metadata: &[(&str, &str)], channels: i64| {
        let metadata =
            [&[("author", "Ultralytics"), ("task", "pose"), ("names", "{0: 'face', 1: 'mask'}")], metadata].concat();
        let (head, _) = known(&model(&FIXED, &[&[1, channels, 8400]], &metadata));
        let layout = head.keypoints().unwrap().clone();
        (layout.name, layout.names.iter().map(|n| n.to_string()).collect::<Vec<_>>(), layout.limbs.len())
    };
    let three = |kpt_names| names(&[("kpt_shape", "(3, 3)"), ("kpt_names", kpt_names)], 15).1;
    assert_eq!(three("{0: ['left-eye', 'right-eye', 'nose'], 1: ['a', 'b', 'c']}"), ["left-eye", "right-eye", "nose"]);
    assert_eq!(three("['\u{00fc}', \" b \", '']"), ["ü", "b", "keypoint 2"]);
    assert_eq!(three(r#"{"0": ["x", "y", "z"]}"#), ["x", "y", "z"]);
    for nothing in ["None", "{}", ""] {
        assert_eq!(three(nothing), ["keypoint 0", "keypoint 1", "keypoint 2"], "{nothing:?}");
    }
    // COCO's names get its limbs; 17 other names, for example an animal's, have none.
    let quoted =
        |names: &[&str]| format!("{{0: [{}]}}", names.iter().map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", "));
    let coco: Vec<String> = crate::KeypointLayout::coco17().names.iter().map(|n| n.to_string()).collect();
    let coco: Vec<&str> = coco.iter().map(String::as_str).collect();
    assert_eq!(names(&[("kpt_names", &quoted(&coco))], 57).0, "coco-17");
    let animal = names(&[("kpt_names", &quoted(&["paw"; 17]))], 57);
    assert_eq!((animal.0, &*animal.1[16], animal.2), ("custom", "paw", 0));
    let metadata =
        [("task", "pose"), ("names", "{0: 'face'}"), ("kpt_shape", "[3, 3]"), ("kpt_names", "{0: ['a', 'b']}")];
    let text = refused(&model(&FIXED, &[&[1, 14, 8400]], &metadata));
    assert!(text.contains("kpt_names") && text.contains("3 names"), "{text}");
}

/// Without names, the number of classes follows from the channels, or is unknown.
#[test]
fn names_that_are_none_are_no_names() {
    for nothing in ["None", "{}", "[]", "", " "] {
        let metadata = [("author", "Ultralytics"), ("task", "detect"), ("names", nothing)];
        let found = recognise(&model(&FIXED, &[&[1, 7, 8400]], &metadata), HeadChoice::Auto).unwrap();
        assert_eq!((found.head.class_count(), found.reading.trust), (Some(3), Trust::Vouched), "{nothing:?}");
        let found = recognise(&model(&FIXED, &[&[1, 300, 6]], &metadata), HeadChoice::Auto).unwrap();
        assert_eq!((found.head.name(), found.head.class_count()), ("yolo-end-to-end", None));
    }
}

#[test]
fn several_inputs_are_an_error_with_a_remedy() {
    let mut two = model(&FIXED, &[&[1, 84, 8400]], &[]);
    two.inputs.push(tensor("previous", ElementType::F32, &FIXED));
    let text = refused(&two);
    for part in ["has 2 inputs", "images", "previous", "export the model with the image as its only input"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    two.inputs.clear();
    assert!(refused(&two).contains("has 0 inputs"));
}

mod classifiers;
mod detectors;
mod keypoints;
mod masks;
mod oriented;
