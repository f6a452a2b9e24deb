//! Recognition and decoding of the pose models other than YOLO's and MoveNet.

use super::super::super::{Alignment, Fit};
use super::super::{ColorChoice, ModelChoice, NormalizationChoice, Reading, ResizeChoice};
use super::detectors::{IMAGE, Outputs, named, recognised};
use super::*;

const CROP: (&str, &[i64]) = ("input", &[-1, 3, 256, 192]);
const SIMCC: Outputs<'static> = &[("simcc_x", &[-1, 17, 384]), ("simcc_y", &[-1, 17, 512])];
const MAPS: Outputs<'static> = &[("output", &[-1, 17, 64, 48])];
const RTMO: Outputs<'static> = &[("dets", &[-1, -1, 5]), ("keypoints", &[-1, -1, 17, 3])];

fn places(of: &[Keypoint]) -> Vec<(f32, f32, f32)> {
    of.iter().map(|k| (k.x, k.y, k.confidence)).collect()
}

#[test]
fn simcc_is_told_by_its_names() {
    for (outputs, count, layout) in [
        (SIMCC, 17, "coco-17"),
        (&[("simcc_y", &[-1, 133, 512]), ("simcc_x", &[-1, 133, 384])], 133, "coco-wholebody-133"),
        (&[("simcc_x", &[-1, 26, 384]), ("simcc_y", &[-1, 26, 512])], 26, "halpe-26"),
        (&[("simcc_x", &[-1, 14, -1]), ("simcc_y", &[-1, 14, -1])], 14, "custom"),
    ] {
        let found = recognised(&named(&[CROP], outputs, &[]), HeadChoice::Auto);
        assert_eq!((found.head.name(), found.head.kind()), ("simcc", HeadKind::TopDownPose));
        let keypoints = found.head.keypoints().unwrap();
        assert_eq!((keypoints.names.len(), keypoints.name), (count, layout));
        let input = found.input;
        assert_eq!((input.width, input.height, input.resize, input.pad), (192, 256, Resize::EXTENDED, 0));
        assert_eq!((input.normalization, input.bgr), (Normalization::IMAGENET, false));
    }
    let metadata = [("kpt_shape", "[2, 3]"), ("kpt_names", "{0: ['beak', 'tail']}")];
    let bird = named(&[CROP], &[("simcc_x", &[-1, 2, 384]), ("simcc_y", &[-1, 2, 512])], &metadata);
    assert_eq!(&*recognised(&bird, HeadChoice::Auto).head.keypoints().unwrap().names[1], "tail");
    // The user's word on the input counts.
    let said = ModelChoice {
        normalization: NormalizationChoice::Unit,
        resize: ResizeChoice::Letterbox,
        color: ColorChoice::Bgr,
        ..ModelChoice::default()
    };
    let input = recognised(&named(&[CROP], SIMCC, &[]), said).input;
    assert_eq!((input.normalization, input.bgr, input.resize), (Normalization::UNIT, true, Resize::LETTERBOX));
    // Without the names it has to be said.
    let bare: Outputs<'_> = &[("a", &[-1, 17, 384]), ("b", &[-1, 17, 512])];
    assert!(refused(&named(&[CROP], bare, &[])).contains("simcc"));
    assert_eq!(recognised(&named(&[CROP], bare, &[]), HeadChoice::Simcc).head.name(), "simcc");

    let other = named(&[CROP], &[("simcc_x", &[-1, 17, 384]), ("simcc_y", &[-1, 17, 768])], &[]);
    let text = refused(&other);
    assert!(text.contains("384 places for 192 pixels") && text.contains("768 for 256"), "{text}");
    let deep = [SIMCC, &[("simcc_z", &[-1, 17, 576])]].concat();
    assert!(refused(&named(&[CROP], &deep, &[])).contains("three coordinates"));
    let dynamic: (&str, &[i64]) = ("input", &[-1, 3, -1, -1]);
    assert!(refused(&named(&[dynamic], SIMCC, &[])).contains("dynamic"));
}

#[test]
fn a_simcc_keypoint_is_where_both_rows_are_greatest() {
    let info = named(&[("input", &[-1, 3, 8, 4])], &[("simcc_x", &[-1, 3, 8]), ("simcc_y", &[-1, 3, 16])], &[]);
    let head = recognised(&info, HeadChoice::Auto).head;
    let mut x = [[0.0f32; 8]; 3];
    let mut y = [[-0.5f32; 16]; 3];
    (x[0][3], y[0][10]) = (0.5, 0.75);
    // The first of equal values; a confidence beyond 1 is 1.
    (x[1][6], x[1][7], y[1][1]) = (1.25, 1.25, 1.5);
    // Not above 0 in y: there is no such keypoint.
    (x[2][5], x[2][0]) = (0.9, f32::NAN);
    let outputs: [(&[usize], &[f32]); 2] = [(&[3, 8], x.as_flattened()), (&[3, 16], y.as_flattened())];
    let found = decode(&*head, &outputs, &Params::default());
    assert_eq!(places(&found[0].keypoints), [(1.5, 5.0, 0.5), (3.0, 0.5, 1.0), (-0.5, -0.5, 0.0)]);
    assert_eq!((found[0].confidence, found[0].rect), (0.5, Rect::from_corners(1.5, 0.5, 3.0, 5.0)));
    assert_eq!(decode(&*head, &outputs, &Params { confidence: 0.6, ..Params::default() }), []);
    let short = [Output { shape: &[3, 8], data: x.as_flattened() }, Output { shape: &[2, 16], data: &[0.0; 32] }];
    let error = head.decode(&short, &Params::default(), &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("[3, places]"), "{error}");
}

#[test]
fn heatmaps_need_a_word_unless_the_exporter_named_them() {
    let text = refused(&named(&[CROP], MAPS, &[]));
    for word in ["head=heatmap-udp", "ViTPose", "head=heatmap-dark", "head=heatmap ", "segmentation"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    for (input, output) in [("pixel_values", "heatmaps"), ("input_0", "output_0")] {
        let info = named(&[(input, CROP.1)], &[(output, MAPS[0].1)], &[]);
        assert_eq!(recognised(&info, HeadChoice::Auto).head.name(), "heatmap-udp");
    }
    for (choice, alignment) in [
        (HeadChoice::Heatmap, Alignment::Asymmetric),
        (HeadChoice::HeatmapDark, Alignment::Asymmetric),
        (HeadChoice::HeatmapUdp, Alignment::AlignCorners),
    ] {
        let found = recognised(&named(&[CROP], MAPS, &[]), choice);
        assert_eq!((found.head.name(), found.head.kind()), (choice.nick(), HeadKind::TopDownPose));
        assert_eq!((found.input.resize.fit, found.input.resize.alignment), (Fit::Extended, alignment));
        assert_eq!((found.input.normalization, found.input.pad), (Normalization::IMAGENET, 0));
    }
    // Other sizes are those of other models.
    assert!(!refused(&named(&[CROP], &[("output", &[-1, 17, 32, 32])], &[])).contains("heatmaps of keypoints"));
    let ultralytics = named(&[CROP], MAPS, &[("author", "Ultralytics"), ("task", "semantic"), ("names", "{0: 'a'}")]);
    assert!(!refused(&ultralytics).contains("heatmaps of keypoints"));
}

const COLUMNS: usize = 48;
const ROWS: usize = 64;

/// A Gaussian of deviation 2 around a point, as the models are trained.
fn gaussian(x: f64, y: f64, peak: f64) -> Vec<f32> {
    let value = |i: usize| {
        let (dx, dy) = ((i % COLUMNS) as f64 - x, (i / COLUMNS) as f64 - y);
        (peak * (-(dx * dx + dy * dy) / 8.0).exp()) as f32
    };
    (0..COLUMNS * ROWS).map(value).collect()
}

fn heatmap(choice: HeadChoice, maps: &[Vec<f32>]) -> Vec<(f32, f32, f32)> {
    let count = maps.len() as i64;
    let head = recognised(&named(&[CROP], &[("output", &[-1, count, 64, 48])], &[]), choice).head;
    let found = decode(
        &*head,
        &[(&[maps.len(), ROWS, COLUMNS], &maps.concat())],
        &Params { confidence: 0.0, ..Params::default() },
    );
    places(&found[0].keypoints)
}

#[test]
fn the_peak_of_a_gaussian_is_found_between_places() {
    let maps =
        [gaussian(10.3, 20.6, 0.9), gaussian(30.0, 40.0, 0.5), gaussian(20.8, 30.2, 1.5), vec![-0.1; COLUMNS * ROWS]];
    let near = |found: (f32, f32, f32), x: f64, y: f64, confidence: f32| {
        let apart = (f64::from(found.0) - x).abs().max((f64::from(found.1) - y).abs());
        assert!(apart < 0.02 && (found.2 - confidence).abs() < 0.03, "{found:?} instead of {x} {y} {confidence}");
    };
    let found = heatmap(HeadChoice::HeatmapDark, &maps);
    near(found[0], 4.0 * 10.3, 4.0 * 20.6, 0.87);
    near(found[1], 120.0, 160.0, 0.5);
    near(found[2], 4.0 * 20.8, 4.0 * 30.2, 1.0);
    assert_eq!(found[3], (-4.0, -4.0, 0.0), "no value is above 0");
    // Place 47 of 0 to 47 is the input's end.
    let found = heatmap(HeadChoice::HeatmapUdp, &maps);
    let (x_unit, y_unit) = (192.0 / 47.0, 256.0 / 63.0);
    near(found[0], x_unit * 10.3, y_unit * 20.6, 0.87);
    near(found[1], x_unit * 30.0, y_unit * 40.0, 0.5);
    // A quarter towards the greater neighbour.
    let found = heatmap(HeadChoice::Heatmap, &maps);
    assert_eq!((found[0].0, found[0].1), (41.0, 83.0));
    assert_eq!((found[1].0, found[1].1), (120.0, 160.0));
}

#[test]
fn peaks_at_the_edges_are_found() {
    let corners = [(0.0, 0.0), (47.0, 63.0), (1.0, 62.0), (46.7, 0.4), (2.0, 30.0)];
    let maps: Vec<_> = corners.iter().map(|&(x, y)| gaussian(x, y, 0.8)).collect();
    for choice in [HeadChoice::Heatmap, HeadChoice::HeatmapDark, HeadChoice::HeatmapUdp] {
        for (found, (x, y)) in heatmap(choice, &maps).into_iter().zip(corners) {
            // Within a place, plus UDP's stretch.
            assert!(
                (f64::from(found.0) - 4.0 * x).abs() <= 8.0 && (f64::from(found.1) - 4.0 * y).abs() <= 8.0,
                "{found:?}"
            );
        }
    }
    // Nothing to follow on a plain.
    let plain = vec![
        vec![0.3; COLUMNS * ROWS],
        vec![0.0; COLUMNS * ROWS],
        vec![f32::NAN; COLUMNS * ROWS],
        gaussian(9.0, 9.0, 0.5),
    ];
    for choice in [HeadChoice::Heatmap, HeadChoice::HeatmapDark, HeadChoice::HeatmapUdp] {
        let found = heatmap(choice, &plain);
        assert!(found.iter().all(|(x, y, _)| x.is_finite() && y.is_finite()), "{found:?}");
        assert_eq!((found[0].2, found[1].2, found[2].2), (0.3, 0.0, 0.0));
    }
}

#[test]
fn rtmo_is_boxes_and_keypoints() {
    let info = named(&[IMAGE], RTMO, &[]);
    let found = recognised(&info, HeadChoice::Auto);
    assert_eq!((found.head.name(), found.head.kind(), found.head.needs_nms()), ("rtmo", HeadKind::Pose, false));
    let input = found.input;
    assert_eq!((input.resize, input.pad, input.bgr), (Resize::TOP_LEFT, 114, true));
    assert_eq!(input.normalization, Normalization::NONE);
    let boxes = [
        [10.0, 20.0, 30.0, 60.0, 0.5],
        [1.0, 2.0, 3.0, 4.0, 0.9],
        [0.0, 0.0, 9.0, 9.0, 0.1],
        [0.0, f32::NAN, 9.0, 9.0, 0.9],
    ];
    let mut points = [[[0.0f32; 3]; 17]; 4];
    points[0][16] = [12.0, 24.0, 0.75];
    points[1][0] = [5.0, f32::INFINITY, 0.75];
    let outputs: [(&[usize], &[f32]); 2] =
        [(&[4, 5], boxes.as_flattened()), (&[4, 17, 3], points.as_flattened().as_flattened())];
    let persons = decode(&*found.head, &outputs, &Params::default());
    assert_eq!(persons.iter().map(|p| p.confidence).collect::<Vec<_>>(), [0.9, 0.5]);
    assert_eq!(persons[1].rect, Rect::new(10.0, 20.0, 20.0, 40.0));
    assert_eq!(persons[1].keypoints[16], Keypoint { x: 12.0, y: 24.0, confidence: 0.75 });
    assert_eq!(persons[0].keypoints[0], Keypoint::default());
    assert_eq!(decode(&*found.head, &outputs, &Params { max_detections: 1, ..Params::default() }).len(), 1);
    // An export with its own suppression has no rows where it finds nothing.
    assert_eq!(decode(&*found.head, &[(&[0, 5], &[]), (&[0, 17, 3], &[])], &Params::default()), []);
    let wrong =
        [Output { shape: &[2, 5], data: &boxes.as_flattened()[..10] }, Output { shape: &[1, 17, 3], data: &[0.0; 51] }];
    assert!(found.head.decode(&wrong, &Params::default(), &mut Vec::new()).is_err());
}

fn check(reading: &Reading, head: &dyn Head, outputs: &[(&[usize], &[f32])]) -> Result<(), String> {
    let outputs: Vec<_> = outputs.iter().map(|&(shape, data)| Output { shape, data }).collect();
    reading.check(head.name(), &head.plan().unwrap(), &outputs).map_err(|error| error.to_string())
}

#[test]
fn outputs_of_an_empty_picture_show_what_is_no_pose() {
    let maps = recognised(&named(&[CROP], &[("output", &[-1, 2, 64, 48])], &[]), HeadChoice::Heatmap);
    let shape: &[usize] = &[2, ROWS, COLUMNS];
    let quiet = vec![0.1; 2 * ROWS * COLUMNS];
    assert_eq!(check(&maps.reading, &*maps.head, &[(shape, &quiet)]), Ok(()));
    let logits = vec![11.5; 2 * ROWS * COLUMNS];
    assert!(check(&maps.reading, &*maps.head, &[(shape, &logits)]).unwrap_err().contains("11.5"));

    let rtmo = recognised(&named(&[IMAGE], RTMO, &[]), HeadChoice::Auto);
    let check_boxes = |boxes: [f32; 5], score: f32| {
        let points = [[0.0, 0.0, score]; 17];
        check(&rtmo.reading, &*rtmo.head, &[(&[1, 5], &boxes), (&[1, 17, 3], points.as_flattened())])
    };
    assert_eq!(check_boxes([10.0, 20.0, 30.0, 40.0, 0.1], 0.5), Ok(()));
    assert!(check_boxes([10.0, 20.0, 30.0, 40.0, 7.0], 0.5).unwrap_err().contains("score of 7"));
    assert!(check_boxes([10.0, 20.0, 30.0, 40.0, 0.1], -2.0).unwrap_err().contains("score of -2"));
    assert!(check_boxes([0.1, 0.2, 0.3, 0.4, 0.1], 0.5).unwrap_err().contains("pixels are due"));
    assert!(check_boxes([30.0, 40.0, 10.0, 20.0, 0.1], 0.5).unwrap_err().contains("left of and above"));
    let empty: [(&[usize], &[f32]); 2] = [(&[0, 5], &[]), (&[0, 17, 3], &[])];
    assert_eq!(check(&rtmo.reading, &*rtmo.head, &empty), Ok(()));
}
