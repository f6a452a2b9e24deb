//! A GPU with lanes, contexts and inputs for tests.

use super::engine;
use cuda::Device;
use cudarc::driver::result::{self, graph, stream};
use cudarc::driver::sys;
use gsttensorrt::gpu::CudaMemory;
use gsttensorrt::infer::{Frame, Output, Slot, Tensor, TensorData};
use model::{Params, Rect};
use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;
use tensorrt::{Context, DataType, DeviceMemory, Engine, EngineTensor, Selector};

/// A path named by an environment variable.
pub fn environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

/// CPU time of this thread so far.
pub fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Values 0–1 of an image: reproducible noise.
pub fn input_bytes(image: u64) -> impl Fn(usize) -> f32 {
    move |index| {
        let mixed = (index as u64 + 1).wrapping_add(image << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 40) as f32 / (1 << 24) as f32
    }
}

/// Device 0 with a separate context, current on this thread.
pub struct Gpu {
    pub device: Device,
    context: sys::CUcontext,
}

impl Gpu {
    pub fn open() -> Self {
        let device = Device::open(0).unwrap();
        let mut context = std::ptr::null_mut();
        let flags = sys::CUctx_flags::CU_CTX_SCHED_BLOCKING_SYNC as u32;
        // SAFETY: the driver is initialised; the context becomes current.
        unsafe { sys::cuCtxCreate_v2(&mut context, flags, device.handle) }.result().unwrap();
        Self { device, context }
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // SAFETY: the context is ours, and everything in it has been destroyed.
        unsafe { sys::cuCtxDestroy_v2(self.context) };
    }
}

/// Device memory that is freed on drop.
struct Block {
    memory: NonNull<c_void>,
    size: usize,
}

impl Block {
    fn new(size: usize) -> Self {
        let size = size.max(1);
        Self {
            memory: CudaMemory::current().expect("a context").allocate(size as u64, 256).expect("device memory"),
            size,
        }
    }

    fn address(&self) -> u64 {
        self.memory.as_ptr() as u64
    }

    fn write(&self, bytes: &[u8]) {
        assert!(bytes.len() <= self.size);
        // SAFETY: both sides have that many bytes.
        unsafe { result::memcpy_htod_sync(self.address(), bytes) }.unwrap();
    }

    fn read(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.size];
        // SAFETY: both sides have that many bytes.
        unsafe { result::memcpy_dtoh_sync(&mut bytes, self.address()) }.unwrap();
        bytes
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        assert!(CudaMemory::current().expect("a context").free(self.memory));
    }
}

/// A stream, and the memory block that its contexts share.
pub struct Lane {
    engine: Arc<Engine>,
    stream: sys::CUstream,
    scratch: Block,
}

impl Lane {
    pub fn new(engine: &Arc<Engine>) -> Self {
        let stream = stream::create(stream::StreamKind::NonBlocking).unwrap();
        Self { engine: Arc::clone(engine), stream, scratch: Block::new(engine.device_memory() as usize) }
    }

    pub fn synchronize(&self) {
        // SAFETY: the stream is ours.
        unsafe { stream::synchronize(self.stream) }.unwrap();
    }

    /// A context for one batch size, bound to its own buffers; the inputs hold noise from `image` on.
    pub fn context(&mut self, batch: usize, image: u64) -> RunContext {
        let mut context = self.engine.create_context().unwrap();
        let mut buffers = Vec::new();
        let mut max_batch = 1;
        // SAFETY: the block has the engine's size; this lane launches one context at a time. The buffers are kept in `RunContext`.
        unsafe { context.set_device_memory(self.scratch.memory.as_ptr(), self.scratch.size as u64) }.unwrap();
        for tensor in self.engine.tensors().iter().filter(|tensor| tensor.input) {
            if tensor.shape[0] < 0 {
                let mut shape = self.engine.profile_shape(&tensor.name, 0, Selector::Max).unwrap();
                max_batch = shape[0] as usize;
                shape[0] = batch as i64;
                context.set_input_shape(&tensor.name, &shape).unwrap();
            }
        }
        context.check_shapes().unwrap();
        for tensor in self.engine.tensors() {
            let shape = context.shape(&tensor.name).unwrap();
            let elements = shape.iter().product::<i64>() as usize;
            let block = Block::new(elements * tensor.data_type.size().unwrap());
            if tensor.input {
                block.write(&encode(tensor, elements, &input_bytes(image)));
            }
            // SAFETY: as above.
            unsafe { context.set_address(&tensor.name, block.memory.as_ptr()) }.unwrap();
            buffers.push((tensor.clone(), block));
        }
        RunContext { graph: None, context, buffers, max_batch }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.synchronize();
        // SAFETY: the stream is ours, and idle.
        unsafe { stream::destroy(self.stream) }.unwrap();
    }
}

fn encode(tensor: &EngineTensor, elements: usize, value: &dyn Fn(usize) -> f32) -> Vec<u8> {
    let values = (0..elements).map(value);
    match tensor.data_type {
        DataType::Float => values.flat_map(f32::to_le_bytes).collect(),
        DataType::Half => values.flat_map(|v| half::f16::from_f32(v).to_le_bytes()).collect(),
        DataType::Int32 => values.flat_map(|v| ((v * 255.0) as i32).to_le_bytes()).collect(),
        DataType::Uint8 => values.map(|v| (v * 255.0) as u8).collect(),
        other => panic!("{other:?} inputs"),
    }
}

/// A context with its buffers, and its graph once captured. The graph is dropped first.
pub struct RunContext {
    graph: Option<Graph>,
    context: Context,
    buffers: Vec<(EngineTensor, Block)>,
    pub max_batch: usize,
}

struct Graph {
    graph: sys::CUgraph,
    executable: sys::CUgraphExec,
}

impl RunContext {
    pub fn enqueue(&mut self, lane: &Lane) {
        // SAFETY: stream and buffers are alive; the caller waits before it drops them.
        unsafe { self.context.enqueue(lane.stream.cast()) }.unwrap();
    }

    /// Captures one enqueue; the shapes have run once before.
    pub fn capture(&mut self, lane: &Lane) {
        // SAFETY: the stream is ours and idle.
        unsafe {
            stream::begin_capture(lane.stream, sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).unwrap();
            let enqueued = self.context.enqueue(lane.stream.cast());
            // Also after a failure, or the stream would stay in capture mode.
            let graph = stream::end_capture(lane.stream);
            enqueued.unwrap();
            let graph = graph.unwrap();
            let mut executable = std::ptr::null_mut();
            sys::cuGraphInstantiateWithFlags(&mut executable, graph, 0).result().unwrap();
            self.graph = Some(Graph { graph, executable });
        }
    }

    pub fn launch(&self, lane: &Lane) {
        let graph = self.graph.as_ref().expect("captured");
        // SAFETY: graph and stream are alive; the caller waits before it drops them.
        unsafe { graph::launch(graph.executable, lane.stream) }.unwrap();
    }

    fn outputs_of(&self) -> impl Iterator<Item = &(EngineTensor, Block)> {
        self.buffers.iter().filter(|(tensor, _)| !tensor.input)
    }

    /// Makes an unwritten output visible.
    pub fn clear_outputs(&self) {
        self.outputs_of().for_each(|(_, block)| block.write(&vec![0xAA; block.size]));
    }

    pub fn outputs(&self) -> Vec<Vec<u8>> {
        self.outputs_of().map(|(_, block)| block.read()).collect()
    }

    pub fn output_floats(&self) -> Vec<Vec<f32>> {
        self.outputs_of().map(floats).collect()
    }

    /// The output with this name.
    pub fn output_named(&self, name: &str) -> Vec<f32> {
        let named = self.outputs_of().find(|(tensor, _)| tensor.display_name() == name);
        floats(named.unwrap_or_else(|| panic!("the engine has no output {name}")))
    }

    /// Writes the complete single input in the engine's type.
    pub fn write_input(&self, bytes: &[u8]) {
        let (tensor, block) = self.buffers.iter().find(|(tensor, _)| tensor.input).expect("an input");
        assert_eq!(bytes.len(), block.size, "input {} of {:?}", tensor.display_name(), tensor.data_type);
        block.write(bytes);
    }
}

fn floats((tensor, block): &(EngineTensor, Block)) -> Vec<f32> {
    match tensor.data_type {
        DataType::Float => block.read().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        other => panic!("{other:?} outputs"),
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: the graph is ours, and not running.
        unsafe {
            graph::exec_destroy(self.executable).unwrap();
            graph::destroy(self.graph).unwrap();
        }
    }
}

/// The CPU engine's outputs for one image of noise.
pub fn cpu_outputs(model: &Path, value: &dyn Fn(usize) -> f32) -> Vec<Vec<f32>> {
    let engine = engine::open(model, 1);
    let spec = engine.input().clone();
    let (width, height) = (spec.width, spec.height);
    let data = (0..spec.elements()).flat_map(|index| value(index).to_le_bytes()).collect();
    let region = Rect::new(0.0, 0.0, width as f32, height as f32);
    // The frame isn't read: the tensor is ready.
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, width, height).build().unwrap();
    let buffer = gst::Buffer::with_size(info.size()).unwrap();
    let tensor = Some(Arc::new(Tensor { spec, region, data: TensorData::Host(data) }));
    let params = Arc::new(Params { output_tensors: true, ..Params::default() });
    let frame = Arc::new(Frame { buffer, info });
    let mut slots = [Slot { frame, region, tensor, params, output: Output::default() }];
    engine.lanes().unwrap()[0].run(&mut slots).unwrap();
    let [slot] = slots;
    slot.output.tensors.into_iter().map(|tensor| tensor.data).collect()
}
