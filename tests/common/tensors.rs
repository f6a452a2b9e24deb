//! `GstTensorMeta` as another program reads it: the structures of GStreamer's headers `gsttensor.h` and `gsttensormeta.h`.

use gst::glib::translate::{IntoGlib, from_glib_none};
use gst::glib::{self, Quark};

#[repr(C)]
struct CMeta {
    meta: gst::ffi::GstMeta,
    count: usize,
    tensors: *mut *mut CTensor,
}

#[repr(C)]
struct CTensor {
    id: u32,
    layout: i32,
    data_type: i32,
    data: *mut gst::ffi::GstBuffer,
    dims_order: i32,
    count: usize,
    dims: [usize; 0],
}

/// `GST_TENSOR_DATA_TYPE_FLOAT32`.
pub const FLOAT32: i32 = 11;
/// `GST_TENSOR_DIM_ORDER_ROW_MAJOR` and `_COL_MAJOR`.
pub const ROW_MAJOR: i32 = 0;
pub const COL_MAJOR: i32 = 1;

#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub id: String,
    pub data_type: i32,
    pub dims_order: i32,
    pub dims: Vec<usize>,
    pub data: Vec<u8>,
}

impl Tensor {
    pub fn floats(&self) -> Vec<f32> {
        self.data.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect()
    }
}

/// The tensors of each of the buffer's metas.
pub fn gst_tensors(buffer: &gst::BufferRef) -> Vec<Vec<Tensor>> {
    let Some(api) = glib::Type::from_name("GstTensorMetaAPI") else { return Vec::new() };
    let of_tensors = buffer.iter_meta::<gst::Meta>().filter(|meta| meta.api() == api);
    // SAFETY: metas of this API have the header's structure.
    of_tensors.map(|meta| unsafe { read(&*meta.as_ptr().cast::<CMeta>()) }).collect()
}

unsafe fn read(meta: &CMeta) -> Vec<Tensor> {
    let tensor = |index: usize| {
        // SAFETY: the meta has that many tensors, each with `count` dimensions and a buffer.
        unsafe {
            let tensor = *meta.tensors.add(index);
            let dims = std::slice::from_raw_parts((&raw const (*tensor).dims).cast(), (*tensor).count).to_vec();
            let data: gst::Buffer = from_glib_none((*tensor).data);
            assert_eq!((*tensor).layout, 0, "GST_TENSOR_LAYOUT_CONTIGUOUS");
            let id = glib::GString::from(glib::GStr::from_ptr(glib::ffi::g_quark_to_string((*tensor).id)));
            assert_eq!(Quark::from_str(&id).into_glib(), (*tensor).id);
            Tensor {
                id: id.to_string(),
                data_type: (*tensor).data_type,
                dims_order: (*tensor).dims_order,
                dims,
                data: data.map_readable().unwrap().to_vec(),
            }
        }
    };
    (0..meta.count).map(tensor).collect()
}
