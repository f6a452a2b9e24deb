//! GStreamer's own tensor metadata, `GstTensorMeta`: tensors on a frame's buffer that its decoders read.
//!
//! The library has it from 1.26 on; with an older GStreamer nothing is attached.

use super::library::{DataType, DimOrder, Tensor, TensorMeta, Tensors, data_type, dim_order, library};
use gst::glib::translate::{IntoGlib, IntoGlibPtr, from_glib};
use gst::glib::{self, Quark};
use gst::prelude::*;
use model::{DimsOrder, ElementType, InputSpec, Layout, TensorIds};
use std::ffi::c_uint;

/// The first version whose caps can describe tensors.
const SINCE_CAPS: (u32, u32, u32, u32) = (1, 28, 0, 0);

/// One tensor. Its data must be as long as its dimensions and its type say.
#[derive(Debug)]
pub struct GstTensor {
    pub id: Quark,
    pub element: ElementType,
    pub order: DimsOrder,
    /// Including the batch dimension.
    pub dims: Vec<usize>,
    /// Values in C order.
    pub data: gst::Buffer,
}

impl GstTensor {
    /// A tensor of floats; `data` is kept, not copied.
    pub fn of_floats(id: Quark, order: DimsOrder, dims: Vec<usize>, data: Vec<f32>) -> Self {
        struct Floats(Vec<f32>);

        impl AsRef<[u8]> for Floats {
            fn as_ref(&self) -> &[u8] {
                bytemuck::cast_slice(&self.0)
            }
        }

        Self { id, element: ElementType::F32, order, dims, data: gst::Buffer::from_slice(Floats(data)) }
    }

    /// A model's input.
    pub fn of_input(id: Quark, spec: &InputSpec, data: gst::Buffer) -> Self {
        let (width, height) = (spec.width as usize, spec.height as usize);
        let dims = match spec.layout {
            Layout::Nchw => vec![1, 3, height, width],
            Layout::Nhwc => vec![1, height, width, 3],
        };
        Self { id, element: spec.element, order: DimsOrder::RowMajor, dims, data }
    }
}

impl Tensors {
    /// Adds a meta that takes these tensors.
    fn attach(&self, buffer: &mut gst::BufferRef, tensors: Vec<*mut Tensor>) {
        // SAFETY: the buffer is writable. The meta takes the array, which GLib allocates, and its tensors.
        unsafe {
            let array: *mut *mut Tensor = glib::ffi::g_malloc_n(tensors.len(), size_of::<*mut Tensor>()).cast();
            array.copy_from_nonoverlapping(tensors.as_ptr(), tensors.len());
            // The library's own function returns the buffer's first meta in 1.26.
            let meta = gst::ffi::gst_buffer_add_meta(
                buffer.as_mut_ptr(),
                (self.gst_tensor_meta_get_info)(),
                std::ptr::null_mut(),
            );
            (self.gst_tensor_meta_set)(meta.cast(), tensors.len() as c_uint, array);
        }
    }
}

/// Whether [`attach_gst_tensors`] attaches something: GStreamer has tensor metadata from 1.26 on.
pub fn gst_tensors_exist() -> bool {
    functions().is_some()
}

/// Adds a `GstTensorMeta` with these tensors. A buffer may have several. Does nothing where GStreamer has none.
pub fn attach_gst_tensors(buffer: &mut gst::BufferRef, tensors: Vec<GstTensor>) {
    let Some(functions) = functions().filter(|_| !tensors.is_empty()) else { return };
    let new = tensors.into_iter().map(|mut tensor| {
        let (element, order) = (data_type_of(tensor.element), order_of(tensor.order));
        let (dims, data) = (&mut tensor.dims, tensor.data.into_glib_ptr());
        // SAFETY: the function copies the dimensions and takes the buffer.
        unsafe {
            (functions.gst_tensor_new_simple)(
                tensor.id.into_glib(),
                element,
                data,
                order,
                dims.len(),
                dims.as_mut_ptr(),
            )
        }
    });
    functions.attach(buffer, new.filter(|new| !new.is_null()).collect());
}

/// Adds the tensors of a buffer to its copy, if copying has left them out, as it does in GStreamer 1.26.
pub fn keep_gst_tensors(from: &gst::BufferRef, copy: &mut gst::BufferRef) {
    let Some(functions) = functions() else { return };
    // SAFETY: the function has no preconditions.
    let api: glib::Type = unsafe { from_glib((functions.gst_tensor_meta_api_get_type)()) };
    let is_tensors = |meta: &gst::MetaRef<'_, gst::Meta>| meta.api() == api;
    if copy.iter_meta::<gst::Meta>().any(|meta| is_tensors(&meta)) {
        return;
    }
    for meta in from.iter_meta::<gst::Meta>().filter(is_tensors) {
        // SAFETY: metas of this API have this structure, and as many tensors as it says.
        let copies = unsafe {
            let meta = &*meta.as_ptr().cast::<TensorMeta>();
            (0..meta.count).map(|index| (functions.gst_tensor_copy)(*meta.tensors.add(index))).collect()
        };
        functions.attach(copy, copies);
    }
}

/// The field `tensors` of caps, by which GStreamer's decoders (from 1.28 on) and its `tensordecodebin` recognise what
/// they can decode: the ids, and the dimensions of the outputs with the batch dimension; 0: unknown. `None` where
/// GStreamer has no such caps.
///
/// `before`: the field of the incoming caps, whose groups are kept.
pub fn tensor_groups(before: Option<gst::Structure>, ids: &TensorIds, dims: &[Vec<usize>]) -> Option<gst::Structure> {
    if gst::version() < SINCE_CAPS {
        return None;
    }
    let tensors = ids.outputs.iter().zip(dims).map(|(tensor, dims)| {
        let dims = dims.iter().map(|&dim| i32::try_from(dim).unwrap_or(0));
        let caps = gst::Caps::builder("tensor/strided")
            .field("tensor-id", &*tensor.id)
            .field("dims", gst::Array::new(dims))
            .field("dims-order", tensor.order.name())
            .field("type", "float32")
            .build();
        Some(format!("(GstCaps){}", caps.to_value().serialize().ok()?))
    });
    let tensors = tensors.collect::<Option<Vec<_>>>()?.join(", ");
    // The type of the list can only be named in text by a program that also runs with older versions, which don't know it.
    let group: gst::Structure =
        format!("tensorgroups, {}=(/uniquelist){{{tensors}}}", field_name(&ids.group)).parse().ok()?;
    let mut groups = before.unwrap_or_else(|| gst::Structure::new_empty("tensorgroups"));
    for (name, value) in group.iter() {
        groups.set_value(name, value.clone());
    }
    Some(groups)
}

/// The name with the characters alone that a field's name may have.
fn field_name(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "_-+./:".contains(c) { c } else { '_' };
    name.chars().map(allowed).collect()
}

fn data_type_of(element: ElementType) -> DataType {
    match element {
        ElementType::I32 => data_type::INT32,
        ElementType::I64 => data_type::INT64,
        ElementType::U8 => data_type::UINT8,
        ElementType::F16 => data_type::FLOAT16,
        ElementType::F32 => data_type::FLOAT32,
    }
}

fn order_of(order: DimsOrder) -> DimOrder {
    match order {
        DimsOrder::RowMajor => dim_order::ROW_MAJOR,
        DimsOrder::ColMajor => dim_order::COL_MAJOR,
    }
}

fn functions() -> Option<&'static Tensors> {
    library()?.tensors.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::TensorId;

    #[test]
    fn names_of_fields_have_no_other_characters() {
        assert_eq!(field_name("yolo-v8-out"), "yolo-v8-out");
        assert_eq!(field_name("a b,c=d;é"), "a_b_c_d__");
    }

    #[test]
    fn groups_are_added_to_those_before() {
        gst::init().unwrap();
        let ids = |group: &str| TensorIds {
            group: group.into(),
            input: String::new(),
            outputs: vec![TensorId { id: format!("{group} 1"), order: DimsOrder::ColMajor }],
        };
        let first = tensor_groups(None, &ids("a"), &[vec![1, 7, 126]]);
        let Some(first) = first else {
            assert!(gst::version() < SINCE_CAPS, "this version has caps of tensors");
            return;
        };
        let both = tensor_groups(Some(first), &ids("b"), &[vec![1, 3]]).unwrap();
        assert_eq!(both.name(), "tensorgroups");
        assert_eq!(both.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>(), ["a", "b"]);
        let text = both.to_string();
        assert!(["tensor-id", "7", "126", "col-major"].iter().all(|part| text.contains(part)), "{text}");
    }

    #[test]
    fn a_buffer_takes_several_metas_of_tensors() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.get_mut().unwrap();
        let tensor = || GstTensor {
            id: Quark::from_str("test-tensor"),
            element: ElementType::F32,
            order: DimsOrder::RowMajor,
            dims: vec![1, 2, 3],
            data: gst::Buffer::from_slice([0_u8; 24]),
        };
        attach_gst_tensors(buffer, vec![tensor(), tensor()]);
        attach_gst_tensors(buffer, vec![tensor()]);
        let expected = if gst_tensors_exist() { 2 } else { 0 };
        assert_eq!(buffer.iter_meta::<gst::Meta>().count(), expected);
        // Whether GStreamer copies them or not.
        let mut copy = buffer.copy();
        for _ in 0..2 {
            keep_gst_tensors(buffer, copy.get_mut().unwrap());
            assert_eq!(copy.iter_meta::<gst::Meta>().count(), expected);
        }
    }
}
