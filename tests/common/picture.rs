//! Pictures of coloured squares, and what the test models detect in them; see tests/models/README.md.

use super::pixels::Rgb;
use model::{Detection, Keypoint, OrientedBox, Rect};

/// Size of the test models' input, pixels.
pub const WIDTH: u32 = 96;
pub const HEIGHT: u32 = 64;
/// Width and height of a cell in the network's pixels.
pub const CELL: u32 = 8;
pub const COLUMNS: u32 = WIDTH / CELL;
pub const ROWS: u32 = HEIGHT / CELL;

/// Class 0, 1, 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Red,
    Green,
    Blue,
}

/// One cell of the network's input filled with a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Square {
    pub colour: Colour,
    pub column: u32,
    pub row: u32,
    /// The value of the colour's channel; the confidence is 1/255 of it.
    pub level: u8,
}

impl Square {
    pub fn new(colour: Colour, column: u32, row: u32, level: u8) -> Self {
        assert!(column < COLUMNS && row < ROWS);
        Self { colour, column, row, level }
    }

    fn confidence(&self) -> f32 {
        f32::from(self.level) / 255.0
    }
}

/// Coloured squares on grey in a frame of any size, at the positions of the model's cells after letterboxing.
#[derive(Debug, Clone)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    pub squares: Vec<Square>,
}

impl Picture {
    /// A frame of the network's own size: every cell is 8 × 8 pixels, without resampling.
    pub fn new(squares: &[Square]) -> Self {
        Self::sized(WIDTH, HEIGHT, squares)
    }

    pub fn sized(width: u32, height: u32, squares: &[Square]) -> Self {
        Self { width, height, squares: squares.to_vec() }
    }

    /// A picture that differs from its neighbours by number: one to three squares, none of them adjacent.
    pub fn numbered(n: usize) -> Self {
        let n = n as u32;
        let colours = [Colour::Red, Colour::Green, Colour::Blue];
        let squares = (0..=n % 3).map(|i| {
            let colour = colours[((n + i) % 3) as usize];
            let level = 255 - 10 * (n % 10) as u8 - i as u8 * 30;
            Square::new(colour, (n + 4 * i) % COLUMNS, (n / COLUMNS + 3 * i) % ROWS, level)
        });
        Self::new(&squares.collect::<Vec<_>>())
    }

    /// A cell's rectangle in frame pixels. The frame is scaled to fit and centred, with its size rounded to pixels.
    fn cell(&self, square: &Square) -> Rect {
        let (w, h) = (self.width as f32, self.height as f32);
        let scale = (WIDTH as f32 / w).min(HEIGHT as f32 / h);
        let (inner_w, inner_h) = ((w * scale).round(), (h * scale).round());
        let border = |outer: u32, inner: f32| ((outer as f32 - inner) / 2.0 - 0.1).round();
        let cell = CELL as f32;
        let x = square.column as f32 * cell - border(WIDTH, inner_w);
        let y = square.row as f32 * cell - border(HEIGHT, inner_h);
        Rect::new(x, y, cell, cell).scaled(w / inner_w, h / inner_h)
    }

    pub fn rgb(&self) -> Rgb {
        let mut out = Rgb::new(self.width, self.height, [114; 3]);
        for square in &self.squares {
            let mut colour = [0; 3];
            colour[square.colour as usize] = square.level;
            let cell = self.cell(square);
            // At other scales cells don't end on whole pixels: they are filled outwards, so that they contain nothing else.
            out.fill(
                cell.x.floor().max(0.0) as u32..cell.right().ceil().min(self.width as f32) as u32,
                cell.y.floor().max(0.0) as u32..cell.bottom().ceil().min(self.height as f32) as u32,
                colour,
            );
        }
        out
    }

    /// The expected results of a detector, normalised to the frame, in order of confidence.
    pub fn detections(&self) -> Vec<Detection> {
        let (sx, sy) = (1.0 / self.width as f32, 1.0 / self.height as f32);
        let mut found: Vec<_> = self
            .squares
            .iter()
            .map(|s| Detection {
                rect: self.cell(s).scaled(sx, sy).intersection(&Rect::UNIT),
                class_id: s.colour as u32,
                confidence: s.confidence(),
                ..Detection::default()
            })
            .collect();
        found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        found
    }

    /// The expected results of a detector of oriented boxes.
    pub fn oriented(&self) -> Vec<Detection> {
        let (sx, sy) = (1.0 / self.width as f32, 1.0 / self.height as f32);
        let mut found = self.detections();
        for d in &mut found {
            let cell = d.rect.scaled(self.width as f32, self.height as f32);
            let angle = [0.5, -0.5, 1.0][d.class_id as usize];
            let (cx, cy) = (cell.x + cell.w / 2.0, cell.y + cell.h / 2.0);
            let oriented = OrientedBox::new(cx, cy, cell.w, cell.h / 2.0, angle).unwrap();
            d.rect = oriented.enclosing().scaled(sx, sy).intersection(&Rect::UNIT);
            d.oriented = Some(oriented.scaled(sx, sy));
        }
        found
    }

    /// The expected results of a pose model: the red squares, with keypoints.
    pub fn poses(&self) -> Vec<Detection> {
        let mut found = self.detections();
        found.retain(|d| d.class_id == Colour::Red as u32);
        for d in &mut found {
            let point = |k: usize| {
                let k = k as f32;
                Keypoint {
                    x: d.rect.x + d.rect.w * (k + 1.0) / 20.0,
                    y: d.rect.y + d.rect.h * (k + 2.0) / 20.0,
                    confidence: d.confidence * (20.0 - k) / 20.0,
                }
            };
            d.keypoints = (0..17).map(point).collect();
        }
        found
    }
}

/// Tolerances of results.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Boxes and keypoints, fractions of the frame's width and height.
    pub place: f32,
    pub confidence: f32,
}

impl Tolerance {
    /// For an RGB picture that isn't resampled.
    pub const EXACT: Self = Self { place: 1e-4, confidence: 2e-3 };
    /// For JSON's rounded numbers.
    pub const WRITTEN: Self = Self { place: 5e-4, confidence: 2e-3 };
    /// After conversion to Y'CbCr and back.
    pub const COLOUR: Self = Self { place: 5e-4, confidence: 2e-2 };
    /// After resampling.
    pub const SCALED: Self = Self { place: 0.5 / HEIGHT as f32, confidence: 0.1 };
}

/// Whether the masks of two objects differ by at most a fiftieth of their pixels. Logits near 0 are on either side of it after
/// other roundings.
fn masks_agree(a: &Detection, b: &Detection) -> bool {
    /// Finer than any mask here.
    const FRAME: (u32, u32) = (384, 256);
    let pixels = |detection: &Detection| {
        let mut pixels = vec![false; (FRAME.0 * FRAME.1) as usize];
        if let Some(mask) = &detection.mask {
            let scaled = mask.in_frame(&detection.rect, FRAME);
            for row in scaled.rows.clone() {
                let start = (row * FRAME.0 + scaled.columns.start) as usize;
                pixels[start..].iter_mut().zip(scaled.row(row)).for_each(|(pixel, inside)| *pixel = inside);
            }
        }
        pixels
    };
    let (a, b) = (pixels(a), pixels(b));
    let differ = a.iter().zip(&b).filter(|(a, b)| a != b).count();
    let all = a.iter().zip(&b).filter(|(a, b)| **a || **b).count();
    50 * differ <= all
}

/// Pairs results with expectations, one to one; anything missing, extra or out of tolerance fails with `what`.
#[track_caller]
pub fn assert_found(what: &str, found: &[Detection], wanted: &[Detection], tolerance: Tolerance) {
    let near = |a: f32, b: f32| (a - b).abs() <= tolerance.place;
    let same = |f: &Detection, w: &Detection| {
        let points = f.keypoints.iter().zip(&w.keypoints).all(|(a, b)| {
            near(a.x, b.x) && near(a.y, b.y) && (a.confidence - b.confidence).abs() <= tolerance.confidence
        });
        let mask = w.mask.is_none() || masks_agree(f, w);
        let corner = |(a, b): (&[f32; 2], &[f32; 2])| near(a[0], b[0]) && near(a[1], b[1]);
        let oriented = match (&f.oriented, &w.oriented) {
            (Some(a), Some(b)) => a.corners.iter().zip(&b.corners).all(corner),
            (a, b) => a.is_none() && b.is_none(),
        };
        f.class_id == w.class_id
            && oriented
            && (f.confidence - w.confidence).abs() <= tolerance.confidence
            && near(f.rect.x, w.rect.x)
            && near(f.rect.y, w.rect.y)
            && near(f.rect.right(), w.rect.right())
            && near(f.rect.bottom(), w.rect.bottom())
            && f.keypoints.len() == w.keypoints.len()
            && points
            && mask
    };
    let mut rest: Vec<_> = found.iter().collect();
    let missing: Vec<_> = wanted
        .iter()
        .filter(|w| match rest.iter().position(|f| same(f, w)) {
            Some(i) => {
                rest.swap_remove(i);
                false
            }
            None => true,
        })
        .collect();
    assert!(missing.is_empty() && rest.is_empty(), "{what}:\nmissing {missing:#?}\nnot expected {rest:#?}");
}
