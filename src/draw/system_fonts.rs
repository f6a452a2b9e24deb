//! The fonts of the system, opened when a character is in no built-in one.

use super::font::Face;
use ab_glyph::{FontArc, FontRef, FontVec};
use fontdb::{Database, FaceInfo, ID, Style};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

/// Fonts that all texts of a process share, and what was said of labels.
#[derive(Debug)]
pub struct SystemFonts {
    load: fn(&mut Database),
    found: OnceLock<Mutex<Found>>,
    /// Labels of which it was said that they are written in other letters.
    told: Mutex<Option<HashSet<String>>>,
}

#[derive(Debug)]
struct Found {
    database: Database,
    /// The plain ones first.
    order: Vec<ID>,
    opened: HashMap<ID, Face>,
    /// `None`: no font has it.
    characters: HashMap<char, Option<ID>>,
}

/// Those that the system's configuration tells of.
pub static SYSTEM_FONTS: SystemFonts = SystemFonts::new(Database::load_system_fonts);

impl SystemFonts {
    /// Fonts that are kept open, of some megabytes each.
    const OPENED: usize = 32;
    /// Characters remembered.
    const REMEMBERED: usize = 1 << 14;
    /// Labels that are told of.
    const TOLD: usize = 256;

    /// Fonts that `load` finds, when one is needed.
    pub const fn new(load: fn(&mut Database)) -> Self {
        Self { load, found: OnceLock::new(), told: Mutex::new(None) }
    }

    /// A font with a glyph for `ch`. The first call looks for fonts, which takes a moment.
    pub fn face_with(&self, ch: char) -> Option<Face> {
        let mut found = self.found.get_or_init(|| Mutex::new(Found::load(self.load))).lock();
        found.face_with(ch)
    }

    /// Whether this is the first time that a label is told of.
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
            // Fonts of coloured pictures have glyphs without outline.
            (glyph.0 != 0).then(|| font.outline(glyph)).flatten()
        });
        has.flatten().is_some()
    }
}

/// How far a font is from an upright one of usual weight and width: less is better.
fn strangeness(face: &FaceInfo) -> (bool, u16, u16, bool, String) {
    let width = face.stretch.to_number().abs_diff(5);
    let weight = face.weight.0.abs_diff(400);
    (face.style != Style::Normal, weight, width, face.monospaced, face.post_script_name.clone())
}
