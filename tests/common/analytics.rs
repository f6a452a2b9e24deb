//! GStreamer's analytics metadata as another program uses it: through its library, by the functions of its documentation.

use gst::glib::ffi::{GQuark, gboolean};
use gst::glib::translate::{IntoGlib, IntoGlibPtr};
use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::OnceLock;

pub const IS_PART_OF: c_int = 1 << 1;
pub const CONTAIN: c_int = 1 << 2;
pub const RELATE_TO: c_int = 1 << 3;

#[repr(C)]
#[derive(Clone, Copy)]
struct Mtd {
    id: u32,
    meta: *mut c_void,
}

fn library() -> Option<&'static Library> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    gst::init().unwrap();
    // SAFETY: GStreamer's library has no preconditions once GStreamer is initialised.
    LIBRARY.get_or_init(|| unsafe { Library::new("libgstanalytics-1.0.so.0") }.ok()).as_ref()
}

/// Whether this process has the library. Where it hasn't, the test runs in another process, on a stand-in.
pub fn is_there() -> bool {
    library().is_some()
}

/// Whether the library has keypoints, as that of 1.30.
pub fn has_keypoints() -> bool {
    // SAFETY: the symbol isn't called.
    library().is_some_and(|library| {
        unsafe { library.get::<*const c_void>(b"gst_analytics_keypoint_mtd_get_mtd_type\0") }.is_ok()
    })
}

/// Whether the library has masks, as that of 1.26.
pub fn has_segmentation() -> bool {
    // SAFETY: the symbol isn't called.
    library().is_some_and(|library| {
        unsafe { library.get::<*const c_void>(b"gst_analytics_segmentation_mtd_get_mtd_type\0") }.is_ok()
    })
}

/// Whether the library has boxes with a direction, as that of 1.26.
pub fn has_directions() -> bool {
    // SAFETY: the symbol isn't called.
    library().is_some_and(|library| {
        unsafe { library.get::<*const c_void>(b"gst_analytics_od_mtd_get_oriented_location\0") }.is_ok()
    })
}

/// Calls a function: its name, the types of its arguments and of its result, and the arguments.
macro_rules! call {
    ($name:ident($($type:ty),*) $(-> $result:ty)?; $($argument:expr),*) => {{
        let name = concat!("gst_", stringify!($name), "\0");
        // SAFETY: the library documents the function with this type.
        unsafe {
            let function = library().unwrap().get::<unsafe extern "C" fn($($type),*) $(-> $result)?>(name.as_bytes());
            (function.unwrap())($($argument),*)
        }
    }};
}

/// An object's entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub id: u32,
    pub label: String,
    /// Left, top, width and height, pixels.
    pub place: [i32; 4],
    pub confidence: f32,
}

/// The entry of a mask.
#[derive(Debug)]
pub struct Segmentation {
    pub id: u32,
    /// Left, top, width and height, pixels.
    pub place: [i32; 4],
    pub picture: gst::Buffer,
    pub regions: Vec<u32>,
}

/// A keypoint's x and y in pixels, and its confidence.
pub type Point = (i32, i32, f32);

/// A relation meta.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Relations(*mut c_void);

impl Relations {
    pub fn of(buffer: &gst::BufferRef) -> Option<Self> {
        let meta =
            call!(buffer_get_analytics_relation_meta(*mut gst::ffi::GstBuffer) -> *mut c_void; buffer.as_mut_ptr());
        (!meta.is_null()).then_some(Self(meta))
    }

    pub fn of_or_added(buffer: &mut gst::BufferRef) -> Self {
        let mut params = [8usize, 1024];
        Self(call!(buffer_add_analytics_relation_meta_full(*mut gst::ffi::GstBuffer, *mut usize) -> *mut c_void;
            buffer.as_mut_ptr(), params.as_mut_ptr()))
    }

    pub fn len(self) -> u32 {
        call!(analytics_relation_get_length(*const c_void) -> usize; self.0) as u32
    }

    fn entries(self, of: usize) -> Vec<u32> {
        let is = |id: &u32| {
            let mut mtd = Mtd { id: 0, meta: null_mut() };
            let found = call!(analytics_relation_meta_get_mtd(*mut c_void, u32, usize, *mut Mtd) -> gboolean;
                self.0, *id, of, &mut mtd);
            found != 0
        };
        (0..self.len()).filter(is).collect()
    }

    pub fn objects(self) -> Vec<Entry> {
        let of = call!(analytics_od_mtd_get_mtd_type() -> usize;);
        self.entries(of).into_iter().map(|id| self.object(id)).collect()
    }

    fn object(self, id: u32) -> Entry {
        let mtd = Mtd { id, meta: self.0 };
        let mut place = [0; 4];
        let [x, y, w, h] = &mut place;
        let mut confidence = 0.0;
        call!(analytics_od_mtd_get_location(*const Mtd, *mut c_int, *mut c_int, *mut c_int, *mut c_int, *mut f32) -> gboolean;
            &mtd, x, y, w, h, &mut confidence);
        let label = call!(analytics_od_mtd_get_obj_type(*const Mtd) -> GQuark; &mtd);
        Entry { id, label: text(label), place, confidence }
    }

    /// Left, top, width and height before the rotation, pixels, and the rotation, radians.
    pub fn oriented(self, id: u32) -> ([i32; 4], f32) {
        let mtd = Mtd { id, meta: self.0 };
        let (mut place, mut angle, mut confidence) = ([0; 4], 0.0, 0.0);
        let [x, y, w, h] = &mut place;
        call!(analytics_od_mtd_get_oriented_location(*const Mtd, *mut c_int, *mut c_int, *mut c_int, *mut c_int, *mut f32, *mut f32) -> gboolean;
            &mtd, x, y, w, h, &mut angle, &mut confidence);
        (place, angle)
    }

    pub fn add_oriented(self, label: &str, [x, y, w, h]: [i32; 4], angle: f32, confidence: f32) -> u32 {
        self.added(|mtd| {
            call!(analytics_relation_meta_add_oriented_od_mtd(*mut c_void, GQuark, c_int, c_int, c_int, c_int, f32, f32, *mut Mtd) -> gboolean;
                self.0, quark(label), x, y, w, h, angle, confidence, mtd)
        })
    }

    /// The entries of classes, with names and levels.
    pub fn classes(self) -> Vec<(u32, Vec<(String, f32)>)> {
        let of = call!(analytics_cls_mtd_get_mtd_type() -> usize;);
        let levels = |id: u32| {
            let mtd = Mtd { id, meta: self.0 };
            let length = call!(analytics_cls_mtd_get_length(*const Mtd) -> usize; &mtd);
            let level = |k: usize| {
                let quark = call!(analytics_cls_mtd_get_quark(*const Mtd, usize) -> GQuark; &mtd, k);
                (text(quark), call!(analytics_cls_mtd_get_level(*const Mtd, usize) -> f32; &mtd, k))
            };
            (id, (0..length).map(level).collect())
        };
        self.entries(of).into_iter().map(levels).collect()
    }

    /// The entries of tracks, with their ids.
    pub fn tracks(self) -> Vec<(u32, u64)> {
        let of = call!(analytics_tracking_mtd_get_mtd_type() -> usize;);
        let track = |id: u32| {
            let mtd = Mtd { id, meta: self.0 };
            let (mut track, mut first, mut last, mut lost) = (0, 0, 0, 0);
            call!(analytics_tracking_mtd_get_info(*const Mtd, *mut u64, *mut u64, *mut u64, *mut gboolean) -> gboolean;
                &mtd, &mut track, &mut first, &mut last, &mut lost);
            (id, track)
        };
        self.entries(of).into_iter().map(track).collect()
    }

    pub fn relation(self, from: u32, to: u32) -> c_int {
        call!(analytics_relation_meta_get_relation(*const c_void, u32, u32) -> c_int; self.0, from, to)
    }

    pub fn relate(self, from: u32, relation: c_int, to: u32) {
        let set = call!(analytics_relation_meta_set_relation(*mut c_void, c_int, u32, u32) -> gboolean; self.0, relation, from, to);
        assert_ne!(set, 0);
    }

    fn added(self, add: impl FnOnce(*mut Mtd) -> gboolean) -> u32 {
        let mut mtd = Mtd { id: 0, meta: null_mut() };
        assert_ne!(add(&mut mtd), 0);
        mtd.id
    }

    /// `None` for an object without a label.
    pub fn add_object(self, label: Option<&str>, [x, y, w, h]: [i32; 4], confidence: f32) -> u32 {
        self.added(|mtd| {
            call!(analytics_relation_meta_add_od_mtd(*mut c_void, GQuark, c_int, c_int, c_int, c_int, f32, *mut Mtd) -> gboolean;
                self.0, label.map_or(0, quark), x, y, w, h, confidence, mtd)
        })
    }

    pub fn add_classes(self, classes: &[(&str, f32)]) -> u32 {
        let mut names: Vec<GQuark> = classes.iter().map(|(name, _)| quark(name)).collect();
        let mut levels: Vec<f32> = classes.iter().map(|(_, level)| *level).collect();
        self.added(|mtd| {
            call!(analytics_relation_meta_add_cls_mtd(*mut c_void, usize, *mut f32, *mut GQuark, *mut Mtd) -> gboolean;
                self.0, names.len(), levels.as_mut_ptr(), names.as_mut_ptr(), mtd)
        })
    }

    pub fn add_track(self, id: u64) -> u32 {
        self.added(|mtd| {
            call!(analytics_relation_meta_add_tracking_mtd(*mut c_void, u64, u64, *mut Mtd) -> gboolean; self.0, id, 0, mtd)
        })
    }

    /// Segmentations: the entry, where it is, its picture and the ids of its regions.
    pub fn segmentations(self) -> Vec<Segmentation> {
        let of = call!(analytics_segmentation_mtd_get_mtd_type() -> usize;);
        let segmentation = |id: u32| {
            let mtd = Mtd { id, meta: self.0 };
            let (mut x, mut y, mut w, mut h) = (0, 0, 0u32, 0u32);
            let picture = call!(analytics_segmentation_mtd_get_mask(*const Mtd, *mut c_int, *mut c_int, *mut u32, *mut u32) -> *mut gst::ffi::GstBuffer;
                &mtd, &mut x, &mut y, &mut w, &mut h);
            // SAFETY: the function returns a reference.
            let picture = unsafe { gst::Buffer::from_glib_full(picture) };
            let count = call!(analytics_segmentation_mtd_get_region_count(*const Mtd) -> usize; &mtd);
            let region = |k: usize| call!(analytics_segmentation_mtd_get_region_id(*const Mtd, usize) -> u32; &mtd, k);
            let regions = (0..count).map(region).collect();
            Segmentation { id, place: [x, y, w as i32, h as i32], picture, regions }
        };
        self.entries(of).into_iter().map(segmentation).collect()
    }

    /// A segmentation of kind instance of a part of the frame, with regions 0 and 1.
    pub fn add_segmentation(self, picture: gst::Buffer, [x, y, w, h]: [i32; 4]) -> u32 {
        let mut regions = [0u32, 1];
        self.added(|mtd| {
            call!(analytics_relation_meta_add_segmentation_mtd(*mut c_void, *mut gst::ffi::GstBuffer, c_int, usize, *mut u32, c_int, c_int, u32, u32, *mut Mtd) -> gboolean;
                self.0, picture.into_glib_ptr(), 1, 2, regions.as_mut_ptr(), x, y, w as u32, h as u32, mtd)
        })
    }

    /// Groups of keypoints: the entry, its tag, and its points in pixels with confidences.
    pub fn groups(self) -> Vec<(u32, String, Vec<Point>)> {
        let of = call!(analytics_group_mtd_get_mtd_type() -> usize;);
        let group = |id: u32| {
            let mtd = Mtd { id, meta: self.0 };
            let count = call!(analytics_group_mtd_get_member_count(*const Mtd) -> usize; &mtd);
            (id, self.tag(id), (0..count).map(|k| self.point(self.member(id, k))).collect())
        };
        self.entries(of).into_iter().map(group).collect()
    }

    /// The entry of a group's member.
    pub fn member(self, group: u32, index: usize) -> u32 {
        let mtd = Mtd { id: group, meta: self.0 };
        self.added(|member| {
            call!(analytics_group_mtd_get_member(*const Mtd, usize, *mut Mtd) -> gboolean; &mtd, index, member)
        })
    }

    fn point(self, id: u32) -> Point {
        let mtd = Mtd { id, meta: self.0 };
        let (mut x, mut y, mut z, mut dimensions, mut confidence) = (0, 0, 0, 0, 0.0);
        call!(analytics_keypoint_mtd_get_position(*const Mtd, *mut c_int, *mut c_int, *mut c_int, *mut c_int) -> gboolean;
            &mtd, &mut x, &mut y, &mut z, &mut dimensions);
        call!(analytics_keypoint_mtd_get_confidence(*const Mtd, *mut f32) -> gboolean; &mtd, &mut confidence);
        assert_eq!(dimensions, 2);
        (x, y, confidence)
    }

    pub fn add_points(self, tag: &str, positions: &[i32], links: &[i32]) -> u32 {
        let tag = CString::new(tag).unwrap();
        self.added(|mtd| {
            call!(analytics_relation_meta_add_keypoints_group(*mut c_void, *const c_char, c_int, usize, *const c_int, usize,
                    *const f32, *const u8, usize, *const c_int, *mut Mtd) -> gboolean;
                self.0, tag.as_ptr(), 2, positions.len(), positions.as_ptr(), positions.len() / 2, std::ptr::null(),
                std::ptr::null(), links.len(), links.as_ptr(), mtd)
        })
    }

    /// The text that says what an entry is.
    pub fn tag(self, id: u32) -> String {
        let mtd = Mtd { id, meta: self.0 };
        let tag = call!(analytics_mtd_get_semantic_tag(*const Mtd) -> *mut c_char; &mtd);
        // SAFETY: the function returns a copy, which the caller frees.
        unsafe {
            let text = CStr::from_ptr(tag).to_string_lossy().into_owned();
            gst::glib::ffi::g_free(tag.cast());
            text
        }
    }
}

fn quark(text: &str) -> GQuark {
    gst::glib::Quark::from_str(text).into_glib()
}

fn text(quark: GQuark) -> String {
    // SAFETY: GLib created the quark; 0 has no text.
    unsafe {
        let text = gst::glib::ffi::g_quark_to_string(quark);
        if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
    }
}
