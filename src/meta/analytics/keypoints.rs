//! Keypoints of an object: as a group of keypoint entries where the library has these, else as classes.

use super::library::{Keypoints, relation};
use super::relation::{Editor, Place, Relations};
use crate::meta::{KeypointSet, Name};
use gst::glib;
use gst::glib::ffi::GQuark;
use gst::glib::translate::{FromGlib, IntoGlib};
use model::{Keypoint, KeypointLayout};
use std::cell::RefCell;
use std::ffi::{CString, c_int};
use std::sync::Arc;

/// The first class of an entry of keypoints begins with this text; its tag follows.
const HEADER: &str = "keypoints/";
/// The tag of COCO's layout ends with this text, as in Intel's DL Streamer.
const COCO_17: &str = "body-pose/coco-17";
/// Classes of one point: its x, y and confidence.
const CLASSES: usize = 3;

/// The names of a layout's keypoints from one model. To look them up takes a process-wide lock, so each thread does it
/// once.
struct Form {
    source: Name,
    layout: Arc<KeypointLayout>,
    tag: CString,
    /// The header, and three for each point.
    classes: Vec<GQuark>,
    /// Pairs of points.
    links: Vec<c_int>,
}

impl Form {
    fn new(set: &KeypointSet) -> Self {
        let KeypointSet { source, layout, points } = set;
        let tag = match layout.name {
            "coco-17" => format!("{source}/{COCO_17}"),
            name => format!("{source}/{HEADER}{name}-{}", points.len()),
        };
        let mut classes = vec![quark(&format!("{HEADER}{tag}"))];
        for k in 0..points.len() {
            let name = layout.names.get(k).map_or_else(|| k.to_string(), |name| name.to_string());
            classes.extend(["x", "y", "confidence"].map(|part| quark(&format!("{name}.{part}"))));
        }
        let links = layout.limbs.iter().flat_map(|&(a, b)| [a, b]).filter_map(|point| c_int::try_from(point).ok());
        // A tag with a NUL inside can't be told.
        let tag = CString::new(tag).unwrap_or_default();
        Self { source: *source, layout: layout.clone(), tag, classes, links: links.collect() }
    }

    fn fits(&self, set: &KeypointSet) -> bool {
        self.source == set.source
            && Arc::ptr_eq(&self.layout, &set.layout)
            && self.classes.len() == 1 + CLASSES * set.points.len()
    }
}

fn quark(text: &str) -> GQuark {
    glib::Quark::from_str(text).into_glib()
}

thread_local! {
    static FORMS: RefCell<Vec<Form>> = const { RefCell::new(Vec::new()) };
}
/// Models with keypoints that one thread serves at a time; more come only by replacing models.
const MOST_FORMS: usize = 16;

/// Adds the keypoints of the object `object`, whose box is `place`, in a frame of this size.
pub(super) fn add(editor: &mut Editor, object: u32, place: Place, set: &KeypointSet, frame: (u32, u32)) {
    FORMS.with_borrow_mut(|forms| {
        let index = forms.iter().position(|form| form.fits(set)).unwrap_or_else(|| {
            if forms.len() >= MOST_FORMS {
                forms.clear();
            }
            forms.push(Form::new(set));
            forms.len() - 1
        });
        let Some(form) = forms.get_mut(index) else { return };
        let added = match &editor.library.keypoints {
            Some(keypoints) => add_group(editor, keypoints, form, set, frame),
            None => add_classes(editor, form, place, set, frame),
        };
        if let Some(added) = added {
            editor.put_into(added, object);
        }
    });
}

fn add_group(
    editor: &mut Editor,
    keypoints: &'static Keypoints,
    form: &Form,
    set: &KeypointSet,
    (width, height): (u32, u32),
) -> Option<u32> {
    let pixels = |point: &Keypoint| [point.x * width as f32, point.y * height as f32].map(|at| at.round() as c_int);
    let positions: Vec<c_int> = set.points.iter().flat_map(pixels).collect();
    let confidences: Vec<f32> = set.points.iter().map(|point| point.confidence).collect();
    editor.add_keypoints(keypoints, &form.tag, &positions, &confidences, &form.links)
}

/// A box without width or height has no place for its points.
fn add_classes(
    editor: &mut Editor,
    form: &mut Form,
    place: Place,
    set: &KeypointSet,
    (width, height): (u32, u32),
) -> Option<u32> {
    if place.width <= 0 || place.height <= 0 {
        return None;
    }
    let inside = |at: f32, side: u32, from: i32, size: i32| (at * side as f32 - from as f32) / size as f32;
    let mut levels = Vec::with_capacity(form.classes.len());
    levels.push(set.points.len() as f32);
    for point in &set.points {
        levels.push(inside(point.x, width, place.left, place.width));
        levels.push(inside(point.y, height, place.top, place.height));
        levels.push(point.confidence);
    }
    editor.add_classes(&mut form.classes, &mut levels)
}

/// An object's keypoints as they are on a buffer, of any element.
pub(super) struct Found {
    /// The entry that has them: a group or classes.
    pub entry: u32,
    /// Pixels.
    pub points: Vec<Keypoint>,
    form: FoundForm,
}

enum FoundForm {
    Group(&'static Keypoints),
    Classes,
}

/// The keypoints of the object `object`, whose box is `place`.
pub(super) fn of(relations: Relations, object: u32, place: Place) -> Option<Found> {
    if let Some(keypoints) = &relations.library.keypoints {
        // SAFETY: the function has no preconditions.
        let group = unsafe { (keypoints.gst_analytics_group_mtd_get_mtd_type)() };
        let kind = relation::CONTAIN | relation::RELATE_TO;
        let group =
            relations.related(object, kind, group).map(|entry| (entry, group_points(relations, keypoints, entry)));
        if let Some((entry, points)) = group.into_iter().find(|(_, points)| !points.is_empty()) {
            return Some(Found { entry, points, form: FoundForm::Group(keypoints) });
        }
    }
    let mut classes = relations.related(object, relation::CONTAIN, relations.library.class);
    let entry = classes.find(|&entry| header(relations, entry).is_some())?;
    let levels: Vec<f32> = relations.classes(entry).skip(1).map(|(_, level)| level).collect();
    let points = levels.chunks_exact(CLASSES).map(|point| {
        let at = |level: f32, from: i32, size: i32| from as f32 + level * size as f32;
        let (x, y) = (at(point[0], place.left, place.width), at(point[1], place.top, place.height));
        Keypoint { x, y, confidence: point[2] }
    });
    Some(Found { entry, points: points.collect(), form: FoundForm::Classes })
}

/// The entries that the keypoints of the object `object` consist of.
pub(super) fn entries(relations: Relations, object: u32) -> Vec<u32> {
    let place = Place { left: 0, top: 0, width: 0, height: 0 };
    let Some(found) = of(relations, object, place) else { return vec![] };
    let members = match found.form {
        FoundForm::Group(keypoints) => keypoint_entries(relations, keypoints, found.entry).collect(),
        FoundForm::Classes => vec![],
    };
    [vec![found.entry], members].concat()
}

/// Whether an entry of classes is one of keypoints.
pub(super) fn are_in(relations: Relations, classes: u32) -> bool {
    header(relations, classes).is_some()
}

/// The tag in the first class of an entry of keypoints.
fn header(relations: Relations, entry: u32) -> Option<&'static str> {
    text(relations.classes(entry).next()?.0)?.strip_prefix(HEADER)
}

fn text(quark: GQuark) -> Option<&'static str> {
    // SAFETY: GLib created every quark other than 0.
    (quark != 0).then(|| unsafe { glib::Quark::from_glib(quark) }.as_str().as_str())
}

fn group_points(relations: Relations, keypoints: &'static Keypoints, group: u32) -> Vec<Keypoint> {
    let points = keypoint_entries(relations, keypoints, group).map(|entry| relations.keypoint(keypoints, entry));
    points.map(|(x, y, confidence)| Keypoint { x: x as f32, y: y as f32, confidence }).collect()
}

fn keypoint_entries(relations: Relations, keypoints: &'static Keypoints, group: u32) -> impl Iterator<Item = u32> {
    // SAFETY: the function has no preconditions.
    let kind = unsafe { (keypoints.gst_analytics_keypoint_mtd_get_mtd_type)() };
    relations.members(keypoints, group).filter(move |&member| relations.type_of(member) == Some(kind))
}

impl Found {
    /// The keypoints as part of another element's object.
    pub fn into_set(self, relations: Relations, (width, height): (u32, u32), unnamed: Name) -> KeypointSet {
        let tag = match self.form {
            FoundForm::Group(_) => relations.tag(self.entry).and_then(|tag| tag.into_string().ok()),
            FoundForm::Classes => header(relations, self.entry).map(str::to_owned),
        };
        let tag = tag.unwrap_or_default();
        // MODEL/KIND/FORMAT
        let model = tag.rsplitn(3, '/').nth(2).filter(|model| !model.is_empty());
        let layout = match self.form {
            _ if tag.ends_with(COCO_17) => KeypointLayout::built_in(self.points.len()),
            FoundForm::Group(keypoints) => Arc::new(self.linked_layout(relations, keypoints)),
            FoundForm::Classes => self.named_layout(relations),
        };
        let scale = |point: Keypoint| Keypoint {
            x: point.x / width.max(1) as f32,
            y: point.y / height.max(1) as f32,
            confidence: if point.confidence.is_finite() { point.confidence.clamp(0.0, 1.0) } else { 0.0 },
        };
        let source = model.map_or(unnamed, Name::from);
        KeypointSet { source, layout, points: self.points.into_iter().map(scale).collect() }
    }

    /// Members of a group have no names.
    fn linked_layout(&self, relations: Relations, keypoints: &'static Keypoints) -> KeypointLayout {
        let entries: Vec<u32> = keypoint_entries(relations, keypoints, self.entry).collect();
        let linked = |a: usize, b: usize| relations.relation(entries[a], entries[b]) & relation::RELATE_TO != 0;
        let pairs = (0..entries.len()).flat_map(|a| (0..a).map(move |b| (b, a)));
        let limbs = pairs.filter(|&(a, b)| linked(a, b) || linked(b, a)).collect();
        KeypointLayout { name: "custom", names: vec![], limbs }
    }

    fn named_layout(&self, relations: Relations) -> Arc<KeypointLayout> {
        let names = relations.classes(self.entry).skip(1).step_by(CLASSES);
        let names = names.map(|(quark, _)| text(quark).unwrap_or_default());
        KeypointLayout::named(names.map(|name| name.strip_suffix(".x").unwrap_or(name).into()).collect())
    }
}
