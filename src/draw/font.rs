//! Selects a glyph for each character of a text: from the built-in fonts, from the system's, or a transliteration.

use super::system_fonts::SystemFonts;
use ab_glyph::{Font, FontArc, GlyphId, InvalidFont, PxScale, ScaleFont};
use std::collections::HashMap;

/// A font, and its size relative to the first one.
#[derive(Debug, Clone)]
pub struct Face {
    pub font: FontArc,
    /// Height of the font relative to its em.
    height: f32,
}

impl Face {
    pub fn new(font: FontArc) -> Self {
        let height = font.units_per_em().map_or(1.0, |em| font.height_unscaled() / em);
        // Fonts may contain any value.
        Self { font, height: if (0.5..4.0).contains(&height) { height } else { 1.0 } }
    }

    fn built_in(data: &'static [u8]) -> Result<Self, InvalidFont> {
        FontArc::try_from_slice(data).map(Self::new)
    }

    /// The visible glyph of a character, if the font has one.
    pub fn glyph(&self, ch: char) -> Option<GlyphId> {
        let glyph = self.font.glyph_id(ch);
        (glyph.0 != 0 && (ch.is_whitespace() || self.font.outline(glyph).is_some())).then_some(glyph)
    }
}

/// A glyph of one of the [`Fonts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FontGlyph {
    pub face: u8,
    pub glyph: GlyphId,
}

/// How a character is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    Glyph(FontGlyph),
    /// Replaced by these letters of the first font. A trailing space separates them from letters that follow.
    Letters(&'static str, Reason),
    /// Not drawn: a joiner or a skin-tone modifier.
    Unseen,
}

/// The reason why a character is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    NoFont,
    /// Its script joins or stacks letters or runs from right to left, which needs more than one glyph per character.
    Script,
}

/// The fonts of a text: first the one for letters, then the one with symbols and emoji, then system fonts, which are
/// opened when a character is in neither.
#[derive(Debug)]
pub struct Fonts {
    faces: Vec<Face>,
    /// The characters that the first font lacks.
    others: HashMap<char, Setting>,
    system: &'static SystemFonts,
}

impl Fonts {
    /// Maximum number of cached characters. Labels have fewer, but other programs' metadata may contain anything.
    const REMEMBERED: usize = 1 << 14;

    /// # Errors
    /// A built-in font can't be read.
    pub fn new(system: &'static SystemFonts) -> Result<Self, InvalidFont> {
        let built_in = [epaint_default_fonts::UBUNTU_LIGHT, epaint_default_fonts::NOTO_EMOJI_REGULAR];
        let faces = built_in.into_iter().map(Face::built_in).collect::<Result<_, _>>()?;
        Ok(Self { faces, others: HashMap::new(), system })
    }

    pub fn system(&self) -> &'static SystemFonts {
        self.system
    }

    /// The distance from the top of a line to its baseline, in pixels.
    pub fn ascent(&self, scale: PxScale) -> f32 {
        self.faces.first().map_or(0.0, |face| face.font.as_scaled(scale).ascent())
    }

    /// The distance from a glyph's origin to the next one's, in pixels.
    pub fn advance(&self, FontGlyph { face, glyph }: FontGlyph, scale: PxScale) -> f32 {
        self.scaled(face, scale).map_or(0.0, |(font, scale)| font.as_scaled(scale).h_advance(glyph))
    }

    /// The font of a glyph, and the scale at which its em equals the first font's at `scale`.
    pub fn scaled(&self, face: u8, scale: PxScale) -> Option<(&FontArc, PxScale)> {
        let (first, face) = (self.faces.first()?, self.faces.get(usize::from(face))?);
        Some((&face.font, PxScale::from(scale.x * face.height / first.height)))
    }

    /// How to draw a character that isn't a control character.
    pub fn setting(&mut self, ch: char) -> Setting {
        let first = self.faces.first().map(|face| face.font.glyph_id(ch));
        if let Some(glyph) = first.filter(|glyph| glyph.0 != 0) {
            return Setting::Glyph(FontGlyph { face: 0, glyph });
        }
        if let Some(&setting) = self.others.get(&ch) {
            return setting;
        }
        let setting = self.find(ch);
        if self.others.len() >= Self::REMEMBERED {
            self.others.clear();
        }
        self.others.insert(ch, setting);
        setting
    }

    fn find(&mut self, ch: char) -> Setting {
        if is_unseen(ch) {
            return Setting::Unseen;
        }
        let instead = deunicode::deunicode_char(ch);
        // A combining mark without a letter: the text is legible without it.
        if instead.is_some_and(str::is_empty) {
            return Setting::Unseen;
        }
        let instead = instead.unwrap_or("?");
        if needs_shaping(ch) {
            return Setting::Letters(instead, Reason::Script);
        }
        match self.glyph(ch) {
            Some(glyph) => Setting::Glyph(glyph),
            None => Setting::Letters(instead, Reason::NoFont),
        }
    }

    fn glyph(&mut self, ch: char) -> Option<FontGlyph> {
        let opened = (0..).zip(&self.faces).find_map(|(face, of)| Some(FontGlyph { face, glyph: of.glyph(ch)? }));
        opened.or_else(|| {
            let face = u8::try_from(self.faces.len()).ok()?;
            let of = self.system.face_with(ch)?;
            let glyph = of.glyph(ch)?;
            self.faces.push(of);
            Some(FontGlyph { face, glyph })
        })
    }
}

/// Unicode's default ignorable code points and emoji modifiers: they only modify neighbouring characters, in fonts that
/// support it.
fn is_unseen(ch: char) -> bool {
    matches!(ch,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{20e3}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0000}'..='\u{e0fff}')
}

/// Scripts whose text isn't one glyph after another from left to right: Hebrew to Tibetan and Myanmar, Khmer and
/// Mongolian, those of Indonesia and its neighbours, presentation forms, and the right-to-left and Indic scripts in the
/// supplementary plane.
fn needs_shaping(ch: char) -> bool {
    matches!(ch,
        '\u{590}'..='\u{109f}' | '\u{1700}'..='\u{18af}' | '\u{1900}'..='\u{1cff}' | '\u{a800}'..='\u{abff}'
        | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{11fff}' | '\u{1e800}'..='\u{1efff}')
}
