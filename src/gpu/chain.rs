//! One lane's work on the device, from frames to results: preprocessing, the model and decoding, as one captured graph
//! per batch size.
//!
//! A [`Chain`] owns all memory that its kernels and graphs use, and holds the frames of a batch until the device is
//! done with them. It runs one batch at a time: [`Chain::show`] (or [`Chain::show_tensor`]) for each slot,
//! [`Chain::run`], then [`Chain::results`]. A slot's table entry says whether it contains a frame or a ready tensor, so
//! one graph per batch size serves both.

mod alone;

use super::network::{Binding, Constant, Inputs, Network};
use super::tensors::ReadyTensor;
use super::values::bytes;
use super::wait_until;
use crate::error::{Error, ErrorKind};
use crate::gst_cuda::MappedFrame;
use crate::infer::Tensor;
use crate::scheduling::CompletionWait;
use cuda::{
    Context, ContextBound, CudaStream, DeviceAllocator, DeviceBuffer, DeviceOutput, Event, Graph, Kernels,
    Postprocessor, Preprocessor, SlotResult, SlotSettings, SlotSource, Traffic,
};
use model::head::{DecodePlan, MaskPlan};
use model::{ElementType, InputSpec, Letterbox, Params, Rect};
use std::ffi::CString;
use std::sync::Arc;
use tensorrt;

/// The parameters of a chain.
#[derive(Debug)]
pub struct ChainSpec<'a> {
    pub input: &'a InputSpec,
    /// The image's name in the engine.
    pub input_name: &'a CString,
    /// All of the engine's other inputs.
    pub constants: &'a [ChainConstant],
    /// All of the engine's outputs.
    pub outputs: &'a [ChainOutput],
    pub plan: &'a DecodePlan,
    pub classes: usize,
    /// Where the masks of objects are, if the model has masks.
    pub masks: Option<MaskPlan>,
    /// Whether overlapping boxes must be suppressed after decoding.
    pub needs_nms: bool,
    /// Minimum and maximum number of images in a batch.
    pub batch: (usize, usize),
    /// Bytes of scratch memory that the model needs for any batch.
    pub scratch: usize,
}

/// One of an engine's outputs.
#[derive(Debug, Clone)]
pub struct ChainOutput {
    pub name: CString,
    pub element: ElementType,
    /// Without the batch dimension.
    pub shape: Vec<usize>,
}

impl ChainOutput {
    /// Bytes per image.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.element.size()
    }
}

/// An input with the same row of values for each image of a batch.
#[derive(Debug, Clone)]
pub struct ChainConstant {
    pub name: CString,
    pub element: ElementType,
    pub values: Vec<f32>,
    /// Its number of rows, if that doesn't depend on the batch.
    pub rows: Option<usize>,
}

/// One batch size that is ready to run.
#[derive(Debug)]
struct PreparedBatch {
    batch: usize,
    /// Declared before the network, from which it was captured, so that it is dropped first. `None`: the kernels are
    /// launched one by one.
    graph: Option<Graph>,
    network: Network,
    wait: CompletionWait,
}

/// The batch sizes that can be run.
#[derive(Debug)]
enum PreparedBatches {
    /// In ascending order of batch size.
    PerSize(Vec<PreparedBatch>),
    /// One context that is reshaped for each batch, for TensorRT releases whose contexts can't share a profile.
    Reshaped(Network),
}

/// See the module's documentation.
pub struct Chain {
    // The fields are dropped in this order.
    prepared: ContextBound<PreparedBatches>,
    body: Body,
}

/// Everything except the models.
struct Body {
    // The fields are dropped in this order.
    /// The frames in the slots of the current batch, held until the device is done with them.
    frames: Vec<MappedFrame>,
    tensors: Vec<Arc<Tensor>>,
    preprocessor: Preprocessor,
    postprocessor: Postprocessor,
    inputs: Arc<Inputs>,
    outputs: Vec<Binding>,
    scratch: Arc<DeviceBuffer>,
    image: InputSpec,
    /// Minimum and maximum number of images.
    batch: (usize, usize),
    /// Recorded behind a producer's work on its frame.
    produced: Event,
    done: Event,
    stream: CudaStream,
    kernels: Arc<Kernels>,
}

impl Chain {
    /// Allocates the memory; [`Self::add`] or [`Self::add_reshaped`] then make the chain ready to run.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`], or outputs that don't match the plan.
    pub fn new<R: DeviceAllocator + 'static>(
        allocator: &Arc<R>,
        kernels: &Arc<Kernels>,
        spec: &ChainSpec<'_>,
    ) -> Result<Self, Error> {
        let body = Body::new(allocator, kernels, spec)?;
        Ok(Self { prepared: ContextBound::new(kernels.context(), PreparedBatches::PerSize(Vec::new())), body })
    }

    fn context(&self) -> &Arc<Context> {
        self.body.stream.context()
    }

    /// Prepares one batch size: binds a separate context to it, runs everything once, captures it and launches the
    /// graph once. `shape` is the shape of the model's input for that batch. The context is never reshaped or rebound.
    ///
    /// A model that can't be captured (because its steps synchronise on the host) is launched kernel by kernel; the
    /// reason is returned.
    ///
    /// # Errors
    /// Memory ran out, TensorRT failed, or the device failed.
    pub fn add(
        &mut self,
        make: impl Fn() -> Result<tensorrt::Context, tensorrt::Error>,
        batch: usize,
        shape: &[i64],
    ) -> Result<Option<Error>, Error> {
        let context = Arc::clone(self.context());
        let _current = context.enter()?;
        let body = &mut self.body;
        let mut network = body.bind(make()?, shape)?;
        body.leave_all_empty(batch)?;
        body.launch_plainly(&mut network, batch)?;
        let captured = body.capture(|| body.enqueue(&mut network, batch));
        let (graph, reason) = match captured {
            Ok(mut graph) => {
                // The first launch uploads the graph to the device.
                // SAFETY: `self` owns the memory that the kernels use, and `network` the model's.
                unsafe { graph.launch(&body.stream) }?;
                body.wait()?;
                (Some(graph), None)
            }
            Err(error) if error.kind == ErrorKind::Memory => return Err(error),
            Err(error) => {
                body.stream.synchronise()?;
                // A failed capture leaves the context in an undefined state.
                drop(network);
                network = body.bind(make()?, shape)?;
                body.launch_plainly(&mut network, batch)?;
                (None, Some(error))
            }
        };
        if let PreparedBatches::PerSize(prepared) = &mut *self.prepared {
            prepared.push(PreparedBatch { batch, graph, network, wait: CompletionWait::new(batch) });
            prepared.sort_by_key(|ready| ready.batch);
        }
        Ok(reason)
    }

    /// Prepares every batch up to the largest with one context on its own profile, which is reshaped for each batch and
    /// launched without a graph. `shape` is the shape of the model's input for the largest batch.
    ///
    /// # Errors
    /// As for [`Self::add`].
    pub fn add_reshaped(&mut self, mut made: tensorrt::Context, profile: u32, shape: &[i64]) -> Result<(), Error> {
        let context = Arc::clone(self.context());
        let _current = context.enter()?;
        let batch = self.body.batch.1;
        let body = &mut self.body;
        if profile > 0 {
            Network::choose_profile(&mut made, profile, &body.stream)?;
        }
        let mut network = body.bind(made, shape)?;
        body.leave_all_empty(batch)?;
        body.launch_plainly(&mut network, batch)?;
        *self.prepared = PreparedBatches::Reshaped(network);
        Ok(())
    }

    /// Number of captured graphs.
    pub fn graphs(&self) -> usize {
        match &*self.prepared {
            PreparedBatches::PerSize(prepared) => prepared.iter().filter(|ready| ready.graph.is_some()).count(),
            PreparedBatches::Reshaped(_) => 0,
        }
    }

    /// Puts a region (in frame pixels) of a frame into a slot of the next batch, and holds the frame until the batch
    /// has run.
    ///
    /// # Errors
    /// The frame is in another context or the kernels can't read it, and the slot must be left empty; or the device
    /// failed.
    pub fn show(&mut self, slot: usize, frame: MappedFrame, region: Rect, params: &Params) -> Result<(), Error> {
        frame.check_context(self.context())?;
        let body = &mut self.body;
        let picture = *frame.picture();
        let source = SlotSource::picture(&picture, region, &body.image)?;
        frame.wait_for_producer(&body.produced, &body.stream)?;
        body.preprocessor.set(slot, &source)?;
        body.place(slot, region, (picture.width, picture.height), params)?;
        body.frames.push(frame);
        Ok(())
    }

    /// Like [`Self::show`], for a tensor that was made from that region of a frame of `size` pixels. Returns `false` if
    /// the tensor isn't on this device or doesn't fit the model; the frame must be shown instead.
    ///
    /// # Errors
    /// A device failure.
    pub fn show_tensor(
        &mut self,
        slot: usize,
        tensor: &Arc<Tensor>,
        size: (u32, u32),
        params: &Params,
    ) -> Result<bool, Error> {
        let Some(ReadyTensor { buffer, ready }) = ReadyTensor::of(&tensor.data) else { return Ok(false) };
        let needed = self.body.image.bytes();
        let here = Arc::ptr_eq(buffer.context(), self.context());
        if !here || tensor.spec != self.body.image || buffer.bytes() < needed {
            return Ok(false);
        }
        let body = &mut self.body;
        body.stream.wait(ready)?;
        body.preprocessor.set(slot, &SlotSource::tensor(buffer.address()))?;
        body.place(slot, tensor.region, size, params)?;
        body.tensors.push(Arc::clone(tensor));
        Ok(true)
    }

    /// Leaves a slot of the next batch without a picture, so that nothing is found in it.
    ///
    /// # Errors
    /// There is no such slot.
    pub fn leave_empty(&mut self, slot: usize) -> Result<(), Error> {
        self.body.leave_empty(slot)
    }

    /// Runs the first `slots` slots as the smallest prepared batch that holds them, waits for it and returns its size.
    /// `shape` returns the shape of the model's input for a number of images.
    ///
    /// # Errors
    /// The batch failed; none of its results is valid.
    pub fn run(&mut self, slots: usize, shape: impl FnOnce(usize) -> tensorrt::Shape) -> Result<usize, Error> {
        let ran = self.launch(slots, shape);
        if let Ok(batch) = ran {
            self.body.release();
            self.context()
                .count_traffic(Traffic { to_device: self.bytes_to_device(batch) as u64, ..Traffic::default() });
            return ran;
        }
        // A device failure is the cause of TensorRT's error, so it takes precedence.
        self.let_go().and(ran)
    }

    /// Releases the frames of a batch that won't be run, once the device no longer reads them.
    ///
    /// # Errors
    /// A device failure.
    pub fn let_go(&mut self) -> Result<(), Error> {
        let waited = self.body.stream.synchronise();
        self.body.release();
        Ok(waited?)
    }

    fn launch(&mut self, slots: usize, shape: impl FnOnce(usize) -> tensorrt::Shape) -> Result<usize, Error> {
        let context = Arc::clone(self.context());
        let _current = context.enter()?;
        let body = &mut self.body;
        let none = || Error::new(ErrorKind::Failed, format!("no batch of {slots} images is ready"));
        match &mut *self.prepared {
            PreparedBatches::PerSize(prepared) => {
                let ready = prepared.iter_mut().find(|ready| ready.batch >= slots).ok_or_else(none)?;
                (slots..ready.batch).try_for_each(|slot| body.leave_empty(slot))?;
                body.postprocessor.expect(ready.batch)?;
                match &mut ready.graph {
                    // SAFETY: `self` owns the memory that the kernels use, and the prepared batch's network the model's.
                    Some(graph) => unsafe { graph.launch(&body.stream) }?,
                    None => body.enqueue(&mut ready.network, ready.batch)?,
                }
                wait_until(&mut ready.wait, || body.postprocessor.is_ready(ready.batch), || body.wait())?;
                Ok(ready.batch)
            }
            PreparedBatches::Reshaped(_) if slots > body.batch.1 => Err(none()),
            PreparedBatches::Reshaped(network) => {
                let batch = slots.max(body.batch.0);
                (slots..batch).try_for_each(|slot| body.leave_empty(slot))?;
                network.reshape(&shape(batch))?;
                body.launch_plainly(network, batch)?;
                Ok(batch)
            }
        }
    }

    /// The error that left the chain's context unusable.
    pub fn failure(&self) -> Option<&cuda::Error> {
        self.context().failure()
    }

    /// Reads a slot's results after [`Self::run`].
    ///
    /// # Errors
    /// There is no such slot.
    pub fn results(&mut self, slot: usize, found: &mut SlotResult) -> Result<(), Error> {
        self.body.postprocessor.results(slot, found)?;
        let bits = found.detections.iter().filter_map(|detection| detection.mask.as_ref());
        let masks = bits.map(|mask| size_of_val(mask.bits())).sum::<usize>() as u64;
        self.context().count_traffic(Traffic {
            to_host: self.bytes_to_host(found) as u64,
            masks,
            ..Traffic::default()
        });
        Ok(())
    }

    /// Copies the first bytes of an output to the host, after [`Self::run`].
    ///
    /// # Errors
    /// There is no such output, or it is smaller.
    pub fn download(&self, output: usize, bytes: &mut [u8]) -> Result<(), Error> {
        let outputs = &self.body.outputs;
        let none =
            || Error::new(ErrorKind::Failed, format!("there is no output {output}: the model has {}", outputs.len()));
        Ok(outputs.get(output).ok_or_else(none)?.buffer.download(bytes, &self.body.stream)?)
    }

    /// Bytes that a launch with `batch` slots copies to the device.
    pub fn bytes_to_device(&self, batch: usize) -> usize {
        self.body.postprocessor.bytes_to_device(batch)
    }

    /// Bytes of a slot's results that were transferred to the host.
    pub fn bytes_to_host(&self, found: &SlotResult) -> usize {
        self.body.postprocessor.bytes_to_host(found)
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // Results arrive before the driver sees the end of the graph, and the graph and the model's context may only be
        // destroyed after that. Frames still held belong to a batch that was begun and not run; the device may be
        // waiting for their producers.
        let _ = self.body.stream.synchronise();
    }
}

impl Body {
    fn new<R: DeviceAllocator + 'static>(
        allocator: &Arc<R>,
        kernels: &Arc<Kernels>,
        spec: &ChainSpec<'_>,
    ) -> Result<Self, Error> {
        let (context, batch) = (kernels.context(), spec.batch.1);
        let buffer = |bytes: usize| DeviceBuffer::new(allocator, bytes).map(Arc::new);
        let scratch = buffer(spec.scratch)?;
        let stream = CudaStream::new(context)?;
        let image = Binding { name: spec.input_name.clone(), buffer: buffer(batch * spec.input.bytes())? };
        let constants = spec.constants.iter().map(|constant| {
            let ChainConstant { name, element, values, rows } = constant;
            let bytes = bytes(values, *element).repeat(rows.unwrap_or(batch));
            let mut filled = DeviceBuffer::new(allocator, bytes.len())?;
            filled.upload(&bytes, &stream)?;
            let binding = Binding { name: name.clone(), buffer: Arc::new(filled) };
            Ok(Constant { binding, rows: *rows, values: values.len() })
        });
        let inputs = Arc::new(Inputs { image, constants: constants.collect::<Result<Vec<_>, Error>>()? });
        let outputs = spec
            .outputs
            .iter()
            .map(|output| Ok(Binding { name: output.name.clone(), buffer: buffer(batch * output.bytes())? }));
        let outputs = outputs.collect::<Result<Vec<_>, Error>>()?;
        let places = spec.outputs.iter().zip(&outputs).map(|(output, binding)| DeviceOutput {
            address: binding.buffer.address(),
            element: output.element,
            shape: output.shape.clone(),
        });
        let places: Vec<_> = places.collect();
        let head = (spec.classes, spec.needs_nms);
        let postprocessor = Postprocessor::new(allocator, kernels, spec.plan, head, &places, batch)?;
        let postprocessor = match &spec.masks {
            Some(masks) => postprocessor.with_masks(allocator, masks, &places)?,
            None => postprocessor,
        };
        Ok(Self {
            frames: Vec::with_capacity(batch),
            tensors: Vec::with_capacity(batch),
            preprocessor: Preprocessor::new(allocator, kernels, spec.input, batch)?,
            postprocessor,
            inputs,
            outputs,
            scratch,
            image: spec.input.clone(),
            batch: spec.batch,
            produced: Event::new(context)?,
            done: Event::new(context)?,
            stream,
            kernels: Arc::clone(kernels),
        })
    }

    fn bind(&self, made: tensorrt::Context, shape: &[i64]) -> Result<Network, Error> {
        Network::bind(made, &self.scratch, &self.inputs, &self.outputs, shape)
    }

    fn place(&mut self, slot: usize, region: Rect, frame: (u32, u32), params: &Params) -> Result<(), Error> {
        let letterbox = Letterbox::new(region, &self.image);
        Ok(self.postprocessor.set(slot, SlotSettings { params, letterbox: &letterbox, frame })?)
    }

    /// Releases the frames in the slots.
    fn release(&mut self) {
        self.frames.clear();
        self.tensors.clear();
    }

    fn leave_empty(&mut self, slot: usize) -> Result<(), Error> {
        self.preprocessor.set(slot, &SlotSource::border())?;
        Ok(self.postprocessor.clear(slot)?)
    }

    fn leave_all_empty(&mut self, slots: usize) -> Result<(), Error> {
        (0..slots).try_for_each(|slot| self.leave_empty(slot))
    }

    /// Queues preprocessing, inference and decoding.
    fn enqueue(&self, network: &mut Network, batch: usize) -> Result<(), Error> {
        let input = self.inputs.image.buffer.address();
        // SAFETY: the input has space for the batch and is aligned to 256; frames are held until the work is done;
        // `self` owns the rest, which is freed only when the device is done with it.
        unsafe { self.preprocessor.enqueue(&self.stream, input, Some(&self.postprocessor), batch) }?;
        network.enqueue(&self.stream)?;
        // SAFETY: `self` owns the outputs.
        unsafe { self.postprocessor.enqueue(&self.stream, batch) }?;
        Ok(())
    }

    /// Captures what `work` queues as a graph that is ready to be launched.
    fn capture(&self, work: impl FnOnce() -> Result<(), Error>) -> Result<Graph, Error> {
        let mut captured = self.stream.capture(work)?;
        captured.replace_fills(&self.kernels)?;
        Ok(captured.instantiate()?)
    }

    fn launch_plainly(&self, network: &mut Network, batch: usize) -> Result<(), Error> {
        self.enqueue(network, batch)?;
        self.wait()
    }

    /// Blocks, without spinning, until the results are in host memory.
    fn wait(&self) -> Result<(), Error> {
        self.done.record(&self.stream)?;
        Ok(self.done.synchronise()?)
    }
}
