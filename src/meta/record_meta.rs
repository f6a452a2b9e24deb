//! The meta that holds a record: a pointer on the buffer, created and found without a lock.
//!
//! GStreamer's custom metas, which our other metas are, are looked up by name under process-wide locks and hold a
//! structure with a boxed value. With many streams that costs several times everything else that a frame's record
//! needs.

use super::Record;
use gst::ffi::{GstBuffer, GstMeta, GstMetaInfo};
use gst::glib;
use gst::glib::ffi::{GFALSE, GTRUE, gboolean, gpointer};
use gst::glib::translate::{FromGlib, IntoGlib};
use gst::meta::{MetaTransform, MetaTransformCopy};
use gst::prelude::*;
use gst_video::video_meta::VideoMetaTransformScale;
use std::ffi::CString;
use std::ptr;
use std::sync::{Arc, LazyLock};

/// The layout that the library expects: its part first.
#[repr(C)]
pub(super) struct RecordMeta {
    meta: GstMeta,
    /// From [`Arc::into_raw`]; null until set.
    record: *const Record,
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
    let tags = [c"video".as_ptr(), c"size".as_ptr(), ptr::null()];
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
    // SAFETY: the meta is a new one of this type, whose `record` isn't initialised.
    unsafe { (&raw mut (*meta.cast::<RecordMeta>()).record).write(ptr::null()) };
    GTRUE
}

unsafe extern "C" fn free(meta: *mut GstMeta, _buffer: *mut GstBuffer) {
    // SAFETY: the meta is an initialised one of this type, and is no longer in use.
    drop(unsafe { (*meta.cast::<RecordMeta>()).exchange(None) });
}

/// Copies and scaled pictures share the record, because its coordinates are relative.
unsafe extern "C" fn transform(
    to: *mut GstBuffer,
    meta: *mut GstMeta,
    _from: *mut GstBuffer,
    kind: glib::ffi::GQuark,
    _data: gpointer,
) -> gboolean {
    let copied = MetaTransformCopy::quark().into_glib();
    let scaled = VideoMetaTransformScale::quark().into_glib();
    if kind != copied && kind != scaled {
        return GFALSE;
    }
    // SAFETY: the meta is of this type, on a valid buffer; `to` is writable, because metas are being added to it.
    let (record, to) = unsafe { ((*meta.cast::<RecordMeta>()).get(), gst::BufferRef::from_mut_ptr(to)) };
    put(to, record);
    GTRUE
}

impl RecordMeta {
    fn get(&self) -> Option<Arc<Record>> {
        (!self.record.is_null()).then(|| {
            // SAFETY: the pointer comes from `into_raw`; the count is raised for the returned `Arc`.
            unsafe {
                Arc::increment_strong_count(self.record);
                Arc::from_raw(self.record)
            }
        })
    }

    fn exchange(&mut self, record: Option<Arc<Record>>) -> Option<Arc<Record>> {
        let before = std::mem::replace(&mut self.record, record.map_or(ptr::null(), Arc::into_raw));
        // SAFETY: the pointer comes from `into_raw` and isn't kept.
        (!before.is_null()).then(|| unsafe { Arc::from_raw(before) })
    }
}

/// Needs `gst::init`. May be called more than once.
pub(super) fn register() {
    LazyLock::force(&REGISTERED);
}

/// The record on this buffer.
pub(super) fn of(buffer: &gst::BufferRef) -> Option<Arc<Record>> {
    buffer.meta::<RecordMeta>()?.get()
}

/// Replaces the record on this buffer.
pub(super) fn put(buffer: &mut gst::BufferRef, record: Option<Arc<Record>>) {
    if let Some(mut there) = buffer.meta_mut::<RecordMeta>() {
        drop(there.exchange(record));
        return;
    }
    // SAFETY: the buffer is writable; the new meta, if any, is an initialised one of this type.
    unsafe {
        let meta = gst::ffi::gst_buffer_add_meta(buffer.as_mut_ptr(), REGISTERED.info, ptr::null_mut());
        if let Some(added) = meta.cast::<RecordMeta>().as_mut() {
            drop(added.exchange(record));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_goes_with_copies_and_is_freed_with_the_last() {
        gst::init().unwrap();
        let record = Arc::new(Record::default());
        let mut buffer = gst::Buffer::new();
        assert!(of(&buffer).is_none());
        put(buffer.get_mut().unwrap(), Some(Arc::default()));
        put(buffer.get_mut().unwrap(), Some(Arc::clone(&record)));
        assert!(Arc::ptr_eq(&of(&buffer).unwrap(), &record));
        assert_eq!((buffer.iter_meta::<gst::Meta>().count(), Arc::strong_count(&record)), (1, 2));
        let copy = buffer.copy();
        assert!(Arc::ptr_eq(&of(&copy).unwrap(), &record));
        assert_eq!(Arc::strong_count(&record), 3);
        put(buffer.get_mut().unwrap(), None);
        assert!(of(&buffer).is_none());
        drop((buffer, copy));
        assert_eq!(Arc::strong_count(&record), 1);
    }
}
