//! Run lengths, as COCO's tools read and write them.
//!
//! Source: `rleEncode` and `rleToString` in COCO's `maskApi.c`.

use super::Scaled;

/// A mask over a whole frame: the lengths of runs of pixels outside and inside the object in turn, beginning outside,
/// column by column from the left, each from top to bottom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rle {
    /// The frame's height, pixels.
    pub height: u32,
    /// The frame's width, pixels.
    pub width: u32,
    /// The lengths of the runs; their sum is the number of pixels.
    pub counts: Vec<u64>,
}

impl Rle {
    /// The runs of a mask over its frame.
    pub fn of(scaled: &Scaled<'_>) -> Self {
        let (width, height) = scaled.frame();
        let mut runs = Runs { counts: Vec::new(), length: 0, inside: false };
        if !scaled.is_empty() {
            let above = u64::from(scaled.rows.start);
            let below = u64::from(height - scaled.rows.end);
            runs.extend(false, u64::from(scaled.columns.start) * u64::from(height));
            for column in scaled.columns.clone() {
                runs.extend(false, above);
                scaled.column(column).for_each(|inside| runs.extend(inside, 1));
                runs.extend(false, below);
            }
        }
        let all = u64::from(width) * u64::from(height);
        let so_far = runs.counts.iter().sum::<u64>() + runs.length;
        runs.extend(false, all.saturating_sub(so_far));
        runs.counts.push(runs.length);
        Self { height, width, counts: runs.counts }
    }

    /// Appends the counts as text, as COCO's compressed `counts` have them: from the fourth on the difference to the one
    /// before the previous is coded, in groups of five bits from the lowest on, each a character from `0` to `o`.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        let mut before = [0_i64; 2];
        for (index, &count) in self.counts.iter().enumerate() {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            let mut rest = if index > 2 { count - before[0] } else { count };
            before = [before[1], count];
            loop {
                let group = (rest & 0x1f) as u8;
                rest >>= 5;
                // The highest bit of the last group is the sign.
                let ends = rest == if group & 0x10 == 0 { 0 } else { -1 };
                out.push(48 + group + if ends { 0 } else { 0x20 });
                if ends {
                    break;
                }
            }
        }
    }
}

struct Runs {
    counts: Vec<u64>,
    /// The length of the last run so far.
    length: u64,
    inside: bool,
}

impl Runs {
    fn extend(&mut self, inside: bool, length: u64) {
        if length == 0 {
            return;
        }
        if inside != self.inside {
            self.counts.push(self.length);
            (self.inside, self.length) = (inside, 0);
        }
        self.length += length;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Rect;
    use super::super::Mask;
    use super::*;

    fn text(rle: &Rle) -> String {
        let mut out = Vec::new();
        rle.write_text(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn of(counts: &[u64]) -> String {
        text(&Rle { height: 1, width: counts.iter().sum::<u64>() as u32, counts: counts.to_vec() })
    }

    /// What pycocotools 2.0.11 gives for these counts.
    #[test]
    fn texts_are_those_of_coco() {
        assert_eq!(of(&[12]), "<");
        assert_eq!(of(&[0, 6]), "06");
        assert_eq!(of(&[6, 1, 40, 4, 5, 4, 5, 4, 21]), "61X13mN000`0");
        assert_eq!(of(&[1_000_000, 15, 16, 14, 1_000_000]), "Pb`n0?`0O`a`n0");
    }

    #[test]
    fn runs_go_down_the_columns_of_the_frame() {
        let mask = Mask::new(Rect::new(0.25, 0.5, 0.5, 0.5), 2, 2, [0b1011]).unwrap();
        let rle = Rle::of(&mask.in_frame(&mask.area(), (4, 4)));
        // Column 1 has rows 2 and 3 without the lower one; column 2 both.
        assert_eq!((rle.width, rle.height), (4, 4));
        assert_eq!(rle.counts, [6, 1, 3, 2, 4]);
        let whole = Mask::new(Rect::UNIT, 1, 1, [1]).unwrap();
        assert_eq!(Rle::of(&whole.in_frame(&Rect::UNIT, (3, 2))).counts, [0, 6]);
        let nothing = Mask::new(Rect::UNIT, 1, 1, [0]).unwrap();
        assert_eq!(Rle::of(&nothing.in_frame(&Rect::UNIT, (3, 2))).counts, [6]);
        assert_eq!(Rle::of(&whole.in_frame(&Rect::new(0.0, 0.0, 0.0, 0.0), (3, 2))).counts, [6]);
        assert_eq!(Rle::of(&whole.in_frame(&Rect::UNIT, (0, 0))).counts, [0]);
    }
}
