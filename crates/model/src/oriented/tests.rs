use super::*;
use proptest::prelude::*;
use std::f32::consts::FRAC_PI_2;

fn near(a: f32, b: f32) -> bool {
    (a - b).abs() < 1e-3
}

fn oriented(x: f32, y: f32, w: f32, h: f32, angle: f32) -> OrientedBox {
    OrientedBox::new(x, y, w, h, angle).unwrap()
}

#[test]
fn corners_are_clockwise_from_the_upper_left_one() {
    let upright = oriented(10.0, 20.0, 8.0, 4.0, 0.0);
    assert_eq!(upright.corners, [[6.0, 18.0], [14.0, 18.0], [14.0, 22.0], [6.0, 22.0]]);
    assert_eq!(upright.enclosing(), Rect::new(6.0, 18.0, 8.0, 4.0));
    // A quarter turn clockwise: the upper left corner is at the upper right.
    let turned = oriented(10.0, 20.0, 8.0, 4.0, FRAC_PI_2);
    for ([x, y], [wx, wy]) in turned.corners.iter().zip([[12.0, 16.0], [12.0, 24.0], [8.0, 24.0], [8.0, 16.0]]) {
        assert!(near(*x, wx) && near(*y, wy), "{turned:?}");
    }
    assert!(near(turned.angle(), FRAC_PI_2));
    assert_eq!(oriented(10.0, 20.0, -8.0, -4.0, 0.0), upright, "sizes have no sign");
    for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in 0..5 {
            let mut values = [1.0; 5];
            values[at] = odd;
            let [x, y, w, h, angle] = values;
            assert_eq!(OrientedBox::new(x, y, w, h, angle), None, "{values:?}");
        }
    }
}

#[test]
fn a_reflection_turns_the_other_way() {
    let before = oriented(30.0, 20.0, 20.0, 6.0, 0.4);
    let mirrored = before.map(|x, y| (100.0 - x, y));
    assert!(near(mirrored.angle(), -0.4), "{mirrored:?}");
    assert!(near(mirrored.size().0, 20.0) && near(mirrored.size().1, 6.0), "{mirrored:?}");
    assert_eq!(mirrored.centre(), (70.0, 20.0));
    let turned = before.map(|x, y| (100.0 - y, x));
    assert!(near(turned.angle(), 0.4 + FRAC_PI_2), "{turned:?}");
    // Half a turn more is the same.
    let upside_down = before.map(|x, y| (100.0 - x, 100.0 - y));
    assert!(near(upside_down.angle(), 0.4), "{upside_down:?}");
}

/// Computed with the formula of `batch_probiou` of Ultralytics 8.4.190 as float32 in NumPy.
#[test]
fn likeness_is_that_of_the_reference() {
    let likeness = |a: &OrientedBox, b: &OrientedBox| {
        let [a, b] = [a, b].map(|of| Gaussian::new(of, 0));
        let alike = |iou: f32| a.is_like(&b, &Limit::new(iou));
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..24 {
            let middle = (low + high) / 2.0;
            if alike(middle) { low = middle } else { high = middle }
        }
        low
    };
    let one = [100.0, 100.0, 60.0, 20.0, 0.3];
    for (other, expected) in PAIRS {
        let [a, b] = [one, other].map(|[x, y, w, h, angle]| oriented(x, y, w, h, angle));
        let found = likeness(&a, &b);
        assert!((found - expected).abs() < 2e-4, "{other:?}: {found} instead of {expected}");
        assert!((likeness(&b, &a) - expected).abs() < 2e-4, "{other:?} the other way round");
    }
}

/// Boxes, and their likeness to the one at (100, 100).
const PAIRS: [([f32; 5], f32); 12] = [
    ([100.0, 100.0, 60.0, 20.0, 0.3], 0.999_600_5),
    ([104.0, 101.0, 60.0, 20.0, 0.3], 0.914_978_5),
    ([110.0, 90.0, 60.0, 20.0, 0.3], 0.326_308_25),
    ([100.0, 100.0, 60.0, 20.0, 0.5], 0.817_409),
    ([100.0, 100.0, 60.0, 20.0, 1.8], 0.368_306_16),
    ([100.0, 100.0, 20.0, 60.0, 1.870_796_3], 0.999_600_5),
    ([100.0, 100.0, 90.0, 12.0, 0.3], 0.687_726_26),
    ([103.0, 98.0, 55.0, 24.0, -0.2], 0.628_664_1),
    ([130.0, 110.0, 60.0, 20.0, 0.3], 0.415_365_04),
    ([100.0, 130.0, 40.0, 40.0, 0.7], 0.127_955_62),
    ([300.0, 100.0, 60.0, 20.0, 0.3], 0.0),
    ([101.0, 100.0, 6.0, 2.0, 0.3], 0.104_311_645),
];

/// Of three boxes in a row the second is like the first, and the third only like the second.
#[test]
fn a_box_that_is_dropped_drops_others() {
    let row = [0.0, 6.0, 12.0].map(|x| oriented(x, 0.0, 30.0, 10.0, 0.0));
    let kept_of = |classes: [u32; 3], params: &Params| kept(row.iter().zip(classes), params);
    let params = Params { iou: 0.6, ..Params::default() };
    assert_eq!(kept_of([0; 3], &params), [true, false, false]);
    assert_eq!(kept_of([0, 1, 0], &params), [true, true, true], "far enough from each other");
    assert_eq!(kept_of([0, 1, 0], &Params { class_agnostic: true, ..params.clone() }), [true, false, false]);
    assert_eq!(kept_of([0, 1, 2], &Params { max_detections: 2, ..params }), [true, true, false]);
}

#[test]
fn odd_values_do_not_panic() {
    let odd = [f32::NAN, f32::INFINITY, f32::MAX, 0.0, -1.0];
    let boxes: Vec<_> = odd.iter().flat_map(|&a| odd.map(|b| OrientedBox { corners: [[a, b]; 4] })).collect();
    for iou in [f32::NAN, 0.0, 0.5, 1.0] {
        kept(boxes.iter().map(|of| (of, 0)), &Params { iou, ..Params::default() });
    }
}

proptest! {
    #[test]
    fn decay_is_the_exponential(x in 0.0f32..80.0) {
        let wanted = (-f64::from(x)).exp();
        prop_assert!((f64::from(decay(x)) - wanted).abs() <= 3e-7 * wanted);
    }

    /// The short cut drops no pair that is alike.
    #[test]
    fn far_boxes_are_not_alike(
        (x, y, w, h, angle) in (0f32..100.0, 0f32..100.0, 1f32..90.0, 1f32..90.0, -0.8f32..2.4),
        (w2, h2, angle2) in (1f32..90.0, 1f32..90.0, -0.8f32..2.4),
        iou in 0.0f32..0.99,
    ) {
        let a = Gaussian::new(&oriented(x, y, w, h, angle), 0);
        let b = Gaussian::new(&oriented(50.0, 50.0, w2, h2, angle2), 0);
        let limit = Limit::new(iou);
        let without = Limit { reach: f32::INFINITY, ..limit };
        prop_assert_eq!(a.is_like(&b, &Limit::new(iou)), a.is_like(&b, &without));
    }

    #[test]
    fn the_enclosing_box_touches_every_side(
        (x, y, w, h, angle) in (0f32..100.0, 0f32..100.0, 1f32..90.0, 1f32..90.0, -0.8f32..2.4),
    ) {
        let of = oriented(x, y, w, h, angle);
        let rect = of.enclosing();
        let (sin, cos) = angle.sin_cos();
        prop_assert!(near(rect.w, w * cos.abs() + h * sin.abs()) && near(rect.h, w * sin.abs() + h * cos.abs()));
        prop_assert!(near(of.size().0, w) && near(of.size().1, h));
        let (cx, cy) = of.centre();
        prop_assert!(near(cx, x) && near(cy, y));
    }
}
