//! A line of text, from glyphs that are rasterised once.

use super::{Canvas, Mask};
use ab_glyph::{Font, FontRef, GlyphId, InvalidFont, PxScale, ScaleFont, point};
use std::collections::HashMap;

/// Glyphs are kept at this many places between two pixels, so that letters stand evenly.
const SUBPIXELS: f32 = 4.0;

/// Sets and draws text of one size.
#[derive(Debug)]
pub struct Text {
    font: FontRef<'static>,
    scale: PxScale,
    /// By glyph and subpixel: never more than the font has glyphs.
    cache: HashMap<(GlyphId, u8), Glyph>,
    /// The line set last.
    line: Vec<Placed>,
}

#[derive(Debug)]
struct Glyph {
    /// From the pen's whole pixel on the baseline.
    left: i32,
    top: i32,
    /// Pixels a row; 0 for a space.
    width: usize,
    coverage: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Placed {
    glyph: GlyphId,
    /// Of the glyph's origin, from the line's start; pixels.
    x: f32,
}

impl Text {
    /// # Errors
    /// When the built-in font can't be read.
    pub fn new() -> Result<Self, InvalidFont> {
        let font = FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT)?;
        Ok(Self { font, scale: PxScale::from(0.0), cache: HashMap::new(), line: Vec::new() })
    }

    /// Height of a line from ascender to descender, pixels.
    pub fn set_size(&mut self, size: u32) {
        let scale = PxScale::from(size as f32);
        if self.scale != scale {
            self.scale = scale;
            self.cache.clear();
            self.line.clear();
        }
    }

    /// From a line's top to its baseline, whole pixels.
    pub fn ascent(&self) -> i32 {
        self.font.as_scaled(self.scale).ascent().round() as i32
    }

    /// Sets a line of at most `limit` pixels and returns its width; what doesn't fit is left out, with an ellipsis. The
    /// font's own sign stands for characters that it lacks.
    pub fn set_line(&mut self, text: &str, limit: f32) -> f32 {
        let font = self.font.as_scaled(self.scale);
        self.line.clear();
        let mut width = 0.0;
        for ch in text.chars().filter(|c| !c.is_control()) {
            let glyph = font.glyph_id(ch);
            self.line.push(Placed { glyph, x: width });
            width += font.h_advance(glyph);
            if width > limit {
                let ellipsis = font.glyph_id('…');
                while let Some(last) = self.line.pop() {
                    width = last.x + font.h_advance(ellipsis);
                    if width <= limit {
                        self.line.push(Placed { glyph: ellipsis, x: last.x });
                        return width;
                    }
                }
                return 0.0;
            }
        }
        width
    }

    /// Draws the line set last, from `x` on; `baseline` is the first row below letters without descender.
    pub fn draw<C: Canvas>(&mut self, canvas: &mut C, x: i32, baseline: i32, ink: C::Ink) {
        for placed in &self.line {
            let whole = placed.x.floor();
            let subpixel = ((placed.x - whole) * SUBPIXELS) as u8;
            let glyph = self
                .cache
                .entry((placed.glyph, subpixel))
                .or_insert_with(|| rasterise(&self.font, placed.glyph, self.scale, f32::from(subpixel) / SUBPIXELS));
            let (left, top) = (x + whole as i32 + glyph.left, baseline + glyph.top);
            let mask = Mask { left, top, width: glyph.width, coverage: &glyph.coverage };
            // One font in whole sizes: these three say what the glyph looks like.
            let size = u64::from(self.scale.x as u32);
            let key = size << 32 | u64::from(placed.glyph.0) << 8 | u64::from(subpixel);
            canvas.blend_known(key, mask, ink);
        }
    }
}

/// A glyph's bitmap, emboldened sideways: the font is a light one, made for larger letters than labels have.
fn rasterise(font: &FontRef<'_>, id: GlyphId, scale: PxScale, subpixel: f32) -> Glyph {
    let glyph = id.with_scale_and_position(scale, point(subpixel, 0.0));
    let Some(outlined) = font.outline_glyph(glyph) else {
        return Glyph { left: 0, top: 0, width: 0, coverage: Vec::new() };
    };
    let bounds = outlined.px_bounds();
    let (width, height) = (bounds.width() as usize + 1, bounds.height() as usize);
    let weight = (scale.x / 40.0).min(1.0);
    let mut sum = vec![0.0; width * height];
    outlined.draw(|x, y, coverage| {
        let at = y as usize * width + x as usize;
        for (pixel, part) in sum.iter_mut().skip(at).zip([1.0, weight]) {
            *pixel += coverage * part;
        }
    });
    let coverage = sum.into_iter().map(|c: f32| (c.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
    Glyph { left: bounds.min.x as i32, top: bounds.min.y as i32, width, coverage }
}

#[cfg(test)]
mod tests {
    use super::super::{Packed, Plane, Rgb};
    use super::*;

    fn text(size: u32) -> Text {
        let mut text = Text::new().unwrap();
        text.set_size(size);
        text
    }

    /// Pixels of a line of text on a picture of 200 × 40: those touched, as (x, y).
    fn touched(text: &mut Text) -> Vec<(usize, usize)> {
        let mut data = vec![0; 200 * 40 * 3];
        let mut canvas = Packed::<3>::new(Plane::new(&mut data, 600, 200, 40), false);
        let ink = canvas.ink(Rgb::WHITE);
        text.draw(&mut canvas, 10, 30, ink);
        (0..200 * 40).filter(|i| data[3 * i] > 0).map(|i| (i % 200, i / 200)).collect()
    }

    #[test]
    fn text_stays_in_the_width_it_says() {
        let mut text = text(24);
        let width = text.set_line("person 0.87", f32::MAX);
        assert!((90.0..150.0).contains(&width), "{width}");
        let pixels = touched(&mut text);
        assert!(pixels.len() > 300);
        // Emboldening may add a column.
        assert!(pixels.iter().all(|&(x, _)| (10..=10 + width.ceil() as usize).contains(&x)));
        assert!(pixels.iter().all(|&(_, y)| (30 - 24..30 + 8).contains(&y)));
    }

    #[test]
    fn long_text_ends_with_an_ellipsis() {
        let mut text = text(20);
        let whole = text.set_line("wheelbarrow", f32::MAX);
        assert_eq!(text.set_line("wheelbarrow", whole), whole);
        let width = text.set_line("wheelbarrow", whole - 1.0);
        assert!(width > 0.5 * whole && width <= whole - 1.0, "{width} of {whole}");
        let last = text.line.last().unwrap().glyph;
        assert_eq!(last, text.font.glyph_id('…'));
        assert_eq!(text.set_line("wheelbarrow", 2.0), 0.0);
        assert!(touched(&mut text).is_empty());
    }

    #[test]
    fn characters_without_glyph_get_a_sign() {
        let mut text = text(24);
        assert!(text.set_line("人", f32::MAX) > 0.0);
        assert!(touched(&mut text).len() > 20);
        assert_eq!(text.set_line("\u{0}\n\t\u{7f}", f32::MAX), 0.0);
        assert!(text.set_line("Füße жук", f32::MAX) > 0.0);
        assert!(text.line.iter().all(|placed| placed.glyph != GlyphId(0)));
    }

    #[test]
    fn glyphs_are_rasterised_once() {
        let mut text = text(24);
        text.set_line("person 0.87", f32::MAX);
        let first = touched(&mut text);
        let glyphs = text.cache.len();
        assert!(glyphs >= 9);
        assert_eq!(touched(&mut text), first);
        assert_eq!(text.cache.len(), glyphs);
        text.set_size(25);
        assert!(text.cache.is_empty());
    }

    #[test]
    fn no_size_draws_nothing() {
        let mut text = text(0);
        assert_eq!(text.set_line("person", f32::MAX), 0.0);
        assert!(touched(&mut text).is_empty());
    }
}
