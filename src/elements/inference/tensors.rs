//! The raw outputs that an element attaches to its frames with `output-tensors`, and the caps that announce them.

use super::opened::Opened;
use super::regions::Region;
use crate::elements::stage::TENSORS;
use crate::infer::{Engine, RawTensor};
use crate::meta::{self, GstTensor};
use gst::glib::Quark;
use model::{DecodePlan, InputSpec, Letterbox, TensorIds};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// How a model's outputs are attached.
pub struct OutputTensors {
    ids: TensorIds,
    quarks: Vec<Quark>,
    plan: Option<DecodePlan>,
    input: InputSpec,
    /// With the batch dimension.
    dims: Vec<Vec<usize>>,
}

impl OutputTensors {
    pub fn of(engine: &dyn Engine) -> Self {
        let head = engine.head();
        let (ids, plan) = (TensorIds::of(engine.info(), &**head), head.plan());
        let quarks = ids.outputs.iter().map(|tensor| Quark::from_str(&tensor.id)).collect();
        let shapes = engine.output_shapes();
        let dims = shapes.iter().enumerate().map(|(output, shape)| with_batch(&shape_in_frame(&plan, output, shape)));
        Self { dims: dims.collect(), ids, quarks, plan, input: engine.input().clone() }
    }

    /// The id of the model's input.
    pub fn input_id(&self) -> &str {
        &self.ids.input
    }

    /// Attaches the outputs of one region: as the model gives them, for any language; and for GStreamer's decoders, which
    /// know nothing of regions, with boxes and keypoints in pixels of the frame.
    pub fn attach(&self, buffer: &mut gst::BufferRef, model_id: &str, region: &Region, outputs: Vec<RawTensor>) {
        let letterbox = Letterbox::new(region.rect, &self.input);
        meta::attach_outputs(buffer, model_id, letterbox.region, region.object, &outputs);
        if !meta::gst_tensors_exist() {
            return;
        }
        let outputs = outputs.into_iter().zip(&self.ids.outputs).zip(&self.quarks).enumerate();
        let tensors = outputs.map(|(index, ((output, tensor), quark))| {
            let RawTensor { shape, mut data, .. } = output;
            if let Some(plan) = &self.plan {
                plan.place_in_frame(index, &shape, &mut data, &letterbox);
            }
            let dims = with_batch(&shape_in_frame(&self.plan, index, &shape));
            GstTensor::of_floats(*quark, tensor.order, dims, data)
        });
        meta::attach_gst_tensors(buffer, tensors.collect());
    }
}

fn shape_in_frame(plan: &Option<DecodePlan>, output: usize, shape: &[usize]) -> Vec<usize> {
    plan.as_ref().map_or_else(|| shape.to_vec(), |plan| plan.shape_in_frame(output, shape))
}

fn with_batch(shape: &[usize]) -> Vec<usize> {
    [1].into_iter().chain(shape.iter().copied()).collect()
}

/// The caps with which the frames leave.
#[derive(Default)]
pub struct TensorCaps(Mutex<State>);

#[derive(Default)]
struct State {
    incoming: Option<gst::Caps>,
    outgoing: Option<gst::Caps>,
    /// The model whose outputs the caps announce; `None`: none.
    model: Option<Weak<Opened>>,
}

impl TensorCaps {
    /// The caps for frames that come with `incoming` and leave with the outputs of `model`.
    pub fn set(&self, incoming: gst::Caps, model: Option<&Arc<Opened>>) -> gst::Caps {
        let mut state = self.0.lock();
        let outgoing = outgoing(&incoming, model);
        *state = State { incoming: Some(incoming), outgoing: Some(outgoing.clone()), model: model.map(Arc::downgrade) };
        outgoing
    }

    /// The new caps if frames from now on leave with the outputs of another model, or no longer with any.
    pub fn update(&self, model: Option<&Arc<Opened>>) -> Option<gst::Caps> {
        let mut state = self.0.lock();
        let same = match (&state.model, model) {
            (Some(before), Some(model)) => before.as_ptr() == Arc::as_ptr(model),
            (None, None) => true,
            _ => false,
        };
        if same {
            return None;
        }
        state.model = model.map(Arc::downgrade);
        let caps = outgoing(state.incoming.as_ref()?, model);
        (state.outgoing.replace(caps.clone()).as_ref() != Some(&caps)).then_some(caps)
    }
}

fn outgoing(incoming: &gst::Caps, model: Option<&Arc<Opened>>) -> gst::Caps {
    let mut caps = incoming.clone();
    if let Some(model) = model {
        let before = caps.structure(0).and_then(|structure| structure.get::<gst::Structure>(TENSORS).ok());
        let OutputTensors { ids, dims, .. } = &model.tensors;
        if let Some(groups) = meta::tensor_groups(before, ids, dims) {
            caps.make_mut().set(TENSORS, groups);
        }
    }
    caps
}
