//! `IExecutionContext`, with the rules that its documentation states.

use super::allocator::DeviceMemory;
use super::dims::Dims;
use super::engine::Engine;
use super::logger;
use super::model::bytes;
use super::object::{self, class, of, string};
use crate::driver::{self, Context as DriverContext, Status};
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeSet;
use std::ffi::{c_char, c_void};
use std::sync::{Arc, Weak};

struct Context(Arc<Core>);

impl Drop for Context {
    fn drop(&mut self) {
        self.0.engine.contexts.remove();
    }
}

struct Core {
    engine: Arc<Engine>,
    state: Mutex<State>,
    /// Its own scratch memory, unless the user provides it.
    own: Option<Arc<DeviceMemory>>,
}

#[derive(Clone)]
struct State {
    /// The shape of each input, once set.
    shapes: Vec<Option<Vec<i64>>>,
    /// The address of each tensor, inputs first; 0: not set.
    addresses: Vec<usize>,
    scratch: (usize, usize),
    /// Incremented by each change of shapes, addresses or memory.
    generation: u64,
    /// Incremented by each change of shapes; `ran` is its value at the last run.
    shape_generation: u64,
    ran: Option<u64>,
}

class!(Context: "VExecutionContext", public {
    "setOptimizationProfileAsync" = set_profile,
    "setInputShape" = set_input_shape,
    "getTensorShape" = tensor_shape,
    "setTensorAddress" = set_address,
    "inferShapes" = infer_shapes,
    "enqueueV3" = enqueue,
    "setEnqueueEmitsProfile" = set_emits,
    "setNvtxVerbosity" = set_verbosity,
    "setDeviceMemory" = set_memory,
    "setDeviceMemoryV2" = set_memory_v2,
});

/// `ExecutionContextAllocationStrategy::kUSER_MANAGED`
const USER_MANAGED: i32 = 2;
/// Required alignment of tensors and scratch memory.
const ALIGNMENT: usize = 256;

fn refuse(method: &str, why: &str) -> bool {
    logger::error(&format!("IExecutionContext::{method}: Error Code 3: API Usage Error ({why})"));
    false
}

pub fn create(engine: &Arc<Engine>, strategy: i32) -> *mut c_void {
    let own = match strategy {
        USER_MANAGED => None,
        _ => match engine.allocator.take(engine.scratch.max(1) as u64) {
            Some(memory) => Some(memory),
            None => return std::ptr::null_mut(),
        },
    };
    // Inputs with a fixed shape have it from the start.
    let fixed = |(index, input): (usize, &super::model::Tensor)| {
        engine
            .range(index)
            .filter(|range| range.min == range.max && input.shape == range.max)
            .map(|range| range.max.clone())
    };
    let shapes = engine.model.inputs.iter().enumerate().map(fixed).collect();
    let state = State {
        shapes,
        addresses: vec![0; engine.model.inputs.len() + engine.model.outputs.len()],
        scratch: own.as_ref().map_or((0, 0), |memory| (memory.address, engine.scratch)),
        generation: 0,
        shape_generation: 0,
        ran: None,
    };
    engine.contexts.add();
    object::new(Context(Arc::new(Core { engine: Arc::clone(engine), state: Mutex::new(state), own })))
}

impl Core {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

unsafe extern "C" fn set_profile(_this: *mut c_void, profile: i32, _stream: *mut c_void) -> bool {
    profile == 0 || refuse("setOptimizationProfileAsync", &format!("there is no profile {profile}"))
}

unsafe extern "C" fn set_input_shape(this: *mut c_void, name: *const c_char, dims: *const Dims) -> bool {
    // SAFETY: a method of this class, as all below; the caller's string and dims.
    let (core, name, shape) = unsafe { (&of::<Context>(this).0, string(name), (*dims).shape()) };
    let engine = &core.engine;
    let Some((index, _)) = engine.tensor(&name).filter(|(index, _)| *index < engine.model.inputs.len()) else {
        return refuse("setInputShape", &format!("{name} is not an input"));
    };
    if !engine.range(index).is_some_and(|range| range.holds(&shape)) {
        let range = engine.range(index);
        return refuse(
            "setInputShape",
            &format!("Set dimension {shape:?} for tensor {name} does not satisfy the optimization profile: {range:?}"),
        );
    }
    let mut state = core.state();
    if state.shapes[index].as_ref() != Some(&shape) {
        state.shapes[index] = Some(shape);
        state.generation += 1;
        state.shape_generation += 1;
    }
    true
}

/// Shapes of all inputs, if they are set.
fn input_shapes(state: &State) -> Option<Vec<Vec<i64>>> {
    state.shapes.iter().cloned().collect()
}

unsafe extern "C" fn tensor_shape(this: *mut c_void, name: *const c_char) -> Dims {
    // SAFETY: as above.
    let (core, name) = unsafe { (&of::<Context>(this).0, string(name)) };
    let engine = &core.engine;
    let Some((index, tensor)) = engine.tensor(&name) else { return Dims::NONE };
    let state = core.state();
    if let Some(shape) = state.shapes.get(index) {
        return Dims::new(shape.as_ref().unwrap_or(&tensor.shape));
    }
    let Some(inputs) = input_shapes(&state) else { return Dims::new(&tensor.shape) };
    drop(state);
    match engine.output_shapes(&inputs) {
        Ok(shapes) => Dims::new(&shapes[index - inputs.len()]),
        Err(reason) => {
            refuse("getTensorShape", &reason);
            Dims::NONE
        }
    }
}

unsafe extern "C" fn set_address(this: *mut c_void, name: *const c_char, address: usize) -> bool {
    // SAFETY: as above.
    let (core, name) = unsafe { (&of::<Context>(this).0, string(name)) };
    let Some((index, _)) = core.engine.tensor(&name) else {
        return refuse("setTensorAddress", &format!("Given invalid tensor name: {name}"));
    };
    if !address.is_multiple_of(ALIGNMENT) {
        return refuse("setTensorAddress", &format!("{name} at {address:#x}, which isn't aligned to {ALIGNMENT}"));
    }
    let mut state = core.state();
    if state.addresses[index] != address {
        state.addresses[index] = address;
        state.generation += 1;
    }
    true
}

unsafe extern "C" fn infer_shapes(this: *mut c_void, room: i32, names: *mut *const c_char) -> i32 {
    // SAFETY: as above.
    let core = &unsafe { of::<Context>(this) }.0;
    let state = core.state();
    let mut missing = 0;
    for (index, _) in state.shapes.iter().enumerate().filter(|(_, shape)| shape.is_none()) {
        if missing < room {
            // SAFETY: the caller's array has `room` elements.
            unsafe { names.add(missing as usize).write(core.engine.name(index)) };
        }
        missing += 1;
    }
    missing
}

extern "C" fn set_emits(_this: *mut c_void, _on: bool) {}

extern "C" fn set_verbosity(_this: *mut c_void, verbosity: i32) -> bool {
    (0..=2).contains(&verbosity)
}

unsafe extern "C" fn set_memory(this: *mut c_void, address: usize) {
    // SAFETY: as above.
    let size = unsafe { of::<Context>(this) }.0.engine.scratch;
    // SAFETY: as above.
    unsafe { set_memory_v2(this, address, size as i64) };
}

unsafe extern "C" fn set_memory_v2(this: *mut c_void, address: usize, size: i64) {
    // SAFETY: as above.
    let core = &unsafe { of::<Context>(this) }.0;
    let size = usize::try_from(size).unwrap_or(0);
    if core.own.is_some() {
        refuse("setDeviceMemoryV2", "this context has its own memory");
        return;
    }
    if size < core.engine.scratch || !address.is_multiple_of(ALIGNMENT) {
        refuse(
            "setDeviceMemoryV2",
            &format!("{size} bytes at {address:#x}; {} bytes are needed, aligned to {ALIGNMENT}", core.engine.scratch),
        );
        return;
    }
    let mut state = core.state();
    if state.scratch != (address, size) {
        state.scratch = (address, size);
        state.generation += 1;
    }
}

unsafe extern "C" fn enqueue(this: *mut c_void, stream: usize) -> bool {
    // SAFETY: as above.
    let core = &unsafe { of::<Context>(this) }.0;
    let stream = match driver::stream(stream) {
        Ok(stream) => stream,
        Err(error) => return refuse("enqueueV3", &format!("Cuda Driver ({error:?}) for the stream")),
    };
    if stream.handle == 0 {
        logger::warning(
            "Using default stream in enqueueV3() may lead to performance issues due to additional calls to cudaStreamSynchronize() by TensorRT to ensure correct synchronization. Please use non-default stream instead.",
        );
    }
    let mut state = core.state();
    let Some(shapes) = input_shapes(&state) else {
        return refuse("enqueueV3", "the shape of an input isn't set");
    };
    if let Some(index) = state.addresses.iter().position(|address| *address == 0) {
        let name = core.engine.model.inputs.iter().chain(&core.engine.model.outputs).nth(index);
        let name = name.map_or("?", |tensor| tensor.name.as_str());
        return refuse(
            "enqueueV3",
            &format!("Neither address or allocator is set for tensor {name}. Call setTensorAddress before enqueue"),
        );
    }
    if state.scratch.0 == 0 && core.engine.scratch > 0 {
        return refuse("enqueueV3", "no device memory is set: call setDeviceMemoryV2 first");
    }
    let capturing = stream.is_capturing();
    if capturing && state.ran != Some(state.shape_generation) {
        return refuse("enqueueV3", "captured right after its shapes changed: enqueue once without capturing first");
    }
    if driver::injected("enqueue").is_some() {
        return refuse("enqueueV3", "as STANDIN_FAIL requests");
    }
    state.ran = Some(state.shape_generation);
    let inference = Inference {
        core: Arc::downgrade(core),
        context: Arc::clone(&stream.context),
        shapes,
        addresses: state.addresses.clone(),
        scratch: state.scratch,
        captured: capturing.then_some(state.generation),
    };
    drop(state);
    // Like the counters of the real kernels that add up partial sums, these start at 0.
    let queued = match inference.counters() {
        0 => Ok(()),
        bytes => driver::fill(inference.scratch.0, 0, &[0], bytes, 1, stream.handle),
    };
    match queued.and_then(|()| driver::enqueue(&stream, move || inference.run())) {
        Ok(()) => true,
        Err(error) => refuse("enqueueV3", &format!("Cuda Driver ({error:?})")),
    }
}

/// One inference, or the inference of a captured graph.
struct Inference {
    core: Weak<Core>,
    context: Arc<DriverContext>,
    shapes: Vec<Vec<i64>>,
    addresses: Vec<usize>,
    scratch: (usize, usize),
    /// In a graph: the context's generation at the time of the capture.
    captured: Option<u64>,
}

/// Scratch memory of the inferences that are running.
static BUSY: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

fn busy() -> MutexGuard<'static, BTreeSet<usize>> {
    BUSY.lock()
}

/// Bytes of counters at the start of the scratch memory.
const COUNTERS: usize = 72;

impl Inference {
    fn counters(&self) -> usize {
        COUNTERS.min(self.scratch.1)
    }

    fn run(&self) -> Status {
        let Some(core) = self.core.upgrade() else {
            return driver::failed("TensorRT: an inference with a deleted context");
        };
        if self.captured.is_some_and(|generation| generation != core.state().generation) {
            return driver::failed(
                "TensorRT: a graph of a context whose shapes, addresses or memory changed since the capture",
            );
        }
        let (address, bytes) = self.scratch;
        if !busy().insert(address) {
            return driver::failed("TensorRT: two concurrent inferences in the same device memory");
        }
        let outcome = driver::check_range(&self.context, address, bytes)
            .and_then(|_| self.compute(&core, address, bytes))
            .or_else(|why| driver::failed(&format!("TensorRT: {why}")));
        busy().remove(&address);
        outcome
    }

    fn compute(&self, core: &Core, scratch: usize, bytes_of_it: usize) -> Result<(), String> {
        let model = &core.engine.model;
        let outputs = core.engine.output_shapes(&self.shapes)?;
        let tensors = model.inputs.iter().chain(&model.outputs).zip(self.shapes.iter().chain(&outputs));
        for ((tensor, shape), address) in tensors.zip(&self.addresses) {
            driver::check_range(&self.context, *address, bytes(tensor.kind, shape))
                .map_err(|why| format!("{}: {why}", tensor.name))?;
        }
        // SAFETY: `run` has checked the range.
        let counters = unsafe { std::slice::from_raw_parts(scratch as *const u8, self.counters()) };
        if counters.iter().any(|byte| *byte != 0) {
            return Err("the counters of partial sums aren't 0".into());
        }
        // SAFETY: `run` has checked the range. Its old content is overwritten, as by a real inference.
        unsafe { std::ptr::write_bytes(scratch as *mut u8, 0xee, bytes_of_it) };
        let mut wrong = None;
        // SAFETY: the sizes of inputs and outputs were checked against their shapes.
        unsafe {
            core.engine.run(&self.shapes, &self.addresses, &mut |index, shape, data| {
                if outputs[index] == shape {
                    let to = self.addresses[model.inputs.len() + index] as *mut u8;
                    std::ptr::copy_nonoverlapping(data.as_ptr(), to, data.len());
                } else {
                    wrong = Some(format!("{}: {shape:?} instead of {:?}", model.outputs[index].name, outputs[index]));
                }
            })
        }?;
        wrong.map_or(Ok(()), Err)
    }
}
