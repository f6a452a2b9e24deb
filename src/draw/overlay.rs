//! Draws a record on a frame: boxes, skeletons and labels.

use super::caption::{write_count, write_frame_label, write_label};
use super::color::{self, Rgb};
use super::font::Reason;
use super::shape::{Pen, Point, outline};
use super::system_fonts::{SYSTEM_FONTS, SystemFonts};
use super::tails::Tails;
use super::text::Text;
use super::{Area, Canvas, ColorBy, Style};
use crate::meta::{KeypointSet, Object, Place, PlaceCount, Record, by_model};
use ab_glyph::InvalidFont;
use model::OrientedBox;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;

/// Left limbs, right limbs, and limbs between the two sides.
const LEFT: Rgb = Rgb::hex(0x33CC33);
const RIGHT: Rgb = Rgb::hex(0xFF8800);
const CENTRE: Rgb = Rgb::hex(0x66EEEE);

/// The number of labels that a new one is kept clear of. It bounds the work on frames with thousands of objects.
const LABELS_COMPARED: usize = 256;

/// The number of transliterated labels that are remembered and reported.
const LABELS_TOLD: usize = 256;

/// Maximum line width and letter height in pixels: larger than any frame, and sums of it don't overflow.
const LARGEST: u32 = 1 << 14;

/// Draws records. Glyphs and buffers are reused from frame to frame.
#[derive(Debug)]
pub struct Overlay {
    text: Text,
    pen: Pen,
    tails: Tails,
    label: String,
    /// The places of labels in the current frame: first that of the frame itself, then each object's.
    places: Vec<Area>,
    /// Labels that are known to be transliterated, and the notices about them.
    replaced: HashSet<String>,
    notices: VecDeque<String>,
}

/// A [`Style`] resolved for the size of a frame; pixels.
struct Sizes {
    frame: Area,
    line: i32,
    font: i32,
}

impl Overlay {
    /// # Errors
    /// A built-in font can't be read.
    pub fn new() -> Result<Self, InvalidFont> {
        Self::with_fonts(&SYSTEM_FONTS)
    }

    fn with_fonts(system: &'static SystemFonts) -> Result<Self, InvalidFont> {
        Ok(Self {
            text: Text::new(system)?,
            pen: Pen::default(),
            tails: Tails::default(),
            label: String::new(),
            places: Vec::new(),
            replaced: HashSet::new(),
            notices: VecDeque::new(),
        })
    }

    /// A notice to the user about labels that were drawn; one per label and process.
    pub fn take_notice(&mut self) -> Option<String> {
        self.notices.pop_front()
    }

    /// Takes note of where objects are in the frame of this time, for tails. Each frame that is drawn is followed first.
    pub fn follow(&mut self, record: &Record, time: Duration, style: &Style) {
        self.tails.follow(record, time, style.tail);
    }

    /// Draws masks first, zones, tails and boxes over them, then skeletons, and labels on top. The first object is the
    /// topmost.
    pub fn draw<C: Canvas>(&mut self, canvas: &mut C, record: &Record, style: &Style) {
        let frame = canvas.area();
        let short_side = frame.width().min(frame.height());
        let auto = |set: u32, auto: i32| if set == 0 { auto } else { set.min(LARGEST) as i32 };
        let sizes = Sizes {
            frame,
            line: auto(style.line_width, (short_side + 180) / 360).max(1),
            font: auto(style.font_size, (short_side + 21) / 42).max(12),
        };
        let colour = |object: &Object| color_of(object, record, style.color_by);

        if style.masks {
            let opacity = (style.mask_alpha.clamp(0.0, 1.0) * 255.0).round() as u8;
            let size = (frame.width().unsigned_abs(), frame.height().unsigned_abs());
            for object in record.objects.iter().rev() {
                if let Some(mask) = &object.mask {
                    let ink = canvas.ink(colour(object));
                    self.pen.cells(canvas, &mask.in_frame(&object.rect, size), opacity, ink);
                }
            }
        }
        if style.zones {
            for place in &record.places {
                self.place(canvas, place, &sizes);
            }
        }
        for object in record.objects.iter().rev().filter(|_| !style.tail.is_zero()) {
            let ink = canvas.ink(colour(object));
            self.tail(canvas, object, &sizes, ink);
        }
        if style.boxes {
            for object in record.objects.iter().rev() {
                let ink = canvas.ink(colour(object));
                match (&object.oriented, pixels(object, frame)) {
                    (_, None) => {}
                    (Some(oriented), Some(_)) => self.oriented(canvas, oriented, &sizes, ink),
                    (None, Some(area)) => outline(canvas, area, sizes.line, ink),
                }
            }
        }
        if style.keypoints {
            for object in record.objects.iter().rev() {
                if let Some(keypoints) = &object.keypoints {
                    self.skeleton(canvas, object, keypoints, style.keypoint_confidence, &sizes);
                }
            }
        }
        if style.labels || style.confidence {
            self.text.set_size(sizes.font as u32);
            self.place_labels(record, style, &sizes);
            for (index, object) in record.objects.iter().enumerate().rev() {
                write_label(&mut self.label, object, style);
                self.label(canvas, 1 + index, colour(object), &sizes);
            }
            for (index, place) in counted(record, style).iter().enumerate() {
                write_count(&mut self.label, place);
                self.label(canvas, 1 + record.objects.len() + index, color::of_name(&place.name), &sizes);
            }
            if let Some(class) = record.classifications.first() {
                write_frame_label(&mut self.label, record, style);
                self.label(canvas, 0, color::of_name(&class.label), &sizes);
            }
        }
    }

    /// Draws a zone's border or a line.
    fn place<C: Canvas>(&mut self, canvas: &mut C, place: &Place, sizes: &Sizes) {
        let (width, height) = (sizes.frame.width() as f32, sizes.frame.height() as f32);
        let point = |(x, y): (f32, f32)| Point { x: x * width, y: y * height };
        let ink = canvas.ink(color::of_name(&place.name));
        let ends = place.points.iter().skip(1);
        let closing = place.points.first().filter(|_| matches!(place.count, PlaceCount::Zone { .. }));
        for (from, to) in place.points.iter().zip(ends.chain(closing)) {
            self.pen.line(canvas, point(*from), point(*to), sizes.line as f32 / 2.0, ink);
        }
    }

    /// Draws the way that an object has come, which grows wider towards where it is.
    fn tail<C: Canvas>(&mut self, canvas: &mut C, object: &Object, sizes: &Sizes, ink: C::Ink) {
        let size = (sizes.frame.width() as f32, sizes.frame.height() as f32);
        let steps = self.tails.of(object, size).count().saturating_sub(1);
        let points = self.tails.of(object, size);
        for (step, (from, to)) in points.zip(self.tails.of(object, size).skip(1)).enumerate() {
            let radius = sizes.line as f32 / 2.0 * (0.4 + 0.6 * (step + 1) as f32 / steps as f32);
            self.pen.line(canvas, from, to, radius, ink);
        }
    }

    /// Draws the sides of a box, in the middle of which its corners are.
    fn oriented<C: Canvas>(&mut self, canvas: &mut C, oriented: &OrientedBox, sizes: &Sizes, ink: C::Ink) {
        let (width, height) = (sizes.frame.width() as f32, sizes.frame.height() as f32);
        let [a, b, c, d] = oriented.corners.map(|[x, y]| Point { x: x * width, y: y * height });
        for (from, to) in [(a, b), (b, c), (c, d), (d, a)] {
            self.pen.line(canvas, from, to, sizes.line as f32 / 2.0, ink);
        }
    }

    fn skeleton<C: Canvas>(&mut self, canvas: &mut C, object: &Object, set: &KeypointSet, least: f32, sizes: &Sizes) {
        let (width, height) = (sizes.frame.width() as f32, sizes.frame.height() as f32);
        let joint = |index: usize| {
            let point = set.points.get(index).filter(|p| p.confidence >= least)?;
            Some(Point { x: point.x * width, y: point.y * height })
        };
        let side = |index: usize| set.layout.names.get(index).map_or("", |name| name.split('_').next().unwrap_or(""));
        // Thinner on people who are small in the picture.
        let scale = (4.0 * object.rect.h.abs()).clamp(0.5, 1.0);
        let line = sizes.line as f32 * scale;
        for &(a, b) in &set.layout.limbs {
            if let (Some(from), Some(to)) = (joint(a), joint(b)) {
                let colour = match (side(a), side(b)) {
                    ("left", "left") => LEFT,
                    ("right", "right") => RIGHT,
                    _ => CENTRE,
                };
                let ink = canvas.ink(colour);
                self.pen.line(canvas, from, to, 0.8 * line, ink);
            }
        }
        let ink = canvas.ink(Rgb::WHITE);
        for centre in (0..set.points.len()).filter_map(joint) {
            self.pen.disc(canvas, centre, 1.2 * line, ink);
        }
    }

    /// Chooses a place for each object's label, starting with the first object: above its box, or else at another edge
    /// of it, where no label is yet. All places are inside the frame. The frame's own label is in its top left corner.
    fn place_labels(&mut self, record: &Record, style: &Style, sizes: &Sizes) {
        self.places.clear();
        write_frame_label(&mut self.label, record, style);
        let size = self.label_size(sizes);
        self.places.push(size.map_or(NOWHERE, |(width, height)| Area::new(0, 0, width, height)));
        if style.labels && size.is_some() && self.text.replaced().is_some() {
            by_model(&record.classifications)
                .filter_map(|classes| classes.first())
                .for_each(|best| self.tell_of(&best.label));
        }
        for object in &record.objects {
            let place = pixels(object, sizes.frame).and_then(|object_area| {
                write_label(&mut self.label, object, style);
                let size = self.label_size(sizes)?;
                if style.labels && self.text.replaced().is_some() {
                    let classes = by_model(&object.classifications).filter_map(|classes| classes.first());
                    let labels = std::iter::once(&object.label).chain(classes.map(|best| &best.label));
                    labels.for_each(|label| self.tell_of(label));
                }
                Some(place_label(object_area, size, sizes.frame, &self.places))
            });
            self.places.push(place.unwrap_or(NOWHERE));
        }
        for counted in counted(record, style) {
            let place = first_corner(counted, sizes.frame).and_then(|corner| {
                write_count(&mut self.label, counted);
                let size = self.label_size(sizes)?;
                Some(place_label(corner, size, sizes.frame, &self.places))
            });
            self.places.push(place.unwrap_or(NOWHERE));
        }
    }

    /// Reports a label if it was transliterated.
    fn tell_of(&mut self, label: &str) {
        if self.replaced.contains(label) || self.replaced.len() >= LABELS_TOLD {
            return;
        }
        self.replaced.insert(label.to_owned());
        if !self.text.system().is_news(label) {
            return;
        }
        self.text.set_line(label, f32::MAX);
        let Some((ch, reason)) = self.text.replaced() else { return };
        let why = match reason {
            Reason::NoFont => format!(
                "no font has {ch:?}: install one, for example fonts-noto-cjk for Chinese, Japanese and Korean, or \
                 fonts-noto-core for other scripts"
            ),
            Reason::Script => format!(
                "letters like {ch:?} are joined, stacked or run from right to left, which can't be drawn: give the \
                 model other labels"
            ),
        };
        self.notices.push_back(format!("label {label:?} is written as {:?}; {why}", self.text.spelled()));
    }

    /// Width and height of the label with its background; `None` if it has no text, or if no text fits.
    fn label_size(&mut self, sizes: &Sizes) -> Option<(i32, i32)> {
        let padding = sizes.font / 4;
        let room = sizes.frame.width() - 2 * padding;
        let width = self.text.set_line(&self.label, room as f32).ceil() as i32;
        (width > 0).then_some((width + 2 * padding, sizes.font + padding / 2))
    }

    /// Draws the label that has been written at the place with this index.
    fn label<C: Canvas>(&mut self, canvas: &mut C, index: usize, colour: Rgb, sizes: &Sizes) {
        let Some(&place) = self.places.get(index).filter(|&&place| place != NOWHERE) else { return };
        if self.label_size(sizes).is_some() {
            let (background, ink) = (canvas.ink(colour), canvas.ink(colour.contrast()));
            canvas.fill(place, background);
            let baseline = place.top + (place.height() - sizes.font) / 2 + self.text.ascent();
            self.text.draw(canvas, place.left + sizes.font / 4, baseline, ink);
        }
    }
}

/// The place of a label that isn't drawn.
const NOWHERE: Area = Area::new(0, 0, 0, 0);

/// The first place at the object's edges that is clear of the labels in `taken`, or else the one above the object.
fn place_label(object: Area, (width, height): (i32, i32), frame: Area, taken: &[Area]) -> Area {
    let Area { left, top, right, bottom } = object;
    let inside = |x: i32, y: i32| {
        let (x, y) = (x.min(frame.right - width).max(0), y.min(frame.bottom - height).max(0));
        Area::new(x, y, x + width, y + height)
    };
    let above = if top >= height { top - height } else { top };
    let places = [
        inside(left, above),
        inside(right - width, above),
        inside(left, bottom),
        inside(right - width, bottom),
        inside(left, top),
        inside(left, bottom - height),
    ];
    let free = |place: &&Area| !taken.iter().take(LABELS_COMPARED).any(|other| other.overlaps(place));
    *places.iter().find(free).unwrap_or(&places[0])
}

/// An object's box in whole pixels, clipped to the frame; `None` if it is outside.
fn pixels(object: &Object, frame: Area) -> Option<Area> {
    let rect = object.rect.scaled(frame.width() as f32, frame.height() as f32);
    if ![rect.x, rect.y, rect.right(), rect.bottom()].iter().all(|v| v.is_finite()) {
        return None;
    }
    let (left, top) = (rect.x.round() as i32, rect.y.round() as i32);
    // A box thinner than a pixel is still visible.
    let (right, bottom) = (
        (rect.right().round() as i32).max(left.saturating_add(1)),
        (rect.bottom().round() as i32).max(top.saturating_add(1)),
    );
    let area = Area::new(left, top, right, bottom).intersection(&frame);
    (area.width() > 0 && area.height() > 0).then_some(area)
}

fn color_of(object: &Object, record: &Record, color_by: ColorBy) -> Rgb {
    let of_class = || object.class_id.map_or_else(|| color::of_name(&object.label), color::of_number);
    match color_by {
        ColorBy::Class => of_class(),
        // Colours repeat, so that the lower half of the id is enough.
        ColorBy::Track => object.track_id.map_or_else(of_class, |id| color::of_number(id as u32)),
        ColorBy::Id => color::of_number(object.id),
        // Models in the order in which they ran always differ; models of other programs aren't in the list.
        ColorBy::Source => match record.models.iter().position(|m| m.model_id == object.source) {
            Some(position) => color::of_number(position as u32),
            None => color::of_name(&object.source),
        },
    }
}

/// The zones and lines that have labels.
fn counted<'a>(record: &'a Record, style: &Style) -> &'a [Place] {
    if style.zones && style.labels { &record.places } else { &[] }
}

/// A zone's first corner or a line's first end, without an extent, so that the labels of several which begin there fit side by
/// side; `None` if it is far outside the frame.
fn first_corner(place: &Place, frame: Area) -> Option<Area> {
    let (x, y) = place.points.first()?;
    if ![x, y].iter().all(|value| (-1.0..=2.0).contains(*value)) {
        return None;
    }
    // That at the lower right corner is the last one of the frame.
    let x = ((x * frame.width() as f32) as i32).clamp(0, (frame.width() - 1).max(0));
    let y = ((y * frame.height() as f32) as i32).clamp(0, (frame.height() - 1).max(0));
    Some(Area::new(x, y, x, y))
}

#[cfg(test)]
mod tests {
    use super::super::{Packed, Planar, Plane};
    use super::*;
    use crate::meta::{Classification, ModelRun};
    use model::video::{Colorimetry, Matrix};
    use model::{Keypoint, KeypointLayout, Rect};
    use proptest::prelude::*;
    use std::sync::Arc;

    const COLORIMETRY: Colorimetry = Colorimetry { matrix: Matrix::Bt709, full_range: false };
    const LAYOUTS: [&str; 6] = ["NV12", "I420", "RGB", "BGR", "RGBA", "BGRA"];
    /// Padding bytes after each row, and the value of every byte before drawing.
    const PADDING: usize = 5;
    const BEFORE: u8 = 99;

    /// A frame's planes: data, used bytes per row, rows.
    fn planes(layout: &str, width: usize, height: usize) -> Vec<(Vec<u8>, usize, usize)> {
        let (cells, rows) = (width.div_ceil(2), height.div_ceil(2));
        let sizes = match layout {
            "NV12" => vec![(width, height), (2 * cells, rows)],
            "I420" => vec![(width, height), (cells, rows), (cells, rows)],
            "RGB" | "BGR" => vec![(3 * width, height)],
            _ => vec![(4 * width, height)],
        };
        sizes.into_iter().map(|(used, rows)| (vec![BEFORE; (used + PADDING) * rows], used, rows)).collect()
    }

    fn plane<const N: usize>((data, used, rows): &mut (Vec<u8>, usize, usize)) -> Plane<'_, N> {
        Plane::new(data, *used + PADDING, *used / N, *rows)
    }

    /// A frame after drawing; panics if a byte outside the picture changed.
    fn drawn(layout: &str, width: usize, height: usize, record: &Record, style: &Style) -> Vec<Vec<u8>> {
        let mut planes = planes(layout, width, height);
        let mut overlay = Overlay::new().unwrap();
        let bgr = layout.starts_with("BGR");
        match (layout.len(), planes.as_mut_slice()) {
            (3, [all]) => overlay.draw(&mut Packed::<3>::new(plane(all), bgr), record, style),
            (4, [all]) => overlay.draw(&mut Packed::<4>::new(plane(all), bgr), record, style),
            (_, [luma, chroma]) => {
                let (luma, chroma) = (Plane::new(&mut luma.0, luma.1 + PADDING, width, height), plane::<2>(chroma));
                overlay.draw(&mut Planar::new(luma, chroma, COLORIMETRY), record, style);
            }
            (_, [luma, cb, cr]) => {
                let chroma = [plane::<1>(cb), plane::<1>(cr)];
                overlay.draw(&mut Planar::new(plane(luma), chroma, COLORIMETRY), record, style);
            }
            _ => unreachable!(),
        }
        let pixels = |(data, used, _): (Vec<u8>, usize, usize)| {
            assert!(data.chunks(used + PADDING).all(|row| row[used..].iter().all(|&b| b == BEFORE)));
            data.chunks(used + PADDING).flat_map(|row| row[..used].to_vec()).collect()
        };
        planes.into_iter().map(pixels).collect()
    }

    fn object(id: u32, rect: Rect) -> Object {
        Object {
            id,
            rect,
            class_id: Some(id),
            label: "person".into(),
            confidence: 0.87,
            source: "det".into(),
            ..Object::default()
        }
    }

    fn record(objects: Vec<Object>) -> Record {
        Record { objects, models: Vec::new(), ..Record::default() }
    }

    const BOXES: Style = Style {
        boxes: true,
        labels: false,
        confidence: false,
        keypoints: false,
        masks: false,
        zones: false,
        mask_alpha: 0.4,
        line_width: 3,
        font_size: 16,
        keypoint_confidence: 0.3,
        color_by: ColorBy::Class,
        tail: Duration::ZERO,
    };

    /// In every layout, at odd and even sizes: the box's border has the colour, a chroma cell has it in proportion to
    /// its covered part, and all other pixels are unchanged.
    #[test]
    fn boxes_to_the_pixel() {
        let colour = color::of_number(1);
        for (width, height) in [(40, 30), (41, 31)] {
            let (w, h) = (width as f32, height as f32);
            let one = record(vec![object(1, Rect::new(5.0 / w, 7.0 / h, 36.0 / w, 18.0 / h))]);
            let border = |x: usize, y: usize| {
                let within = |d: usize| x >= 5 + d && x + d < 41.min(width) && y >= 7 + d && y + d < 25;
                within(0) && !within(3)
            };
            for layout in LAYOUTS {
                let planes = drawn(layout, width, height, &one, &BOXES);
                if layout.contains("GB") || layout.contains("GR") {
                    let ink = match layout.starts_with('B') {
                        true => [colour.b, colour.g, colour.r, 255],
                        false => [colour.r, colour.g, colour.b, 255],
                    };
                    let n = layout.len();
                    for (i, pixel) in planes[0].chunks_exact(n).enumerate() {
                        let expected = if border(i % width, i / width) { &ink[..n] } else { &[BEFORE; 4][..n] };
                        assert_eq!(pixel, expected, "{layout} {width}×{height} pixel {i}");
                    }
                    continue;
                }
                let [luma, cb, cr] = colour.to_yuv(COLORIMETRY);
                for (i, &pixel) in planes[0].iter().enumerate() {
                    let expected = if border(i % width, i / width) { luma } else { BEFORE };
                    assert_eq!(pixel, expected, "{layout} {width}×{height} luma {i}");
                }
                let cells = width.div_ceil(2);
                for i in 0..cells * height.div_ceil(2) {
                    let corners = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(x, y)| (i % cells * 2 + x, i / cells * 2 + y));
                    let inside: Vec<_> = corners.into_iter().filter(|&(x, y)| x < width && y < height).collect();
                    let covered = inside.iter().filter(|&&(x, y)| border(x, y)).count() as f32 / inside.len() as f32;
                    let pixel = if layout == "NV12" {
                        [planes[1][2 * i], planes[1][2 * i + 1]]
                    } else {
                        [planes[1][i], planes[2][i]]
                    };
                    for (got, ink) in pixel.into_iter().zip([cb, cr]) {
                        let expected = f32::from(BEFORE) + covered * (f32::from(ink) - f32::from(BEFORE));
                        assert!((f32::from(got) - expected).abs() <= 1.0, "{layout} {width}×{height} chroma {i}");
                    }
                }
            }
        }
    }

    /// A pixel has the colour if it is on a side, at least half a pixel inside, and is unchanged half a pixel outside.
    #[test]
    fn oriented_boxes_along_their_sides() {
        let (width, height) = (80, 60);
        let oriented = OrientedBox::new(40.0, 30.0, 50.0, 20.0, 0.5).unwrap();
        let scaled = oriented.scaled(1.0 / width as f32, 1.0 / height as f32);
        let one = Object { oriented: Some(scaled), ..object(1, scaled.enclosing()) };
        let planes = drawn("RGB", width, height, &record(vec![one]), &BOXES);
        let colour = color::of_number(1);
        let corners = oriented.corners;
        let sides = [0, 1, 2, 3].map(|k| (corners[k], corners[(k + 1) % 4]));
        let distance = |x: f32, y: f32, ([ax, ay], [bx, by]): ([f32; 2], [f32; 2])| {
            let (dx, dy) = (bx - ax, by - ay);
            let along = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
            (x - ax - along * dx).hypot(y - ay - along * dy)
        };
        let mut seen = [0; 2];
        for (i, pixel) in planes[0].chunks_exact(3).enumerate() {
            let (x, y) = ((i % width) as f32 + 0.5, (i / width) as f32 + 0.5);
            let near = sides.iter().map(|side| distance(x, y, *side)).fold(f32::INFINITY, f32::min);
            if near < 0.99 {
                assert_eq!(pixel, [colour.r, colour.g, colour.b], "{x}, {y}");
                seen[0] += 1;
            } else if near > 2.01 {
                assert_eq!(pixel, [BEFORE; 3], "{x}, {y}");
                seen[1] += 1;
            }
        }
        assert!(seen[0] > 200 && seen[1] > 3000, "{seen:?}");
    }

    /// The two 4:2:0 layouts hold the same picture, including text and skeletons.
    #[test]
    fn nv12_is_i420() {
        let record = crowd();
        let (nv12, i420) =
            (drawn("NV12", 321, 243, &record, &Style::default()), drawn("I420", 321, 243, &record, &Style::default()));
        assert_eq!(nv12[0], i420[0]);
        let (cb, cr): (Vec<u8>, Vec<u8>) = nv12[1].chunks_exact(2).map(|c| (c[0], c[1])).unzip();
        assert_eq!((&cb, &cr), (&i420[1], &i420[2]));
        assert!(cb.iter().any(|&c| c != BEFORE));
    }

    #[test]
    fn rgb_orders_hold_one_picture() {
        let record = crowd();
        let frames = ["RGB", "BGR", "RGBA", "BGRA"].map(|l| drawn(l, 321, 243, &record, &Style::default()).remove(0));
        for i in 0..321 * 243 {
            let [rgb, bgr, rgba, bgra] =
                [&frames[0][3 * i..], &frames[1][3 * i..], &frames[2][4 * i..], &frames[3][4 * i..]];
            let pixel = [rgb[0], rgb[1], rgb[2]];
            assert_eq!(pixel, [bgr[2], bgr[1], bgr[0]]);
            assert_eq!(pixel, [rgba[0], rgba[1], rgba[2]]);
            assert_eq!([rgba[0], rgba[1], rgba[2], rgba[3]], [bgra[2], bgra[1], bgra[0], bgra[3]]);
        }
    }

    /// Boxes side by side and one inside another, with keypoints.
    fn crowd() -> Record {
        let layout = KeypointLayout {
            name: "test",
            names: ["left_hip", "left_knee", "right_hip"].map(Arc::from).to_vec(),
            limbs: vec![(0, 1), (0, 2), (1, 7)],
        };
        let points = [(0.2, 0.2, 0.9), (0.25, 0.7, 0.8), (0.4, 0.3, 0.1)];
        let points = points.map(|(x, y, confidence)| Keypoint { x, y, confidence }).to_vec();
        let mut person = object(0, Rect::new(0.1, 0.1, 0.4, 0.8));
        person.keypoints = Some(KeypointSet { source: "pose".into(), layout: Arc::new(layout), points });
        record(vec![person, object(1, Rect::new(0.12, 0.1, 0.2, 0.3)), object(2, Rect::new(0.6, 0.5, 0.3, 0.4))])
    }

    fn rgb_at(frame: &[u8], width: usize, x: f32, y: f32) -> [u8; 3] {
        let i = 3 * (y as usize * width + x as usize);
        [frame[i], frame[i + 1], frame[i + 2]]
    }

    #[test]
    fn skeletons_leave_uncertain_keypoints_out() {
        let style = Style { boxes: false, keypoints: true, ..BOXES };
        let at = |frame: &[u8], x: f32, y: f32| rgb_at(frame, 320, x * 320.0, y * 240.0);
        let frame = drawn("RGB", 320, 240, &crowd(), &style).remove(0);
        assert_eq!(at(&frame, 0.2, 0.2), [255; 3]);
        assert_eq!(at(&frame, 0.225, 0.45), [LEFT.r, LEFT.g, LEFT.b]);
        assert_eq!(at(&frame, 0.4, 0.3), [BEFORE; 3]);
        assert_eq!(at(&frame, 0.3, 0.25), [BEFORE; 3]);
        let frame = drawn("RGB", 320, 240, &crowd(), &Style { keypoint_confidence: 0.05, ..style }).remove(0);
        assert_eq!(at(&frame, 0.4, 0.3), [255; 3]);
        assert_eq!(at(&frame, 0.3, 0.25), [CENTRE.r, CENTRE.g, CENTRE.b]);
    }

    /// Labels go above the box, or inside at the top, or are moved in at the right edge, and never overlap while there
    /// is space.
    #[test]
    fn labels_have_places_in_the_frame() {
        let frame = Area::new(0, 0, 200, 100);
        let size = (60, 12);
        assert_eq!(place_label(Area::new(20, 40, 90, 80), size, frame, &[]), Area::new(20, 28, 80, 40));
        assert_eq!(place_label(Area::new(20, 5, 90, 80), size, frame, &[]), Area::new(20, 5, 80, 17));
        assert_eq!(place_label(Area::new(180, 40, 200, 80), size, frame, &[]), Area::new(140, 28, 200, 40));
        assert_eq!(place_label(Area::new(0, 95, 10, 100), size, frame, &[]), Area::new(0, 83, 60, 95));
        assert_eq!(place_label(frame, (500, 300), frame, &[]), Area::new(0, 0, 500, 300));
        let (object, mut taken) = (Area::new(70, 40, 110, 80), Vec::new());
        for _ in 0..4 {
            let place = place_label(object, size, frame, &taken);
            assert!(taken.iter().all(|other: &Area| !other.overlaps(&place)), "{place:?} {taken:?}");
            taken.push(place);
        }
        assert_eq!(place_label(object, size, frame, &taken), taken[0], "no place is free");
    }

    #[test]
    fn the_frames_class_is_in_its_corner_and_objects_labels_keep_clear() {
        let class = Classification { source: "cls".into(), class_id: None, label: "street".into(), confidence: 0.5 };
        let style = Style { boxes: false, labels: true, ..BOXES };
        let of = |classifications: Vec<Classification>| {
            let objects = vec![object(1, Rect::new(0.0, 0.0, 0.5, 0.5))];
            drawn("RGB", 320, 240, &Record { objects, classifications, ..Record::default() }, &style).remove(0)
        };
        let ink = color::of_name("street");
        assert_eq!(rgb_at(&of(vec![class]), 320, 1.0, 1.0), [ink.r, ink.g, ink.b]);
        let ink = color::of_number(1);
        assert_eq!(rgb_at(&of(vec![]), 320, 1.0, 1.0), [ink.r, ink.g, ink.b]);
    }

    #[test]
    fn colours_stand_for_class_id_or_source() {
        let mut record = record(vec![object(3, Rect::UNIT)]);
        record.models =
            ["a", "det"].map(|id| ModelRun { model_id: id.into(), inference: crate::meta::Inference::Done }).to_vec();
        record.objects[0].class_id = Some(25);
        let colour = |object: &Object, by| color_of(object, &record, by);
        let mut one = record.objects[0].clone();
        assert_eq!(colour(&one, ColorBy::Class), color::of_number(25));
        assert_eq!(colour(&one, ColorBy::Id), color::of_number(3));
        assert_eq!(colour(&one, ColorBy::Source), color::of_number(1));
        one.class_id = None;
        assert_eq!(colour(&one, ColorBy::Class), color::of_name("person"));
        one.source = "foreign".into();
        assert_eq!(colour(&one, ColorBy::Source), color::of_name("foreign"));
    }

    fn coordinate() -> impl Strategy<Value = f32> {
        prop_oneof![6 => -0.5f32..1.5, 1 => any::<f32>(), 1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, -1e30, 1e9])]
    }

    fn any_object() -> impl Strategy<Value = Object> {
        let rect = (coordinate(), coordinate(), coordinate(), coordinate());
        let points = prop::collection::vec((coordinate(), coordinate(), coordinate()), 0..5);
        let limbs = prop::collection::vec((0usize..7, 0usize..7), 0..5);
        (rect, points, limbs, ".{0,40}", any::<Option<u32>>(), any::<f32>()).prop_map(
            |((x, y, w, h), points, limbs, label, class_id, confidence)| {
                let points = points.into_iter().map(|(x, y, confidence)| Keypoint { x, y, confidence }).collect();
                let layout = Arc::new(KeypointLayout { name: "any", names: vec!["left".into(); 3], limbs });
                Object {
                    class_id,
                    label: label.as_str().into(),
                    confidence,
                    keypoints: Some(KeypointSet { source: "any".into(), layout, points }),
                    ..object(u32::MAX, Rect::new(x, y, w, h))
                }
            },
        )
    }

    #[test]
    fn colours_by_track_stay_from_frame_to_frame() {
        let of = |id: u32, track_id| Object { track_id, ..object(id, Rect::UNIT) };
        let colour = |object: &Object| color_of(object, &record(vec![]), ColorBy::Track);
        assert_eq!(colour(&of(0, Some(7))), colour(&of(5, Some(7))));
        assert_ne!(colour(&of(0, Some(7))), colour(&of(0, Some(8))));
        assert_eq!(colour(&of(3, None)), color::of_number(3), "that of its class");
    }

    #[test]
    fn zones_and_lines_are_drawn_with_their_counts() {
        let zone = Place {
            name: "hall".into(),
            points: [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)].into(),
            count: PlaceCount::Zone { occupancy: 3 },
        };
        let line = Place {
            name: "door".into(),
            points: [(0.1, 0.9), (0.9, 0.9)].into(),
            count: PlaceCount::Line { inwards: 2, outwards: 5 },
        };
        let text = |place: &Place| {
            let mut text = "before".to_owned();
            write_count(&mut text, place);
            text
        };
        assert_eq!([text(&zone), text(&line)], ["hall 3", "door 2 in 5 out"]);
        let (hall, door) = (color::of_name("hall"), color::of_name("door"));
        let record = Record { places: vec![zone, line], ..Record::default() };
        let frame = |style: &Style| drawn("RGB", 200, 100, &record, style).remove(0);
        let pixel = |frame: &[u8], x: usize, y: usize| [0, 1, 2].map(|channel| frame[(y * 200 + x) * 3 + channel]);
        let style = Style { boxes: false, zones: true, ..BOXES };
        let shown = frame(&style);
        for (x, y) in [(100, 25), (150, 50), (100, 75), (50, 50)] {
            assert_eq!(pixel(&shown, x, y), [hall.r, hall.g, hall.b], "{x} {y}");
        }
        assert_eq!(pixel(&shown, 100, 90), [door.r, door.g, door.b]);
        assert_eq!([pixel(&shown, 100, 50), pixel(&shown, 20, 50)], [[BEFORE; 3]; 2]);
        // A label's background is above the first corner.
        assert_eq!(pixel(&shown, 51, 16), [BEFORE; 3]);
        assert_eq!(pixel(&frame(&Style { labels: true, ..style }), 51, 16), [hall.r, hall.g, hall.b]);
        assert!(frame(&Style { zones: false, labels: true, ..style }).iter().all(|byte| *byte == BEFORE));
    }

    #[test]
    fn tails_have_their_objects_colours() {
        let style = Style { boxes: false, line_width: 6, tail: Duration::from_secs(2), ..BOXES };
        let mut overlay = Overlay::new().unwrap();
        let mut data = vec![BEFORE; 200 * 100 * 3];
        let at = |x: f32| {
            let moving =
                |id: u32, y: f32| Object { track_id: Some(id.into()), ..object(id, Rect::new(x, y, 0.1, 0.3)) };
            record(vec![moving(1, 0.2), moving(2, 0.5)])
        };
        for frame in 0..5u32 {
            let record = at(0.1 + 0.1 * frame as f32);
            overlay.follow(&record, Duration::from_millis(100) * frame, &style);
            data.fill(BEFORE);
            overlay.draw(&mut Packed::<3>::new(Plane::new(&mut data, 600, 200, 100), false), &record, &style);
        }
        for (id, y) in [(1, 50.0), (2, 80.0)] {
            let ink = color::of_number(id);
            for x in [32.0, 70.0, 108.0] {
                assert_eq!(rgb_at(&data, 200, x, y), [ink.r, ink.g, ink.b], "{id} at {x}");
            }
            assert_eq!([rgb_at(&data, 200, 20.0, y), rgb_at(&data, 200, 70.0, y - 5.0)], [[BEFORE; 3]; 2]);
        }
        let record = at(0.6);
        overlay.draw(&mut Packed::<3>::new(Plane::new(&mut data, 600, 200, 100), false), &record, &BOXES);
        data.fill(BEFORE);
        overlay.draw(
            &mut Packed::<3>::new(Plane::new(&mut data, 600, 200, 100), false),
            &record,
            &Style { boxes: false, ..BOXES },
        );
        assert!(data.iter().all(|byte| *byte == BEFORE), "none without the property");
    }

    #[test]
    fn a_zone_and_a_line_from_the_same_corner_both_have_labels() {
        let place = |name: &str, count| Place { name: name.into(), points: [(0.5, 0.0), (0.5, 1.0)].into(), count };
        let zone = place("right half", PlaceCount::Zone { occupancy: 1 });
        let line = place("middle", PlaceCount::Line { inwards: 0, outwards: 0 });
        let record = Record { places: vec![zone, line], ..Record::default() };
        let style = Style { boxes: false, labels: true, zones: true, ..BOXES };
        let frame = drawn("RGB", 640, 272, &record, &style).remove(0);
        for (name, x) in [("right half", 323.0), ("middle", 316.0)] {
            let ink = color::of_name(name);
            assert_eq!(rgb_at(&frame, 640, x, 1.0), [ink.r, ink.g, ink.b], "{name}");
        }
    }

    /// Each transliterated label is reported once per process, whatever the number of overlays and frames.
    #[test]
    fn labels_in_other_letters_are_told_of_once() {
        static NONE: SystemFonts = SystemFonts::new(|_| {});
        let mut notices = Vec::new();
        for _ in 0..2 {
            let mut overlay = Overlay::with_fonts(&NONE).unwrap();
            for label in ["狗", "person", "🐶", "كلب", "狗"] {
                let record = record(vec![Object { label: label.into(), ..object(1, Rect::UNIT) }]);
                let mut data = vec![0; 200 * 100 * 3];
                let mut canvas = Packed::<3>::new(Plane::new(&mut data, 600, 200, 100), false);
                overlay.draw(&mut canvas, &record, &Style::default());
                overlay.draw(&mut canvas, &record, &Style { labels: false, ..Style::default() });
                notices.extend(std::iter::from_fn(|| overlay.take_notice()));
            }
        }
        assert_eq!(notices.len(), 2, "{notices:?}");
        assert!(notices[0].contains("label \"狗\" is written as \"Gou\"; no font has '狗'"), "{}", notices[0]);
        assert!(notices[0].contains("fonts-noto-cjk"), "{}", notices[0]);
        assert!(notices[1].contains("\"klb\"; letters like 'ك' are joined"), "{}", notices[1]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Whatever the objects are: nothing panics, and nothing is written outside the picture, which `drawn` checks.
        #[test]
        fn anything_can_be_drawn(
            objects in prop::collection::vec(any_object(), 0..8),
            width in 1usize..70,
            height in 1usize..50,
            line_width in prop_oneof![3 => 0u32..8, 1 => any::<u32>()],
            font_size in prop_oneof![3 => 0u32..40, 1 => any::<u32>()],
            keypoint_confidence in coordinate(),
        ) {
            let record = record(objects);
            let style = Style { line_width, font_size, keypoint_confidence, ..Style::default() };
            for layout in LAYOUTS {
                drawn(layout, width, height, &record, &style);
            }
        }
    }
}
