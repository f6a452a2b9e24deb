//! Recognition and decoding of the detectors other than YOLO's.

use super::super::super::{Fit, Interpolation, Labels, Resize};
use super::super::{ColorChoice, ModelChoice, NormalizationChoice, Recognised, ResizeChoice};
use super::*;

/// Input shape, outputs with their names, metadata.
pub(super) type Outputs<'a> = &'a [(&'a str, &'a [i64])];

pub(super) fn named(inputs: Outputs<'_>, outputs: Outputs<'_>, metadata: &[(&str, &str)]) -> ModelInfo {
    let tensors = |list: Outputs<'_>| list.iter().map(|(n, s)| tensor(n, ElementType::F32, s)).collect();
    ModelInfo { inputs: tensors(inputs), outputs: tensors(outputs), ..model(&FIXED, &[], metadata) }
}

pub(super) fn recognised(model: &ModelInfo, choice: impl Into<ModelChoice>) -> Recognised {
    recognise(model, choice).unwrap_or_else(|error| panic!("{model:?}: {error}"))
}

fn one(rect: Rect, class_id: u32, confidence: f32) -> Detection {
    Detection { rect, class_id, confidence, ..Detection::default() }
}

pub(super) const IMAGE: (&str, &[i64]) = ("images", &FIXED);
const SIZES: (&str, &[i64]) = ("orig_target_sizes", &[-1, 2]);
const SPLIT: Outputs<'static> = &[("labels", &[-1, 300]), ("boxes", &[-1, 300, 4]), ("scores", &[-1, 300])];
const DETS: Outputs<'static> = &[("dets", &[1, 300, 4]), ("labels", &[1, 300, 91])];
const LOGITS: Outputs<'static> = &[("logits", &[1, 100, 92]), ("pred_boxes", &[1, 100, 4])];

#[test]
fn labels_boxes_scores_need_a_word_on_their_input() {
    let info = named(&[IMAGE, SIZES], SPLIT, &[]);
    let text = refused(&info);
    for word in ["head=rt-detr", "head=d-fine", "head=deimv2", "resize and normalization"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    for (choice, fit, normalization) in [
        (HeadChoice::RtDetr, Fit::Stretched, Normalization::UNIT),
        (HeadChoice::DFine, Fit::Centred, Normalization::UNIT),
        (HeadChoice::DeimV2, Fit::Centred, Normalization::IMAGENET),
    ] {
        let Recognised { head, input, image, constants, .. } = recognised(&info, choice);
        assert_eq!((head.name(), head.needs_nms(), head.class_count()), (choice.nick(), false, None));
        assert_eq!((input.resize.fit, input.resize.interpolation, input.pad), (fit, Interpolation::Antialiased, 0));
        assert_eq!((input.normalization, input.bgr), (normalization, false));
        // The model multiplies its boxes by this size, in the order width, height.
        assert_eq!((image, constants[0].index, &constants[0].values[..]), (0, 1, &[640.0, 640.0][..]));
    }
    // With both said, the families don't differ.
    let said = ModelChoice {
        normalization: NormalizationChoice::Unit,
        resize: ResizeChoice::Stretch,
        ..ModelChoice::default()
    };
    assert_eq!(recognised(&info, said).input.resize, Resize::STRETCH);
    assert!(recognise(&info, ModelChoice { resize: ResizeChoice::Auto, ..said }).is_err());
}

#[test]
fn labels_boxes_scores_are_objects_already() {
    let Recognised { head, .. } = recognised(&named(&[IMAGE, SIZES], SPLIT, &[]), HeadChoice::RtDetr);
    let nan = f32::NAN;
    let labels = [2.0, 0.0, 79.0, 1.0, -1.0];
    let boxes =
        [[1.0, 2.0, 3.0, 5.0], [0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 1.0, 1.0], [0.0, nan, 4.0, 4.0], [0.0, 0.0, 1.0, 1.0]];
    let scores = [0.5, 0.75, 0.1, 0.9, 0.9];
    let outputs: [(&[usize], &[f32]); 3] = [(&[5], &labels), (&[5, 4], boxes.as_flattened()), (&[5], &scores)];
    let wanted = [one(Rect::new(0.0, 0.0, 4.0, 4.0), 0, 0.75), one(Rect::new(1.0, 2.0, 2.0, 3.0), 2, 0.5)];
    assert_eq!(decode(&*head, &outputs, &Params::default()), wanted);
    assert_eq!(decode(&*head, &outputs, &Params { max_detections: 1, ..Params::default() }), wanted[..1]);
    let short: Vec<_> = outputs.iter().map(|&(shape, data)| Output { shape, data }).take(2).collect();
    let error = head.decode(&short, &Params::default(), &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("output 2 is missing"), "{error}");
    let wrong = [outputs[0], outputs[1], (&[4][..], &scores[..4])].map(|(shape, data)| Output { shape, data });
    assert!(head.decode(&wrong, &Params::default(), &mut Vec::new()).is_err());
}

#[test]
fn second_inputs_are_fed_with_what_leaves_boxes_in_network_pixels() {
    let wide: (&str, &[i64]) = ("image", &[-1, 3, 320, 640]);
    let outputs: Outputs<'_> = &[("boxes", &[-1, 4200, 4]), ("scores", &[-1, 80, 4200])];
    let inputs: Outputs<'_> = &[("im_shape", &[-1, 2]), wide, ("scale_factor", &[-1, 2])];
    let unit = ModelChoice { normalization: NormalizationChoice::Unit, ..ModelChoice::default() };
    let Recognised { image, constants, input, .. } = recognised(&named(inputs, outputs, &[]), unit);
    assert_eq!((image, input.width, input.height), (1, 640, 320));
    let values: Vec<_> = constants.iter().map(|input| (input.index, &input.values[..])).collect();
    assert_eq!(values, [(0, &[320.0, 640.0][..]), (2, &[1.0, 1.0][..])]);
    let flat: Outputs<'_> = &[("im_shape", &[2]), wide];
    assert!(refused(&named(flat, outputs, &[])).contains("im_shape has the shape [2]"));
}

#[test]
fn rf_detr_has_cocos_numbers_or_a_last_column_for_nothing() {
    let Recognised { head, input, .. } = recognised(&named(&[("input", &FIXED)], DETS, &[]), HeadChoice::Auto);
    assert_eq!((head.name(), head.classes(), &*head.labels().get(18)), ("rf-detr", 91, "dog"));
    assert_eq!((input.resize, input.normalization), (Resize::STRETCH, Normalization::IMAGENET));
    let own = named(&[("input", &FIXED)], &[("dets", &[1, 300, 4]), ("labels", &[1, 300, 4])], &[]);
    let head = recognised(&own, HeadChoice::Auto).head;
    assert_eq!(head.classes(), 3);
    // Query 0 is an object of two classes; the last column of query 1 isn't a class.
    let boxes = [[0.5, 0.5, 0.25, 0.5], [0.25, 0.25, 0.5, 0.5]];
    let logits = [[2.0, -9.0, 1.0, -9.0], [-9.0, -9.0, -9.0, 9.0]];
    let found =
        decode(&*head, &[(&[2, 4], boxes.as_flattened()), (&[2, 4], logits.as_flattened())], &Params::default());
    let rect = Rect::new(240.0, 160.0, 160.0, 320.0);
    assert_eq!(found.iter().map(|d| (d.rect, d.class_id)).collect::<Vec<_>>(), [(rect, 0), (rect, 2)]);
    assert!((found[0].confidence - 0.880_797).abs() < 1e-6 && (found[1].confidence - 0.731_058_6).abs() < 1e-6);
    for (names, fits) in [(3, true), (4, true), (2, false)] {
        let names = self::names(names);
        let info = ModelInfo { metadata: [("names".to_owned(), names)].into(), ..own.clone() };
        assert_eq!(recognise(&info, HeadChoice::Auto).is_ok(), fits, "{info:?}");
    }
    // Its top k is over pairs of a query and a class, so that there are at most as many objects as queries.
    let all = [[5.0, 4.0, 3.0, -9.0]; 2];
    let found = decode(&*head, &[(&[2, 4], boxes.as_flattened()), (&[2, 4], all.as_flattened())], &Params::default());
    assert_eq!(found.len(), 2);
    assert!(
        refused(&named(&[("input", &FIXED)], &[DETS[0], DETS[1], ("keypoints", &[1, 300, 34, 8])], &[]))
            .contains("keypoints")
    );
}

#[test]
fn logits_of_detrs_are_read_as_the_user_says() {
    let info = named(&[("pixel_values", &FIXED)], LOGITS, &[]);
    let text = refused(&info);
    assert!(text.contains("head=detr-sigmoid") && text.contains("head=detr-softmax"), "{text}");
    let Recognised { head, input, .. } = recognised(&info, HeadChoice::DetrSoftmax);
    assert_eq!((head.classes(), input.normalization), (91, Normalization::IMAGENET));
    let few = named(&[IMAGE], &[("pred_logits", &[1, 2, 3]), ("pred_boxes", &[1, 2, 4])], &[]);
    let boxes = [[0.5, 0.5, 1.0, 1.0], [0.5, 0.5, 0.5, 0.5]];
    let logits = [[2.0f32, 1.0, 0.0], [1.0, 1.5, 4.0]];
    let outputs: [(&[usize], &[f32]); 2] = [(&[2, 3], logits.as_flattened()), (&[2, 4], boxes.as_flattened())];
    let found = decode(&*recognised(&few, HeadChoice::DetrSoftmax).head, &outputs, &Params::default());
    assert_eq!(found.len(), 1, "the other query is mostly no object");
    let share = 2f32.exp() / (2f32.exp() + 1f32.exp() + 1.0);
    assert!(found[0].class_id == 0 && (found[0].confidence - share).abs() < 1e-6);
    let head = recognised(&few, HeadChoice::DetrSigmoid).head;
    assert_eq!((head.classes(), decode(&*head, &outputs, &Params::default()).len()), (3, 2));
}

#[test]
fn ultralytics_rt_detr_is_told_by_its_metadata() {
    // All forms in which Ultralytics has exported it.
    for (shape, classes, nms) in
        [([1, 300, 6], 3, false), ([-1, 0, 6], 2, false), ([1, 300, 84], 80, false), ([1, 300, 6], 80, false)]
    {
        let names = self::names(classes);
        let base = [("author", "Ultralytics"), ("task", "detect"), ("names", names.as_str())];
        let metadata = [&base[..], &[("head", "RTDETRDecoder"), ("end2end", "False")]].concat();
        let Recognised { head, input, .. } = recognised(&model(&FIXED, &[&shape], &metadata), HeadChoice::Auto);
        assert_eq!((head.name(), head.classes(), head.needs_nms()), ("ultralytics-rt-detr", classes, nms));
        assert_eq!((input.resize, input.normalization), (Resize::STRETCH, Normalization::UNIT));
    }
    // Before it wrote the name of the head, only the scores of all classes tell it.
    let eighty = names(80);
    let older = [("author", "Ultralytics"), ("task", "detect"), ("names", eighty.as_str())];
    let (head, _) = known(&model(&FIXED, &[&[1, 300, 84]], &older));
    assert_eq!(head.name(), "ultralytics-rt-detr");
    let mut rows = vec![0.0; 2 * 84];
    rows[..6].copy_from_slice(&[0.5, 0.5, 0.5, 0.25, 0.1, 0.75]);
    rows[84..][..5].copy_from_slice(&[0.25, 0.25, 0.5, 0.5, 0.9]);
    let found = decode(&*head, &[(&[2, 84], &rows)], &Params::default());
    let wanted = [one(Rect::new(0.0, 0.0, 320.0, 320.0), 0, 0.9), one(Rect::new(160.0, 240.0, 320.0, 160.0), 1, 0.75)];
    assert_eq!(found, wanted);
    let head = recognised(&model(&FIXED, &[&[1, 300, 6]], &[]), HeadChoice::UltralyticsRtDetr).head;
    let found = decode(&*head, &[(&[1, 6], &[0.5, 0.5, 0.5, 0.25, 0.9, 7.0])], &Params::default());
    assert_eq!(found, [one(Rect::new(160.0, 240.0, 320.0, 160.0), 7, 0.9)]);
}

#[test]
fn objectness_is_told_by_anchors_and_names() {
    let with = |name: &str, shape: &[i64], metadata: &[(&str, &str)]| named(&[IMAGE], &[(name, shape)], metadata);
    let Recognised { head, input, .. } = recognised(&with("output", &[1, 8400, 85], &[]), HeadChoice::Auto);
    assert_eq!((head.name(), head.classes(), head.needs_nms()), ("yolox", 80, true));
    assert_eq!((input.bgr, input.normalization, input.pad), (true, Normalization::NONE, 114));
    assert_eq!(input.resize, Resize::TOP_LEFT);
    for (name, shape) in [("output", &[1, 25200, 85]), ("output0", &[1, 25200, 6]), ("output0", &[1, 25500, 85])] {
        let Recognised { head, input, .. } = recognised(&with(name, shape, &[]), HeadChoice::Auto);
        assert_eq!((head.name(), head.classes() as i64, input.resize), ("yolov5", shape[2] - 5, Resize::LETTERBOX));
    }
    // Early YOLOv5 exports have three raw outputs more.
    let raw: &[i64] = &[1, 3, 80, 80, 85];
    let four = named(&[IMAGE], &[("output", &[1, 25200, 85]), ("a", raw), ("b", raw), ("c", raw)], &[]);
    assert_eq!(recognised(&four, HeadChoice::Auto).head.name(), "yolov5");
    // Names decide between an objectness and one more class.
    let names = names(81);
    assert_eq!(known(&with("output", &[1, 8400, 85], &[("names", &names)])).0.name(), "yolo");
    // A dynamic size leaves both open.
    let dynamic = named(&[("images", &[1, 3, -1, -1])], &[("output", &[1, -1, 85])], &[("imgsz", "640")]);
    assert!(refused(&dynamic).contains("yolov5 (YOLOv5, YOLOv7), yolox or yolox-decoded"));
    assert_eq!(recognised(&dynamic, HeadChoice::Yolov5).head.name(), "yolov5");
}

#[test]
fn yolox_boxes_are_relative_to_their_cells() {
    let info = named(&[("images", &[1, 3, 32, 64])], &[("output", &[1, 42, 7])], &[]);
    let mut data = vec![0.0f32; 42 * 7];
    // Stride 16: column 2 of row 1, after the 32 cells of stride 8.
    let row = &mut data[(32 + 4 + 2) * 7..][..7];
    row.copy_from_slice(&[0.5, 0.25, 1f32.ln(), 2f32.ln(), 0.5, 0.25, 0.875]);
    let low = Params { confidence: 0.2, ..Params::default() };
    let found = decode(&*recognised(&info, HeadChoice::Auto).head, &[(&[42, 7], &data)], &low);
    assert_eq!(found.len(), 1);
    let Rect { x, y, w, h } = found[0].rect;
    let near = |a: f32, b: f32| (a - b).abs() < 1e-4;
    assert!(near(x, 32.0) && near(y, 4.0) && near(w, 16.0) && near(h, 32.0), "{:?}", found[0].rect);
    assert_eq!((found[0].class_id, found[0].confidence), (1, 0.5 * 0.875));
    assert_eq!(
        decode(&*recognised(&info, HeadChoice::Auto).head, &[(&[42, 7], &data)], &Params { confidence: 0.44, ..low }),
        []
    );
    // Decoded, the values are pixels.
    data[(32 + 4 + 2) * 7..][..4].copy_from_slice(&[40.0, 20.0, 16.0, 32.0]);
    let head = recognised(&info, HeadChoice::YoloxDecoded).head;
    let found = decode(&*head, &[(&[42, 7], &data)], &Params::default());
    assert_eq!(found, [one(Rect::new(32.0, 4.0, 16.0, 32.0), 1, 0.5 * 0.875)]);
    let error = head.decode(&[Output { shape: &[42, 8], data: &[0.0; 42 * 8] }], &Params::default(), &mut Vec::new());
    assert!(error.unwrap_err().to_string().contains("[N, 7]"));
}

#[test]
fn paddle_detection_needs_a_word_on_its_normalisation() {
    let outputs: Outputs<'_> = &[("boxes", &[1, 8400, 4]), ("scores", &[1, 3, 8400])];
    let info = named(&[("image", &FIXED), ("scale_factor", &[1, 2])], outputs, &[]);
    let text = refused(&info);
    assert!(text.contains("normalization=unit") && text.contains("normalization=imagenet"), "{text}");
    let said = ModelChoice { normalization: NormalizationChoice::ImageNet, ..ModelChoice::default() };
    let Recognised { head, input, .. } = recognised(&info, said);
    assert_eq!((head.name(), head.classes(), head.needs_nms()), ("pp-yoloe", 3, true));
    assert_eq!((input.resize, input.normalization), (Resize::STRETCH.cubic(), Normalization::IMAGENET));
    let own = named(&[("image", &FIXED), ("scale_factor", &[1, 2])], &[("a", &[-1, 6]), ("b", &[-1])], &[]);
    assert!(refused(&own).contains("exclude_nms=True"));
    // The scores come by class.
    let mut scores = vec![0.0; 3 * 8400];
    scores[2 * 8400 + 5] = 0.75;
    let mut boxes = vec![0.0; 4 * 8400];
    boxes[20..24].copy_from_slice(&[1.0, 2.0, 11.0, 22.0]);
    let found = decode(&*head, &[(&[8400, 4], &boxes), (&[3, 8400], &scores)], &Params::default());
    assert_eq!(found, [one(Rect::new(1.0, 2.0, 10.0, 20.0), 2, 0.75)]);
    // DAMO-YOLO has them by anchor, and first.
    let info = named(&[IMAGE], &[("output", &[1, 8400, 3]), ("952", &[1, 8400, 4])], &[]);
    let Recognised { head, input, .. } = recognised(&info, HeadChoice::DamoYolo);
    assert_eq!(
        (input.resize, input.normalization, input.bgr, input.pad),
        (Resize::TOP_LEFT, Normalization::NONE, false, 0)
    );
    let mut scores = vec![0.0; 3 * 8400];
    scores[3 * 5 + 2] = 0.75;
    let found = decode(&*head, &[(&[8400, 3], &scores), (&[8400, 4], &boxes)], &Params::default());
    assert_eq!(found, [one(Rect::new(1.0, 2.0, 10.0, 20.0), 2, 0.75)]);
}

#[test]
fn picodet_has_four_strides() {
    let outputs: Outputs<'_> = &[
        ("s8", &[1, 32, 3]),
        ("s16", &[1, 8, 3]),
        ("s32", &[1, 2, 3]),
        ("s64", &[1, 1, 3]),
        ("b8", &[1, 32, 32]),
        ("b16", &[1, 8, 32]),
        ("b32", &[1, 2, 32]),
        ("b64", &[1, 1, 32]),
    ];
    let info = named(&[("image", &[1, 3, 32, 64])], outputs, &[]);
    let Recognised { head, input, .. } = recognised(&info, HeadChoice::Auto);
    assert_eq!((head.name(), head.classes(), input.resize), ("picodet", 3, Resize::STRETCH.cubic()));
    assert_eq!((input.normalization, input.bgr), (Normalization::IMAGENET, false));
    let mut data: Vec<Vec<f32>> = outputs.iter().map(|(_, s)| vec![0.0; (s[1] * s[2]) as usize]).collect();
    // The only cell of stride 64: its middle is (32, 32).
    data[3][1] = 0.75;
    data[7].copy_from_slice(&bins([0, 0, 0, 0], 7));
    data[7][8] = 0.0;
    data[7][9] = 50.0;
    data[7][0] = 50.0;
    let shapes: Vec<_> = outputs.iter().map(|(_, s)| [s[1] as usize, s[2] as usize]).collect();
    let views: Vec<_> = shapes.iter().zip(&data).map(|(s, d)| (&s[..], &d[..])).collect();
    let found = decode(&*head, &views, &Params::default());
    // Only the upper side is a stride away, and is clipped to the input.
    assert_eq!(found, [one(Rect::from_corners(32.0, 0.0, 32.0, 32.0), 1, 0.75)]);
}

#[test]
fn libreyolo_exports_are_told_by_their_family() {
    let eighty = names(80);
    let libre = |family: &str, size: &str, outputs: Outputs<'_>, more: &[(&str, &str)]| {
        let base = [
            ("libreyolo_version", "1.6.0"),
            ("model_family", family),
            ("size", size),
            ("task", "detect"),
            ("names", &eighty),
        ];
        let input = if family == "rfdetr" { "input" } else { "images" };
        let Recognised { head, input, .. } =
            recognised(&named(&[(input, &FIXED)], outputs, &[&base[..], more].concat()), HeadChoice::Auto);
        assert_eq!(head.classes(), 80, "{family}");
        (head.name(), input)
    };
    let pred: Outputs<'_> = &[("pred_logits", &[1, 300, 80]), ("pred_boxes", &[1, 300, 4])];
    for (family, size, resize, normalization) in [
        ("rtdetr", "r50", Resize::STRETCH, Normalization::UNIT),
        ("dfine", "n", Resize::STRETCH.antialiased(), Normalization::UNIT),
        ("deimv2", "n", Resize::STRETCH.antialiased(), Normalization::UNIT),
        ("deimv2", "s", Resize::STRETCH.antialiased(), Normalization::IMAGENET),
    ] {
        let (name, input) = libre(family, size, pred, &[]);
        assert_eq!((name, input.resize, input.normalization), ("detr-sigmoid", resize, normalization));
    }
    let rows: Outputs<'_> = &[("output", &[1, 8400, 85])];
    let (name, input) = libre("yolox", "s", rows, &[]);
    assert_eq!((name, input.bgr, input.resize), ("yolox-decoded", true, Resize::TOP_LEFT.antialiased()));
    let channels: Outputs<'_> = &[("output", &[1, 84, 8400])];
    let (name, input) = libre("yolo9", "t", channels, &[("letterbox_pad", "topleft")]);
    assert_eq!((name, input.resize, input.pad), ("libreyolo-yolo9", Resize::TOP_LEFT, 114));
    assert_eq!(libre("yolo9", "t", channels, &[("letterbox_pad", "center")]).1.resize.fit, Fit::Centred);
    let two: Outputs<'_> = &[("boxes", &[1, 8400, 4]), ("scores", &[1, 8400, 80])];
    assert_eq!(libre("ppyoloe", "s", two, &[]).1.normalization, Normalization::IMAGENET);
    let corners: Outputs<'_> = &[("output", &[1, 8500, 84])];
    assert_eq!(libre("picodet", "s", corners, &[]).0, "libreyolo-picodet");
    // What 1.6.0 writes by default: most dimensions are open, and the names say the number of classes.
    let open: Outputs<'_> = &[("output", &[-1, -1, -1])];
    for (family, outputs, name) in [
        ("yolox", &[("output", &[-1, 2100, -1][..])][..], "yolox-decoded"),
        ("yolo9", open, "libreyolo-yolo9"),
        ("picodet", open, "libreyolo-picodet"),
        ("ppyoloe", &[("boxes", &[-1, -1, -1]), ("scores", &[-1, -1, -1])], "pp-yoloe"),
        ("rtdetrv2", &[("pred_logits", &[-1, -1, 80]), ("pred_boxes", &[-1, -1, -1])], "detr-sigmoid"),
    ] {
        assert_eq!(libre(family, "s", outputs, &[]).0, name);
    }
}

#[test]
fn the_users_word_on_the_input_wins() {
    let info = named(&[("input", &FIXED)], DETS, &[]);
    let choice = ModelChoice {
        normalization: NormalizationChoice::None,
        resize: ResizeChoice::LetterboxAntialias,
        color: ColorChoice::Bgr,
        ..ModelChoice::default()
    };
    let input = recognised(&info, choice).input;
    assert_eq!((input.bgr, input.normalization), (true, Normalization::NONE));
    assert_eq!(input.resize, Resize::LETTERBOX.antialiased());
    let reversed = recognised(&info, ModelChoice { color: ColorChoice::Bgr, ..ModelChoice::default() }).input;
    assert_eq!(reversed.normalization, Normalization::IMAGENET.reversed());
    // A model that takes bytes normalises them itself.
    let mut bytes = info;
    bytes.inputs[0].element = ElementType::U8;
    assert_eq!(recognised(&bytes, HeadChoice::Auto).input.normalization, Normalization::NONE);
    assert_eq!(Labels::coco91().len(), 91);
}

#[test]
fn a_processor_of_hugging_face_says_the_input_of_logits() {
    let all_dynamic: (&str, &[i64]) = ("pixel_values", &[-1, -1, -1, -1]);
    let with = |text: &str| {
        let image_processor = Some(text.to_owned());
        ModelInfo { image_processor, ..named(&[all_dynamic], LOGITS, &[]) }
    };
    // As transformers saves RTDetrImageProcessor's.
    let rt_detr = r#"{"do_convert_annotations": true, "do_normalize": false, "do_pad": false, "do_rescale": true,
        "do_resize": true, "format": "coco_detection", "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": "RTDetrImageProcessor", "image_std": [0.229, 0.224, 0.225], "pad_size": null,
        "resample": 2, "rescale_factor": 0.00392156862745098, "size": {"height": 480, "width": 640}}"#;
    let Recognised { input, .. } = recognised(&with(rt_detr), HeadChoice::DetrSigmoid);
    assert_eq!((input.width, input.height, input.layout), (640, 480, Layout::Nchw));
    assert_eq!((input.resize, input.normalization), (Resize::STRETCH.antialiased(), Normalization::UNIT));
    // The file is worth more than the family, and less than the user.
    let standardised = rt_detr.replace(r#""do_normalize": false"#, r#""do_normalize": true"#);
    let values = |choice: ModelChoice| recognised(&with(&standardised), choice).input.normalization;
    let found = values(HeadChoice::DetrSigmoid.into());
    let wanted = Normalization::IMAGENET;
    for (found, wanted) in found.mean.iter().chain(&found.scale).zip(wanted.mean.iter().chain(&wanted.scale)) {
        assert!((found / wanted - 1.0).abs() < 1e-6, "{found} {wanted}");
    }
    let unit = ModelChoice { normalization: NormalizationChoice::Unit, ..HeadChoice::DetrSigmoid.into() };
    assert_eq!(values(unit), Normalization::UNIT);
    let halves = rt_detr.replace("false", "true").replace("0.00392156862745098", "0.5");
    let halves = halves.replace("[0.485, 0.456, 0.406]", "1").replace("[0.229, 0.224, 0.225]", "[2, 4, 8]");
    let Recognised { input, .. } = recognised(&with(&halves), HeadChoice::DetrSoftmax);
    assert_eq!(input.normalization, Normalization { mean: [2.0; 3], scale: [0.25, 0.125, 0.0625] });
}

#[test]
fn a_processor_that_cannot_be_followed_is_an_error() {
    let with = |text: &str| {
        let image_processor = Some(text.to_owned());
        ModelInfo { image_processor, ..named(&[("pixel_values", &FIXED)], LOGITS, &[]) }
    };
    let size = r#""size": {"height": 640, "width": 640}"#;
    for (text, words) in [
        ("[1]", &["JSON object", "remove it"][..]),
        ("{", &["JSON object"]),
        // As transformers saved DetrFeatureExtractor's.
        (r#"{"do_normalize": false, "max_size": 1333, "size": 800}"#, &["aspect ratio", "set resize"]),
        (r#"{"do_normalize": false, "size": {"shortest_edge": 800, "longest_edge": 1333}}"#, &["aspect ratio"]),
        (&format!("{{{size}}}"), &["do_normalize", "set normalization"]),
        (&format!("{{{size}, \"do_normalize\": 1}}"), &["do_normalize is neither"]),
        (&format!("{{{size}, \"do_normalize\": true, \"image_mean\": [0, 0, 0]}}"), &["image_std"]),
        (&format!("{{{size}, \"do_normalize\": true, \"image_mean\": 0, \"image_std\": [1, 0, 1]}}"), &["image_std"]),
        (&format!("{{{size}, \"do_normalize\": false, \"rescale_factor\": 0}}"), &["rescale_factor"]),
        (&format!("{{{size}, \"do_normalize\": false, \"resample\": 3}}"), &["resample", "stretch-antialias"]),
        (&format!("{{{size}, \"do_normalize\": false, \"do_resize\": false}}"), &["do_resize"]),
        (&format!("{{{size}, \"do_normalize\": false, \"do_center_crop\": true}}"), &["do_center_crop"]),
        (
            &format!("{{{size}, \"do_normalize\": false, \"pad_size\": {{\"height\": 800, \"width\": 800}}}}"),
            &["pad_size"],
        ),
    ] {
        let error = refused_as(HeadChoice::DetrSigmoid, &with(text));
        for word in words.iter().chain(&["preprocessor_config.json beside the model"]) {
            assert!(error.contains(word), "{word} in {error}");
        }
    }
    // What the user says isn't asked of the file, and other heads don't ask it.
    let said = ModelChoice {
        normalization: NormalizationChoice::ImageNet,
        resize: ResizeChoice::TopLeft,
        ..HeadChoice::DetrSigmoid.into()
    };
    let input = recognised(&with(r#"{"size": 800}"#), said).input;
    assert_eq!((input.resize, input.normalization), (Resize::TOP_LEFT, Normalization::IMAGENET));
    let other = ModelInfo { image_processor: Some("{".into()), ..named(&[("input", &FIXED)], DETS, &[]) };
    assert_eq!(recognised(&other, HeadChoice::Auto).head.name(), "rf-detr");
}
