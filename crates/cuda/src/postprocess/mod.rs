//! From a model's outputs on the device to results in host memory: decoding, suppression and mapping to the frame.

mod arguments;
mod masks;
mod output;
mod results;

pub use output::DeviceOutput;
pub use results::SlotResult;

use super::error::{Error, ErrorKind};
use super::kernels::Kernels;
use super::layout::{
    Candidates, EmbeddingArgs, FinishArgs, MAX_CANDIDATES, ResultObject, SUPPRESS_ORIENTED, SUPPRESS_UPRIGHT,
    SlotParams, SlotSource, results_stride, vector_stride,
};
use super::memory::{DeviceAllocator, DeviceBuffer, MappedBuffer, Table};
use super::stream::CudaStream;
use arguments::{Capacity, Decode, arguments, capacity, scratch};
use masks::Masks;
use model::head::{DecodePlan, MaskPlan, Scale, ScoreScale};
use model::{Letterbox, Params};
use std::sync::Arc;

/// The corners of an oriented box, and the coordinates of each.
const CORNERS: usize = 4;
const CORNER_VALUES: usize = 2;

/// The inputs, besides the model's outputs, on which a slot's results depend.
#[derive(Debug, Clone, Copy)]
pub struct SlotSettings<'a> {
    /// Thresholds and filters.
    pub params: &'a Params,
    /// Where the frame's region lies in the model's input.
    pub letterbox: &'a Letterbox,
    /// Size of the frame, pixels.
    pub frame: (u32, u32),
}

/// A lane's parameters, candidates and results, and the kernels that follow a model.
#[derive(Debug)]
pub struct Postprocessor {
    kernels: Arc<Kernels>,
    decode: Decode,
    finish: FinishArgs,
    masks: Option<Masks>,
    /// The most candidates that the head keeps, whatever `max_detections` is.
    kept: usize,
    /// Of each object; the corners of oriented boxes come as keypoints too.
    keypoints: usize,
    oriented: bool,
    /// Values of an embedding; 0 for other heads.
    vector: usize,
    /// How a classifier's values are scaled.
    scale: Option<ScoreScale>,
    classes: usize,
    batch: usize,
    params: MappedBuffer,
    /// The parameters that each slot's table was last written from.
    written: Vec<Option<Params>>,
    thresholds: Vec<f32>,
    /// Scratch space for the objects of the slot that was read last.
    objects: Vec<ResultObject>,
    points: Vec<[f32; 3]>,
    results: MappedBuffer,
    /// Contains parameters, counts, keys, boxes, classes and what the decoding kernels share, in this order.
    workspace: DeviceBuffer,
}

impl Postprocessor {
    /// For batches of at most `batch` images and a head with `classes` classes. The outputs' addresses must not change.
    ///
    /// # Errors
    /// The outputs don't match the plan, or memory ran out.
    pub fn new<R: DeviceAllocator + 'static>(
        allocator: &Arc<R>,
        kernels: &Arc<Kernels>,
        plan: &DecodePlan,
        (classes, needs_nms): (usize, bool),
        outputs: &[DeviceOutput],
        batch: usize,
    ) -> Result<Self, Error> {
        let oriented = matches!(plan, DecodePlan::Oriented { .. });
        let keypoints = if oriented { CORNERS } else { plan.keypoints() };
        let (vector, scale) = match plan {
            DecodePlan::Embedding { size, .. } => (*size, None),
            DecodePlan::Classes(plan) => (0, Some(plan.scale.clone())),
            _ => (0, None),
        };
        let table = classes + usize::from(scale.is_some());
        let params_stride = (size_of::<SlotParams>() + table * size_of::<f32>()).next_multiple_of(128);
        let Capacity { candidates, boxes, kept } = capacity(plan, outputs)?;
        let results_stride = match vector {
            0 => results_stride(candidates.min(MAX_CANDIDATES), keypoints),
            values => vector_stride(values),
        };
        let params = MappedBuffer::new(kernels.context(), batch * params_stride)?;
        let results = MappedBuffer::new(kernels.context(), batch * results_stride)?;

        let mut bytes = 0;
        let mut part = |size: usize| {
            let start = bytes;
            bytes += size.next_multiple_of(256);
            start as u64
        };
        let staged = part(batch * params_stride);
        let counts = part(batch * size_of::<u32>());
        let keys = part(batch * candidates * size_of::<u64>());
        let boxes_at = part(batch * boxes * size_of::<[f32; 4]>());
        let classes_at = part(batch * boxes * size_of::<u32>());
        let shared = part(batch * scratch(plan, boxes));
        let workspace = DeviceBuffer::new(allocator, bytes)?;
        let out = Candidates {
            counts: workspace.address() + counts,
            keys: workspace.address() + keys,
            boxes: workspace.address() + boxes_at,
            classes: workspace.address() + classes_at,
            params: workspace.address() + staged,
            params_stride: params_stride as u32,
            capacity: candidates as u32,
        };
        let (decode, finish) = arguments(plan, outputs, out, workspace.address() + shared)?;
        let finish = FinishArgs {
            results: results.address(),
            results_stride: results_stride as u32,
            suppress: match (needs_nms, oriented) {
                (false, _) => 0,
                (true, false) => SUPPRESS_UPRIGHT,
                (true, true) => SUPPRESS_ORIENTED,
            },
            keypoints: keypoints as u32,
            ..finish
        };
        let decode = match decode {
            Decode::Embedding(args) => Decode::Embedding(EmbeddingArgs {
                params: out.params,
                params_stride: out.params_stride,
                results: finish.results,
                results_stride: finish.results_stride,
                ..args
            }),
            decode => decode,
        };
        Ok(Self {
            kernels: kernels.clone(),
            decode,
            finish,
            masks: None,
            kept,
            keypoints,
            oriented,
            vector,
            scale,
            classes,
            batch,
            params,
            written: vec![None; batch],
            thresholds: Vec::with_capacity(table),
            objects: Vec::with_capacity(MAX_CANDIDATES),
            points: Vec::with_capacity(MAX_CANDIDATES * keypoints),
            results,
            workspace,
        })
    }

    /// The same with the masks of objects, which the plan says how to make of these outputs.
    ///
    /// # Errors
    /// The outputs don't match the plan, or memory ran out.
    pub fn with_masks<R: DeviceAllocator + 'static>(
        mut self,
        allocator: &Arc<R>,
        plan: &MaskPlan,
        outputs: &[DeviceOutput],
    ) -> Result<Self, Error> {
        let most = self.kept.min(MAX_CANDIDATES);
        let masks = Masks::new(allocator, &self.kernels, plan, outputs, (&self.finish, self.batch, most))?;
        self.finish.kept = masks.args.kept;
        self.masks = Some(masks);
        Ok(self)
    }

    /// Sets a slot's thresholds, filters and geometry from the next launch on. Earlier launches must have completed.
    ///
    /// # Errors
    /// There is no such slot.
    pub fn set(&mut self, slot: usize, settings: SlotSettings<'_>) -> Result<(), Error> {
        let SlotSettings { params, letterbox, frame } = settings;
        if let Some(masks) = &mut self.masks {
            masks.place(slot, letterbox, frame);
        }
        let written = self.written.get_mut(slot).ok_or_else(|| no_slot(slot, self.batch))?;
        let at = slot * self.finish.input.params_stride as usize;
        let table = at + size_of::<SlotParams>();
        // Parameters rarely change from one batch to the next.
        if written.as_ref() != Some(params) {
            self.thresholds.clear();
            self.thresholds
                .extend((0..self.classes as u32).map(|class| params.threshold(class).unwrap_or(f32::INFINITY)));
            if let Some(scale) = &self.scale {
                self.thresholds.push(if scale.get() == Some(Scale::Logits) { 1.0 } else { 0.0 });
            }
            self.params.write(table, &self.thresholds)?;
            *written = Some(params.clone());
        }
        let other = if params.classes.is_some() { f32::INFINITY } else { params.confidence };
        let scale = |size: f32, resized: u32| f64::from(size) / f64::from(resized.max(1));
        let head = SlotParams {
            x_scale: scale(letterbox.region.w, letterbox.width),
            y_scale: scale(letterbox.region.h, letterbox.height),
            x_start: letterbox.region.x,
            y_start: letterbox.region.y,
            left: letterbox.left,
            top: letterbox.top,
            frame_width: frame.0,
            frame_height: frame.1,
            min_width: params.min_size.0,
            min_height: params.min_size.1,
            max_width: params.max_size.0,
            max_height: params.max_size.1,
            iou: params.iou,
            class_agnostic: u32::from(params.class_agnostic),
            max_detections: params.max_detections.min(self.kept).min(MAX_CANDIDATES) as u32,
            // No threshold that the kernels look up is lower.
            lowest: params.class_confidence.values().copied().fold(params.confidence, f32::min),
            other,
            classes: self.classes as u32,
        };
        self.params.write(at, &[head])
    }

    /// Makes a slot find nothing, for slots of a batch that stay empty.
    ///
    /// # Errors
    /// There is no such slot.
    pub fn clear(&mut self, slot: usize) -> Result<(), Error> {
        *self.written.get_mut(slot).ok_or_else(|| no_slot(slot, self.batch))? = None;
        let nothing = SlotParams { lowest: f32::INFINITY, other: f32::INFINITY, ..SlotParams::default() };
        self.params.write(slot * self.finish.input.params_stride as usize, &[nothing])
    }

    /// The parameters that must be on the device, and the address of the counters that must be 0, before
    /// [`Self::enqueue`]'s work runs.
    ///
    /// # Errors
    /// Only if the batch is larger than this was created for.
    pub(super) fn prepared(&self, batch: usize) -> Result<(Table, u64), Error> {
        let Candidates { counts, params_stride, .. } = self.finish.input;
        // The parameters are at the start of the workspace.
        let table = self.params.table(&self.workspace, batch.min(self.batch) * params_stride as usize)?;
        Ok((table, counts))
    }

    /// Queues the decoding of the first `batch` slots' outputs. [`crate::Preprocessor::enqueue`] must have been queued
    /// with this chain before.
    ///
    /// # Errors
    /// A device failure.
    ///
    /// # Safety
    /// The outputs given to [`Self::new`] and `self` stay valid until the launch, or every launch of a graph that
    /// captures it, has run.
    pub unsafe fn enqueue(&self, stream: &CudaStream, batch: usize) -> Result<(), Error> {
        let batch = batch.min(self.batch) as u32;
        let kernels = &self.kernels;
        // SAFETY: the caller vouches for the outputs, whose shapes were checked; `self` owns the rest.
        unsafe {
            match &self.decode {
                Decode::Columns(args) => kernels.decode_columns(stream, **args, batch)?,
                Decode::Rows(args) => kernels.decode_rows(stream, **args, batch)?,
                Decode::Distributions(args) => kernels.decode_distributions(stream, **args, batch)?,
                Decode::Objects(args) => kernels.decode_objects(stream, *args, batch)?,
                Decode::Oriented(args) => kernels.decode_oriented(stream, *args, batch)?,
                Decode::Queries(args) => kernels.decode_queries(stream, *args, batch)?,
                Decode::Persons(args) => kernels.decode_persons(stream, *args, batch)?,
                Decode::Classes(args) => kernels.decode_classes(stream, *args, batch)?,
                Decode::Embedding(args) => return kernels.embed(stream, *args, batch),
                Decode::Peaks(args) => {
                    let (peaks, person) = **args;
                    kernels.decode_peaks(stream, peaks, batch)?;
                    kernels.decode_person(stream, person, batch)?;
                }
            }
            kernels.finish(stream, self.finish, batch)?;
            match &self.masks {
                Some(masks) => kernels.masks(stream, masks.args, batch),
                None => Ok(()),
            }
        }
    }

    /// Bytes that a launch copies to the device for `batch` slots: sources and parameters.
    pub fn bytes_to_device(&self, batch: usize) -> usize {
        batch * (size_of::<SlotSource>() + self.finish.input.params_stride as usize)
    }

    /// Bytes of device memory and of mapped memory that this uses.
    pub fn bytes(&self) -> (usize, usize) {
        let (device, mapped) = self.masks.as_ref().map_or((0, 0), Masks::bytes);
        (self.workspace.bytes() + device, self.params.bytes() + self.results.bytes() + mapped)
    }
}

fn no_slot(slot: usize, batch: usize) -> Error {
    failed(format!("there is no slot {slot} in a batch of {batch}"))
}

fn failed(message: String) -> Error {
    Error::new(ErrorKind::Failed, message)
}
