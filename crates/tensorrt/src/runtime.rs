//! Running engines: runtime, engine, execution contexts.
//!
//! According to TensorRT's documentation, several threads may concurrently make non-modifying calls on a runtime or an
//! engine, deserialise an engine and create a context. [`Runtime`] and [`Engine`] offer only these calls, so they are
//! `Send` and `Sync`; a [`Context`] belongs to one thread at a time.
//!
//! The engine's CUDA context must be current during every call here, including drops.

use super::allocator::GpuAllocator;
use super::error::{EngineFault, Error};
use super::library::Library;
use super::logger::capture;
use super::object::{Owned, call, non_null, text};
use super::slots;
use super::tensor::{DataType, Dims32, Dims64, Selector, Shape, c_name, call_shape};
use super::version::{Group, Version};
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

/// `IRuntime`
#[derive(Debug)]
pub struct Runtime {
    // The fields are dropped in this order.
    runtime: Owned,
    allocator: Option<Arc<GpuAllocator>>,
}

// SAFETY: after its creation only deserializeCudaEngine is called, which is thread-safe (see the module).
unsafe impl Send for Runtime {}
// SAFETY: as above.
unsafe impl Sync for Runtime {}

impl Runtime {
    pub(super) fn new(
        library: &'static Library,
        raw: NonNull<c_void>,
        allocator: Option<Arc<GpuAllocator>>,
    ) -> Result<Arc<Self>, Error> {
        // SAFETY: the factory returned a new object that only we own.
        let runtime = unsafe { Owned::public(raw, slots::runtime::SET_GPU_ALLOCATOR.class, library) }?;
        if let Some(allocator) = &allocator {
            // SAFETY: the signature matches; the allocator lives as long as the runtime.
            unsafe { call!(runtime.object, slots::runtime::SET_GPU_ALLOCATOR, fn(*mut c_void), allocator.raw()) }?;
        }
        Ok(Arc::new(Self { runtime, allocator }))
    }

    /// Loads an engine; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::Engine`]: it is damaged, or was built by another TensorRT or for another GPU; [`Error::OutOfMemory`].
    pub fn deserialize(self: &Arc<Self>, plan: &[u8], path: &Path) -> Result<Arc<Engine>, Error> {
        if plan.is_empty() {
            let fault = EngineFault::Damaged { reason: "the file is empty".into() };
            return Err(Error::Engine { engine: path.into(), fault });
        }
        let (runtime, slot) = (self.runtime.object, slots::runtime::DESERIALIZE_CUDA_ENGINE);
        let (data, size) = (plan.as_ptr().cast::<c_void>(), plan.len());
        // SAFETY: the signatures match (8 has a plugin factory as third argument, here null); TensorRT copies what it
        // keeps.
        let (engine, log) = capture(|| unsafe {
            if runtime.library.group() == Group::V8 {
                let none = std::ptr::null_mut();
                call!(runtime, slot, fn(*const c_void, usize, *mut c_void) -> *mut c_void, data, size, none)
            } else {
                call!(runtime, slot, fn(*const c_void, usize) -> *mut c_void, data, size)
            }
        });
        let raw = non_null(engine?).ok_or_else(|| {
            self.refusal().unwrap_or_else(|| Error::Engine {
                engine: path.into(),
                fault: fault(plan, runtime.library.version(), log),
            })
        })?;
        // SAFETY: the object is new, and only we own it.
        let engine = unsafe { Owned::public(raw, slots::engine::NB_LAYERS.class, runtime.library) }?;
        Engine::new(engine, Arc::clone(self))
    }

    fn refusal(&self) -> Option<Error> {
        self.allocator.as_ref().and_then(|allocator| allocator.take_refusal())
    }
}

/// The first bytes of plans from TensorRT 8.6 on; older releases report such plans as damaged.
const PLAN_MAGIC: &[u8] = b"ftrt";

/// Derives the fault of a rejected engine from TensorRT's messages.
fn fault(plan: &[u8], running: Version, log: Vec<String>) -> EngineFault {
    let said = |words: &[&str]| log.iter().any(|line| words.iter().any(|word| line.contains(word)));
    let newer = plan.starts_with(PLAN_MAGIC) && (running.major, running.minor) < (8, 6);
    let wrong_magic = said(&["magicTag", "Magic tag", "magic tag"]);
    if said(&["incompatible device", "expecting compute", "compute capability"]) {
        EngineFault::OtherGpu { log }
    } else if said(&[
        "Version tag does not match",
        "stdVersionRead",
        "Serialized Engine Version",
        "different version of TensorRT",
    ]) || (newer && wrong_magic)
    {
        EngineFault::OtherTensorRt { running, log }
    } else if wrong_magic || said(&["checksum", "CRC", "out of bounds", "Serialization", "serialization"]) {
        EngineFault::Damaged { reason: log.join("; ") }
    } else {
        EngineFault::Unknown { running, log }
    }
}

/// An input or output of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineTensor {
    /// The name in the engine.
    pub name: CString,
    /// True for inputs.
    pub input: bool,
    /// The type of the elements.
    pub data_type: DataType,
    /// -1: dynamic.
    pub shape: Shape,
    /// Whether its rows are contiguous (`TensorFormat::kLINEAR`).
    pub linear: bool,
}

impl EngineTensor {
    /// The name, for messages.
    pub fn display_name(&self) -> std::borrow::Cow<'_, str> {
        self.name.to_string_lossy()
    }
}

/// `ICudaEngine`
#[derive(Debug)]
pub struct Engine {
    // The fields are dropped in this order.
    engine: Owned,
    tensors: Vec<EngineTensor>,
    device_memory: u64,
    profiles: u32,
    runtime: Arc<Runtime>,
}

// SAFETY: calls through `&self` don't modify it, or create a context, which is thread-safe (see the module).
unsafe impl Send for Engine {}
// SAFETY: as above.
unsafe impl Sync for Engine {}

/// `TensorIOMode::kINPUT`
const INPUT: i32 = 1;
/// `TensorFormat::kLINEAR`
const LINEAR: i32 = 0;
/// `ExecutionContextAllocationStrategy::kUSER_MANAGED`
const USER_MANAGED: i32 = 2;

impl Engine {
    fn new(engine: Owned, runtime: Arc<Runtime>) -> Result<Arc<Self>, Error> {
        let object = engine.object;
        // SAFETY: the signatures match in every release; names live as long as the engine.
        let (tensors, device_memory, profiles) = unsafe {
            let count = call!(object, slots::engine::NB_IO_TENSORS, fn() -> i32)?;
            let tensors = (0..count).map(|index| {
                let name = call!(object, slots::engine::IO_TENSOR_NAME, fn(i32) -> *const c_char, index)?;
                let name = c_name(&text(name))?;
                let of = name.as_ptr();
                Ok(EngineTensor {
                    input: call!(object, slots::engine::TENSOR_IO_MODE, fn(*const c_char) -> i32, of)? == INPUT,
                    data_type: call!(object, slots::engine::TENSOR_DATA_TYPE, fn(*const c_char) -> i32, of)?.into(),
                    shape: call_shape!(object, slots::engine::TENSOR_SHAPE, fn(*const c_char), of)?,
                    linear: call!(object, slots::engine::TENSOR_FORMAT, fn(*const c_char) -> i32, of)? == LINEAR,
                    name,
                })
            });
            let tensors = tensors.collect::<Result<Vec<_>, Error>>()?;
            let size = if object.has(&slots::engine::DEVICE_MEMORY_SIZE_V2) {
                u64::try_from(call!(object, slots::engine::DEVICE_MEMORY_SIZE_V2, fn() -> i64)?).unwrap_or(0)
            } else {
                call!(object, slots::engine::DEVICE_MEMORY_SIZE, fn() -> usize)? as u64
            };
            let profiles = call!(object, slots::engine::NB_OPTIMIZATION_PROFILES, fn() -> i32)?;
            (tensors, size, u32::try_from(profiles).unwrap_or(0))
        };
        Ok(Arc::new(Self { engine, tensors, device_memory, profiles, runtime }))
    }

    /// Inputs and outputs in the model's order.
    pub fn tensors(&self) -> &[EngineTensor] {
        &self.tensors
    }

    /// Bytes of device memory that a context needs while it runs, for any shape.
    pub fn device_memory(&self) -> u64 {
        self.device_memory
    }

    /// Number of optimization profiles.
    pub fn profiles(&self) -> u32 {
        self.profiles
    }

    /// # Errors
    /// Only in unsupported releases.
    pub fn layers(&self) -> Result<usize, Error> {
        // SAFETY: the signature matches.
        let layers = unsafe { call!(self.engine.object, slots::engine::NB_LAYERS, fn() -> i32) }?;
        Ok(usize::try_from(layers).unwrap_or(0))
    }

    /// One of a profile's shapes of an input; empty if there is no such input or profile.
    ///
    /// # Errors
    /// Only in unsupported releases.
    pub fn profile_shape(&self, input: &CStr, profile: u32, selector: Selector) -> Result<Shape, Error> {
        let slot = slots::engine::PROFILE_SHAPE;
        let (name, profile, selector) = (input.as_ptr(), profile as i32, selector as i32);
        // SAFETY: the signature matches; the name is valid during the call.
        unsafe { call_shape!(self.engine.object, slot, fn(*const c_char, i32, i32), name, profile, selector) }
    }

    /// Creates a context without device memory: call [`Context::set_device_memory`] before it runs.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or another TensorRT error.
    pub fn create_context(self: &Arc<Self>) -> Result<Context, Error> {
        let object = self.engine.object;
        let without = slots::engine::CREATE_EXECUTION_CONTEXT_WITHOUT_DEVICE_MEMORY;
        let create = slots::engine::CREATE_EXECUTION_CONTEXT;
        // SAFETY: the signatures match: 8 has a separate method, 10 and later a strategy argument.
        let (context, log) = capture(|| unsafe {
            if object.library.group() == Group::V8 {
                call!(object, without, fn() -> *mut c_void)
            } else {
                call!(object, create, fn(i32) -> *mut c_void, USER_MANAGED)
            }
        });
        let version = object.library.version();
        let raw = non_null(context?).ok_or_else(|| {
            self.runtime.refusal().unwrap_or_else(|| Error::Call { version, call: create.method.into(), log })
        })?;
        // SAFETY: the object is new, and only we own it.
        let context = unsafe { Owned::public(raw, slots::context::ENQUEUE_V3.class, object.library) }?;
        // SAFETY: the signatures match. Both features are switched off because they cost CPU time at every launch.
        unsafe {
            call!(context.object, slots::context::SET_ENQUEUE_EMITS_PROFILE, fn(bool), false)?;
            call!(context.object, slots::context::SET_NVTX_VERBOSITY, fn(i32) -> bool, VERBOSITY_NONE)?;
        }
        Ok(Context { context, engine: Arc::clone(self) })
    }
}

/// `ProfilingVerbosity::kNONE`
const VERBOSITY_NONE: i32 = 1;

/// `IExecutionContext`: one inference at a time.
#[derive(Debug)]
pub struct Context {
    // The fields are dropped in this order.
    context: Owned,
    engine: Arc<Engine>,
}

// SAFETY: TensorRT doesn't tie a context to a thread, and `&mut self` serialises its calls.
unsafe impl Send for Context {}

impl Context {
    /// The engine that it runs.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// # Safety
    /// `memory` is `size` ≥ [`Engine::device_memory`] bytes on the device, aligned to 256, that stay allocated until
    /// all work of this context has completed, and that no concurrent work uses.
    ///
    /// # Errors
    /// Only in unsupported releases.
    pub unsafe fn set_device_memory(&mut self, memory: *mut c_void, size: u64) -> Result<(), Error> {
        let (object, v2) = (self.context.object, slots::context::SET_DEVICE_MEMORY_V2);
        // SAFETY: the signatures match; the caller vouches for the memory.
        unsafe {
            if object.has(&v2) {
                call!(object, v2, fn(*mut c_void, i64), memory, size as i64)
            } else {
                call!(object, slots::context::SET_DEVICE_MEMORY, fn(*mut c_void), memory)
            }
        }
    }

    /// Selects an optimisation profile; a new context has profile 0.
    ///
    /// # Safety
    /// `stream` is a live CUDA stream, or null.
    ///
    /// # Errors
    /// There is no such profile, or another context uses it and this release can't share profiles (8.5).
    pub unsafe fn set_profile(&mut self, profile: u32, stream: *mut c_void) -> Result<(), Error> {
        let slot = slots::context::SET_OPTIMIZATION_PROFILE_ASYNC;
        // SAFETY: the signature matches; the caller vouches for the stream.
        let (set, log) = capture(|| unsafe {
            call!(self.context.object, slot, fn(i32, *mut c_void) -> bool, profile as i32, stream)
        });
        self.done(set, slot.method, log)
    }

    /// # Errors
    /// There is no such input, or the shape is outside the profile.
    pub fn set_input_shape(&mut self, input: &CStr, shape: &[i64]) -> Result<(), Error> {
        let (object, slot, name) = (self.context.object, slots::context::SET_INPUT_SHAPE, input.as_ptr());
        // SAFETY: the signature matches, with a reference in every release; name and dims are valid during the call.
        let (set, log) = capture(|| unsafe {
            if object.library.group() == Group::V8 {
                let dims = Dims32::new(shape)?;
                call!(object, slot, fn(*const c_char, *const Dims32) -> bool, name, &raw const dims)
            } else {
                let dims = Dims64::new(shape)?;
                call!(object, slot, fn(*const c_char, *const Dims64) -> bool, name, &raw const dims)
            }
        });
        self.done(set, &format!("setInputShape({}, {shape:?})", input.to_string_lossy()), log)
    }

    /// The shape of a tensor for the input shapes set so far.
    ///
    /// # Errors
    /// Only in unsupported releases.
    pub fn shape(&self, tensor: &CStr) -> Result<Shape, Error> {
        let slot = slots::context::TENSOR_SHAPE;
        // SAFETY: the signature matches; the name is valid during the call.
        unsafe { call_shape!(self.context.object, slot, fn(*const c_char), tensor.as_ptr()) }
    }

    /// Sets the address of a tensor.
    ///
    /// # Safety
    /// `address` is on the device, aligned to 256, large enough for the tensor's shape, and stays allocated until all
    /// work of this context has completed.
    ///
    /// # Errors
    /// There is no such tensor.
    pub unsafe fn set_address(&mut self, tensor: &CStr, address: *mut c_void) -> Result<(), Error> {
        let slot = slots::context::SET_TENSOR_ADDRESS;
        // SAFETY: the signature matches; the name is valid during the call, and the caller vouches for the address.
        let (set, log) = capture(|| unsafe {
            call!(self.context.object, slot, fn(*const c_char, *mut c_void) -> bool, tensor.as_ptr(), address)
        });
        self.done(set, &format!("setTensorAddress({})", tensor.to_string_lossy()), log)
    }

    /// Checks that every input has a shape, and that these determine every output's shape.
    ///
    /// # Errors
    /// Names the tensors whose shape is missing.
    pub fn check_shapes(&self) -> Result<(), Error> {
        let slot = slots::context::INFER_SHAPES;
        let mut missing = [std::ptr::null::<c_char>(); 8];
        // SAFETY: the signature matches; TensorRT writes at most that many names.
        let (count, log) = capture(|| unsafe {
            call!(self.context.object, slot, fn(i32, *mut *const c_char) -> i32, 8, missing.as_mut_ptr())
        });
        let count = count?;
        if count == 0 {
            return Ok(());
        }
        // SAFETY: the names live as long as the engine.
        let names: Vec<String> =
            missing.iter().take(usize::try_from(count).unwrap_or(0)).map(|name| unsafe { text(*name) }).collect();
        Err(Error::Call { version: self.version(), call: format!("inferShapes: {}", names.join(", ")), log })
    }

    /// Launches one inference.
    ///
    /// # Safety
    /// `stream` is a live CUDA stream of the current context, and the memory given to the setters is still allocated.
    ///
    /// # Errors
    /// A shape or address is missing, or the device failed.
    pub unsafe fn enqueue(&mut self, stream: *mut c_void) -> Result<(), Error> {
        let slot = slots::context::ENQUEUE_V3;
        // SAFETY: the signature matches; the caller vouches for stream and memory.
        let (launched, log) = capture(|| unsafe { call!(self.context.object, slot, fn(*mut c_void) -> bool, stream) });
        self.done(launched, slot.method, log)
    }

    fn version(&self) -> Version {
        self.context.object.library.version()
    }

    fn done(&self, done: Result<bool, Error>, call: &str, log: Vec<String>) -> Result<(), Error> {
        if done? {
            return Ok(());
        }
        let version = self.version();
        Err(self.engine.runtime.refusal().unwrap_or_else(|| Error::Call { version, call: call.into(), log }))
    }
}
