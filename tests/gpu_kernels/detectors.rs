//! Detectors beyond YOLO's: their models, and random outputs for their plans.

use crate::common::random::Random;
use crate::heads::{Model, score};
use model::head::{
    BoxCoding, BoxForm, Columns, DensePlan, HeadChoice, ModelChoice, NormalizationChoice, QueryPlan, Selection,
};
use model::{ElementType, ModelInfo};

const F32: ElementType = ElementType::F32;

/// Centre and size of a box, network pixels.
type Box = [f32; 4];

/// One model of each head whose plan is `Objects`, `Split`, `Queries`, `Dense` or `Distributions`, in all forms of each.
pub fn models() -> Vec<Model> {
    let image = |size: &'static [i64; 4]| ("images", &size[..], F32);
    let (small, wide) = (image(&[1, 3, 320, 320]), image(&[1, 3, 192, 320]));
    let chosen = |name, inputs: &[(&str, &[i64], ElementType)], outputs: &[(&str, &[i64])], head: HeadChoice| {
        Model::chosen(name, inputs, outputs, ModelInfo::default(), head.into())
    };
    let sizes: (&str, &[i64], _) = ("orig_target_sizes", &[-1, 2], ElementType::I64);
    let split: [(&str, &[i64]); 3] = [("labels", &[1, 300]), ("boxes", &[1, 300, 4]), ("scores", &[1, 300])];
    let kept: [(&str, &[i64]); 3] = [("labels", &[1, 40, 1]), ("boxes", &[1, 40, 4]), ("scores", &[1, 40, 1])];
    let logits =
        |queries: &'static [i64; 3], boxes: &'static [i64; 3]| [("logits", &queries[..]), ("pred_boxes", &boxes[..])];
    let paddle = ModelChoice {
        head: HeadChoice::PpYoloe,
        normalization: NormalizationChoice::ImageNet,
        ..ModelChoice::default()
    };
    let factor: (&str, &[i64], _) = ("scale_factor", &[1, 2], F32);
    vec![
        chosen("rt-detr", &[small, sizes], &split, HeadChoice::RtDetr).typed(0, ElementType::I64),
        chosen("d-fine, i32 labels", &[small, sizes], &split, HeadChoice::DFine).typed(0, ElementType::I32),
        chosen("deimv2, labels as floats", &[wide, sizes], &split, HeadChoice::DeimV2),
        chosen("rt-detr, boxes in FP32", &[small, sizes], &kept, HeadChoice::RtDetr)
            .typed(1, F32)
            .typed(0, ElementType::I64),
        chosen("ultralytics rt-detr, end-to-end", &[wide], &[("output0", &[1, 300, 6])], HeadChoice::UltralyticsRtDetr),
        chosen("ultralytics rt-detr", &[small], &[("output0", &[1, 300, 84])], HeadChoice::UltralyticsRtDetr),
        chosen("rf-detr", &[wide], &[("dets", &[1, 300, 4]), ("labels", &[1, 300, 91])], HeadChoice::RfDetr),
        chosen(
            "rf-detr, fine-tuned",
            &[small],
            &[("dets", &[1, 100, 4]), ("labels", &[1, 100, 4])],
            HeadChoice::RfDetr,
        ),
        chosen(
            "rf-detr, boxes in FP32",
            &[small],
            &[("dets", &[1, 9, 4]), ("labels", &[1, 9, 91])],
            HeadChoice::RfDetr,
        )
        .typed(0, F32),
        chosen("detr-sigmoid, many queries", &[small], &logits(&[1, 1100, 33], &[1, 1100, 4]), HeadChoice::DetrSigmoid),
        chosen("detr-softmax", &[wide], &logits(&[1, 100, 92], &[1, 100, 4]), HeadChoice::DetrSoftmax),
        chosen("detr-softmax, one class", &[small], &logits(&[1, 7, 2], &[1, 7, 4]), HeadChoice::DetrSoftmax),
        chosen("yolox", &[small], &[("output", &[1, 2100, 85])], HeadChoice::Yolox),
        chosen("yolox, not square", &[wide], &[("output", &[1, 1260, 6])], HeadChoice::Yolox),
        chosen("yolox-decoded", &[wide], &[("output", &[1, 1260, 7])], HeadChoice::YoloxDecoded),
        chosen("yolov5", &[wide], &[("output", &[1, 3780, 85])], HeadChoice::Yolov5),
        Model::chosen(
            "pp-yoloe",
            &[small, factor],
            &[("boxes", &[1, 2100, 4]), ("scores", &[1, 80, 2100])],
            ModelInfo::default(),
            paddle,
        ),
        Model::chosen(
            "pp-yoloe, boxes in FP32",
            &[wide, factor],
            &[("boxes", &[1, 1260, 4]), ("scores", &[1, 5, 1260])],
            ModelInfo::default(),
            paddle,
        )
        .typed(0, F32),
        Model::chosen("pp-yoloe, one output", &[small], &[("all", &[1, 2100, 12])], ModelInfo::default(), paddle),
        chosen("damo-yolo", &[small], &[("scores", &[1, 2100, 80]), ("boxes", &[1, 2100, 4])], HeadChoice::DamoYolo),
        chosen(
            "picodet",
            &[wide],
            &[
                ("a", &[1, 960, 80]),
                ("b", &[1, 240, 80]),
                ("c", &[1, 60, 80]),
                ("d", &[1, 15, 80]),
                ("e", &[1, 960, 32]),
                ("f", &[1, 240, 32]),
                ("g", &[1, 60, 32]),
                ("h", &[1, 15, 32]),
            ],
            HeadChoice::Picodet,
        ),
    ]
}

/// The largest common outputs of each family, for measuring.
pub fn full_size() -> Vec<Model> {
    let image = |side: &'static [i64; 4]| [("images", &side[..], F32)];
    let (square, rf) = (image(&[1, 3, 640, 640]), image(&[1, 3, 576, 576]));
    let chosen = |name, image: &[(&str, &[i64], ElementType)], outputs: &[(&str, &[i64])], head: HeadChoice| {
        Model::chosen(name, image, outputs, ModelInfo::default(), head.into())
    };
    let unit =
        ModelChoice { head: HeadChoice::PpYoloe, normalization: NormalizationChoice::Unit, ..ModelChoice::default() };
    let split: [(&str, &[i64]); 3] = [("labels", &[1, 300]), ("boxes", &[1, 300, 4]), ("scores", &[1, 300])];
    vec![
        chosen("d-fine 300", &square, &split, HeadChoice::DFine).typed(0, ElementType::I64),
        chosen("rf-detr 300×91", &rf, &[("dets", &[1, 300, 4]), ("labels", &[1, 300, 91])], HeadChoice::RfDetr),
        chosen(
            "detr-sigmoid 300×80",
            &square,
            &[("logits", &[1, 300, 80]), ("pred_boxes", &[1, 300, 4])],
            HeadChoice::DetrSigmoid,
        ),
        chosen(
            "detr-softmax 100×92",
            &square,
            &[("logits", &[1, 100, 92]), ("pred_boxes", &[1, 100, 4])],
            HeadChoice::DetrSoftmax,
        ),
        chosen("ultralytics-rt-detr 300×84", &square, &[("output0", &[1, 300, 84])], HeadChoice::UltralyticsRtDetr),
        chosen("yolox 8400×85", &square, &[("output", &[1, 8400, 85])], HeadChoice::Yolox),
        chosen("yolov5 25200×85", &square, &[("output", &[1, 25200, 85])], HeadChoice::Yolov5),
        Model::chosen(
            "pp-yoloe 80×8400",
            &square,
            &[("boxes", &[1, 8400, 4]), ("scores", &[1, 80, 8400])],
            ModelInfo::default(),
            unit,
        ),
        chosen(
            "damo-yolo 8400×80",
            &square,
            &[("scores", &[1, 8400, 80]), ("boxes", &[1, 8400, 4])],
            HeadChoice::DamoYolo,
        ),
        chosen(
            "picodet 3598×80",
            &image(&[1, 3, 416, 416]),
            &[
                ("a", &[1, 2704, 80]),
                ("b", &[1, 676, 80]),
                ("c", &[1, 169, 80]),
                ("d", &[1, 49, 80]),
                ("e", &[1, 2704, 32]),
                ("f", &[1, 676, 32]),
                ("g", &[1, 169, 32]),
                ("h", &[1, 49, 32]),
            ],
            HeadChoice::Picodet,
        ),
    ]
}

/// A box as the model gives it.
pub fn coded(coding: &BoxCoding, [x, y, w, h]: Box) -> [f32; 4] {
    let [a, b] = coding.unit;
    match coding.form {
        BoxForm::Centre => [x / a, y / b, w / a, h / b],
        BoxForm::Corners => [(x - w / 2.0) / a, (y - h / 2.0) / b, (x + w / 2.0) / a, (y + h / 2.0) / b],
    }
}

/// A logit on a coarse grid, so that many are equal.
fn logit(random: &mut Random, pass: bool) -> f32 {
    let step = random.below(24) as f32 / 8.0;
    if pass { step - 1.0 } else { -9.0 + 2.0 * step }
}

pub fn split(
    [labels, boxes, scores]: [usize; 3],
    coding: &BoxCoding,
    clusters: &[Box],
    random: &mut Random,
    passes: impl Fn(&mut Random) -> bool,
    put: &mut impl FnMut(usize, usize, f32),
    shapes: &[Vec<usize>],
) {
    for row in 0..shapes[boxes][0] {
        let pass = passes(random);
        for (i, value) in coded(coding, *random.pick(clusters)).into_iter().enumerate() {
            put(boxes, 4 * row + i, value);
        }
        put(scores, row, score(random, pass));
        // One beyond the named ones, and, as an integer, one that a float can't hold exactly.
        put(labels, row, *random.pick(&[0.0, 1.0, 7.0, 79.0, 80.0, 200.0, -1.0, 3e9]));
    }
}

pub fn queries(
    plan: &QueryPlan,
    clusters: &[Box],
    random: &mut Random,
    passes: impl Fn(&mut Random) -> bool,
    put: &mut impl FnMut(usize, usize, f32),
    shapes: &[Vec<usize>],
) {
    for query in 0..shapes[plan.boxes][0] {
        for (i, value) in coded(&plan.coding, *random.pick(clusters)).into_iter().enumerate() {
            put(plan.boxes, 4 * query + i, value);
        }
        let softmax = plan.selection == Selection::PerQuery;
        let (best, pass) = (random.below(plan.classes), passes(random));
        for column in 0..plan.columns {
            let nothing = softmax && column >= plan.classes;
            let value = match nothing {
                true => {
                    if pass {
                        0.0
                    } else {
                        6.0
                    }
                }
                false => {
                    // Now and then a query is of two classes.
                    let other = random.chance(0.01);
                    logit(random, pass && (column == best || other))
                }
            };
            put(plan.logits, query * plan.columns + column, value);
        }
    }
}

pub fn dense(
    plan: &DensePlan,
    clusters: &[Box],
    random: &mut Random,
    passes: impl Fn(&mut Random) -> bool,
    put: &mut impl FnMut(usize, usize, f32),
    shapes: &[Vec<usize>],
) {
    let anchors = |columns: &Columns| shapes[columns.output][usize::from(columns.channels_first)];
    let count = anchors(&plan.boxes);
    let mut set = |columns: &Columns, anchor: usize, i: usize, value: f32| {
        let channel = columns.first + i;
        let at = if columns.channels_first { channel * count + anchor } else { anchor * columns.channels + channel };
        put(columns.output, at, value);
    };
    let mut cells = plan.grid.iter().flat_map(|level| {
        (0..level.cells).map(|cell| (level.stride as f32, (cell % level.columns) as f32, (cell / level.columns) as f32))
    });
    for anchor in 0..count {
        let [x, y, w, h] = random.pick(clusters).map(|value| value + random.float(-6.0, 6.0));
        let values = match cells.next() {
            Some((stride, column, row)) => {
                [x / stride - column, y / stride - row, (w.max(1.0) / stride).ln(), (h.max(1.0) / stride).ln()]
            }
            None => coded(&plan.coding, [x, y, w, h]),
        };
        for (i, value) in values.into_iter().enumerate() {
            set(&plan.boxes, anchor, i, value);
        }
        let (best, pass) = (random.below(plan.classes), passes(random));
        for class in 0..plan.classes {
            // Now and then an anchor is of several classes.
            let other = random.chance(0.01);
            let value = score(random, pass && (class == best || other));
            set(&plan.scores, anchor, class, value);
        }
        if let Some(objectness) = &plan.objectness {
            // On both sides of what the score needs.
            set(objectness, anchor, 0, *random.pick(&[1.0, 0.9, 0.75, 0.5, 0.3, 0.01]));
        }
    }
}
