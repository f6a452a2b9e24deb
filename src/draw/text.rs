//! A line of text, drawn from cached glyphs.

use super::font::{FontGlyph, Fonts, Reason, Setting};
use super::system_fonts::SystemFonts;
use super::{Canvas, Mask};
use ab_glyph::{Font, InvalidFont, PxScale, point};
use std::collections::HashMap;
use unicode_normalization::UnicodeNormalization;

/// The number of subpixel positions at which glyphs are cached, so that letters are evenly spaced.
const SUBPIXELS: f32 = 4.0;

/// Lays out and draws text of one size.
#[derive(Debug)]
pub struct Text {
    fonts: Fonts,
    scale: PxScale,
    /// By glyph and subpixel position; bounded by the number of glyphs of the fonts.
    cache: HashMap<(FontGlyph, u8), Glyph>,
    /// The line that was laid out last.
    line: Vec<Placed>,
    /// The text of that line as drawn, and the first of its characters that was replaced.
    spelled: String,
    replaced: Option<(char, Reason)>,
}

#[derive(Debug)]
struct Glyph {
    /// Relative to the pen's whole pixel on the baseline.
    left: i32,
    top: i32,
    /// Pixels per row; 0 for a space.
    width: usize,
    coverage: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Placed {
    glyph: FontGlyph,
    /// The glyph's origin, relative to the line's start; pixels.
    x: f32,
}

impl Text {
    /// # Errors
    /// A built-in font can't be read.
    pub fn new(system: &'static SystemFonts) -> Result<Self, InvalidFont> {
        Ok(Self {
            fonts: Fonts::new(system)?,
            scale: PxScale::from(0.0),
            cache: HashMap::new(),
            line: Vec::new(),
            spelled: String::new(),
            replaced: None,
        })
    }

    /// Sets the height of a line from ascender to descender, in pixels.
    pub fn set_size(&mut self, size: u32) {
        let scale = PxScale::from(size as f32);
        if self.scale != scale {
            self.scale = scale;
            self.cache.clear();
            self.line.clear();
        }
    }

    /// The distance from a line's top to its baseline, in whole pixels.
    pub fn ascent(&self) -> i32 {
        self.fonts.ascent(self.scale).round() as i32
    }

    /// Lays out a line of at most `limit` pixels and returns its width. Text that doesn't fit is cut off with an
    /// ellipsis. Characters without a glyph are transliterated; see [`Self::replaced`].
    pub fn set_line(&mut self, text: &str, limit: f32) -> f32 {
        self.spell(text);
        self.line.clear();
        let mut width = 0.0;
        for ch in self.spelled.chars() {
            let Setting::Glyph(glyph) = self.fonts.setting(ch) else { continue };
            self.line.push(Placed { glyph, x: width });
            width += self.fonts.advance(glyph, self.scale);
            if width > limit {
                let Setting::Glyph(ellipsis) = self.fonts.setting('…') else { return 0.0 };
                while let Some(last) = self.line.pop() {
                    width = last.x + self.fonts.advance(ellipsis, self.scale);
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

    /// Rewrites `text` in characters that have glyphs.
    fn spell(&mut self, text: &str) {
        self.spelled.clear();
        self.replaced = None;
        if text.is_ascii() {
            self.spelled.extend(text.chars().filter(|c| !c.is_control()));
            return;
        }
        // True between the replacement of a character and what follows it, if they must be separated.
        let mut is_parted = false;
        for ch in text.nfc().filter(|c| !c.is_control()) {
            let mut buffer = [0; 4];
            let (letters, parts) = match self.fonts.setting(ch) {
                Setting::Unseen => continue,
                Setting::Glyph(_) => (&*ch.encode_utf8(&mut buffer), false),
                Setting::Letters(letters, reason) => {
                    self.replaced.get_or_insert((ch, reason));
                    (letters.trim_end(), letters.ends_with(' '))
                }
            };
            let is_word = |c: char| c.is_alphanumeric() || !c.is_ascii();
            if is_parted && letters.starts_with(is_word) {
                self.spelled.push(' ');
            }
            self.spelled.push_str(letters);
            is_parted = parts;
        }
    }

    /// The first character of the current line that was transliterated, and why.
    pub fn replaced(&self) -> Option<(char, Reason)> {
        self.replaced
    }

    /// The complete text of the current line as drawn.
    pub fn spelled(&self) -> &str {
        &self.spelled
    }

    pub fn system(&self) -> &'static SystemFonts {
        self.fonts.system()
    }

    /// Draws the current line from `x` on; `baseline` is the first row below letters without descenders.
    pub fn draw<C: Canvas>(&mut self, canvas: &mut C, x: i32, baseline: i32, ink: C::Ink) {
        for placed in &self.line {
            let whole = placed.x.floor();
            let subpixel = ((placed.x - whole) * SUBPIXELS) as u8;
            let glyph = self
                .cache
                .entry((placed.glyph, subpixel))
                .or_insert_with(|| rasterise(&self.fonts, placed.glyph, self.scale, f32::from(subpixel) / SUBPIXELS));
            let (left, top) = (x + whole as i32 + glyph.left, baseline + glyph.top);
            let mask = Mask { left, top, width: glyph.width, coverage: &glyph.coverage };
            // Sizes are whole numbers, so these four values identify the bitmap.
            let (size, FontGlyph { face, glyph }) = (u64::from(self.scale.x as u32), placed.glyph);
            let key = size << 32 | u64::from(face) << 24 | u64::from(glyph.0) << 8 | u64::from(subpixel);
            canvas.blend_known(key, mask, ink);
        }
    }
}

/// Rasterises a glyph. The first font is emboldened horizontally: it is light, and designed for larger text than
/// labels.
fn rasterise(fonts: &Fonts, FontGlyph { face, glyph }: FontGlyph, scale: PxScale, subpixel: f32) -> Glyph {
    let outlined = fonts
        .scaled(face, scale)
        .and_then(|(font, scale)| font.outline_glyph(glyph.with_scale_and_position(scale, point(subpixel, 0.0))));
    let Some(outlined) = outlined else {
        return Glyph { left: 0, top: 0, width: 0, coverage: Vec::new() };
    };
    let bounds = outlined.px_bounds();
    let (width, height) = (bounds.width() as usize + 1, bounds.height() as usize);
    let weight = if face == 0 { (scale.x / 40.0).min(1.0) } else { 0.0 };
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
        static NONE: SystemFonts = SystemFonts::new(|_| {});
        text_with(&NONE, size)
    }

    fn text_with(system: &'static SystemFonts, size: u32) -> Text {
        let mut text = Text::new(system).unwrap();
        text.set_size(size);
        text
    }

    /// A system with one font, which has Armenian and Georgian.
    static WITH_HACK: SystemFonts =
        SystemFonts::new(|database| database.load_font_data(epaint_default_fonts::HACK_REGULAR.to_vec()));

    /// The pixels (x, y) that a line of text touches on a picture of 200 × 40.
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
        assert_eq!(Setting::Glyph(last), text.fonts.setting('…'));
        assert_eq!(text.set_line("wheelbarrow", 2.0), 0.0);
        assert!(touched(&mut text).is_empty());
    }

    /// The pixels of a drawn text.
    fn drawn(text: &mut Text, what: &str) -> Vec<(usize, usize)> {
        let width = text.set_line(what, f32::MAX);
        let pixels = touched(text);
        let last = pixels.iter().map(|&(x, _)| x).max().unwrap_or(0);
        // Slanted and emboldened glyphs extend slightly beyond their advance.
        assert!(last <= 10 + width.ceil() as usize + 2, "{what}: {last} of {width}");
        pixels
    }

    /// Without a font for them, labels are transliterated by sound or meaning.
    #[test]
    fn labels_that_no_font_has_are_transliterated() {
        let mut text = text(16);
        for (label, letters) in [
            ("狗", "Gou"),
            ("红绿灯 2", "Hong Lu Deng 2"),
            ("ネコ", "neko"),
            ("고양이", "goyangi"),
            ("كلب", "klb"),
            ("כלב", "klb"),
            ("หมา", "hmaa"),
            ("कुत्ता", "kuttaa"),
            ("շուն", "shown"),
            ("Việt", "Viet"),
            ("ძაღლი", "z'ag'li"),
            ("🦊 🐶", "fox face 🐶"),
            ("狗🐶，a", "Gou 🐶,a"),
            ("a\u{301}b", "áb"),
            ("x\u{200d}\u{fe0f}\u{200f}y", "xy"),
        ] {
            let pixels = drawn(&mut text, label);
            let (spelled, replaced) = (text.spelled().to_owned(), text.replaced());
            assert_eq!(spelled.to_lowercase(), letters.to_lowercase(), "{label}");
            assert!(!pixels.is_empty() && pixels == drawn(&mut text, &spelled), "{label}");
            assert_eq!(replaced.is_some(), !["a\u{301}b", "x\u{200d}\u{fe0f}\u{200f}y"].contains(&label), "{label}");
        }
        // These have no transliteration.
        for label in ["\u{10fffd}", "\u{378}"] {
            assert!(drawn(&mut text, label) == drawn(&mut text, "?"), "{label:?}");
        }
        assert_eq!(text.set_line("\u{0}\n\t\u{7f}\u{200d}\u{301}", f32::MAX), 0.0);
    }

    #[test]
    fn letters_and_signs_that_are_built_in_stay() {
        let mut text = text(16);
        for label in ["Füße жук ңқ σκύλος", "🐶🐱🚗", "cafe\u{301}", "☎"] {
            assert!(!drawn(&mut text, label).is_empty(), "{label}");
            if label != "☎" {
                assert_eq!(text.replaced(), None, "{label}: {}", text.spelled());
            }
        }
        let composed = drawn(&mut text, "café");
        assert_eq!(drawn(&mut text, "cafe\u{301}"), composed);
        assert!(drawn(&mut text, "🐶") != drawn(&mut text, "🐱"));
    }

    /// The system's font is used; characters that it lacks are transliterated as without it.
    #[test]
    fn fonts_of_the_system_are_used() {
        let (mut with, mut without) = (text_with(&WITH_HACK, 16), text(16));
        for label in ["շուն", "ძაღლი", "dog շ 0.87"] {
            let pixels = drawn(&mut with, label);
            assert_eq!((with.spelled(), with.replaced()), (label, None));
            assert!(!pixels.is_empty() && pixels != drawn(&mut without, label), "{label}");
        }
        assert!(drawn(&mut with, "շ") != drawn(&mut with, "ո"));
        assert_eq!(drawn(&mut with, "狗 շ"), {
            assert_eq!(with.replaced(), Some(('狗', Reason::NoFont)));
            drawn(&mut with, "Gou շ")
        });
        with.set_line("كلب", f32::MAX);
        assert_eq!(with.replaced(), Some(('ك', Reason::Script)));
        // The letters are as large as the built-in ones, because both fonts are scaled to the same em.
        let width = with.set_line("շշշշ", f32::MAX);
        assert!((20.0..60.0).contains(&width), "{width}");
    }

    #[test]
    fn long_labels_of_other_scripts_stay_in_their_limit() {
        for system in [None, Some(&WITH_HACK)] {
            let mut text = system.map_or_else(|| text(16), |system| text_with(system, 16));
            for label in ["狗".repeat(60), "շ".repeat(60), "🐶".repeat(60), "كلب ".repeat(30)] {
                let width = text.set_line(&label, 100.0);
                assert!(width > 60.0 && width <= 100.0, "{label}: {width}");
                assert!(touched(&mut text).iter().all(|&(x, _)| x <= 112), "{label}");
            }
        }
    }

    /// A canvas that caches glyphs by key can distinguish those of two fonts.
    #[test]
    fn keys_of_glyphs_differ() {
        struct Keys(std::collections::HashMap<u64, Vec<u8>>);
        impl Canvas for Keys {
            type Ink = ();
            fn area(&self) -> crate::draw::Area {
                crate::draw::Area::new(0, 0, 1000, 100)
            }
            fn ink(&self, _: Rgb) {}
            fn fill(&mut self, _: crate::draw::Area, (): ()) {}
            fn blend(&mut self, _: Mask<'_>, (): ()) {}
            fn blend_known(&mut self, key: u64, mask: Mask<'_>, (): ()) {
                let known = self.0.entry(key).or_insert_with(|| mask.coverage.to_vec());
                assert_eq!(*known, mask.coverage, "{key:x}");
            }
        }
        let mut keys = Keys(Default::default());
        let mut text = text_with(&WITH_HACK, 24);
        let georgian: String = ('\u{10d0}'..='\u{10f0}').collect();
        for label in ["ABCabc 0123456789", "շունԱԲԳԴ", &georgian, "🐶🐱🚗🚲🌳"] {
            text.set_line(label, f32::MAX);
            text.draw(&mut keys, 0, 30, ());
        }
        assert!(keys.0.len() > 60, "{}", keys.0.len());
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
