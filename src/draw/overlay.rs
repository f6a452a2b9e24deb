//! A record on a frame: boxes, skeletons and labels.

use super::color::{self, Rgb};
use super::shape::{Pen, Point, outline};
use super::text::Text;
use super::{Area, Canvas, ColorBy, Style};
use crate::meta::{KeypointSet, Object, Record};
use ab_glyph::InvalidFont;
use std::fmt::Write;

/// Left limbs, right limbs, and those between the two sides.
const LEFT: Rgb = Rgb::hex(0x33CC33);
const RIGHT: Rgb = Rgb::hex(0xFF8800);
const CENTRE: Rgb = Rgb::hex(0x66EEEE);

/// Labels that a new one is kept clear of: bounds the work on frames with thousands of objects.
const LABELS_COMPARED: usize = 256;

/// Draws records; keeps its glyphs and buffers from frame to frame.
#[derive(Debug)]
pub struct Overlay {
    text: Text,
    pen: Pen,
    label: String,
    /// Of each object's label in the frame being drawn.
    places: Vec<Area>,
}

/// What [`Style`] comes to on a frame of one size; pixels.
struct Sizes {
    frame: Area,
    line: i32,
    font: i32,
}

impl Overlay {
    /// # Errors
    /// When the built-in font can't be read.
    pub fn new() -> Result<Self, InvalidFont> {
        Ok(Self { text: Text::new()?, pen: Pen::default(), label: String::new(), places: Vec::new() })
    }

    /// Boxes first, skeletons over them, labels on top; the first object's are the topmost.
    pub fn draw<C: Canvas>(&mut self, canvas: &mut C, record: &Record, style: &Style) {
        let frame = canvas.area();
        let short_side = frame.width().min(frame.height());
        let auto = |set: u32, auto: i32| if set == 0 { auto } else { set.min(i32::MAX as u32) as i32 };
        let sizes = Sizes {
            frame,
            line: auto(style.line_width, (short_side + 180) / 360).max(1),
            font: auto(style.font_size, (short_side + 21) / 42).max(12),
        };
        let colour = |object: &Object| color_of(object, record, style.color_by);

        if style.boxes {
            for object in record.objects.iter().rev() {
                if let Some(area) = pixels(object, frame) {
                    let ink = canvas.ink(colour(object));
                    outline(canvas, area, sizes.line, ink);
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
                self.label(canvas, index, object, colour(object), style, &sizes);
            }
        }
    }

    fn skeleton<C: Canvas>(&mut self, canvas: &mut C, object: &Object, set: &KeypointSet, least: f32, sizes: &Sizes) {
        let (width, height) = (sizes.frame.width() as f32, sizes.frame.height() as f32);
        let joint = |index: usize| {
            let point = set.points.get(index).filter(|p| p.confidence >= least)?;
            Some(Point { x: point.x * width, y: point.y * height })
        };
        let side = |index: usize| set.layout.names.get(index).map_or("", |name| name.split('_').next().unwrap_or(""));
        // Finer on people who are small in the picture.
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

    /// Finds a place for each object's label, the first object's first: above its box, or else at another edge of it,
    /// wherever no label is yet; all inside the frame.
    fn place_labels(&mut self, record: &Record, style: &Style, sizes: &Sizes) {
        self.places.clear();
        for object in &record.objects {
            let place = pixels(object, sizes.frame).and_then(|object_area| {
                write_label(&mut self.label, object, style);
                let size = self.label_size(sizes)?;
                Some(place_label(object_area, size, sizes.frame, &self.places))
            });
            self.places.push(place.unwrap_or(NOWHERE));
        }
    }

    /// Width and height of the label with its background; `None` where there is no text, or no room for any.
    fn label_size(&mut self, sizes: &Sizes) -> Option<(i32, i32)> {
        let padding = sizes.font / 4;
        let room = sizes.frame.width() - 2 * padding;
        let width = self.text.set_line(&self.label, room as f32).ceil() as i32;
        (width > 0).then_some((width + 2 * padding, sizes.font + padding / 2))
    }

    fn label<C: Canvas>(
        &mut self,
        canvas: &mut C,
        index: usize,
        object: &Object,
        colour: Rgb,
        style: &Style,
        sizes: &Sizes,
    ) {
        let Some(&place) = self.places.get(index).filter(|&&place| place != NOWHERE) else { return };
        write_label(&mut self.label, object, style);
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

/// The first place at the object's edges that is free of the labels `taken`; where none is, the one above.
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

/// An object's box in whole pixels, clipped to the frame; `None` where nothing of it is inside.
fn pixels(object: &Object, frame: Area) -> Option<Area> {
    let rect = object.rect.scaled(frame.width() as f32, frame.height() as f32);
    if ![rect.x, rect.y, rect.right(), rect.bottom()].iter().all(|v| v.is_finite()) {
        return None;
    }
    let (left, top) = (rect.x.round() as i32, rect.y.round() as i32);
    // A box thinner than a pixel still shows.
    let (right, bottom) = (
        (rect.right().round() as i32).max(left.saturating_add(1)),
        (rect.bottom().round() as i32).max(top.saturating_add(1)),
    );
    let area = Area::new(left, top, right, bottom).intersection(&frame);
    (area.width() > 0 && area.height() > 0).then_some(area)
}

fn color_of(object: &Object, record: &Record, color_by: ColorBy) -> Rgb {
    match color_by {
        ColorBy::Class => object.class_id.map_or_else(|| color::of_name(&object.label), color::of_number),
        ColorBy::Id => color::of_number(object.id),
        // Models in the order that they ran in are sure to differ; others' have no place in the list.
        ColorBy::Source => match record.models.iter().position(|m| m.model_id == object.source) {
            Some(position) => color::of_number(position as u32),
            None => color::of_name(&object.source),
        },
    }
}

fn write_label(text: &mut String, object: &Object, style: &Style) {
    text.clear();
    if style.labels {
        text.push_str(&object.label);
        if let (true, Some(class)) = (object.label.is_empty(), object.class_id) {
            // Writing to a string can't fail.
            let _ = write!(text, "class {class}");
        }
    }
    if style.confidence && object.confidence.is_finite() {
        let space = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{space}{:.2}", object.confidence);
    }
}
