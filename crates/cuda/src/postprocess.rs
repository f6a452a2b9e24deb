//! From a model's outputs on the device to results in host memory: decoding, suppression and mapping to the frame.

use super::error::{Error, ErrorKind};
use super::kernels::Kernels;
use super::layout::{
    Candidates, ColumnsArgs, FinishArgs, KEYPOINTS_AT, Level, MAX_CANDIDATES, ObjectsArgs, PersonsArgs, ResultHeader,
    ResultObject, RowsArgs, SlotParams, SlotSource, results_stride,
};
use super::memory::{DeviceAllocator, DeviceBuffer, MappedBuffer, Table};
use super::stream::CudaStream;
use bytemuck::Zeroable;
use model::head::{BoxCoding, DecodeLevel, DecodePlan};
use model::{Detection, ElementType, Keypoint, Letterbox, Params, Rect};
use std::mem::offset_of;
use std::sync::Arc;

/// Values per MoveNet keypoint: y, x, score.
const PERSON_VALUES: u32 = 3;
/// Values per person in the output of MoveNet's multi-pose model.
const PERSON: u32 = 17 * PERSON_VALUES + 5;

/// One of a model's outputs in device memory.
#[derive(Debug, Clone)]
pub struct DeviceOutput {
    /// Where the tensor starts.
    pub address: u64,
    /// F32 or F16.
    pub element: ElementType,
    /// Without the batch dimension.
    pub shape: Vec<usize>,
}

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

/// The results of one slot.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SlotResult {
    /// Normalised to the frame, in order of descending confidence.
    pub detections: Vec<Detection>,
    /// Number of candidates that passed the thresholds.
    pub candidates: u32,
    /// How many of them were considered: at most the best [`MAX_CANDIDATES`].
    pub considered: u32,
}

/// The kernel that finds candidates, with its arguments.
#[derive(Debug, Clone)]
enum Decode {
    Columns(ColumnsArgs),
    Rows(Box<RowsArgs>),
    Objects(ObjectsArgs),
    Persons(PersonsArgs),
}

/// A lane's parameters, candidates and results, and the kernels that follow a model.
#[derive(Debug)]
pub struct Postprocessor {
    kernels: Arc<Kernels>,
    decode: Decode,
    finish: FinishArgs,
    keypoints: usize,
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
    /// Contains parameters, counts, keys, boxes and classes, in this order.
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
        let keypoints = plan.keypoints();
        let params_stride = (size_of::<SlotParams>() + classes * size_of::<f32>()).next_multiple_of(128);
        let capacity = capacity(plan, outputs)?;
        let params = MappedBuffer::new(kernels.context(), batch * params_stride)?;
        let results = MappedBuffer::new(kernels.context(), batch * results_stride(keypoints))?;

        let mut bytes = 0;
        let mut part = |size: usize| {
            let start = bytes;
            bytes += size.next_multiple_of(256);
            start as u64
        };
        let places = batch * capacity;
        let staged = part(batch * params_stride);
        let counts = part(batch * size_of::<u32>());
        let keys = part(places * size_of::<u64>());
        let boxes = part(places * size_of::<[f32; 4]>());
        let classes_at = part(places * size_of::<u32>());
        let workspace = DeviceBuffer::new(allocator, bytes)?;
        let out = Candidates {
            counts: workspace.address() + counts,
            keys: workspace.address() + keys,
            boxes: workspace.address() + boxes,
            classes: workspace.address() + classes_at,
            params: workspace.address() + staged,
            params_stride: params_stride as u32,
            capacity: capacity as u32,
        };
        let (decode, finish) = arguments(plan, outputs, out)?;
        let finish = FinishArgs {
            results: results.address(),
            results_stride: results_stride(keypoints) as u32,
            suppress: u32::from(needs_nms),
            keypoints: keypoints as u32,
            ..finish
        };
        Ok(Self {
            kernels: kernels.clone(),
            decode,
            finish,
            keypoints,
            classes,
            batch,
            params,
            written: vec![None; batch],
            thresholds: Vec::with_capacity(classes),
            objects: Vec::with_capacity(MAX_CANDIDATES),
            points: Vec::with_capacity(MAX_CANDIDATES * keypoints),
            results,
            workspace,
        })
    }

    /// Sets a slot's thresholds, filters and geometry from the next launch on. Earlier launches must have completed.
    ///
    /// # Errors
    /// There is no such slot.
    pub fn set(&mut self, slot: usize, settings: SlotSettings<'_>) -> Result<(), Error> {
        let SlotSettings { params, letterbox, frame } = settings;
        let written = self.written.get_mut(slot).ok_or_else(|| no_slot(slot, self.batch))?;
        let at = slot * self.finish.input.params_stride as usize;
        let table = at + size_of::<SlotParams>();
        // Parameters rarely change from one batch to the next.
        if written.as_ref() != Some(params) {
            self.thresholds.clear();
            self.thresholds
                .extend((0..self.classes as u32).map(|class| params.threshold(class).unwrap_or(f32::INFINITY)));
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
            max_detections: params.max_detections.min(MAX_CANDIDATES) as u32,
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
                Decode::Columns(args) => kernels.decode_columns(stream, *args, batch)?,
                Decode::Rows(args) => kernels.decode_rows(stream, **args, batch)?,
                Decode::Objects(args) => kernels.decode_objects(stream, *args, batch)?,
                Decode::Persons(args) => kernels.decode_persons(stream, *args, batch)?,
            }
            kernels.finish(stream, self.finish, batch)
        }
    }

    /// Resets the first `batch` slots' flags; call it before a launch that [`Self::is_ready`] is to wait for.
    ///
    /// # Errors
    /// The batch is larger than this was created for.
    pub fn expect(&mut self, batch: usize) -> Result<(), Error> {
        (0..batch).try_for_each(|slot| self.results.write(self.ready_at(slot), &[0u32]))
    }

    /// Whether a launch of the first `batch` slots has completed. This doesn't call the driver, so it stays false when
    /// the device has failed.
    #[inline]
    pub fn is_ready(&self, batch: usize) -> bool {
        (0..batch).all(|slot| self.results.poll(self.ready_at(slot)) == Some(1))
    }

    fn ready_at(&self, slot: usize) -> usize {
        slot * self.finish.results_stride as usize + offset_of!(ResultHeader, ready)
    }

    /// Reads a slot's results, once they are [ready](Self::is_ready) or an event recorded behind the launch has
    /// completed.
    ///
    /// # Errors
    /// There is no such slot.
    pub fn results(&mut self, slot: usize, found: &mut SlotResult) -> Result<(), Error> {
        if slot >= self.batch {
            return Err(no_slot(slot, self.batch));
        }
        let at = slot * self.finish.results_stride as usize;
        let mut header = [ResultHeader::default()];
        self.results.read(at, &mut header)?;
        let [header] = header;
        let count = (header.objects as usize).min(MAX_CANDIDATES);
        self.objects.resize(count, ResultObject::zeroed());
        self.results.read(at + size_of::<ResultHeader>(), &mut self.objects)?;
        self.points.resize(count * self.keypoints, [0.0; 3]);
        self.results.read(at + KEYPOINTS_AT, &mut self.points)?;

        let mut points = self.points.iter().map(|&[x, y, confidence]| Keypoint { x, y, confidence });
        found.detections.clear();
        found.detections.extend(self.objects.iter().map(|object| Detection {
            rect: Rect::new(object.x, object.y, object.width, object.height),
            class_id: object.class_id,
            confidence: object.confidence,
            keypoints: points.by_ref().take(self.keypoints).collect(),
        }));
        (found.candidates, found.considered) = (header.candidates, header.considered);
        Ok(())
    }

    /// Bytes that a launch copies to the device for `batch` slots: sources and parameters.
    pub fn bytes_to_device(&self, batch: usize) -> usize {
        batch * (size_of::<SlotSource>() + self.finish.input.params_stride as usize)
    }

    /// Bytes of a slot's results that are transferred to the host.
    pub fn bytes_to_host(&self, found: &SlotResult) -> usize {
        let object = size_of::<ResultObject>() + self.keypoints * size_of::<[f32; 3]>();
        size_of::<ResultHeader>() + found.detections.len() * object
    }

    /// Bytes of device memory and of mapped memory that this uses.
    pub fn bytes(&self) -> (usize, usize) {
        (self.workspace.bytes(), self.params.bytes() + self.results.bytes())
    }
}

/// Whether a kernel decodes this layout.
pub fn decodes(plan: &DecodePlan) -> bool {
    match plan {
        DecodePlan::Anchors { .. } | DecodePlan::Distributions { .. } | DecodePlan::Persons { .. } => true,
        DecodePlan::Objects { coding, .. } => *coding == BoxCoding::CORNERS,
        DecodePlan::Split { .. } | DecodePlan::Queries(_) | DecodePlan::Dense(_) => false,
    }
}

/// The most candidates that an image can have.
fn capacity(plan: &DecodePlan, outputs: &[DeviceOutput]) -> Result<usize, Error> {
    Ok(match plan {
        &DecodePlan::Anchors { output, channels_first: true, .. } => matrix(outputs, output)?.1,
        &DecodePlan::Anchors { output, .. } | &DecodePlan::Objects { output, .. } => matrix(outputs, output)?.0,
        DecodePlan::Distributions { levels, .. } => levels.iter().map(|level| level.cells).sum(),
        DecodePlan::Persons { many, .. } => {
            if *many {
                6
            } else {
                1
            }
        }
        DecodePlan::Split { .. } | DecodePlan::Queries(_) | DecodePlan::Dense(_) => return Err(undecoded(plan)),
    })
}

fn undecoded(plan: &DecodePlan) -> Error {
    failed(format!("no kernel decodes {plan:?}"))
}

/// The arguments of the decoding kernel, and those arguments of the last kernel that depend on the plan.
fn arguments(plan: &DecodePlan, outputs: &[DeviceOutput], out: Candidates) -> Result<(Decode, FinishArgs), Error> {
    let finish = FinishArgs { input: out, x_unit: 1.0, y_unit: 1.0, ..FinishArgs::default() };
    match plan {
        &DecodePlan::Anchors { output, channels_first, classes, keypoints } => {
            let tensor = find(outputs, output)?;
            let (size, half) = element(tensor)?;
            let (rows, columns) = matrix(outputs, output)?;
            let (count, dims) = keypoints.unwrap_or((0, 0));
            let channels = 4 + classes + count * dims;
            let (found, anchors) = if channels_first { (rows, columns) } else { (columns, rows) };
            if found != channels {
                return Err(unexpected(tensor, &format!("{channels} channels")));
            }
            let slot_stride = (channels * anchors) as u64;
            // Elements from one channel, and from one anchor, to the next.
            let (channel, anchor) = if channels_first { (anchors, 1) } else { (1, channels) };
            let finish = FinishArgs {
                dimensions: dims as u32,
                data: keypoints_at(tensor, (4 + classes) * channel * size, count),
                slot_stride,
                half,
                anchor_stride: anchor as u32,
                keypoint_stride: (dims * channel) as u32,
                value_stride: channel as u32,
                ..finish
            };
            if channels_first {
                let args = ColumnsArgs {
                    out,
                    data: tensor.address,
                    slot_stride,
                    half,
                    anchors: anchors as u32,
                    classes: classes as u32,
                    reserved: 0,
                };
                return Ok((Decode::Columns(args), finish));
            }
            let level = Level {
                scores: tensor.address + 4 * size as u64,
                boxes: tensor.address,
                scores_slot: slot_stride,
                boxes_slot: slot_stride,
                scores_row: channels as u32,
                boxes_row: channels as u32,
                first: 0,
                anchors: anchors as u32,
                columns: 1,
                stride: 1.0,
            };
            let levels = [level, Level::zeroed(), Level::zeroed(), Level::zeroed()];
            let args = RowsArgs { out, levels, level_count: 1, half, classes: classes as u32, ..RowsArgs::default() };
            Ok((Decode::Rows(Box::new(args)), finish))
        }
        &DecodePlan::Objects { output, keypoints, coding } => {
            if coding != BoxCoding::CORNERS {
                return Err(undecoded(plan));
            }
            let tensor = find(outputs, output)?;
            let (size, half) = element(tensor)?;
            let (rows, columns) = matrix(outputs, output)?;
            let (count, dims) = keypoints.unwrap_or((0, 0));
            if columns != 6 + count * dims {
                return Err(unexpected(tensor, &format!("{} columns", 6 + count * dims)));
            }
            let slot_stride = (rows * columns) as u64;
            let args = ObjectsArgs {
                out,
                data: tensor.address,
                slot_stride,
                half,
                rows: rows as u32,
                columns: columns as u32,
                reserved: 0,
            };
            let finish = FinishArgs {
                dimensions: dims as u32,
                data: keypoints_at(tensor, 6 * size, count),
                slot_stride,
                half,
                anchor_stride: columns as u32,
                keypoint_stride: dims as u32,
                value_stride: 1,
                ..finish
            };
            Ok((Decode::Objects(args), finish))
        }
        DecodePlan::Distributions { classes, bins, offset, width, height, levels } => {
            let mut args = RowsArgs {
                out,
                level_count: levels.len() as u32,
                classes: *classes as u32,
                bins: *bins as u32,
                offset: *offset,
                width: *width,
                height: *height,
                ..RowsArgs::default()
            };
            if levels.len() > args.levels.len() {
                return Err(failed(format!(
                    "the model has {} strides, the kernels support at most {}",
                    levels.len(),
                    args.levels.len()
                )));
            }
            let mut first = 0;
            for (place, level) in args.levels.iter_mut().zip(levels) {
                (*place, args.half) = distributions(level, outputs, *classes, *bins, first)?;
                first += level.cells;
            }
            Ok((Decode::Rows(Box::new(args)), finish))
        }
        &DecodePlan::Persons { output, many, width, height } => {
            let tensor = find(outputs, output)?;
            let (_, half) = element(tensor)?;
            let values = tensor.shape.iter().product::<usize>();
            let needed = if many { 6 * PERSON } else { 17 * PERSON_VALUES };
            if values != needed as usize {
                return Err(unexpected(tensor, &format!("{needed} values")));
            }
            let slot_stride = values as u64;
            let args =
                PersonsArgs { out, data: tensor.address, slot_stride, half, multi: u32::from(many), width, height };
            let finish = FinishArgs {
                least: u32::from(!many),
                dimensions: PERSON_VALUES,
                y_first: 1,
                data: tensor.address,
                slot_stride,
                half,
                anchor_stride: PERSON,
                keypoint_stride: PERSON_VALUES,
                value_stride: 1,
                x_unit: width,
                y_unit: height,
                ..finish
            };
            Ok((Decode::Persons(args), finish))
        }
        DecodePlan::Split { .. } | DecodePlan::Queries(_) | DecodePlan::Dense(_) => Err(undecoded(plan)),
    }
}

/// One level of distributions, given the index of its first anchor, and whether its tensors are F16.
fn distributions(
    level: &DecodeLevel,
    outputs: &[DeviceOutput],
    classes: usize,
    bins: usize,
    first: usize,
) -> Result<(Level, u32), Error> {
    let (scores, boxes) = (find(outputs, level.scores)?, find(outputs, level.boxes)?);
    let ((size, half), (_, boxes_half)) = (element(scores)?, element(boxes)?);
    if half != boxes_half {
        return Err(unexpected(boxes, "the element type of the scores"));
    }
    let together = level.scores == level.boxes;
    let (scores_row, boxes_row) = if together { (classes + 4 * bins, classes + 4 * bins) } else { (classes, 4 * bins) };
    for (tensor, index, row) in [(scores, level.scores, scores_row), (boxes, level.boxes, boxes_row)] {
        let (rows, columns) = matrix(outputs, index)?;
        if columns != row || level.first + level.cells > rows {
            return Err(unexpected(tensor, &format!("[{}, {row}]", level.first + level.cells)));
        }
    }
    let address = |tensor: &DeviceOutput, row: usize, column: usize| {
        tensor.address + ((level.first * row + column) * size) as u64
    };
    let slot = |tensor: &DeviceOutput| tensor.shape.iter().product::<usize>() as u64;
    let level = Level {
        scores: address(scores, scores_row, 0),
        boxes: address(boxes, boxes_row, if together { classes } else { 0 }),
        scores_slot: slot(scores),
        boxes_slot: slot(boxes),
        scores_row: scores_row as u32,
        boxes_row: boxes_row as u32,
        first: first as u32,
        anchors: level.cells as u32,
        columns: level.columns.max(1) as u32,
        stride: level.stride as f32,
    };
    Ok((level, half))
}

/// Address of an output's keypoints; 0 if there are none, because the address would lie beyond the output.
fn keypoints_at(output: &DeviceOutput, offset: usize, count: usize) -> u64 {
    if count == 0 { 0 } else { output.address + offset as u64 }
}

fn find(outputs: &[DeviceOutput], index: usize) -> Result<&DeviceOutput, Error> {
    outputs.get(index).ok_or_else(|| failed(format!("output {index} is missing, the model has {}", outputs.len())))
}

fn matrix(outputs: &[DeviceOutput], index: usize) -> Result<(usize, usize), Error> {
    let output = find(outputs, index)?;
    match *output.shape {
        [rows, columns] => Ok((rows, columns)),
        _ => Err(unexpected(output, "two dimensions")),
    }
}

/// Bytes per element, and whether it is F16.
fn element(output: &DeviceOutput) -> Result<(usize, u32), Error> {
    match output.element {
        ElementType::F32 => Ok((4, 0)),
        ElementType::F16 => Ok((2, 1)),
        _ => Err(unexpected(output, "F32 or F16")),
    }
}

fn unexpected(output: &DeviceOutput, wanted: &str) -> Error {
    failed(format!("a model output is {:?} of {:?}, expected {wanted}", output.shape, output.element))
}

fn no_slot(slot: usize, batch: usize) -> Error {
    failed(format!("there is no slot {slot} in a batch of {batch}"))
}

fn failed(message: String) -> Error {
    Error::new(ErrorKind::Failed, message)
}
