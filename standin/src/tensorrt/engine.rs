//! `IRuntime` and `ICudaEngine`.

use super::allocator::{Allocator, DeviceMemory};
use super::context;
use super::dims::Dims;
use super::logger;
use super::model::{Model, Tensor, bytes};
use super::object::{self, class, of, string};
use super::onnx_runtime::{self, TakeOutput, run};
use super::plan::{InputRange, SerialisedEngine};
use ort::session::Session;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Shapes of all inputs, or of all outputs.
pub type Shapes = Vec<Vec<i64>>;

#[derive(Default)]
pub struct Runtime {
    allocator: Mutex<Allocator>,
    engines: Children,
}

/// Counts objects that the application holds and that their parent must outlive. An inference that is still running also
/// holds them, but that is not a mistake: after a failure it can't be waited for.
#[derive(Default)]
pub struct Children(AtomicUsize);

impl Children {
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn remove(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Called when the parent is deleted.
    fn check(&self, parent: &str, child: &str) {
        if self.0.load(Ordering::Relaxed) > 0 {
            crate::driver::log(&format!("{parent} was deleted before its {child}"));
            std::process::abort();
        }
    }
}

struct RuntimeObject(Arc<Runtime>);

/// A loaded engine.
pub struct Engine {
    pub model: Model,
    names: Vec<CString>,
    profile: Vec<InputRange>,
    session: Mutex<Session>,
    /// Output shapes by input shapes.
    shapes: Mutex<HashMap<Shapes, Shapes>>,
    /// Scratch bytes of a running context.
    pub scratch: usize,
    pub allocator: Allocator,
    pub contexts: Children,
    /// Freed before the runtime is.
    _weights: Option<Arc<DeviceMemory>>,
    runtime: Arc<Runtime>,
}

struct EngineObject(Arc<Engine>);

class!(RuntimeObject: "VRuntime", public {
    "setGpuAllocator" = set_gpu_allocator,
    "deserializeCudaEngine" = deserialize,
});

class!(EngineObject: "VCudaEngine", public {
    "getNbLayers" = layers,
    "getNbOptimizationProfiles" = profiles,
    "getNbIOTensors" = tensor_count,
    "getIOTensorName" = tensor_name,
    "getTensorIOMode" = io_mode,
    "getTensorShape" = shape,
    "getTensorDataType" = data_type,
    "getTensorFormat" = format,
    "getProfileShape" = profile_shape,
    "getDeviceMemorySizeV2" = device_memory_size,
    "createExecutionContext" = create_context,
});

impl Drop for RuntimeObject {
    fn drop(&mut self) {
        self.0.engines.check("an IRuntime", "ICudaEngine");
    }
}

impl Drop for EngineObject {
    fn drop(&mut self) {
        self.0.contexts.check("an ICudaEngine", "IExecutionContext");
        self.0.runtime.engines.remove();
    }
}

pub fn new_runtime() -> *mut c_void {
    object::new(RuntimeObject(Arc::default()))
}

impl Engine {
    fn load(runtime: &Arc<Runtime>, plan: &[u8]) -> Option<Arc<Self>> {
        let SerialisedEngine { onnx, profile, .. } = SerialisedEngine::deserialise(plan)?;
        let refuse =
            |reason: String| logger::error(&format!("IRuntime::deserializeCudaEngine: Error Code 4: {reason}"));
        let model = Model::read(&onnx).map_err(refuse).ok()?;
        let session = onnx_runtime::session(&onnx).map_err(refuse).ok()?;
        let allocator = *runtime.allocator.lock();
        // A model without weights needs no allocation.
        let weights = if model.weights > 0 { Some(allocator.take(model.weights)?) } else { None };
        let names = model.inputs.iter().chain(&model.outputs);
        let names = names.map(|tensor| CString::new(tensor.name.clone()).unwrap_or_default()).collect();
        let mut engine = Self {
            names,
            profile,
            session: Mutex::new(session),
            shapes: Mutex::default(),
            scratch: 0,
            allocator,
            contexts: Children::default(),
            _weights: weights,
            runtime: Arc::clone(runtime),
            model,
        };
        let greatest: Vec<_> = engine.profile.iter().map(|range| range.max.clone()).collect();
        let outputs = engine.output_shapes(&greatest).map_err(refuse).ok()?;
        let inputs = engine.model.inputs.iter().zip(&greatest);
        let all = inputs.chain(engine.model.outputs.iter().zip(&outputs));
        engine.scratch = all.map(|(tensor, shape)| bytes(tensor.kind, shape)).sum::<usize>().next_multiple_of(512);
        Some(Arc::new(engine))
    }

    pub fn tensor(&self, name: &str) -> Option<(usize, &Tensor)> {
        self.model.inputs.iter().chain(&self.model.outputs).enumerate().find(|(_, tensor)| tensor.name == name)
    }

    /// A tensor's name, valid as long as the engine.
    pub fn name(&self, index: usize) -> *const c_char {
        self.names.get(index).map_or(std::ptr::null(), |name| name.as_ptr())
    }

    pub fn range(&self, input: usize) -> Option<&InputRange> {
        self.profile.get(input)
    }

    /// The output shapes for the given input shapes. If names of dimensions don't tell, the model is run on zeroes.
    pub fn output_shapes(&self, inputs: &[Vec<i64>]) -> Result<Shapes, String> {
        if let Some(known) = self.shapes.lock().get(inputs) {
            return Ok(known.clone());
        }
        let by_name =
            self.model.outputs.iter().map(|output| self.shape_by_names(output, inputs)).collect::<Option<_>>();
        let shapes: Shapes = match by_name {
            Some(shapes) => shapes,
            None => {
                // In 64-bit words, aligned for every type.
                let zeroes = self.model.inputs.iter().zip(inputs);
                let zeroes: Vec<Vec<u64>> =
                    zeroes.map(|(tensor, shape)| vec![0u64; bytes(tensor.kind, shape).div_ceil(8)]).collect();
                let addresses: Vec<usize> = zeroes.iter().map(|words| words.as_ptr() as usize).collect();
                let mut shapes = Vec::new();
                // SAFETY: each input has that many bytes.
                unsafe { self.run(inputs, &addresses, &mut |_, shape, _| shapes.push(shape.to_vec())) }?;
                shapes
            }
        };
        self.shapes.lock().insert(inputs.to_vec(), shapes.clone());
        Ok(shapes)
    }

    fn shape_by_names(&self, output: &Tensor, inputs: &[Vec<i64>]) -> Option<Vec<i64>> {
        let named = |symbol: &str| {
            let mut sizes =
                self.model.inputs.iter().zip(inputs).flat_map(|(input, sizes)| input.symbols.iter().zip(sizes));
            sizes.find(|(known, _)| *known == symbol).map(|(_, size)| *size)
        };
        let dimensions = output.shape.iter().zip(&output.symbols);
        dimensions
            .map(|(size, symbol)| if *size >= 0 { Some(*size) } else { named(symbol).filter(|_| !symbol.is_empty()) })
            .collect()
    }

    /// Runs the model; `output` receives each output's index, shape and bytes.
    ///
    /// # Safety
    /// The inputs are at these addresses, as large as their shapes.
    pub unsafe fn run(&self, shapes: &[Vec<i64>], addresses: &[usize], output: TakeOutput<'_>) -> Result<(), String> {
        let mut session = self.session.lock();
        // SAFETY: the caller's promise.
        unsafe { run(&mut session, &self.model, shapes, addresses, output) }
    }
}

unsafe extern "C" fn set_gpu_allocator(this: *mut c_void, allocator: *mut c_void) {
    // SAFETY: a method of this class, as all below.
    let runtime = &unsafe { of::<RuntimeObject>(this) }.0;
    *runtime.allocator.lock() = Allocator::new(allocator);
}

unsafe extern "C" fn deserialize(this: *mut c_void, data: *const u8, size: usize) -> *mut c_void {
    // SAFETY: as above; the caller's bytes.
    let (runtime, plan) = unsafe { (&of::<RuntimeObject>(this).0, std::slice::from_raw_parts(data, size)) };
    if crate::driver::current().is_err() {
        logger::error("IRuntime::deserializeCudaEngine: Error Code 1: Cuda Driver (no context is current)");
        return std::ptr::null_mut();
    }
    Engine::load(runtime, plan).map_or(std::ptr::null_mut(), |engine| {
        runtime.engines.add();
        object::new(EngineObject(engine))
    })
}

unsafe extern "C" fn layers(this: *mut c_void) -> i32 {
    // SAFETY: as above.
    unsafe { of::<EngineObject>(this) }.0.model.nodes.len() as i32
}

extern "C" fn profiles(_this: *mut c_void) -> i32 {
    1
}

unsafe extern "C" fn tensor_count(this: *mut c_void) -> i32 {
    // SAFETY: as above.
    unsafe { of::<EngineObject>(this) }.0.names.len() as i32
}

unsafe extern "C" fn tensor_name(this: *mut c_void, index: i32) -> *const c_char {
    // SAFETY: as above.
    unsafe { of::<EngineObject>(this) }.0.name(index as usize)
}

/// Answers a query about a tensor by name.
///
/// # Safety
/// `this` is of this class, and `name` is a C string.
unsafe fn ask<R>(
    this: *mut c_void,
    name: *const c_char,
    otherwise: R,
    answer: impl FnOnce(&Engine, usize, &Tensor) -> R,
) -> R {
    // SAFETY: the caller's promise.
    let (engine, name) = unsafe { (&of::<EngineObject>(this).0, string(name)) };
    match engine.tensor(&name) {
        Some((index, tensor)) => answer(engine, index, tensor),
        None => {
            logger::error(&format!("ICudaEngine: Error Code 3: API Usage Error (Given invalid tensor name: {name})"));
            otherwise
        }
    }
}

unsafe extern "C" fn io_mode(this: *mut c_void, name: *const c_char) -> i32 {
    // SAFETY: as above.
    unsafe { ask(this, name, 0, |engine, index, _| if index < engine.model.inputs.len() { 1 } else { 2 }) }
}

unsafe extern "C" fn shape(this: *mut c_void, name: *const c_char) -> Dims {
    // SAFETY: as above.
    unsafe { ask(this, name, Dims::NONE, |_, _, tensor| Dims::new(&tensor.shape)) }
}

unsafe extern "C" fn data_type(this: *mut c_void, name: *const c_char) -> i32 {
    // SAFETY: as above.
    unsafe { ask(this, name, 0, |_, _, tensor| tensor.kind) }
}

unsafe extern "C" fn format(this: *mut c_void, name: *const c_char) -> i32 {
    // SAFETY: as above.
    unsafe { ask(this, name, 0, |_, _, _| 0) }
}

unsafe extern "C" fn profile_shape(this: *mut c_void, name: *const c_char, profile: i32, which: i32) -> Dims {
    // SAFETY: as above.
    unsafe {
        ask(this, name, Dims::NONE, |engine, index, _| match (engine.range(index), profile, which) {
            (Some(range), 0, 0) => Dims::new(&range.min),
            (Some(range), 0, 1) => Dims::new(&range.opt),
            (Some(range), 0, 2) => Dims::new(&range.max),
            _ => Dims::NONE,
        })
    }
}

unsafe extern "C" fn device_memory_size(this: *mut c_void) -> i64 {
    // SAFETY: as above.
    unsafe { of::<EngineObject>(this) }.0.scratch as i64
}

unsafe extern "C" fn create_context(this: *mut c_void, strategy: i32) -> *mut c_void {
    // SAFETY: as above.
    context::create(&unsafe { of::<EngineObject>(this) }.0, strategy)
}
