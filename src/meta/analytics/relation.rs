//! A buffer's `GstAnalyticsRelationMeta`: entries with ids from 0, and relations between any two of them.

use super::library::{
    Analytics, DIMENSIONS_2D, InitParams, Keypoints, Mtd, MtdImpl, MtdType, RelationMeta, Segmentation,
    SegmentationType, library, relation,
};
use gst::glib;
use gst::glib::ffi::{GFALSE, GQuark, gboolean};
use gst::glib::translate::{FromGlibPtrFull, IntoGlib, IntoGlibPtr};
use gst::meta::{MetaTransform, MetaTransformCopy};
use model::OrientedBox;
use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;
use std::ptr::{from_mut, null, null_mut};

/// An object's entry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Detected {
    pub entry: u32,
    /// 0 for none.
    pub label: GQuark,
    /// Of a box with a direction the upright one around it.
    pub place: Place,
    pub turned: Option<Turned>,
    pub confidence: f32,
}

/// A box with a direction: a rectangle that is rotated about its centre, in radians, clockwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Turned {
    /// Before the rotation.
    pub place: Place,
    /// Neither 0 nor infinite.
    pub angle: f32,
}

impl Turned {
    /// Its corners in pixels.
    pub fn corners(&self) -> OrientedBox {
        let Place { left, top, width, height } = self.place;
        let (w, h) = (width as f32, height as f32);
        OrientedBox::new(left as f32 + w / 2.0, top as f32 + h / 2.0, w, h, self.angle).unwrap_or_default()
    }
}

/// A box in pixels, which may reach beyond the frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub left: i32,
    pub top: i32,
    pub width: i32,
    pub height: i32,
}

/// A class's name and its level.
pub(super) type Level = (GQuark, f32);

/// A buffer's relation meta, to be read.
#[derive(Clone, Copy)]
pub(super) struct Relations<'a> {
    pub library: &'static Analytics,
    /// Never null.
    meta: *mut RelationMeta,
    buffer: PhantomData<&'a gst::BufferRef>,
}

impl<'a> Relations<'a> {
    pub fn of(buffer: &'a gst::BufferRef) -> Option<Self> {
        let library = library()?;
        // SAFETY: the buffer is valid; the function only looks for the meta.
        let meta = unsafe { (library.call.gst_buffer_get_analytics_relation_meta)(buffer.as_mut_ptr()) };
        (!meta.is_null()).then_some(Self { library, meta, buffer: PhantomData })
    }

    fn handle(&self, entry: u32) -> Mtd {
        Mtd { id: entry, meta: self.meta }
    }

    /// Number of ids given so far.
    pub fn len(&self) -> u32 {
        // SAFETY: the meta is valid.
        let length = unsafe { (self.library.call.gst_analytics_relation_get_length)(self.meta) };
        u32::try_from(length).unwrap_or(u32::MAX)
    }

    /// The type of an entry; `None` if a transformation has removed it.
    pub fn type_of(&self, entry: u32) -> Option<MtdType> {
        let mut handle = Mtd::EMPTY;
        // SAFETY: the meta is valid, and the handle is written before it is used.
        unsafe {
            let there = (self.library.call.gst_analytics_relation_meta_get_mtd)(self.meta, entry, 0, &mut handle);
            (there != GFALSE).then(|| (self.library.call.gst_analytics_mtd_get_mtd_type)(&handle))
        }
    }

    /// The entries of this type.
    pub fn entries(self, of: MtdType) -> impl Iterator<Item = u32> {
        (0..self.len()).filter(move |&entry| self.type_of(entry) == Some(of))
    }

    pub fn objects(self) -> impl Iterator<Item = Detected> {
        self.entries(self.library.object).map(move |entry| self.object(entry))
    }

    /// `entry` is an object's.
    pub fn object(&self, entry: u32) -> Detected {
        let handle = self.handle(entry);
        let (mut left, mut top, mut width, mut height, mut confidence) = (0, 0, 0, 0, 0.0);
        // SAFETY: the entry exists and has this type; the values are written through valid pointers.
        let label = unsafe {
            (self.library.call.gst_analytics_od_mtd_get_location)(
                &handle,
                &mut left,
                &mut top,
                &mut width,
                &mut height,
                &mut confidence,
            );
            (self.library.call.gst_analytics_od_mtd_get_obj_type)(&handle)
        };
        let upright = Place { left, top, width, height };
        let (place, turned) = match self.turned(entry) {
            // The library's upright box follows from the angle.
            Some(Turned { place, angle }) if !angle.is_finite() => (place, None),
            Some(turned) if turned.angle != 0.0 => (upright, Some(turned)),
            _ => (upright, None),
        };
        Detected { entry, label, place, turned, confidence }
    }

    /// `entry` is an object's; with any angle.
    fn turned(&self, entry: u32) -> Option<Turned> {
        let oriented = self.library.oriented.as_ref()?;
        let (mut left, mut top, mut width, mut height, mut angle, mut confidence) = (0, 0, 0, 0, 0.0, 0.0);
        // SAFETY: the entry exists and has this type; the values are written through valid pointers.
        unsafe {
            (oriented.gst_analytics_od_mtd_get_oriented_location)(
                &self.handle(entry),
                &mut left,
                &mut top,
                &mut width,
                &mut height,
                &mut angle,
                &mut confidence,
            );
        }
        Some(Turned { place: Place { left, top, width, height }, angle })
    }

    /// The classes of an entry of classes.
    pub fn classes(self, entry: u32) -> impl Iterator<Item = Level> {
        let (handle, call) = (self.handle(entry), &self.library.call);
        // SAFETY: the entry exists and has this type; each index is less than its length.
        let length = unsafe { (call.gst_analytics_cls_mtd_get_length)(&handle) };
        (0..length).map(move |index| unsafe {
            (
                (call.gst_analytics_cls_mtd_get_quark)(&handle, index),
                (call.gst_analytics_cls_mtd_get_level)(&handle, index),
            )
        })
    }

    /// The id of an entry that is a track.
    pub fn track(&self, entry: u32) -> u64 {
        let (mut id, mut first, mut last, mut lost) = (0, 0, 0, GFALSE);
        // SAFETY: the entry exists and has this type; the values are written through valid pointers.
        unsafe {
            let handle = self.handle(entry);
            (self.library.call.gst_analytics_tracking_mtd_get_info)(&handle, &mut id, &mut first, &mut last, &mut lost);
        }
        id
    }

    /// How `from` relates to `to`: bits of [`relation`].
    pub fn relation(&self, from: u32, to: u32) -> c_int {
        // SAFETY: the meta is valid; the function checks the ids.
        unsafe { (self.library.call.gst_analytics_relation_meta_get_relation)(self.meta, from, to) }
    }

    /// The entries of this type to which `from` has one of these relations.
    pub fn related(self, from: u32, relations: c_int, of: MtdType) -> impl Iterator<Item = u32> {
        let mut state = null_mut();
        std::iter::from_fn(move || {
            let mut handle = Mtd::EMPTY;
            // SAFETY: the meta is valid; `state` belongs to this iteration alone.
            let found = unsafe {
                (self.library.call.gst_analytics_relation_meta_get_direct_related)(
                    self.meta,
                    from,
                    relations,
                    of,
                    &mut state,
                    &mut handle,
                )
            };
            (found != GFALSE).then_some(handle.id)
        })
    }

    /// The groups.
    pub fn groups(self, keypoints: &'static Keypoints) -> impl Iterator<Item = u32> {
        // SAFETY: the function has no preconditions.
        self.entries(unsafe { (keypoints.gst_analytics_group_mtd_get_mtd_type)() })
    }

    /// The members of a group.
    pub fn members(self, keypoints: &'static Keypoints, group: u32) -> impl Iterator<Item = u32> {
        let handle = self.handle(group);
        // SAFETY: the entry exists and has this type.
        let count = unsafe { (keypoints.gst_analytics_group_mtd_get_member_count)(&handle) };
        (0..count).filter_map(move |index| {
            let mut member = Mtd::EMPTY;
            // SAFETY: as above; the handle is written before it is used.
            let found = unsafe { (keypoints.gst_analytics_group_mtd_get_member)(&handle, index, &mut member) };
            (found != GFALSE).then_some(member.id)
        })
    }

    /// A keypoint's x and y in pixels, and its confidence.
    pub fn keypoint(&self, keypoints: &Keypoints, entry: u32) -> (i32, i32, f32) {
        let handle = self.handle(entry);
        let (mut x, mut y, mut z, mut dimensions, mut confidence) = (0, 0, 0, 0, 0.0);
        // SAFETY: the entry exists and has this type; the values are written through valid pointers.
        unsafe {
            (keypoints.gst_analytics_keypoint_mtd_get_position)(&handle, &mut x, &mut y, &mut z, &mut dimensions);
            (keypoints.gst_analytics_keypoint_mtd_get_confidence)(&handle, &mut confidence);
        }
        (x, y, confidence)
    }

    /// The picture of a segmentation's entry, and where it lies in the frame, pixels.
    pub fn segmentation(&self, segmentation: &Segmentation, entry: u32) -> Option<(gst::Buffer, Place)> {
        let (mut left, mut top, mut width, mut height) = (0, 0, 0, 0);
        // SAFETY: the entry exists and has this type; the values are written through valid pointers. The picture is null or
        // a new reference.
        let picture = unsafe {
            let picture = (segmentation.gst_analytics_segmentation_mtd_get_mask)(
                &self.handle(entry),
                &mut left,
                &mut top,
                &mut width,
                &mut height,
            );
            Option::<gst::Buffer>::from_glib_full(picture)
        };
        let size = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
        Some((picture?, Place { left, top, width: size(width), height: size(height) }))
    }

    /// The text that says what an entry is; `None` where there is none, or the library has no such texts.
    pub fn tag(&self, entry: u32) -> Option<CString> {
        let keypoints = self.library.keypoints.as_ref()?;
        // SAFETY: the entry exists; the function returns null or a copy, which is freed.
        unsafe {
            let text = (keypoints.gst_analytics_mtd_get_semantic_tag)(&self.handle(entry));
            if text.is_null() {
                return None;
            }
            let tag = CStr::from_ptr(text).to_owned();
            glib::ffi::g_free(text.cast());
            Some(tag).filter(|tag| !tag.is_empty())
        }
    }
}

/// A buffer's relation meta, to be extended. A function that adds an entry returns its id; the library reports no
/// failures but those of invalid arguments.
pub(super) struct Editor<'a> {
    relations: Relations<'a>,
    writable: PhantomData<&'a mut gst::BufferRef>,
}

impl<'a> std::ops::Deref for Editor<'a> {
    type Target = Relations<'a>;

    fn deref(&self) -> &Relations<'a> {
        &self.relations
    }
}

impl<'a> Editor<'a> {
    /// The buffer's meta; a new one has space for this many entries and bytes of them.
    pub fn of_or_added(buffer: &'a mut gst::BufferRef, entries: usize, bytes: usize) -> Option<Self> {
        if let Some(Relations { library, meta, .. }) = Relations::of(buffer) {
            return Self::new(library, meta);
        }
        let library = library()?;
        let mut params = InitParams { initial_relation_order: entries.max(1), initial_buf_size: bytes.max(1) };
        // SAFETY: the buffer is writable, and the parameters are read during the call.
        let meta =
            unsafe { (library.call.gst_buffer_add_analytics_relation_meta_full)(buffer.as_mut_ptr(), &mut params) };
        Self::new(library, meta)
    }

    /// The caller has the buffer of `meta` mutably borrowed for `'a`.
    fn new(library: &'static Analytics, meta: *mut RelationMeta) -> Option<Self> {
        let relations = Relations { library, meta, buffer: PhantomData };
        (!meta.is_null()).then_some(Self { relations, writable: PhantomData })
    }

    /// With its direction, if the library has directions.
    pub fn add_object(&mut self, object: &Detected) -> Option<u32> {
        let &Detected { label, place, turned, confidence, .. } = object;
        if let (Some(Turned { place, angle }), Some(oriented)) = (turned, &self.library.oriented) {
            let Place { left, top, width, height } = place;
            let add = oriented.gst_analytics_relation_meta_add_oriented_od_mtd;
            // SAFETY: the meta is valid and may be changed.
            return self.added(|meta, handle| unsafe {
                add(meta, label, left, top, width, height, angle, confidence, handle)
            });
        }
        let Place { left, top, width, height } = place;
        let add = self.library.call.gst_analytics_relation_meta_add_od_mtd;
        // SAFETY: the meta is valid and may be changed.
        self.added(|meta, handle| unsafe { add(meta, label, left, top, width, height, confidence, handle) })
    }

    pub fn add_class(&mut self, label: GQuark, level: f32) -> Option<u32> {
        let add = self.library.call.gst_analytics_relation_meta_add_one_cls_mtd;
        // SAFETY: the meta is valid and may be changed.
        self.added(|meta, handle| unsafe { add(meta, level, label, handle) })
    }

    /// An entry of classes with their levels, which are as many.
    pub fn add_classes(&mut self, classes: &mut [GQuark], levels: &mut [f32]) -> Option<u32> {
        let length = classes.len().min(levels.len());
        let add = self.library.call.gst_analytics_relation_meta_add_cls_mtd;
        // SAFETY: the meta is valid and may be changed; both arrays, which the call copies, have this length.
        self.added(|meta, handle| unsafe { add(meta, length, levels.as_mut_ptr(), classes.as_mut_ptr(), handle) })
    }

    /// A track. It isn't known when the object was first seen.
    pub fn add_track(&mut self, id: u64) -> Option<u32> {
        let add = self.library.call.gst_analytics_relation_meta_add_tracking_mtd;
        // SAFETY: the meta is valid and may be changed.
        self.added(|meta, handle| unsafe { add(meta, id, gst::ffi::GST_CLOCK_TIME_NONE, handle) })
    }

    /// A group of keypoints: x and y of each in pixels, a confidence for each, and pairs of them that are linked.
    pub fn add_keypoints(
        &mut self,
        keypoints: &Keypoints,
        tag: &CStr,
        positions: &[c_int],
        confidences: &[f32],
        links: &[c_int],
    ) -> Option<u32> {
        let points = confidences.len().min(positions.len() / 2);
        let add = keypoints.gst_analytics_relation_meta_add_keypoints_group;
        // SAFETY: the meta is valid and may be changed; the arrays, which the call copies, have these lengths.
        self.added(|meta, handle| unsafe {
            add(
                meta,
                tag.as_ptr(),
                DIMENSIONS_2D,
                2 * points,
                positions.as_ptr(),
                points,
                confidences.as_ptr(),
                null(),
                links.len(),
                links.as_ptr(),
                handle,
            )
        })
    }

    /// A segmentation of a part of the frame, whose picture has these values.
    pub fn add_segmentation(
        &mut self,
        segmentation: &Segmentation,
        picture: gst::Buffer,
        kind: SegmentationType,
        mut regions: [u32; 2],
        place: Place,
    ) -> Option<u32> {
        let add = segmentation.gst_analytics_relation_meta_add_segmentation_mtd;
        let size = |pixels: i32| u32::try_from(pixels).unwrap_or(0);
        // SAFETY: the meta is valid and may be changed; the call takes the picture and copies the regions, which are two.
        self.added(|meta, handle| unsafe {
            add(
                meta,
                picture.into_glib_ptr(),
                kind,
                regions.len(),
                regions.as_mut_ptr(),
                place.left,
                place.top,
                size(place.width),
                size(place.height),
                handle,
            )
        })
    }

    /// An empty group for this many members.
    fn add_group(&mut self, keypoints: &Keypoints, members: usize) -> Option<u32> {
        let add = keypoints.gst_analytics_relation_meta_add_group_mtd_with_size;
        // SAFETY: the meta is valid and may be changed.
        self.added(|meta, handle| unsafe { add(meta, members, handle) })
    }

    fn add_members(&mut self, keypoints: &Keypoints, group: u32, members: impl Iterator<Item = u32>) {
        for member in members {
            // SAFETY: both entries exist.
            unsafe { (keypoints.gst_analytics_group_mtd_add_member)(&mut self.handle(group), member) };
        }
    }

    /// Sets the text that says what an entry is, where the library has such texts.
    pub fn set_tag(&mut self, entry: u32, tag: &CStr) {
        if let Some(keypoints) = &self.library.keypoints {
            // SAFETY: the entry exists, and the text is copied.
            unsafe { (keypoints.gst_analytics_mtd_set_semantic_tag)(&mut self.handle(entry), tag.as_ptr()) };
        }
    }

    fn added(&mut self, add: impl FnOnce(*mut RelationMeta, *mut Mtd) -> gboolean) -> Option<u32> {
        let mut handle = Mtd::EMPTY;
        (add(self.meta, &mut handle) != GFALSE).then_some(handle.id)
    }

    /// Sets how `from` relates to `to`, in place of what was set before.
    pub fn relate(&mut self, from: u32, relations: c_int, to: u32) {
        // SAFETY: the meta is valid and may be changed; the function checks the ids.
        unsafe { (self.library.call.gst_analytics_relation_meta_set_relation)(self.meta, relations, from, to) };
    }

    /// `part` isn't in `whole`.
    pub fn take_out(&mut self, part: u32, whole: u32) {
        self.relate(whole, 0, part);
        self.relate(part, 0, whole);
    }

    /// `part` is in `whole`.
    pub fn put_into(&mut self, part: u32, whole: u32) {
        self.relate(whole, relation::CONTAIN, part);
        self.relate(part, relation::IS_PART_OF, whole);
    }
}

/// What becomes of an entry of a meta that is rebuilt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    Kept,
    Removed,
    /// Another object takes its relations.
    Replaced(Detected),
}

/// Replaces the buffer's relation meta by a new one, because entries can't be removed from one. `fates` has one for
/// each entry. Returns the ids of the entries in the new meta, which comes last among the buffer's metas.
pub(super) fn rebuild(buffer: &mut gst::BufferRef, fates: &[Fate]) -> Option<Vec<Option<u32>>> {
    let Relations { library, meta: old, .. } = Relations::of(buffer)?;
    let mut params =
        InitParams { initial_relation_order: fates.len().max(1), initial_buf_size: 128 * fates.len().max(1) };
    // SAFETY: the buffer is writable; the info is that of the relation meta, whose parameters these are.
    let new = unsafe {
        let info = (library.call.gst_analytics_relation_meta_get_info)();
        gst::ffi::gst_buffer_add_meta(buffer.as_mut_ptr(), info, from_mut(&mut params).cast())
    };
    let before = Relations { library, meta: old, buffer: PhantomData };
    let mut after = Editor::new(library, new.cast())?;
    // Entries with references take new ones only if the buffers differ.
    let elsewhere = gst::Buffer::new();
    let mut ids = Vec::with_capacity(fates.len());
    for (entry, fate) in (0..).zip(fates) {
        ids.push(match *fate {
            Fate::Removed => None,
            Fate::Replaced(object) => after.add_object(&object),
            // SAFETY: `after` is on `buffer`.
            Fate::Kept => unsafe { copy(before, entry, &mut after, buffer.as_mut_ptr(), &elsewhere) },
        });
    }
    if let Some(keypoints) = &library.keypoints {
        for (group, id) in before.groups(keypoints).filter_map(|group| Some((group, (*ids.get(group as usize)?)?))) {
            let now = |member: u32| ids.get(member as usize).copied().flatten();
            after.add_members(keypoints, id, before.members(keypoints, group).filter_map(now));
        }
    }
    for (from, new_from) in (0..).zip(&ids).filter_map(|(old, new)| Some((old, (*new)?))) {
        for (to, new_to) in (0..).zip(&ids).filter_map(|(old, new)| Some((old, (*new)?))) {
            let relations = before.relation(from, to);
            if relations != 0 {
                after.relate(new_from, relations, new_to);
            }
        }
    }
    // SAFETY: the old meta is on the buffer, which is writable, and isn't used any more.
    unsafe { gst::ffi::gst_buffer_remove_meta(buffer.as_mut_ptr(), old.cast()) };
    Some(ids)
}

/// Copies an entry of any type. A group is empty first, because it names its members by their ids.
///
/// # Safety
/// `to` is a meta of `buffer`, which is writable.
unsafe fn copy(
    from: Relations,
    entry: u32,
    to: &mut Editor,
    buffer: *mut gst::ffi::GstBuffer,
    elsewhere: &gst::BufferRef,
) -> Option<u32> {
    let kind = from.type_of(entry)?;
    let call = &from.library.call;
    let group = from.library.keypoints.as_ref().filter(|keypoints| {
        // SAFETY: the function has no preconditions.
        kind == unsafe { (keypoints.gst_analytics_group_mtd_get_mtd_type)() }
    });
    let tag = from.tag(entry);
    if let Some(keypoints) = group {
        let id = to.add_group(keypoints, from.members(keypoints, entry).count())?;
        if let Some(tag) = tag {
            to.set_tag(id, &tag);
        }
        return Some(id);
    }
    let mut handle = Mtd::EMPTY;
    // SAFETY: a type is the address of its description; the copy has the size of the original, and its type's own
    // function makes it independent of it, as when a buffer is copied.
    unsafe {
        let implementation = kind as *const MtdImpl;
        let size = (call.gst_analytics_mtd_get_size)(&from.handle(entry));
        let data = (call.gst_analytics_relation_meta_add_mtd)(to.meta, implementation, size, &mut handle);
        let original = (call.gst_analytics_relation_meta_get_mtd_data)(from.meta, entry);
        std::ptr::copy_nonoverlapping(original.cast::<u8>(), data.cast::<u8>(), size);
        if let Some(transform) = (*implementation).transform {
            let mut whole = gst::ffi::GstMetaTransformCopy { region: GFALSE, offset: 0, size: usize::MAX };
            let copied = MetaTransformCopy::quark().into_glib();
            // Some versions refuse to copy objects, which need nothing but their bytes.
            transform(buffer, &mut handle, elsewhere.as_mut_ptr(), copied, from_mut(&mut whole).cast());
        }
    }
    if let Some(tag) = tag {
        to.set_tag(handle.id, &tag);
    }
    Some(handle.id)
}
