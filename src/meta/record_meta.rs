//! The meta that holds a record: a pointer on the buffer, created and found without a lock.
//!
//! GStreamer's custom metas, which our other metas are, are looked up by name under process-wide locks and hold a
//! structure with a boxed value. With many streams that costs several times everything else that a frame's record
//! needs.

use super::change::Change;
use super::{Record, analytics, roi, transform};
use gst::ffi::{GstBuffer, GstMeta, GstMetaInfo};
use gst::glib;
use gst::glib::ffi::{GFALSE, GTRUE, gboolean, gpointer};
use gst::glib::translate::{FromGlib, IntoGlib};
use gst::meta::{MetaTransform, MetaTransformCopy};
use gst::prelude::*;
use gst_video::VideoCropMeta;
use model::Rect;
use std::ffi::CString;
use std::ptr;
use std::sync::{Arc, LazyLock};

/// The layout that the library expects: its part first.
#[repr(C)]
pub(super) struct RecordMeta {
    meta: GstMeta,
    /// From [`Arc::into_raw`]; null until set.
    record: *const Record,
    /// The size of the frame that the record is for, pixels.
    frame: (u32, u32),
}

/// A record and the size of the frame that it is for, pixels.
#[derive(Clone)]
pub(super) struct Framed {
    pub record: Arc<Record>,
    pub frame: (u32, u32),
}

impl Framed {
    /// The record for a frame of this size on the buffer. `videocrop` leaves the picture as it is if downstream can crop
    /// it: the buffer then holds more than the frame, and a meta says which part is the frame.
    pub fn in_view(&self, buffer: &gst::BufferRef, frame: (u32, u32)) -> Arc<Record> {
        if self.frame != frame
            && let Some((x, y, w, h)) = buffer.meta::<VideoCropMeta>().map(|meta| meta.rect())
            && (w, h) == frame
        {
            let part = Rect::new(x as f32, y as f32, w as f32, h as f32);
            return Arc::new(Change::cropped(self.frame, part).apply(&self.record));
        }
        self.record.clone()
    }
}

// SAFETY: a record may be read and dropped on any thread.
unsafe impl Send for RecordMeta {}
// SAFETY: nothing changes through a shared reference.
unsafe impl Sync for RecordMeta {}

/// The registered meta.
struct Registered {
    api: glib::Type,
    info: *const GstMetaInfo,
}

// SAFETY: the library owns the info and never changes or frees it.
unsafe impl Send for Registered {}
// SAFETY: as above.
unsafe impl Sync for Registered {}

/// Registered under names that are unique in the process, because the layout of a Rust type differs between builds of
/// this crate.
static REGISTERED: LazyLock<Registered> = LazyLock::new(|| {
    let unique = ptr::from_ref(&REGISTERED).addr();
    // A hexadecimal number contains no NUL.
    let name = |kind: &str| CString::new(format!("TrtRecord{kind}{unique:x}")).unwrap_or_default();
    // Those of `GstVideoRegionOfInterestMeta`, so that elements do the same to both.
    let tags = [c"video".as_ptr(), c"orientation".as_ptr(), c"size".as_ptr(), ptr::null()];
    // SAFETY: the names and the list of tags, which ends with null, are copied.
    let api = unsafe { gst::ffi::gst_meta_api_type_register(name("API").as_ptr(), tags.as_ptr().cast_mut()) };
    // SAFETY: the functions have the expected types, and the size is that of the struct that they work on.
    let info = unsafe {
        gst::ffi::gst_meta_register(
            api,
            name("").as_ptr(),
            size_of::<RecordMeta>(),
            Some(init),
            Some(free),
            Some(transform),
        )
    };
    // SAFETY: the type was registered.
    Registered { api: unsafe { glib::Type::from_glib(api) }, info }
});

// SAFETY: this API type was registered for this struct alone.
unsafe impl MetaAPI for RecordMeta {
    type GstType = RecordMeta;

    fn meta_api() -> glib::Type {
        REGISTERED.api
    }
}

unsafe extern "C" fn init(meta: *mut GstMeta, _params: gpointer, _buffer: *mut GstBuffer) -> gboolean {
    let meta = meta.cast::<RecordMeta>();
    // SAFETY: the meta is a new one of this type, whose fields aren't initialised.
    unsafe {
        (&raw mut (*meta).record).write(ptr::null());
        (&raw mut (*meta).frame).write((0, 0));
    }
    GTRUE
}

unsafe extern "C" fn free(meta: *mut GstMeta, _buffer: *mut GstBuffer) {
    // SAFETY: the meta is an initialised one of this type, and is no longer in use.
    let record = unsafe { std::mem::replace(&mut (*meta.cast::<RecordMeta>()).record, ptr::null()) };
    if !record.is_null() {
        // SAFETY: the pointer comes from `into_raw` and isn't kept.
        drop(unsafe { Arc::from_raw(record) });
    }
}

/// Copies share the record, and so do pictures that are scaled as a whole, because its coordinates are relative. Other
/// changes are made to the record. A change of another kind is refused, as ROI metas refuse it.
unsafe extern "C" fn transform(
    to: *mut GstBuffer,
    meta: *mut GstMeta,
    from: *mut GstBuffer,
    kind: glib::ffi::GQuark,
    data: gpointer,
) -> gboolean {
    // SAFETY: the meta is of this type.
    let Some(before) = (unsafe { (*meta.cast::<RecordMeta>()).framed() }) else { return GFALSE };
    // SAFETY: both buffers are valid, and `to` is writable, because metas are being added to it.
    let (from, to) = unsafe { (gst::BufferRef::from_ptr(from), gst::BufferRef::from_mut_ptr(to)) };
    if kind == MetaTransformCopy::quark().into_glib() {
        match of(to) {
            None => add(to, before),
            // Some elements and programs copy the metas of one buffer twice.
            Some(there) if Arc::ptr_eq(&there.record, &before.record) => {}
            Some(_) => follow(from, to, &before, &Change::scaled(before.frame, before.frame)),
        }
        return GTRUE;
    }
    // SAFETY: the data are passed on with their kind.
    let Some(change) = (unsafe { transform::change(kind, data) }) else { return GFALSE };
    follow(from, to, &before, &change);
    GTRUE
}

/// Puts on `to` what a change makes of the record `before` and of the metas that mirror it on `from`. A composed
/// frame has the objects of all its pictures. Ids count from 0 without a gap: programs look ROI metas up by them.
fn follow(from: &gst::BufferRef, to: &mut gst::BufferRef, before: &Framed, change: &Change) {
    let mirrored = roi::take_followers(from, to, before, change);
    let entries = analytics::followers(from, to, before);
    if !change.told {
        analytics::follow(to, &entries, &[], &[], change.output);
        return;
    }
    let before = before.in_view(from, change.input);
    let there = of(to).map(|there| there.record);
    let (record, changed) = if change.is_whole() && there.is_none() {
        (before.clone(), before)
    } else {
        let changed = if change.is_whole() { before } else { Arc::new(change.apply(&before)) };
        let mut record = there.map(Arc::unwrap_or_clone).unwrap_or_default();
        record.append(&changed);
        (Arc::new(record), changed)
    };
    let new = &record.objects[record.objects.len() - changed.objects.len()..];
    let with_mirror = new.iter().zip(&changed.objects).filter(|(_, old)| mirrored.contains(&old.id));
    roi::add_mirrors(to, with_mirror.map(|(new, _)| new), change.output);
    analytics::follow(to, &entries, &changed.objects, new, change.output);
    put(to, record, change.output);
}

impl RecordMeta {
    fn framed(&self) -> Option<Framed> {
        (!self.record.is_null()).then(|| {
            // SAFETY: the pointer comes from `into_raw`; the count is raised for the returned `Arc`.
            let record = unsafe {
                Arc::increment_strong_count(self.record);
                Arc::from_raw(self.record)
            };
            Framed { record, frame: self.frame }
        })
    }
}

/// Needs `gst::init`. May be called more than once.
pub(super) fn register() {
    LazyLock::force(&REGISTERED);
}

/// The record on this buffer.
pub(super) fn of(buffer: &gst::BufferRef) -> Option<Framed> {
    buffer.meta::<RecordMeta>()?.framed()
}

/// Replaces the record on this buffer. Its meta becomes the last one: where elements change the picture, those that
/// mirror it have been changed when it is its turn.
pub(super) fn put(buffer: &mut gst::BufferRef, record: Arc<Record>, frame: (u32, u32)) {
    if let Some(there) = buffer.meta_mut::<RecordMeta>() {
        // Only a locked meta stays, and these aren't.
        let _ = there.remove();
    }
    add(buffer, Framed { record, frame });
}

/// True for the meta of a record.
pub(super) fn is_record(meta: &gst::MetaRef<gst::Meta>) -> bool {
    meta.api() == REGISTERED.api
}

fn add(buffer: &mut gst::BufferRef, Framed { record, frame }: Framed) {
    // SAFETY: the buffer is writable; the new meta, if any, is an initialised one of this type.
    unsafe {
        let meta = gst::ffi::gst_buffer_add_meta(buffer.as_mut_ptr(), REGISTERED.info, ptr::null_mut());
        if let Some(added) = meta.cast::<RecordMeta>().as_mut() {
            added.record = Arc::into_raw(record);
            added.frame = frame;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::{Inference, ModelRun, Object};

    const FRAME: (u32, u32) = (64, 32);

    fn only(buffer: &gst::BufferRef) -> Arc<Record> {
        assert_eq!(buffer.iter_meta::<RecordMeta>().count(), 1);
        of(buffer).unwrap().record
    }

    #[test]
    fn a_record_goes_with_copies_and_is_freed_with_the_last() {
        gst::init().unwrap();
        let record = Arc::new(Record::default());
        let mut buffer = gst::Buffer::new();
        assert!(of(&buffer).is_none());
        put(buffer.get_mut().unwrap(), Arc::default(), FRAME);
        put(buffer.get_mut().unwrap(), Arc::clone(&record), FRAME);
        assert!(Arc::ptr_eq(&only(&buffer), &record));
        assert_eq!((buffer.iter_meta::<gst::Meta>().count(), Arc::strong_count(&record)), (1, 2));
        let copy = buffer.copy();
        assert!(Arc::ptr_eq(&only(&copy), &record));
        assert_eq!(Arc::strong_count(&record), 3);
        drop((buffer, copy));
        assert_eq!(Arc::strong_count(&record), 1);
    }

    #[test]
    fn metas_copied_twice_are_one_record() {
        gst::init().unwrap();
        let record = Arc::new(Record::default());
        let mut buffer = gst::Buffer::new();
        put(buffer.get_mut().unwrap(), record.clone(), FRAME);
        let mut copy = buffer.copy();
        buffer.copy_into(copy.get_mut().unwrap(), gst::BufferCopyFlags::META, ..).unwrap();
        assert!(Arc::ptr_eq(&only(&copy), &record));
    }

    fn found(label: &str, inference: Inference) -> Arc<Record> {
        let object = |id: u32, parent: Option<u32>| Object {
            id,
            rect: Rect::UNIT,
            class_id: None,
            label: label.into(),
            confidence: 0.5,
            source: "det".into(),
            parent,
            ..Object::default()
        };
        let models = vec![ModelRun { model_id: "det".into(), inference }];
        Arc::new(Record { objects: vec![object(0, None), object(1, Some(0))], models, ..Record::default() })
    }

    #[test]
    fn records_of_two_buffers_on_one_are_joined() {
        gst::init().unwrap();
        let [mut one, mut other] = [gst::Buffer::new(), gst::Buffer::new()];
        put(one.get_mut().unwrap(), found("cat", Inference::Done), FRAME);
        put(other.get_mut().unwrap(), found("dog", Inference::Busy), FRAME);
        one.copy_into(other.get_mut().unwrap(), gst::BufferCopyFlags::META, ..).unwrap();
        let both = only(&other);
        let objects: Vec<_> = both.objects.iter().map(|o| (o.id, &*o.label, o.parent)).collect();
        assert_eq!(objects, [(0, "dog", None), (1, "dog", Some(0)), (2, "cat", None), (3, "cat", Some(2))]);
        assert_eq!(both.models, found("", Inference::Done).models, "a model that ran on a part");
    }
}
