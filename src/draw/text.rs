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
            canvas.blend(Mask { left, top, width: glyph.width, coverage: &glyph.coverage }, ink);
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
