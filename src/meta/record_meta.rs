//! The meta that holds a record: a pointer on the buffer, found and made without a lock.
//!
//! GStreamer's custom metas, which our other ones are, are looked up by name under locks of the whole process, and hold a
//! structure with a boxed value: several times the cost of all else that a frame with a record takes, with many streams.

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

/// As the library lays it out: its own part first.
#[repr(C)]
pub(super) struct RecordMeta {
    meta: GstMeta,
    /// Of [`Arc::into_raw`]; null until it's set.
    record: *const Record,
}

// SAFETY: a record may be read and dropped on any thread.
unsafe impl Send for RecordMeta {}
// SAFETY: nothing changes through a shared reference.
unsafe impl Sync for RecordMeta {}

/// What was registered with GStreamer.
struct Registered {
    api: glib::Type,
    info: *const GstMetaInfo,
}

// SAFETY: the info is the library's, is never changed and never freed.
unsafe impl Send for Registered {}
// SAFETY: as above.
unsafe impl Sync for Registered {}

/// Under names that no other copy of this crate in the process has: the layout of a Rust type differs across builds.
static REGISTERED: LazyLock<Registered> = LazyLock::new(|| {
    let unique = ptr::from_ref(&REGISTERED).addr();
    // A number has no NUL in it.
    let name = |kind: &str| CString::new(format!("TrtRecord{kind}{unique:x}")).unwrap_or_default();
    let tags = [c"video".as_ptr(), c"size".as_ptr(), ptr::null()];
    // SAFETY: the names and the list of tags, which ends with null, are copied.
    let api = unsafe { gst::ffi::gst_meta_api_type_register(name("API").as_ptr(), tags.as_ptr().cast_mut()) };
    // SAFETY: the functions are of the types that it takes, and the size is that of the struct that they work on.
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
    // SAFETY: a type that was registered.
    Registered { api: unsafe { glib::Type::from_glib(api) }, info }
});

// SAFETY: the type of the API that was registered for this struct alone.
unsafe impl MetaAPI for RecordMeta {
    type GstType = RecordMeta;

    fn meta_api() -> glib::Type {
        REGISTERED.api
    }
}

unsafe extern "C" fn init(meta: *mut GstMeta, _params: gpointer, _buffer: *mut GstBuffer) -> gboolean {
    // SAFETY: a new one of ours, whose own part isn't initialised.
    unsafe { (&raw mut (*meta.cast::<RecordMeta>()).record).write(ptr::null()) };
    GTRUE
}

unsafe extern "C" fn free(meta: *mut GstMeta, _buffer: *mut GstBuffer) {
    // SAFETY: one of ours, initialised, which nobody looks at any more.
    drop(unsafe { (*meta.cast::<RecordMeta>()).exchange(None) });
}

/// Copies and scaled pictures have the same record: its coordinates are relative.
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
    // SAFETY: one of ours on a buffer that is there; the other one is writable, as its metas are added to.
    let (record, to) = unsafe { ((*meta.cast::<RecordMeta>()).get(), gst::BufferRef::from_mut_ptr(to)) };
    put(to, record);
    GTRUE
}

impl RecordMeta {
    fn get(&self) -> Option<Arc<Record>> {
        (!self.record.is_null()).then(|| {
            // SAFETY: of `into_raw`; its count is one more for the `Arc` that is given away.
            unsafe {
                Arc::increment_strong_count(self.record);
                Arc::from_raw(self.record)
            }
        })
    }

    fn exchange(&mut self, record: Option<Arc<Record>>) -> Option<Arc<Record>> {
        let before = std::mem::replace(&mut self.record, record.map_or(ptr::null(), Arc::into_raw));
        // SAFETY: of `into_raw`, and not kept.
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

/// Puts a record in the place of the one before.
pub(super) fn put(buffer: &mut gst::BufferRef, record: Option<Arc<Record>>) {
    if let Some(mut there) = buffer.meta_mut::<RecordMeta>() {
        drop(there.exchange(record));
        return;
    }
    // SAFETY: the buffer is writable; the new meta, if there is one, is ours and initialised.
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
