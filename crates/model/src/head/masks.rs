//! Reading the masks of objects that are left after suppression.

use super::super::{Detection, InputSpec, Mask, Rect};
use super::anchors::{output, unexpected};
use super::dense::ColumnsView;
use super::{Columns, HeadError, Outputs};
use std::ops::Range;

/// The values that a head's masks are made from, as plain data, for decoding on the device too.
///
/// An object's mask has one logit per cell of a grid over the network's input, and is set where that is above 0. Only the
/// cells that the object's box touches are kept. Logits are calculated in `f32`, sums in the order of the coefficients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaskPlan {
    /// Where the logits come from.
    pub source: MaskSource,
    /// Width of the network's input, pixels.
    pub width: f32,
    /// Height of the network's input, pixels.
    pub height: f32,
}

/// Where a mask's logits come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskSource {
    /// They are the sum of prototypes, each multiplied by one of the object's coefficients.
    Prototypes {
        /// `count` columns of each row or anchor.
        coefficients: Columns,
        /// Number of coefficients, and of prototypes.
        count: usize,
        /// Index of the output `[count, rows, columns]`.
        prototypes: usize,
    },
    /// They are the object's row of an output `[N, rows, columns]`.
    Queries {
        /// Index of the output.
        output: usize,
    },
}

/// Logits of one image, whose shapes have been checked.
struct Logits<'a> {
    data: &'a [f32],
    columns: usize,
    rows: usize,
    /// The coefficients of each object and their number, if these are prototypes.
    coefficients: Option<(ColumnsView<'a>, usize)>,
}

impl MaskPlan {
    /// Masks over this input.
    pub(super) fn new(source: MaskSource, input: &InputSpec) -> Self {
        Self { source, width: input.width as f32, height: input.height as f32 }
    }

    /// Number of coefficients per row or anchor; 0 if masks aren't made from prototypes.
    pub fn coefficients(&self) -> usize {
        match self.source {
            MaskSource::Prototypes { count, .. } => count,
            MaskSource::Queries { .. } => 0,
        }
    }

    /// The output that the grid is the last two dimensions of.
    pub fn grid_output(&self) -> usize {
        match self.source {
            MaskSource::Prototypes { prototypes, .. } => prototypes,
            MaskSource::Queries { output } => output,
        }
    }

    /// Gives each object in `found` its mask. Boxes are in pixels of the network's input, as [`super::Head::decode`] leaves
    /// them; an object whose box touches no cell gets no mask.
    ///
    /// # Errors
    /// An output's shape differs from the expected one. It's checked even if nothing was found.
    pub fn add(&self, head: &str, outputs: &Outputs<'_>, found: &mut [Detection]) -> Result<(), HeadError> {
        let logits = self.logits(head, outputs)?;
        let mut line = Vec::new();
        for detection in found {
            detection.mask = self.cells(&detection.rect, logits.columns, logits.rows).and_then(|cells| {
                let area = cells.area(self, logits.columns, logits.rows);
                let mut bits = vec![0; Mask::words(cells.width(), cells.height())];
                let mut bit = 0;
                for row in cells.rows.clone() {
                    logits.line(detection.row as usize, row as usize, &cells.columns, &mut line)?;
                    for &logit in &line {
                        *bits.get_mut(bit / 32)? |= u32::from(logit > 0.0) << (bit % 32);
                        bit += 1;
                    }
                }
                Mask::new(area, cells.width(), cells.height(), bits)
            });
        }
        Ok(())
    }

    fn logits<'a>(&self, head: &str, outputs: &Outputs<'a>) -> Result<Logits<'a>, HeadError> {
        let index = self.grid_output();
        let grid = output(head, outputs, index)?;
        let (wanted, coefficients) = match self.source {
            MaskSource::Prototypes { coefficients, count, .. } => {
                let of = output(head, outputs, coefficients.output)?;
                let view = coefficients.view(outputs).ok_or_else(|| {
                    let wanted = format!("{} channels per anchor", coefficients.channels);
                    unexpected(head, coefficients.output, &of, &wanted)
                })?;
                (format!("[{count}, rows, columns]"), Some((view, count)))
            }
            MaskSource::Queries { .. } => ("[N, rows, columns]".to_owned(), None),
        };
        let side = |side: usize| (1..=Mask::MAX_SIDE as usize).contains(&side);
        match *grid.shape {
            [planes, rows, columns]
                if side(rows)
                    && side(columns)
                    && grid.data.len() == planes * rows * columns
                    && coefficients.is_none_or(|(_, count)| count == planes) =>
            {
                Ok(Logits { data: grid.data, columns, rows, coefficients })
            }
            _ => Err(unexpected(head, index, &grid, &wanted)),
        }
    }

    /// The cells that a box touches, of a grid with this many columns and rows; `None` if there are none.
    fn cells(&self, rect: &Rect, columns: usize, rows: usize) -> Option<Cells> {
        let axis = |from: f32, to: f32, cells: usize, pixels: f32| {
            let (scale, cells) = (cells as f32 / pixels, cells as u32);
            // Conversions saturate, and NaN becomes 0.
            let (first, end) = ((from * scale).floor() as u32, ((to * scale).ceil() as u32).min(cells));
            (first < end).then_some(first..end)
        };
        Some(Cells {
            columns: axis(rect.x, rect.right(), columns, self.width)?,
            rows: axis(rect.y, rect.bottom(), rows, self.height)?,
        })
    }

    /// The mask that the device made for a box: `bits` as in [`Mask::new`], for the cells of a grid of `columns` × `rows`
    /// from `first` (column, row) to `end`, exclusive.
    pub fn mask(&self, grid: (u32, u32), first: (u32, u32), end: (u32, u32), bits: &[u32]) -> Option<Mask> {
        let cells = Cells { columns: first.0..end.0, rows: first.1..end.1 };
        let area = cells.area(self, grid.0 as usize, grid.1 as usize);
        Mask::new(area, cells.width(), cells.height(), bits)
    }
}

/// A part of the grid.
struct Cells {
    columns: Range<u32>,
    rows: Range<u32>,
}

impl Cells {
    fn width(&self) -> u32 {
        self.columns.len() as u32
    }

    fn height(&self) -> u32 {
        self.rows.len() as u32
    }

    /// The area of these cells in pixels of the network's input.
    fn area(&self, plan: &MaskPlan, columns: usize, rows: usize) -> Rect {
        let (cell_w, cell_h) = (plan.width / columns as f32, plan.height / rows as f32);
        Rect::new(
            self.columns.start as f32 * cell_w,
            self.rows.start as f32 * cell_h,
            self.width() as f32 * cell_w,
            self.height() as f32 * cell_h,
        )
    }
}

impl Logits<'_> {
    /// Sets `line` to the logits of some columns of an object's mask in one row of the grid; `None` if the object's row isn't
    /// in the output.
    fn line(&self, object: usize, row: usize, columns: &Range<u32>, line: &mut Vec<f32>) -> Option<()> {
        let plane = |index: usize| {
            let start = (index * self.rows + row) * self.columns;
            self.data.get(start + columns.start as usize..start + columns.end as usize)
        };
        line.clear();
        match &self.coefficients {
            None => line.extend_from_slice(plane(object)?),
            Some((coefficients, count)) => {
                line.resize(columns.len(), 0.0);
                for index in 0..*count {
                    let coefficient = coefficients.value(index, object);
                    for (sum, prototype) in line.iter_mut().zip(plane(index)?) {
                        *sum += coefficient * prototype;
                    }
                }
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Output;
    use super::*;

    /// Two prototypes over 4 × 2 cells of 10 pixels: the first is set left, the second above.
    const PROTOTYPES: [f32; 16] =
        [1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0];
    /// Two rows of box, score, class and coefficients.
    const ROWS: [f32; 16] = [0., 0., 0., 0., 0., 0., 1.0, 0.0, 0., 0., 0., 0., 0., 0., 0.5, -2.0];

    fn plan() -> MaskPlan {
        let coefficients = Columns::of_rows(0, 6, 8);
        let source = MaskSource::Prototypes { coefficients, count: 2, prototypes: 1 };
        MaskPlan { source, width: 40.0, height: 20.0 }
    }

    fn object(row: u32, rect: Rect) -> Detection {
        Detection { row, rect, ..Detection::default() }
    }

    fn text(mask: &Mask) -> Vec<String> {
        let cell = |column, row| if mask.is_set(column, row) { '#' } else { '.' };
        (0..mask.rows()).map(|row| (0..mask.columns()).map(|column| cell(column, row)).collect()).collect()
    }

    #[test]
    fn prototypes_are_summed_within_the_box() {
        let outputs = [Output { shape: &[2, 8], data: &ROWS }, Output { shape: &[2, 2, 4], data: &PROTOTYPES }];
        let mut found = [
            object(0, Rect::new(5.0, 0.0, 30.0, 20.0)),
            object(1, Rect::new(-100.0, -100.0, 1000.0, 1000.0)),
            object(1, Rect::new(10.0, 10.0, 10.0, 10.0)),
            object(1, Rect::new(-20.0, 0.0, 20.0, 20.0)),
            object(7, Rect::new(0.0, 0.0, 10.0, 10.0)),
        ];
        plan().add("test", &outputs, &mut found).unwrap();
        let [a, b, c, d, e] = found.map(|object| object.mask);
        let a = a.unwrap();
        assert_eq!((text(&a), a.area()), (vec!["##..".into(), "##..".into()], Rect::new(0.0, 0.0, 40.0, 20.0)));
        assert_eq!(text(&b.unwrap()), ["....", "####"]);
        let c = c.unwrap();
        assert_eq!((text(&c), c.area()), (vec!["#".into()], Rect::new(10.0, 10.0, 10.0, 10.0)));
        assert_eq!(d, None, "left of the input");
        assert_eq!(e.map(|mask| text(&mask)), Some(vec![".".into()]), "NaN is no object");
    }

    #[test]
    fn a_query_has_its_own_logits() {
        let plan = MaskPlan { source: MaskSource::Queries { output: 0 }, width: 40.0, height: 20.0 };
        let outputs = [Output { shape: &[2, 2, 4], data: &PROTOTYPES }];
        let mut found = [object(1, Rect::new(0.0, 0.0, 19.0, 20.0)), object(2, Rect::new(0.0, 0.0, 19.0, 20.0))];
        plan.add("test", &outputs, &mut found).unwrap();
        assert_eq!(found[0].mask.as_ref().map(text), Some(vec!["##".into(), "..".into()]));
        assert_eq!(found[1].mask, None, "there is no such query");
    }

    #[test]
    fn other_shapes_are_errors_even_without_objects() {
        let rows = Output { shape: &[2, 8], data: &ROWS };
        for outputs in [
            &[rows][..],
            &[rows, Output { shape: &[2, 8], data: &PROTOTYPES }],
            &[rows, Output { shape: &[1, 2, 8], data: &PROTOTYPES }],
            &[rows, Output { shape: &[2, 2, 4], data: &PROTOTYPES[1..] }],
            &[Output { shape: &[2, 7], data: &ROWS[2..] }, Output { shape: &[2, 2, 4], data: &PROTOTYPES }],
        ] {
            let error = plan().add("test", outputs, &mut []).unwrap_err().to_string();
            assert!(error.contains("head test"), "{error}");
        }
    }
}
