//! The functions of libgstanalytics, opened at run time like libgstcuda. The signatures are those of its installed
//! headers; a test compares them with the headers of each version that it finds.
//!
//! | functions | since |
//! |---|---|
//! | all that are required | 1.24 |
//! | [`Tensors`]: metadata of tensors | 1.26 |
//! | [`Segmentation`]: masks | 1.26 |
//! | [`Oriented`]: boxes with a direction | 1.26 |
//! | [`Keypoints`]: keypoints, groups and semantic tags | 1.30 |
//!
//! GStreamer 1.22 has no such library.

use crate::error::{Error, ErrorKind};
use gst::ffi::{GstBuffer, GstMeta, GstMetaInfo};
use gst::glib::ffi::{GQuark, GType, gboolean, gpointer};
use std::ffi::{c_char, c_int, c_uint};
use std::sync::OnceLock;

const NAME: &str = "libgstanalytics-1.0.so.0";

/// `GstAnalyticsRelationMeta`: only its address is passed around.
#[repr(C)]
pub(super) struct RelationMeta {
    _private: [u8; 0],
}

/// `GstAnalyticsMtd`, the handle of one entry of a relation meta.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Mtd {
    pub id: c_uint,
    pub meta: *mut RelationMeta,
}

impl Mtd {
    pub const EMPTY: Self = Self { id: 0, meta: std::ptr::null_mut() };
}

/// `GstAnalyticsRelationMetaInitParams`.
#[repr(C)]
pub(super) struct InitParams {
    /// Number of entries with space in the matrix of relations, which also grows by this number.
    pub initial_relation_order: usize,
    /// Bytes for the entries.
    pub initial_buf_size: usize,
}

/// The first fields of `GstAnalyticsMtdImpl`, which describes a type of entries.
#[repr(C)]
pub(super) struct MtdImpl {
    pub name: *const c_char,
    pub transform: Option<unsafe extern "C" fn(*mut GstBuffer, *mut Mtd, *mut GstBuffer, GQuark, gpointer) -> gboolean>,
}

/// `GstAnalyticsMtdType`: the address of the type's [`MtdImpl`]; 0 stands for any type.
pub(super) type MtdType = usize;

/// `GstAnalyticsRelTypes`, an enum of bits.
pub(super) type RelTypes = c_int;

/// Values of [`RelTypes`].
pub(super) mod relation {
    use super::RelTypes;

    pub const NONE: RelTypes = 0;
    pub const IS_PART_OF: RelTypes = 1 << 1;
    pub const CONTAIN: RelTypes = 1 << 2;
    pub const RELATE_TO: RelTypes = 1 << 3;
}

/// `GstSegmentationType`, an enum.
pub(super) type SegmentationType = c_int;

/// `GstAnalyticsKeypointDimensions`, an enum.
pub(super) type Dimensions = c_int;

/// `GST_ANALYTICS_KEYPOINT_DIMENSIONS_2D`.
pub(super) const DIMENSIONS_2D: Dimensions = 2;

/// `GstTensorMeta`.
#[repr(C)]
pub(super) struct TensorMeta {
    pub meta: GstMeta,
    pub count: usize,
    pub tensors: *mut *mut Tensor,
}

/// `GstTensor`: only its address is passed around.
#[repr(C)]
pub(super) struct Tensor {
    _private: [u8; 0],
}

/// `GstTensorDataType`, an enum.
pub(super) type DataType = c_int;

/// Values of [`DataType`].
pub(super) mod data_type {
    use super::DataType;

    pub const INT32: DataType = 3;
    pub const INT64: DataType = 4;
    pub const UINT8: DataType = 6;
    pub const FLOAT16: DataType = 10;
    pub const FLOAT32: DataType = 11;
}

/// `GstTensorDimOrder`, an enum.
pub(super) type DimOrder = c_int;

/// Values of [`DimOrder`].
pub(super) mod dim_order {
    use super::DimOrder;

    pub const ROW_MAJOR: DimOrder = 0;
    pub const COL_MAJOR: DimOrder = 1;
}

/// Defines a struct of C functions, each a field with the function's name, and how to find them.
macro_rules! functions {
    ($(#[$meta:meta])* $table:ident { $(fn $name:ident($($type:ty),*) $(-> $result:ty)?;)* }) => {
        $(#[$meta])*
        pub(super) struct $table {
            $(pub $name: unsafe extern "C" fn($($type),*) $(-> $result)?,)*
        }

        impl $table {
            /// # Errors
            /// The name of a function that the library lacks.
            fn find(library: &libloading::Library) -> Result<Self, &'static str> {
                $(
                    // SAFETY: the header of the library declares the function with this type.
                    let found = unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) };
                    let $name = *found.map_err(|_| stringify!($name))?;
                )*
                Ok(Self { $($name),* })
            }

            /// Name, arguments and result of each, as written here.
            #[cfg(test)]
            const SIGNATURES: &[(&str, &[&str], &str)] = &[
                $((stringify!($name), &[$(stringify!($type)),*], concat!($(stringify!($result))?)),)*
            ];
        }
    };
}

functions! {
    Required {
        fn gst_analytics_relation_meta_get_info() -> *const GstMetaInfo;
        fn gst_buffer_get_analytics_relation_meta(*mut GstBuffer) -> *mut RelationMeta;
        fn gst_buffer_add_analytics_relation_meta_full(*mut GstBuffer, *mut InitParams) -> *mut RelationMeta;
        fn gst_analytics_relation_get_length(*const RelationMeta) -> usize;
        fn gst_analytics_relation_meta_get_relation(*const RelationMeta, c_uint, c_uint) -> RelTypes;
        fn gst_analytics_relation_meta_set_relation(*mut RelationMeta, RelTypes, c_uint, c_uint) -> gboolean;
        fn gst_analytics_relation_meta_get_mtd(*mut RelationMeta, c_uint, MtdType, *mut Mtd) -> gboolean;
        fn gst_analytics_relation_meta_get_direct_related(*mut RelationMeta, c_uint, RelTypes, MtdType, *mut gpointer, *mut Mtd) -> gboolean;
        fn gst_analytics_relation_meta_add_mtd(*mut RelationMeta, *const MtdImpl, usize, *mut Mtd) -> gpointer;
        fn gst_analytics_relation_meta_get_mtd_data(*const RelationMeta, c_uint) -> gpointer;
        fn gst_analytics_mtd_get_mtd_type(*const Mtd) -> MtdType;
        fn gst_analytics_mtd_get_size(*const Mtd) -> usize;
        fn gst_analytics_od_mtd_get_mtd_type() -> MtdType;
        fn gst_analytics_od_mtd_get_location(*const Mtd, *mut c_int, *mut c_int, *mut c_int, *mut c_int, *mut f32) -> gboolean;
        fn gst_analytics_od_mtd_get_obj_type(*const Mtd) -> GQuark;
        fn gst_analytics_relation_meta_add_od_mtd(*mut RelationMeta, GQuark, c_int, c_int, c_int, c_int, f32, *mut Mtd) -> gboolean;
        fn gst_analytics_cls_mtd_get_mtd_type() -> MtdType;
        fn gst_analytics_cls_mtd_get_length(*const Mtd) -> usize;
        fn gst_analytics_cls_mtd_get_level(*const Mtd, usize) -> f32;
        fn gst_analytics_cls_mtd_get_quark(*const Mtd, usize) -> GQuark;
        fn gst_analytics_relation_meta_add_cls_mtd(*mut RelationMeta, usize, *mut f32, *mut GQuark, *mut Mtd) -> gboolean;
        fn gst_analytics_relation_meta_add_one_cls_mtd(*mut RelationMeta, f32, GQuark, *mut Mtd) -> gboolean;
        fn gst_analytics_tracking_mtd_get_mtd_type() -> MtdType;
        fn gst_analytics_tracking_mtd_get_info(*const Mtd, *mut u64, *mut u64, *mut u64, *mut gboolean) -> gboolean;
        fn gst_analytics_relation_meta_add_tracking_mtd(*mut RelationMeta, u64, u64, *mut Mtd) -> gboolean;
    }
}

functions! {
    /// Metadata of tensors: since 1.26.
    Tensors {
        fn gst_tensor_meta_api_get_type() -> GType;
        fn gst_tensor_meta_get_info() -> *const GstMetaInfo;
        fn gst_tensor_meta_set(*mut TensorMeta, c_uint, *mut *mut Tensor);
        fn gst_tensor_new_simple(GQuark, DataType, *mut GstBuffer, DimOrder, usize, *mut usize) -> *mut Tensor;
        fn gst_tensor_copy(*const Tensor) -> *mut Tensor;
    }
}

functions! {
    /// Masks as entries: since 1.26.
    Segmentation {
        fn gst_analytics_segmentation_mtd_get_mtd_type() -> MtdType;
        fn gst_analytics_segmentation_mtd_get_mask(*const Mtd, *mut c_int, *mut c_int, *mut c_uint, *mut c_uint) -> *mut GstBuffer;
        fn gst_analytics_relation_meta_add_segmentation_mtd(*mut RelationMeta, *mut GstBuffer, SegmentationType, usize, *mut c_uint, c_int, c_int, c_uint, c_uint, *mut Mtd) -> gboolean;
    }
}

functions! {
    /// Boxes with a direction: since 1.26.
    Oriented {
        fn gst_analytics_relation_meta_add_oriented_od_mtd(*mut RelationMeta, GQuark, c_int, c_int, c_int, c_int, f32, f32, *mut Mtd) -> gboolean;
        fn gst_analytics_od_mtd_get_oriented_location(*const Mtd, *mut c_int, *mut c_int, *mut c_int, *mut c_int, *mut f32, *mut f32) -> gboolean;
    }
}

functions! {
    /// Keypoints as entries, grouped, with tags that say what an entry is: since 1.30.
    Keypoints {
        fn gst_analytics_mtd_set_semantic_tag(*mut Mtd, *const c_char) -> gboolean;
        fn gst_analytics_mtd_get_semantic_tag(*const Mtd) -> *mut c_char;
        fn gst_analytics_keypoint_mtd_get_mtd_type() -> MtdType;
        fn gst_analytics_keypoint_mtd_get_position(*const Mtd, *mut c_int, *mut c_int, *mut c_int, *mut Dimensions) -> gboolean;
        fn gst_analytics_keypoint_mtd_get_confidence(*const Mtd, *mut f32) -> gboolean;
        fn gst_analytics_relation_meta_add_keypoints_group(*mut RelationMeta, *const c_char, Dimensions, usize, *const c_int, usize, *const f32, *const u8, usize, *const c_int, *mut Mtd) -> gboolean;
        fn gst_analytics_group_mtd_get_mtd_type() -> MtdType;
        fn gst_analytics_group_mtd_get_member_count(*const Mtd) -> usize;
        fn gst_analytics_group_mtd_get_member(*const Mtd, usize, *mut Mtd) -> gboolean;
        fn gst_analytics_group_mtd_add_member(*mut Mtd, c_uint) -> gboolean;
        fn gst_analytics_relation_meta_add_group_mtd_with_size(*mut RelationMeta, usize, *mut Mtd) -> gboolean;
    }
}

/// The opened library.
pub(super) struct Analytics {
    pub call: Required,
    pub tensors: Option<Tensors>,
    pub segmentation: Option<Segmentation>,
    pub oriented: Option<Oriented>,
    pub keypoints: Option<Keypoints>,
    /// The types of entries.
    pub object: MtdType,
    pub class: MtdType,
    pub track: MtdType,
}

/// The library, which is opened by the first call.
pub(super) fn library() -> Option<&'static Analytics> {
    opened().as_ref().ok()
}

/// Whether GStreamer's analytics metadata can be written and read: GStreamer has it from 1.24 on.
pub fn is_there() -> bool {
    library().is_some()
}

/// # Errors
/// The library is missing or older than 1.24; the text says which, and what to do.
pub fn check() -> Result<(), Error> {
    opened().as_ref().map(|_| ()).map_err(Clone::clone)
}

fn opened() -> &'static Result<Analytics, Error> {
    static LIBRARY: OnceLock<Result<Analytics, Error>> = OnceLock::new();
    LIBRARY.get_or_init(open)
}

fn open() -> Result<Analytics, Error> {
    // SAFETY: this is GStreamer's library, whose initialisers have no preconditions.
    let library = unsafe { libloading::Library::new(NAME) }.map_err(|error| missing(&error.to_string()))?;
    let call = Required::find(&library).map_err(|name| missing(&format!("it has no function {name}")))?;
    let (tensors, keypoints) = (Tensors::find(&library).ok(), Keypoints::find(&library).ok());
    let (segmentation, oriented) = (Segmentation::find(&library).ok(), Oriented::find(&library).ok());
    // The library registers types, so it can't be unloaded.
    std::mem::forget(library);
    // SAFETY: these functions have no preconditions.
    unsafe {
        let (object, class) = ((call.gst_analytics_od_mtd_get_mtd_type)(), (call.gst_analytics_cls_mtd_get_mtd_type)());
        let track = (call.gst_analytics_tracking_mtd_get_mtd_type)();
        Ok(Analytics { object, class, track, call, tensors, segmentation, oriented, keypoints })
    }
}

fn missing(why: &str) -> Error {
    Error::new(
        ErrorKind::Library,
        format!(
            "analytics-meta=true needs GStreamer's {NAME}, 1.24 or later, and it can't be used: {why}. Use a newer \
             GStreamer with its bad plugins (apt: libgstreamer-plugins-bad1.0-0), or set analytics-meta=false"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};
    use std::path::PathBuf;
    use std::process::Command;

    /// Compiler flags for the headers of each GStreamer that has some for analytics here: this machine's, those of the
    /// roots that `cargo xtask roots` makes, and those in the folder `GST_ANALYTICS_HEADERS`.
    fn headers() -> Vec<Vec<String>> {
        let cflags = |package: &str| {
            let output = Command::new("pkg-config").args(["--cflags", package]).output().ok()?;
            let text = String::from_utf8(output.stdout).ok()?;
            output.status.success().then(|| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        };
        let mut sets: Vec<_> = cflags("gstreamer-analytics-1.0").into_iter().collect();
        let roots = files::user_folder::cache().join("gst-tensorrt/roots");
        let roots = ["trixie", "forky"].map(|root| roots.join(root).join("usr/include/gstreamer-1.0"));
        let roots = roots.into_iter().filter(|folder| folder.join("gst/analytics").exists());
        let named = std::env::var_os("GST_ANALYTICS_HEADERS").map(PathBuf::from);
        for folder in roots.chain(named) {
            // What a folder lacks, as a checkout of the one library does, is this machine's.
            sets.extend(
                cflags("gstreamer-video-1.0").map(|flags| [vec![format!("-I{}", folder.display())], flags].concat()),
            );
        }
        sets
    }

    fn header(flags: &[String], name: &str) -> Option<String> {
        let folders = flags.iter().filter_map(|flag| flag.strip_prefix("-I")).map(PathBuf::from);
        folders.filter_map(|folder| std::fs::read_to_string(folder.join("gst/analytics").join(name)).ok()).next()
    }

    /// A type of this file as C has it.
    fn in_c(rust: &str) -> String {
        let (pointer, pointee) = match rust.split_once(' ') {
            Some((pointer, pointee)) => (pointer, pointee.trim()),
            None => ("", rust),
        };
        let name = match pointee {
            "" => "void",
            "RelationMeta" => "GstAnalyticsRelationMeta",
            "InitParams" => "GstAnalyticsRelationMetaInitParams",
            "Mtd" => "GstAnalyticsMtd",
            "MtdImpl" => "GstAnalyticsMtdImpl",
            "MtdType" => "GstAnalyticsMtdType",
            "RelTypes" => "GstAnalyticsRelTypes",
            "Dimensions" => "GstAnalyticsKeypointDimensions",
            "SegmentationType" => "GstSegmentationType",
            "TensorMeta" => "GstTensorMeta",
            "Tensor" => "GstTensor",
            "*mut Tensor" => "GstTensor *",
            "DataType" => "GstTensorDataType",
            "DimOrder" => "GstTensorDimOrder",
            "c_int" => "gint",
            "c_uint" => "guint",
            "c_char" => "gchar",
            "usize" => "gsize",
            "u64" => "guint64",
            "u8" => "guint8",
            "f32" => "gfloat",
            same => same,
        };
        match pointer {
            "" => name.into(),
            "*mut" => format!("{name} *"),
            // 1.24 had no `const` with these.
            "*const" if ["RelationMeta", "Mtd"].contains(&pointee) => format!("CONST {name} *"),
            "*const" => format!("const {name} *"),
            other => panic!("{other} in {rust}"),
        }
    }

    /// A program that compiles only if the header declares everything as this file does.
    fn program(flags: &[String]) -> String {
        let objects = header(flags, "gstanalyticsobjectdetectionmtd.h").expect("the flags name the folder");
        let constant = objects.contains("gst_analytics_od_mtd_get_location (const");
        let keypoints = header(flags, "gstanalyticskeypointmtd.h").is_some();
        let tensors = header(flags, "gsttensormeta.h").is_some();
        let mut text = String::from("#include <stddef.h>\n#include <gst/analytics/analytics.h>\n");
        if keypoints {
            text += "#include <gst/analytics/gstanalyticskeypointmtd.h>\n";
        }
        text += if constant { "#define CONST const\n" } else { "#define CONST\n" };
        let newer = if keypoints { Keypoints::SIGNATURES } else { &[] };
        let of_tensors = if tensors { Tensors::SIGNATURES } else { &[] };
        let segmentation = header(flags, "gstanalyticssegmentationmtd.h").is_some();
        let of_masks = if segmentation { Segmentation::SIGNATURES } else { &[] };
        let oriented = if objects.contains("oriented") { Oriented::SIGNATURES } else { &[] };
        let optional = of_tensors.iter().chain(of_masks).chain(oriented).chain(newer);
        for (name, arguments, result) in Required::SIGNATURES.iter().chain(optional) {
            let arguments: Vec<String> = arguments.iter().map(|of| in_c(of)).collect();
            let arguments = if arguments.is_empty() { "void".into() } else { arguments.join(", ") };
            text += &format!("{} (*check_{name}) ({arguments}) = {name};\n", in_c(result));
        }
        let mut equal = |what: &str, value: usize| text += &format!("_Static_assert({what} == {value}, \"{what}\");\n");
        equal("sizeof (GstAnalyticsMtd)", size_of::<Mtd>());
        equal("offsetof (GstAnalyticsMtd, id)", offset_of!(Mtd, id));
        equal("offsetof (GstAnalyticsMtd, meta)", offset_of!(Mtd, meta));
        let params = "GstAnalyticsRelationMetaInitParams";
        equal(&format!("sizeof ({params})"), size_of::<InitParams>());
        equal(&format!("offsetof ({params}, initial_relation_order)"), offset_of!(InitParams, initial_relation_order));
        equal(&format!("offsetof ({params}, initial_buf_size)"), offset_of!(InitParams, initial_buf_size));
        equal("offsetof (GstAnalyticsMtdImpl, name)", offset_of!(MtdImpl, name));
        equal("offsetof (GstAnalyticsMtdImpl, mtd_meta_transform)", offset_of!(MtdImpl, transform));
        equal("GST_ANALYTICS_REL_TYPE_IS_PART_OF", relation::IS_PART_OF as usize);
        equal("GST_ANALYTICS_REL_TYPE_CONTAIN", relation::CONTAIN as usize);
        equal("GST_ANALYTICS_REL_TYPE_RELATE_TO", relation::RELATE_TO as usize);
        equal("GST_ANALYTICS_MTD_TYPE_ANY", 0);
        if tensors {
            equal("offsetof (GstTensorMeta, num_tensors)", offset_of!(TensorMeta, count));
            equal("offsetof (GstTensorMeta, tensors)", offset_of!(TensorMeta, tensors));
            for (name, value) in [
                ("DATA_TYPE_INT32", data_type::INT32),
                ("DATA_TYPE_INT64", data_type::INT64),
                ("DATA_TYPE_UINT8", data_type::UINT8),
                ("DATA_TYPE_FLOAT16", data_type::FLOAT16),
                ("DATA_TYPE_FLOAT32", data_type::FLOAT32),
                ("DIM_ORDER_ROW_MAJOR", dim_order::ROW_MAJOR),
                ("DIM_ORDER_COL_MAJOR", dim_order::COL_MAJOR),
            ] {
                equal(&format!("GST_TENSOR_{name}"), value as usize);
            }
        }
        if segmentation {
            equal("GST_SEGMENTATION_TYPE_INSTANCE", crate::meta::analytics::masks::INSTANCE as usize);
        }
        if keypoints {
            equal("GST_ANALYTICS_KEYPOINT_DIMENSIONS_2D", DIMENSIONS_2D as usize);
        }
        text += "gboolean (*transform) (GstBuffer *, GstAnalyticsMtd *, GstBuffer *, GQuark, gpointer);\n";
        text + "void check (GstAnalyticsMtdImpl *impl) { transform = impl->mtd_meta_transform; }\n"
    }

    #[test]
    fn signatures_and_layouts_are_the_headers() {
        let sets = headers();
        if sets.is_empty() {
            eprintln!(
                "skipped: signatures_and_layouts_are_the_headers: GStreamer's headers for analytics are missing: \
                 cargo xtask roots, or GStreamer 1.24 or later"
            );
        }
        for flags in sets {
            compare(&flags);
        }
    }

    fn compare(flags: &[String]) {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("check.c");
        let program = program(flags);
        let compiles = |text: &str| {
            std::fs::write(&source, text).unwrap();
            // The library's API is unstable, which is known.
            let options = ["-fsyntax-only", "-Wall", "-Werror", "-DGST_USE_UNSTABLE_API"];
            Command::new("cc").args(options).args(flags).arg(&source).output().unwrap()
        };
        let output = compiles(&program);
        assert!(output.status.success(), "{}\n{program}", String::from_utf8_lossy(&output.stderr));
        // Any other type is an error.
        for (right, wrong) in [("gfloat", "gdouble"), ("guint64", "guint32"), ("== 16", "== 8")] {
            assert!(program.contains(right) && !compiles(&program.replace(right, wrong)).status.success(), "{wrong}");
        }
    }
}
