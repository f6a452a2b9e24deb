//! Recognition and decoding of classifiers and embeddings.

use super::super::super::{Fit, Labels};
use super::super::{DecodePlan, ModelChoice, NormalizationChoice, Recognised, ResizeChoice, Scale};
use super::*;

const CLASSIFY: [(&str, &str); 3] =
    [("author", "Ultralytics"), ("task", "classify"), ("names", "{0: 'red', 1: 'green', 2: 'blue'}")];
const SQUARE: [i64; 4] = [1, 3, 224, 224];

fn recognised(model: &ModelInfo, choice: impl Into<ModelChoice>) -> Recognised {
    recognise(model, choice).unwrap_or_else(|error| panic!("{model:?}: {error}"))
}

/// What the head finds in these values once they have passed the check of a first run.
fn classes(found: &Recognised, values: &[f32], params: &Params) -> Vec<(u32, f32)> {
    decode(&*found.head, &[(&[values.len()], values)], params).iter().map(|d| (d.class_id, d.confidence)).collect()
}

/// Checks the values as those of an empty picture.
fn checked(found: &Recognised, values: &[f32]) -> Result<(), String> {
    let output = Output { shape: &[values.len()], data: values };
    let plan = found.head.plan().unwrap();
    found.reading.check(found.head.name(), &plan, &[output]).map_err(|error| error.to_string())
}

#[test]
fn ultralytics_classifiers_have_softmax_and_are_cropped() {
    let found = recognised(&model(&SQUARE, &[&[1, 3]], &CLASSIFY), HeadChoice::Auto);
    assert_eq!((found.head.name(), found.head.kind()), ("classification", HeadKind::Classification));
    assert_eq!((found.head.class_count(), found.reading.trust), (Some(3), Trust::Vouched));
    assert_eq!(found.head.labels(), &Labels::from_names(&["red", "green", "blue"]));
    assert_eq!((found.input.resize, found.input.normalization), (Resize::CROP.antialiased(), Normalization::UNIT));
    let all = Params { confidence: 0.0, ..Params::default() };
    assert_eq!(classes(&found, &[0.2, 0.7, 0.1], &all), [(1, 0.7), (0, 0.2), (2, 0.1)]);
    assert_eq!(classes(&found, &[0.2, 0.7, 0.1], &Params::default()), [(1, 0.7)]);
    let top = Params { max_detections: 2, ..all };
    assert_eq!(classes(&found, &[0.2, 0.7, 0.1], &top), [(1, 0.7), (0, 0.2)]);
    // `classify_transforms` stretches pictures for an input that isn't square.
    let wide = recognised(&model(&[1, 3, 128, 224], &[&[-1, 3]], &CLASSIFY), HeadChoice::Auto);
    assert_eq!(wide.input.resize, Resize::STRETCH.antialiased());
    assert!(checked(&found, &[0.2, 0.7, 0.1]).is_ok());
    let text = checked(&found, &[3.0, -2.0, 0.1]).unwrap_err();
    assert!(text.contains("head=classification-logits"), "{text}");
}

#[test]
fn the_first_run_tells_probabilities_from_logits() {
    // ImageNet's classes; names; the output's name.
    let named = model(&SQUARE, &[&[1, 3]], &[("names", "['a', 'b', 'c']")]);
    let mut logits = model(&SQUARE, &[&[1, 3]], &[]);
    logits.outputs[0].name = "logits".into();
    for (info, classes_of) in [(named, 3), (logits, 3), (model(&SQUARE, &[&[1, 1000]], &[]), 1000)] {
        let mut values = vec![0.0; classes_of];
        values[2] = 1.0;
        let found = recognised(&info, HeadChoice::Auto);
        assert_eq!((found.head.name(), found.reading.trust), ("classification", Trust::Plausible));
        assert_eq!(found.input.resize, Resize::CROP_INSIDE.antialiased());
        assert_eq!(found.input.normalization, Normalization::IMAGENET);
        assert_eq!(classes(&found, &values, &Params::default()), [], "before the first run");
        checked(&found, &values).unwrap();
        assert_eq!(classes(&found, &values, &Params::default()), [(2, 1.0)]);

        let found = recognised(&info, HeadChoice::Auto);
        values[1] = -20.0;
        values[2] = 20.0;
        checked(&found, &values).unwrap();
        let [(2, confidence)] = classes(&found, &values, &Params::default())[..] else { panic!() };
        assert!((confidence - 1.0).abs() < 1e-5);

        let found = recognised(&info, HeadChoice::Auto);
        let text = checked(&found, &vec![0.5; classes_of]).unwrap_err();
        for word in ["sum", "head=classification-softmax", "head=classification-logits", "head=embedding"] {
            assert!(text.contains(word), "{word} in {text}");
        }
        assert!(checked(&found, &vec![f32::NAN; classes_of]).is_ok(), "nothing contradicts the file");
    }
}

#[test]
fn a_row_without_names_is_a_classifier_only_if_it_is_probabilities() {
    let info = model(&SQUARE, &[&[1, 512, 1, 1]], &[]);
    let found = recognised(&info, HeadChoice::Auto);
    assert_eq!(found.reading.trust, Trust::Open);
    let mut values = vec![0.0; 512];
    values[7] = 0.995;
    checked(&found, &values).unwrap();
    assert_eq!(classes(&found, &values, &Params::default()), [(7, 0.995)]);

    let found = recognised(&info, HeadChoice::Auto);
    values[8] = -3.0;
    let text = checked(&found, &values).unwrap_err();
    assert!(text.contains("head=classification-logits") && text.contains("head=embedding"), "{text}");
    assert!(checked(&found, &[f32::NAN; 512]).unwrap_err().contains("can't be told"));
}

#[test]
fn what_the_user_says_is_checked_and_holds() {
    let info = model(&SQUARE, &[&[1, 4]], &[]);
    let choice = |head| ModelChoice {
        head,
        normalization: NormalizationChoice::Unit,
        resize: ResizeChoice::Crop,
        ..ModelChoice::default()
    };
    let found = recognised(&info, choice(HeadChoice::ClassificationLogits));
    assert_eq!((found.input.resize.fit, found.input.normalization), (Fit::Cropped, Normalization::UNIT));
    let values = [1.0, 3.0, f32::NAN, 2.0];
    let all = Params { confidence: 0.0, ..Params::default() };
    let e = |x: f32| x.exp();
    let sum = e(1.0) + e(2.0) + e(3.0);
    for ((class, confidence), (wanted, value)) in
        classes(&found, &values, &all).into_iter().zip([(1, 3.0), (3, 2.0), (0, 1.0)])
    {
        assert!(class == wanted && (confidence - e(value) / sum).abs() < 1e-6, "{class} {confidence}");
    }
    let text = checked(&found, &[0.25; 4]).unwrap_err();
    assert!(text.contains("head=classification-softmax"), "{text}");
    // Confidences of classes that don't exclude each other.
    let found = recognised(&info, choice(HeadChoice::ClassificationSoftmax));
    checked(&found, &[0.9, 0.8, 0.1, 0.2]).unwrap();
    assert_eq!(classes(&found, &[0.9, 0.8, 0.1, 0.2], &Params::default()), [(0, 0.9), (1, 0.8)]);
    let filtered = Params { classes: Some([1].into()), ..Params::default() };
    assert_eq!(classes(&found, &[0.9, 0.8, 0.1, 0.2], &filtered), [(1, 0.8)]);
    assert!(
        matches!(found.head.plan(), Some(DecodePlan::Classes(plan)) if plan.scale.get() == Some(Scale::Probabilities))
    );
}

#[test]
fn embeddings_have_length_1() {
    let info = model(&SQUARE, &[&[-1, 2]], &[]);
    let found = recognised(&info, HeadChoice::Embedding);
    assert_eq!((found.head.kind(), found.head.describe()), (HeadKind::Embedding, "embedding head".to_owned()));
    let vectors = |values: &[f32]| {
        let found = decode(&*found.head, &[(&[2], values)], &Params::default());
        found.into_iter().map(|detection| detection.embedding).collect::<Vec<_>>()
    };
    assert_eq!(vectors(&[3.0, -4.0]), [[0.6, -0.8]]);
    for without in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0], [f32::MAX, f32::MAX]] {
        assert!(vectors(&without).is_empty(), "{without:?}");
    }
    checked(&found, &[0.1, 0.9]).unwrap();
}

#[test]
fn other_rows_are_errors_that_say_why() {
    let names = |task: &'static str, names: &'static str| vec![("task", task), ("names", names)];
    let two: &[&[i64]] = &[&[1, 3], &[1, 8]];
    for (outputs, metadata, choice, word) in [
        (two, CLASSIFY.to_vec(), HeadChoice::Auto, "one row of scores"),
        (two, vec![], HeadChoice::Auto, "no known head"),
        (two, vec![], HeadChoice::ClassificationLogits, "only output"),
        (two, vec![], HeadChoice::Embedding, "only output"),
        (&[&[1, 1]], vec![], HeadChoice::Auto, "one class"),
        (&[&[1, 1]], vec![], HeadChoice::ClassificationSoftmax, "one class"),
        (&[&[1, 1]], names("classify", "['a']"), HeadChoice::Auto, "one class"),
        (&[&[1, -1]], names("classify", "['a']"), HeadChoice::Auto, "one class"),
        (&[&[1, -1]], vec![], HeadChoice::Auto, "dynamic"),
        (&[&[1, -1]], vec![], HeadChoice::Embedding, "fixed number"),
        (&[&[1, 4]], names("classify", "['a', 'b']"), HeadChoice::Auto, "names 2 classes, but the output has 4"),
        (&[&[1, 1 << 20]], vec![], HeadChoice::Auto, "at most"),
        (&[&[1, 3]], names("detect", "['a', 'b', 'c']"), HeadChoice::Auto, "no known head"),
        (&[&[1, 84, 8400]], names("classify", "['a', 'b', 'c']"), HeadChoice::Auto, "one row of scores"),
    ] {
        let text = refused_as(choice, &model(&SQUARE, outputs, &metadata));
        assert!(text.contains(word), "{word} in {text}");
    }
    // Names without the number of columns give it.
    let dynamic = model(&SQUARE, &[&[-1, -1]], &CLASSIFY);
    assert_eq!(recognised(&dynamic, HeadChoice::Auto).head.class_count(), Some(3));
}
