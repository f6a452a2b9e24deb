//! Models' raw outputs on the frame's buffer, for programs that decode them.
//!
//! They are in a custom meta `TrtOutputTensors`, which any language can read. Its structure has one field `tensors`, an
//! array of structures, one for each output of each region that a model ran on:
//!
//! | field | type | meaning |
//! |---|---|---|
//! | `model-id` | string | the element's `model-id` |
//! | `region` | array of 4 floats | left, top, width, height of what the model saw, in frame pixels |
//! | `object` | unsigned int | id of the object whose box that is; missing for a part of the frame |
//! | `name` | string | the output's name in the model |
//! | `shape` | array of unsigned ints | without the batch dimension |
//! | `data` | bytes | 32-bit floats in C order, this machine's byte order |

use super::custom::Custom;
use crate::infer::RawTensor;
use gst::glib;
use gst::prelude::*;
use model::Rect;

static OUTPUTS: Custom = Custom::new("TrtOutputTensors", &["video", "size", "colorspace", "orientation"]);
const FIELD: &glib::GStr = glib::gstr!("tensors");

/// Registers the meta; needs `gst::init`. May be called more than once.
pub fn register() {
    OUTPUTS.register();
}

/// Adds the outputs of `model_id` for `region` (in frame pixels) to those already attached.
pub fn attach_outputs(
    buffer: &mut gst::BufferRef,
    model_id: &str,
    region: Rect,
    object: Option<u32>,
    outputs: &[RawTensor],
) {
    let region = gst::Array::new([region.x, region.y, region.w, region.h]);
    let new = outputs.iter().map(|output| {
        let bytes: Vec<u8> = output.data.iter().flat_map(|value| value.to_ne_bytes()).collect();
        let shape = gst::Array::new(output.shape.iter().map(|&n| u32::try_from(n).unwrap_or(u32::MAX)));
        gst::Structure::builder("tensor")
            .field("model-id", model_id)
            .field("region", &region)
            .field_if_some("object", object)
            .field("name", &*output.name)
            .field("shape", shape)
            .field("data", glib::Bytes::from_owned(bytes))
            .build()
            .to_send_value()
    });
    let Some(mut meta) = OUTPUTS.of_or_added(buffer) else { return };
    let before = meta.structure().get::<gst::Array>(FIELD).ok();
    let before = before.iter().flat_map(|array| array.iter().cloned());
    let all = gst::Array::from_values(before.chain(new));
    meta.mut_structure().set(FIELD, all);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_of_two_models_are_read_back() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let output =
            |name: &str, data: &[f32]| RawTensor { name: name.into(), shape: vec![1, data.len()], data: data.to_vec() };
        let (frame, crop) = (Rect::new(0.0, 0.0, 64.0, 32.0), Rect::new(8.0, 8.0, 16.0, 16.0));
        let buffer = buffer.get_mut().unwrap();
        attach_outputs(buffer, "a", frame, None, &[output("x", &[1.0, 2.0]), output("y", &[])]);
        attach_outputs(buffer, "b", crop, Some(7), &[output("z", &[0.5])]);
        let copy = buffer.copy();
        let meta = OUTPUTS.of(&copy).unwrap();
        let tensors = meta.structure().get::<gst::Array>("tensors").unwrap();
        let tensors: Vec<_> = tensors.iter().map(|v| v.get::<gst::Structure>().unwrap()).collect();
        let names: Vec<_> = tensors.iter().map(|t| t.get::<String>("name").unwrap()).collect();
        assert_eq!(names, ["x", "y", "z"]);
        assert_eq!(
            tensors[0].get::<glib::Bytes>("data").unwrap()[..],
            [1f32.to_ne_bytes(), 2f32.to_ne_bytes()].concat()
        );
        let shape = tensors[0].get::<gst::Array>("shape").unwrap();
        assert_eq!(shape.iter().map(|v| v.get::<u32>().unwrap()).collect::<Vec<_>>(), [1, 2]);
        assert!(tensors[0].get::<u32>("object").is_err());
        assert_eq!(tensors[2].get::<u32>("object"), Ok(7));
        let region = tensors[2].get::<gst::Array>("region").unwrap();
        assert_eq!(region.iter().map(|v| v.get::<f32>().unwrap()).collect::<Vec<_>>(), [8.0, 8.0, 16.0, 16.0]);
    }
}
