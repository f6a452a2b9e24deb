//! The custom query by which `trtpreprocess` asks the models downstream for the input that they need.

use gst::glib;
use model::InputSpec;

const NAME: &str = "trt-input";
const FIELD: &str = "inputs";

/// The input that one model needs, and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// The element's name.
    pub element: String,
    pub spec: InputSpec,
    /// The input's id, for GStreamer's decoders.
    pub id: String,
    /// The number of frames without inference after each inferred frame.
    pub interval: u32,
}

#[derive(Debug, Clone, Default, glib::Boxed)]
#[boxed_type(name = "GstTrtInputs", allow_name_conflict)]
struct Inputs(Vec<Input>);

/// Queries the elements downstream of `pad`, in their order.
pub fn ask(pad: &gst::Pad) -> Vec<Input> {
    use gst::prelude::*;
    let mut query = gst::query::Custom::new(gst::Structure::builder(NAME).field(FIELD, Inputs::default()).build());
    pad.peer_query(&mut query);
    let inputs = query.structure().and_then(|s| s.get::<Inputs>(FIELD).ok());
    inputs.unwrap_or_default().0
}

/// Adds an answer. Returns false if it is another query.
pub fn answer(query: &mut gst::QueryRef, input: impl FnOnce() -> Option<Input>) -> bool {
    let gst::QueryViewMut::Custom(custom) = query.view_mut() else { return false };
    if custom.structure().is_none_or(|s| s.name() != NAME) {
        return false;
    }
    let structure = custom.structure_mut();
    let Some(input) = input() else { return false };
    let mut inputs = structure.get::<Inputs>(FIELD).unwrap_or_default();
    inputs.0.push(input);
    structure.set(FIELD, inputs);
    true
}
