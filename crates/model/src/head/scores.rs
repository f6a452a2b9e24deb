//! The part of decoding that reads every score: the best class of each anchor, or all of its classes, and whether they pass.

use super::super::Params;

/// Anchors processed at a time: their best scores and classes stay in the L1 cache while the rows are read.
const CHUNK: usize = 1024;

/// Class scores of all anchors of one image.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scores<'a> {
    /// `[classes, anchors]`: `rows` has one row of `anchors` scores per class.
    ClassMajor { rows: &'a [f32], anchors: usize },
    /// `[anchors, channels]`, where the scores are `classes` channels from `first` on.
    AnchorMajor { values: &'a [f32], channels: usize, first: usize, classes: usize },
}

impl Scores<'_> {
    /// Calls `accept(anchor, class, score)` for each anchor whose best class passes `params`.
    ///
    /// An anchor's best class is determined before filtering, as in Ultralytics: if a filtered-out class has the
    /// highest score, the anchor is dropped, although another of its classes might pass. NaN scores are ignored; an
    /// infinite best score drops its anchor.
    pub(super) fn for_each_passing(&self, params: &Params, accept: impl FnMut(usize, u32, f32)) {
        self.for_each_label(params, false, accept);
    }

    /// The same, or with `multi_label` for each class of an anchor that passes; an infinite score then drops its class alone.
    pub(super) fn for_each_label(&self, params: &Params, multi_label: bool, mut accept: impl FnMut(usize, u32, f32)) {
        let lowest = lowest_threshold(params);
        let mut check = |anchor: usize, class: u32, score: f32| {
            if score.is_finite() && params.threshold(class).is_some_and(|t| score >= t) {
                accept(anchor, class, score);
            }
        };
        // Most anchors have no class that passes, which their best score tells.
        let mut check = |anchor: usize, class: u32, score: f32| {
            if !multi_label {
                return check(anchor, class, score);
            }
            for (class, score) in (0..).zip(self.of_anchor(anchor)) {
                check(anchor, class, score);
            }
        };
        match *self {
            Self::ClassMajor { rows, anchors } => {
                let (mut best, mut class) = ([0.0; CHUNK], [0; CHUNK]);
                for start in (0..anchors).step_by(CHUNK) {
                    let count = CHUNK.min(anchors - start);
                    let (best, class) = (&mut best[..count], &mut class[..count]);
                    best_of_rows(rows, anchors, start, best, class);
                    for (i, (&score, &class)) in best.iter().zip(class.iter()).enumerate() {
                        if score >= lowest {
                            check(start + i, class, score);
                        }
                    }
                }
            }
            Self::AnchorMajor { values, channels, first, classes } => {
                for (anchor, values) in values.chunks_exact(channels.max(1)).enumerate() {
                    let scores = values.get(first..first + classes).unwrap_or_default();
                    let score = best_of(scores);
                    if score >= lowest {
                        let class = scores.iter().position(|&s| s == score).unwrap_or(0);
                        check(anchor, class as u32, score);
                    }
                }
            }
        }
    }
}

impl<'a> Scores<'a> {
    /// The scores of an anchor's classes.
    fn of_anchor(self, anchor: usize) -> impl Iterator<Item = f32> + 'a {
        let (values, step) = match self {
            Self::ClassMajor { rows, anchors } => (rows.get(anchor..).unwrap_or_default(), anchors),
            Self::AnchorMajor { values, channels, first, classes } => {
                let start = anchor * channels + first;
                (values.get(start..start + classes).unwrap_or_default(), 1)
            }
        };
        values.iter().copied().step_by(step.max(1))
    }
}

/// No class passes with a lower score.
fn lowest_threshold(params: &Params) -> f32 {
    params.class_confidence.values().copied().fold(params.confidence, f32::min)
}

/// Sets `best[i]` to the greatest of the rows' values at `start + i` and `class[i]` to its row, the first of equal
/// ones; −∞ and 0 if all are NaN.
///
/// Processing four rows at a time, so that the best of four is compared in registers, is seven times as fast as row by
/// row.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn best_of_rows(rows: &[f32], anchors: usize, start: usize, best: &mut [f32], class: &mut [u32]) {
    best.fill(f32::NEG_INFINITY);
    class.fill(0);
    let range = start..start + best.len();
    let mut rows = rows.chunks_exact(anchors).map(|row| row.get(range.clone()).unwrap_or_default());
    let mut id = 0;
    while let Some(row) = rows.next() {
        // Missing rows are replaced by the first of the four, which doesn't change the result.
        let [b, c, d] = [(); 3].map(|()| rows.next().unwrap_or(row));
        for (((((best, class), &s0), &s1), &s2), &s3) in
            best.iter_mut().zip(class.iter_mut()).zip(row).zip(b).zip(c).zip(d)
        {
            let (mut greatest, mut of) = (*best, *class);
            for (i, score) in [s0, s1, s2, s3].into_iter().enumerate() {
                // Unlike `f32::max`, this comparison ignores NaN and keeps the first of equal values.
                let greater = score > greatest;
                greatest = if greater { score } else { greatest };
                of = if greater { id + i as u32 } else { of };
            }
            (*best, *class) = (greatest, of);
        }
        id += 4;
    }
}

/// The greatest value, −∞ if all are NaN.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn best_of(scores: &[f32]) -> f32 {
    const LANES: usize = 16;
    let greater = |best: f32, score: f32| if score > best { score } else { best };
    let (chunks, rest) = scores.as_chunks::<LANES>();
    let mut best = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (best, &score) in best.iter_mut().zip(chunk) {
            *best = greater(*best, score);
        }
    }
    best.iter().chain(rest).copied().fold(f32::NEG_INFINITY, greater)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn passing(scores: Scores, params: &Params) -> Vec<(usize, u32, f32)> {
        passing_by(scores, params, false)
    }

    fn passing_by(scores: Scores, params: &Params, multi_label: bool) -> Vec<(usize, u32, f32)> {
        let mut out = Vec::new();
        scores.for_each_label(params, multi_label, |anchor, class, score| out.push((anchor, class, score)));
        out
    }

    #[test]
    fn every_class_that_passes_is_found_with_multi_label() {
        // Classes 0 to 2 of anchor 0: 0.9, 0.3, 0.2; of anchor 1: 0.1, 0.4, infinity.
        let (rows, values) = ([0.9, 0.1, 0.3, 0.4, 0.2, f32::INFINITY], [0.9, 0.3, 0.2, 0.1, 0.4, f32::INFINITY]);
        let forms = [
            Scores::ClassMajor { rows: &rows, anchors: 2 },
            Scores::AnchorMajor { values: &values, channels: 3, first: 0, classes: 3 },
        ];
        for scores in forms {
            assert_eq!(passing_by(scores, &Params::default(), true), [(0, 0, 0.9), (0, 1, 0.3), (1, 1, 0.4)]);
            let only_1 = Params { classes: Some(BTreeSet::from([1])), ..Params::default() };
            assert_eq!(passing_by(scores, &only_1, true), [(0, 1, 0.3), (1, 1, 0.4)]);
        }
    }

    #[test]
    fn the_best_class_is_found_before_the_filter() {
        // Anchor 0: class 0 beats class 1; anchor 1: class 1 beats class 0.
        let rows = [0.9, 0.3, 0.8, 0.7];
        let scores = Scores::ClassMajor { rows: &rows, anchors: 2 };
        let only_1 = Params { classes: Some(BTreeSet::from([1])), ..Params::default() };
        assert_eq!(passing(scores, &only_1), [(1, 1, 0.7)]);
    }

    #[test]
    fn class_thresholds_go_both_ways() {
        let rows = [0.3, 0.1, 0.3, 0.2, 0.6, 0.1];
        let scores = Scores::ClassMajor { rows: &rows, anchors: 3 };
        let params = |class_confidence| Params { class_confidence, ..Params::default() };
        assert_eq!(passing(scores, &params(BTreeMap::new())), [(0, 0, 0.3), (1, 1, 0.6), (2, 0, 0.3)]);
        assert_eq!(passing(scores, &params(BTreeMap::from([(0, 0.5)]))), [(1, 1, 0.6)]);
        let rows = [0.1, 0.05];
        let scores = Scores::ClassMajor { rows: &rows, anchors: 1 };
        assert_eq!(passing(scores, &params(BTreeMap::from([(0, 0.1)]))), [(0, 0, 0.1)]);
    }

    #[test]
    fn what_is_no_number_is_dropped() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let rows = [nan, nan, inf, -inf, 0.5, nan, 0.5, nan];
        let scores = Scores::ClassMajor { rows: &rows, anchors: 4 };
        assert_eq!(passing(scores, &Params::default()), [(0, 1, 0.5)]);
        let values = [nan, 0.5, nan, nan, inf, 0.5, -inf, nan];
        let scores = Scores::AnchorMajor { values: &values, channels: 2, first: 0, classes: 2 };
        assert_eq!(passing(scores, &Params::default()), [(0, 1, 0.5)]);
    }

    #[test]
    fn nothing_to_look_at() {
        assert!(passing(Scores::ClassMajor { rows: &[], anchors: 0 }, &Params::default()).is_empty());
        let scores = Scores::AnchorMajor { values: &[], channels: 0, first: 0, classes: 0 };
        assert!(passing(scores, &Params::default()).is_empty());
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_form(
            (classes, anchors) in (1usize..20, 1usize..1100),
            seed in prop::collection::vec(0f32..1.0, 97),
            confidence in 0f32..1.0,
            class_confidence in prop::collection::btree_map(0u32..20, 0f32..1.0, 0..4),
            allowed in prop::option::of(prop::collection::btree_set(0u32..20, 1..20)),
        ) {
            let at = |class: usize, anchor: usize| seed[(class * 31 + anchor * 7) % seed.len()];
            let params = Params { confidence, class_confidence, classes: allowed, ..Params::default() };
            let pass = |class: usize, score: f32| params.threshold(class as u32).is_some_and(|t| score >= t);
            let all = (0..anchors).flat_map(|a| (0..classes).map(move |c| (a, c as u32, at(c, a))));
            let every: Vec<_> = all.filter(|&(_, class, score)| pass(class as usize, score)).collect();
            let mut expected = Vec::new();
            for anchor in 0..anchors {
                let (mut class, mut score) = (0, at(0, anchor));
                for c in 1..classes {
                    if at(c, anchor) > score {
                        (class, score) = (c, at(c, anchor));
                    }
                }
                if pass(class, score) {
                    expected.push((anchor, class as u32, score));
                }
            }
            let rows: Vec<f32> = (0..classes).flat_map(|c| (0..anchors).map(move |a| at(c, a))).collect();
            let class_major = Scores::ClassMajor { rows: &rows, anchors };
            prop_assert_eq!(&passing(class_major, &params), &expected);
            prop_assert_eq!(&passing_by(class_major, &params, true), &every);
            // Three channels before the scores and one after them have greater values than any score.
            let values: Vec<f32> = (0..anchors)
                .flat_map(|a| [9.0; 3].into_iter().chain((0..classes).map(move |c| at(c, a))).chain([9.0]))
                .collect();
            let anchor_major = Scores::AnchorMajor { values: &values, channels: classes + 4, first: 3, classes };
            prop_assert_eq!(&passing(anchor_major, &params), &expected);
            prop_assert_eq!(&passing_by(anchor_major, &params, true), &every);
        }
    }
}
