//! The system's fonts, opened when no built-in font has a character.

use super::font::Face;
use ab_glyph::{FontArc, FontRef, FontVec};
use fontdb::{Database, FaceInfo, ID, Style};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

/// The fonts that all texts of a process share, and the labels that were reported.
#[derive(Debug)]
pub struct SystemFonts {
    load: fn(&mut Database),
    found: OnceLock<Mutex<Found>>,
    /// Labels that were reported as transliterated.
    told: Mutex<Option<HashSet<String>>>,
}

#[derive(Debug)]
struct Found {
    database: Database,
    /// Regular fonts first.
    order: Vec<ID>,
    opened: HashMap<ID, Face>,
    /// `None`: no font has the character.
    characters: HashMap<char, Option<ID>>,
}

/// The fonts of the system's configuration.
pub static SYSTEM_FONTS: SystemFonts = SystemFonts::new(Database::load_system_fonts);

impl SystemFonts {
    /// Maximum number of fonts kept open; each takes some megabytes.
    const OPENED: usize = 32;
    /// Maximum number of cached characters.
    const REMEMBERED: usize = 1 << 14;
    /// Maximum number of labels reported.
    const TOLD: usize = 256;

    /// The fonts that `load` finds, when one is first needed.
    pub const fn new(load: fn(&mut Database)) -> Self {
        Self { load, found: OnceLock::new(), told: Mutex::new(None) }
    }

    /// A font with a glyph for `ch`. The first call scans the system for fonts.
    pub fn face_with(&self, ch: char) -> Option<Face> {
        let mut found = self.found.get_or_init(|| Mutex::new(Found::load(self.load))).lock();
        found.face_with(ch)
    }

    /// True if this label hasn't been reported before.
    pub fn is_news(&self, label: &str) -> bool {
        let mut told = self.told.lock();
        let told = told.get_or_insert_default();
        told.len() < Self::TOLD && told.insert(label.to_owned())
    }
}

impl Found {
    fn load(load: fn(&mut Database)) -> Self {
        let mut database = Database::new();
        load(&mut database);
        let mut order: Vec<_> = database.faces().map(|face| (strangeness(face), face.id)).collect();
        order.sort();
        let order = order.into_iter().map(|(_, id)| id).collect();
        Self { database, order, opened: HashMap::new(), characters: HashMap::new() }
    }

    fn face_with(&mut self, ch: char) -> Option<Face> {
        if self.characters.len() >= SystemFonts::REMEMBERED {
            self.characters.clear();
        }
        let id = match self.characters.get(&ch) {
            Some(known) => *known,
            None => {
                let has =
                    |id: &&ID| self.opened.get(id).map_or_else(|| self.has(**id, ch), |face| face.glyph(ch).is_some());
                let id = self.order.iter().find(has).copied();
                self.characters.insert(ch, id);
                id
            }
        }?;
        if let Some(face) = self.opened.get(&id) {
            return Some(face.clone());
        }
        if self.opened.len() >= SystemFonts::OPENED {
            return None;
        }
        let font =
            self.database.with_face_data(id, |data, index| FontVec::try_from_vec_and_index(data.to_vec(), index));
        let face = Face::new(FontArc::new(font?.ok()?));
        self.opened.insert(id, face.clone());
        Some(face)
    }

    fn has(&self, id: ID, ch: char) -> bool {
        let has = self.database.with_face_data(id, |data, index| {
            use ab_glyph::Font;
            let font = FontRef::try_from_slice_and_index(data, index).ok()?;
            let glyph = font.glyph_id(ch);
            // Fonts of coloured pictures have glyphs without outlines.
            (glyph.0 != 0).then(|| font.outline(glyph)).flatten()
        });
        has.flatten().is_some()
    }
}

/// The deviation of a font from an upright one of regular weight and width; lower is better.
fn strangeness(face: &FaceInfo) -> (bool, u16, u16, bool, String) {
    let width = face.stretch.to_number().abs_diff(5);
    let weight = face.weight.0.abs_diff(400);
    (face.style != Style::Normal, weight, width, face.monospaced, face.post_script_name.clone())
}
