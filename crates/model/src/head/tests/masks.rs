//! Recognition of heads with masks, and the masks of what they find.

use super::super::super::nms;
use super::super::Recognised;
use super::*;

const SEGMENT: (&str, &str) = ("task", "segment");
const PROTOTYPES: [i64; 4] = [1, 32, 160, 160];

fn recognised(outputs: &[&[i64]], metadata: &[(&str, &str)]) -> Recognised {
    recognise(&model(&FIXED, outputs, metadata), HeadChoice::Auto).unwrap_or_else(|e| panic!("{outputs:?}: {e}"))
}

#[test]
fn segmentation_exports_are_recognised() {
    for (boxes, metadata, name, classes, trust) in [
        (&[1, 116, 8400][..], &[][..], "yolo-seg", Some(80), Trust::Plausible),
        (&[1, 39, 8400], &[SEGMENT, NAMES[1]], "yolo-seg", Some(3), Trust::Plausible),
        (&[1, 39, 8400], &[SEGMENT, NAMES[1], ("author", "Ultralytics")], "yolo-seg", Some(3), Trust::Vouched),
        (&[1, 8400, 39], &[SEGMENT, NAMES[1]], "yolo-seg", Some(3), Trust::Plausible),
        (&[-1, 39, -1], &[SEGMENT, NAMES[1]], "yolo-seg", Some(3), Trust::Plausible),
        (&[1, 300, 38], &[], "yolo-seg-end-to-end", None, Trust::Plausible),
        (&[1, 300, 38], &[SEGMENT, NAMES[1], ("end2end", "True")], "yolo-seg-end-to-end", Some(3), Trust::Plausible),
        (
            &[1, 100, 38],
            &[SEGMENT, NAMES[1], ("args", "{'nms': True}")],
            "yolo-seg-end-to-end",
            Some(3),
            Trust::Plausible,
        ),
    ] {
        let Recognised { head, reading, .. } = recognised(&[boxes, &PROTOTYPES], metadata);
        assert_eq!((head.name(), head.class_count(), reading.trust), (name, classes, trust), "{boxes:?}");
        assert_eq!((head.kind(), head.needs_nms()), (HeadKind::Detection, name == "yolo-seg"));
        let masks = head.masks().unwrap();
        assert_eq!((masks.coefficients(), masks.grid_output(), masks.width, masks.height), (32, 1, 640.0, 640.0));
        let alone = recognise(&model(&FIXED, &[boxes], metadata), HeadChoice::Auto);
        assert!(alone.is_err() || metadata.is_empty(), "without prototypes");
    }
    let detector = recognised(&[&[1, 84, 8400]], &[]);
    assert!(detector.head.masks().is_none());
}

#[test]
fn a_chosen_segmentation_head_has_to_fit() {
    let chosen = |choice, outputs: &[&[i64]], metadata: &[(&str, &str)]| {
        recognise(&model(&FIXED, outputs, metadata), choice).map(|found| (found.head.name(), found.head.class_count()))
    };
    let seg = HeadChoice::YoloSeg;
    assert_eq!(chosen(seg, &[&[1, 116, 8400], &PROTOTYPES], &[]).unwrap(), ("yolo-seg", Some(80)));
    assert_eq!(chosen(seg, &[&[1, 8400, 50], &[1, 16, 160, 160]], &[]).unwrap(), ("yolo-seg", Some(30)));
    let end = HeadChoice::YoloSegEndToEnd;
    assert_eq!(chosen(end, &[&[1, 50, 38], &PROTOTYPES], &[]).unwrap(), ("yolo-seg-end-to-end", None));
    for (choice, outputs) in [
        (seg, &[&[1, 116, 8400][..]][..]),
        (seg, &[&[1, 36, 8400], &PROTOTYPES]),
        (end, &[&[1, 300, 38], &[1, 16, 160, 160]]),
        (end, &[&[1, 300, 38], &[1, 300]]),
    ] {
        let text = refused_as(choice, &model(&FIXED, outputs, &[]));
        assert!(text.contains("doesn't fit"), "{text}");
    }
    let text = refused(&model(&FIXED, &[&[1, 39, 8400]], &[SEGMENT, NAMES[1]]));
    assert!(text.contains("prototypes"), "{text}");
    let text = refused(&model(&FIXED, &[&[1, 38, 8400], &PROTOTYPES], &[SEGMENT, NAMES[1]]));
    assert!(text.contains("coefficients") && text.contains("39 channels"), "{text}");
}

/// An input of 16 × 16 pixels with 4 × 4 cells: prototype 0 is set in the left half, prototype 1 everywhere.
fn prototypes() -> Vec<f32> {
    let left = (0..16).map(|cell| if cell % 4 < 2 { 1.0 } else { -1.0 });
    left.chain([1.0; 16]).collect()
}

/// The masks after suppression, cell by cell.
fn masks(head: &dyn Head, outputs: &[(&[usize], &[f32])]) -> Vec<(u32, u32, Vec<u32>)> {
    let params = Params::default();
    let mut found = decode(head, outputs, &params);
    if head.needs_nms() {
        nms(&mut found, &params);
    }
    let outputs: Vec<_> = outputs.iter().map(|&(shape, data)| Output { shape, data }).collect();
    head.masks().unwrap().add(head.name(), &outputs, &mut found).unwrap();
    let mask = |detection: Detection| {
        let mask = detection.mask.unwrap();
        (mask.columns(), mask.rows(), mask.bits().to_vec())
    };
    found.into_iter().map(mask).collect()
}

#[test]
fn objects_have_the_masks_of_their_anchors() {
    let input = [1, 3, 16, 16];
    let named = [SEGMENT, ("names", "{0: 'a'}")];
    // Anchors of centre, size, score and two coefficients: the second is suppressed, the third fails the threshold.
    let anchors = [
        [8.0, 8.0, 16.0, 8.0, 0.8, -1.0, 0.0],
        [8.0, 8.5, 16.0, 8.0, 0.7, 1.0, 0.0],
        [8.0, 8.0, 4.0, 4.0, 0.1, 1.0, 0.0],
        [2.0, 2.0, 4.0, 4.0, 0.9, 0.0, 1.0],
    ];
    let expected = [(1, 1, vec![1]), (4, 2, vec![0b1100_1100])];
    let rows: Vec<f32> = anchors.as_flattened().to_vec();
    let columns: Vec<f32> = (0..7).flat_map(|channel| anchors.map(|anchor| anchor[channel])).collect();
    for (declared, shape, data) in [([1, 7, 4], [7, 4], columns), ([1, 4, 7], [4, 7], rows)] {
        let info = model(&input, &[&declared, &[1, 2, 4, 4]], &named);
        let head = recognise(&info, HeadChoice::YoloSeg).unwrap().head;
        assert_eq!(masks(&*head, &[(&shape, &data), (&[2, 4, 4], &prototypes())]), expected);
    }
    let objects = [
        [0.0, 4.0, 16.0, 12.0, 0.8, 0.0, -1.0, 0.0],
        [0.0, 0.0, 16.0, 16.0, 0.1, 0.0, 0.0, 1.0],
        [0.0, 0.0, 4.0, 4.0, 0.9, 0.0, 0.0, 1.0],
    ];
    let info = model(&input, &[&[1, 3, 8], &[1, 2, 4, 4]], &[SEGMENT, ("names", "{0: 'a'}"), ("end2end", "True")]);
    let head = known(&info).0;
    assert_eq!(masks(&*head, &[(&[3, 8], objects.as_flattened()), (&[2, 4, 4], &prototypes())]), expected);
}

#[test]
fn rf_detr_s_queries_have_masks() {
    let f32 = ElementType::F32;
    let mut info = model(&[1, 3, 16, 16], &[], &[]);
    info.outputs = [("dets", &[1, 2, 4][..]), ("labels", &[1, 2, 3]), ("masks", &[1, 2, 4, 4])]
        .map(|(name, shape)| tensor(name, f32, shape))
        .into();
    let head = known(&info).0;
    assert_eq!((head.name(), head.class_count()), ("rf-detr", Some(2)));
    let boxes = [0.5, 0.5, 1.0, 1.0, 0.5, 0.25, 0.5, 0.5];
    let logits = [-9.0, -9.0, 9.0, -9.0, 3.0, -9.0];
    let mut planes = prototypes();
    planes[16..].fill(-0.5);
    planes[17] = 0.5;
    let outputs: [(&[usize], &[f32]); 3] = [(&[2, 4], &boxes), (&[2, 3], &logits), (&[2, 4, 4], &planes)];
    // The second query: columns 1 and 2, rows 0 and 1, of which one cell is set.
    assert_eq!(masks(&*head, &outputs), [(2, 2, vec![1])]);
    info.outputs.pop();
    assert!(known(&info).0.masks().is_none());
}
