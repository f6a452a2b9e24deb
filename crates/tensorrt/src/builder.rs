//! Making engines: builder, network, configuration, profile, timing cache and the plan that comes out.
//!
//! TensorRT's builder objects aren't thread-safe and share state, so none of these is `Send` or `Sync`: a build stays on
//! its thread. What belongs to a builder keeps it alive.

use super::allocator::GpuAllocator;
use super::error::Error;
use super::library::Library;
use super::logger::capture;
use super::object::{Object, Owned, call, non_null};
use super::parser::Parser;
use super::progress::ProgressMonitor;
use super::slots;
use super::tensor::{NetworkTensor, Selector, c_name, set_profile_shape};
use super::version::Group;
use std::ffi::{c_char, c_void};
use std::path::Path;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

/// `IBuilder`
#[derive(Debug, Clone)]
pub struct Builder(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    // Dropped in this order.
    builder: Owned,
    allocator: Option<Arc<GpuAllocator>>,
}

impl Inner {
    fn library(&self) -> &'static Library {
        self.builder.object.library
    }

    /// The error for a call that gave null or false.
    fn failed(&self, call: &str, log: Vec<String>) -> Error {
        let refusal = self.allocator.as_ref().and_then(|allocator| allocator.take_refusal());
        refusal.unwrap_or_else(|| Error::Call { version: self.library().version(), call: call.into(), log })
    }
}

impl Builder {
    pub(super) fn new(
        library: &'static Library,
        raw: NonNull<c_void>,
        allocator: Option<Arc<GpuAllocator>>,
    ) -> Result<Self, Error> {
        // SAFETY: the factory's new object, ours alone.
        let builder = unsafe { Owned::public(raw, slots::builder::CREATE_NETWORK_V2.class, library) }?;
        if let Some(allocator) = &allocator {
            // SAFETY: the signature; the allocator lives as long as the builder.
            unsafe { call!(builder.object, slots::builder::SET_GPU_ALLOCATOR, fn(*mut c_void), allocator.raw()) }?;
        }
        Ok(Self(Rc::new(Inner { builder, allocator })))
    }

    /// An empty network. In strongly typed ones the ONNX decides each tensor's type; 11 and RTX have no other, 8 has none.
    ///
    /// # Errors
    /// TensorRT refuses.
    pub fn network(&self, strongly_typed: bool) -> Result<Network, Error> {
        let flags: u32 = match self.0.library().group() {
            Group::V8 => 1,
            Group::V10 if strongly_typed => 1 << 1,
            // EXPLICIT_BATCH: the only mode since 10, and its bit no longer needed.
            Group::V10 => 0,
            Group::V11 => 1,
            Group::Rtx1 => 0,
        };
        let slot = slots::builder::CREATE_NETWORK_V2;
        // SAFETY: the signature.
        let network = unsafe {
            self.create(slot, slots::network::NB_INPUTS.class, |o, s| call!(o, s, fn(u32) -> *mut c_void, flags))
        }?;
        Ok(Network { parser: None, network, builder: Rc::clone(&self.0) })
    }

    /// # Errors
    /// TensorRT refuses.
    pub fn config(&self) -> Result<BuilderConfig, Error> {
        let slot = slots::builder::CREATE_BUILDER_CONFIG;
        // SAFETY: the signature.
        let config = unsafe {
            self.create(slot, slots::builder_config::SET_FLAG.class, |o, s| call!(o, s, fn() -> *mut c_void))
        }?;
        Ok(BuilderConfig { config, timing_cache: None, monitor: None, builder: Rc::clone(&self.0) })
    }

    /// # Safety
    /// `call` calls with the method's signature, and the result is a new object of `class`.
    unsafe fn create(
        &self,
        slot: slots::Slot,
        class: &'static str,
        call: impl FnOnce(Object, slots::Slot) -> Result<*mut c_void, Error>,
    ) -> Result<Owned, Error> {
        let method = slot.method;
        let (created, log) = capture(|| call(self.0.builder.object, slot));
        let raw = non_null(created?).ok_or_else(|| self.0.failed(method, log))?;
        // SAFETY: by the caller.
        unsafe { Owned::public(raw, class, self.0.library()) }
    }

    /// Belongs to the builder: not ours to delete.
    ///
    /// # Errors
    /// TensorRT refuses.
    pub fn optimization_profile(&self) -> Result<OptimizationProfile, Error> {
        let slot = slots::builder::CREATE_OPTIMIZATION_PROFILE;
        // SAFETY: the signature.
        let (created, log) = capture(|| unsafe { call!(self.0.builder.object, slot, fn() -> *mut c_void) });
        let raw = non_null(created?).ok_or_else(|| self.0.failed(slot.method, log))?;
        let class = slots::optimization_profile::SET_DIMENSIONS.class;
        // SAFETY: lives as long as the builder, which the profile keeps.
        let profile = unsafe { Object::public(raw, class, self.0.library()) }?;
        Ok(OptimizationProfile { profile, raw, builder: Rc::clone(&self.0) })
    }

    /// Builds the engine. Minutes on a cold timing cache.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when the allocator refused, else what TensorRT printed; also after a cancel.
    pub fn build(&self, network: &Network, config: &BuilderConfig) -> Result<HostMemory, Error> {
        let slot = slots::builder::BUILD_SERIALIZED_NETWORK;
        let (network, config) = (network.network.raw(), config.config.raw());
        // SAFETY: the signature, references being pointers; both objects are live.
        let (built, log) = capture(|| unsafe {
            call!(self.0.builder.object, slot, fn(*mut c_void, *mut c_void) -> *mut c_void, network, config)
        });
        let raw = non_null(built?).ok_or_else(|| self.0.failed(slot.method, log))?;
        // SAFETY: a new object, ours alone.
        let memory = unsafe { HostMemory::new(raw, self.0.library()) }?;
        Ok(HostMemory { _builder: Some(Rc::clone(&self.0)), ..memory })
    }
}

/// `INetworkDefinition`, and the parser that filled it: weights stay in the parser's memory until the build is over.
#[derive(Debug)]
pub struct Network {
    // Dropped in this order.
    parser: Option<Parser>,
    network: Owned,
    builder: Rc<Inner>,
}

impl Network {
    /// Fills the network from an ONNX model. `path` is where external weights are looked for, and what errors name.
    ///
    /// # Errors
    /// [`Error::Parse`] with the parser's own errors; a model without outputs.
    pub fn parse(&mut self, onnx: &[u8], path: &Path) -> Result<(), Error> {
        let parser = Parser::new(self.builder.library(), &self.network)?;
        parser.parse(onnx, path)?;
        self.parser = Some(parser);
        // Some parsers take an empty file without an error.
        if self.outputs()?.is_empty() {
            return Err(Error::Model { model: path.into(), reason: "the model has no outputs".into() });
        }
        Ok(())
    }

    /// # Errors
    /// A tensor that isn't laid out as published.
    pub fn inputs(&self) -> Result<Vec<NetworkTensor>, Error> {
        self.tensors(&slots::network::NB_INPUTS, &slots::network::INPUT)
    }

    /// # Errors
    /// A tensor that isn't laid out as published.
    pub fn outputs(&self) -> Result<Vec<NetworkTensor>, Error> {
        self.tensors(&slots::network::NB_OUTPUTS, &slots::network::OUTPUT)
    }

    /// # Errors
    /// Never in a supported release.
    pub fn layers(&self) -> Result<usize, Error> {
        // SAFETY: the signature.
        let layers = unsafe { call!(self.network.object, slots::network::NB_LAYERS, fn() -> i32) }?;
        Ok(usize::try_from(layers).unwrap_or(0))
    }

    fn tensors(&self, count: &slots::Slot, get: &slots::Slot) -> Result<Vec<NetworkTensor>, Error> {
        let network = self.network.object;
        // SAFETY: the signature.
        let count = unsafe { call!(network, *count, fn() -> i32) }?;
        (0..count)
            .filter_map(|index| {
                // SAFETY: the signature; the index is in range.
                let tensor = unsafe { call!(network, *get, fn(i32) -> *mut c_void, index) };
                let tensor = tensor.map(non_null).transpose()?;
                // SAFETY: the network's tensors live as long as it does.
                Some(tensor.and_then(|raw| unsafe {
                    NetworkTensor::read(Object::public(raw, slots::tensor::NAME.class, network.library)?)
                }))
            })
            .collect()
    }
}

/// `IOptimizationProfile`: the shapes that an engine is made for.
#[derive(Debug)]
pub struct OptimizationProfile {
    profile: Object,
    raw: NonNull<c_void>,
    builder: Rc<Inner>,
}

impl OptimizationProfile {
    /// Least, best and greatest shape of an input.
    ///
    /// # Errors
    /// TensorRT refuses a shape.
    pub fn set_shapes(&mut self, input: &str, min: &[i64], opt: &[i64], max: &[i64]) -> Result<(), Error> {
        let name = c_name(input)?;
        for (selector, shape) in [(Selector::Min, min), (Selector::Opt, opt), (Selector::Max, max)] {
            // SAFETY: the profile lives as long as the builder that `self` keeps.
            let (set, log) = capture(|| unsafe { set_profile_shape(self.profile, &name, selector, shape) });
            if !set? {
                return Err(self.builder.failed(&format!("setDimensions({input}, {selector:?}, {shape:?})"), log));
            }
        }
        // SAFETY: the signature.
        let valid = unsafe { call!(self.profile, slots::optimization_profile::IS_VALID, fn() -> bool) }?;
        if valid {
            Ok(())
        } else {
            Err(Error::Setting(format!("{input}: TensorRT can't use min {min:?}, opt {opt:?}, max {max:?} together")))
        }
    }
}

/// `nvinfer1::BuilderFlag`, as far as it's used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// 8 and 10: layers may run in FP16.
    Fp16,
    /// 8 and 10: layers may run in INT8.
    Int8,
    /// FP32 layers may round to TF32.
    Tf32,
}

impl Flag {
    /// Its number; `None` where precision comes from the ONNX.
    fn number(self, group: Group) -> Option<i32> {
        match (self, group) {
            (Self::Fp16, Group::V8 | Group::V10) => Some(0),
            (Self::Int8, Group::V8 | Group::V10) => Some(1),
            (Self::Fp16 | Self::Int8, _) => None,
            (Self::Tf32, Group::V8) => Some(7),
            (Self::Tf32, _) => Some(6),
        }
    }
}

/// `MemoryPoolType::kWORKSPACE`
const WORKSPACE: i32 = 0;
/// `PreviewFeature::kPROFILE_SHARING_0806` in 8.6; from 10 profiles are always shared.
const PROFILE_SHARING_0806: i32 = 2;

/// `IBuilderConfig`
#[derive(Debug)]
pub struct BuilderConfig {
    // Dropped in this order.
    config: Owned,
    timing_cache: Option<TimingCache>,
    monitor: Option<Box<ProgressMonitor>>,
    builder: Rc<Inner>,
}

impl BuilderConfig {
    /// # Errors
    /// This release has no such flag.
    pub fn set_flag(&mut self, flag: Flag, on: bool) -> Result<(), Error> {
        let library = self.builder.library();
        let number = flag.number(library.group()).ok_or_else(|| {
            Error::Setting(format!("{} has no flag {flag:?}: it takes the precision from the ONNX", library.version()))
        })?;
        let slot = if on { slots::builder_config::SET_FLAG } else { slots::builder_config::CLEAR_FLAG };
        // SAFETY: the signature.
        unsafe { call!(self.config.object, slot, fn(i32), number) }
    }

    /// Most device memory that a layer may use while it runs, bytes.
    ///
    /// # Errors
    /// Never in a supported release.
    pub fn set_workspace(&mut self, bytes: usize) -> Result<(), Error> {
        let slot = slots::builder_config::SET_MEMORY_POOL_LIMIT;
        // SAFETY: the signature.
        unsafe { call!(self.config.object, slot, fn(i32, usize), WORKSPACE, bytes) }
    }

    /// 0 (fastest build) to 5 (fastest engine). 8.5 has no levels, and this does nothing there.
    ///
    /// # Errors
    /// Never in a supported release.
    pub fn set_optimization_level(&mut self, level: i32) -> Result<(), Error> {
        self.set_where_known(slots::builder_config::SET_BUILDER_OPTIMIZATION_LEVEL, level)
    }

    /// 0: this GPU only; 1: Ampere and later; 2 (10.12 and later): every GPU of this compute capability.
    ///
    /// # Errors
    /// [`Error::NoMethod`] in 8.5.
    pub fn set_hardware_compatibility(&mut self, level: i32) -> Result<(), Error> {
        let slot = slots::builder_config::SET_HARDWARE_COMPATIBILITY_LEVEL;
        // SAFETY: the signature.
        unsafe { call!(self.config.object, slot, fn(i32), level) }
    }

    fn set_where_known(&mut self, slot: slots::Slot, value: i32) -> Result<(), Error> {
        if self.config.object.has(&slot) {
            // SAFETY: the signature of both setters.
            unsafe { call!(self.config.object, slot, fn(i32), value) }?;
        }
        Ok(())
    }

    /// Lets contexts share a profile, as lanes need. From 10 they always do; 8.5 can't.
    ///
    /// # Errors
    /// Never in a supported release.
    pub fn share_profiles(&mut self) -> Result<(), Error> {
        let library = self.builder.library();
        if library.group() == Group::V8 && library.version().minor >= 6 {
            let slot = slots::builder_config::SET_PREVIEW_FEATURE;
            // SAFETY: the signature.
            unsafe { call!(self.config.object, slot, fn(i32, bool), PROFILE_SHARING_0806, true) }?;
        }
        Ok(())
    }

    /// Which libraries' kernels are tried, a bit each, numbered by release. 0: TensorRT's own only.
    ///
    /// # Errors
    /// TensorRT refuses.
    pub fn set_tactic_sources(&mut self, sources: u32) -> Result<(), Error> {
        let slot = slots::builder_config::SET_TACTIC_SOURCES;
        // SAFETY: the signature.
        let (set, log) = capture(|| unsafe { call!(self.config.object, slot, fn(u32) -> bool, sources) });
        if set? { Ok(()) } else { Err(self.builder.failed(slot.method, log)) }
    }

    /// Runs of a kernel that are timed, at least and on average. Only 8 knows the first.
    ///
    /// # Errors
    /// Never in a supported release.
    pub fn set_timing_iterations(&mut self, iterations: i32) -> Result<(), Error> {
        self.set_where_known(slots::builder_config::SET_MIN_TIMING_ITERATIONS, iterations)?;
        self.set_where_known(slots::builder_config::SET_AVG_TIMING_ITERATIONS, iterations)
    }

    /// The GPUs to build for, as major · 10 + minor: RTX only, which then needs none to build.
    ///
    /// # Errors
    /// [`Error::NoMethod`] elsewhere; TensorRT refuses one.
    pub fn set_compute_capabilities(&mut self, capabilities: &[i32]) -> Result<(), Error> {
        let (config, count) = (self.config.object, capabilities.len() as i32);
        let (nb, set) =
            (slots::builder_config::SET_NB_COMPUTE_CAPABILITIES, slots::builder_config::SET_COMPUTE_CAPABILITY);
        // SAFETY: the signatures.
        let (done, log) = capture(|| unsafe {
            let mut done = call!(config, nb, fn(i32) -> bool, count)?;
            for (index, capability) in (0..).zip(capabilities) {
                done &= call!(config, set, fn(i32, i32) -> bool, *capability, index)?;
            }
            Ok(done)
        });
        if done? { Ok(()) } else { Err(self.builder.failed(&format!("setComputeCapability({capabilities:?})"), log)) }
    }

    /// Adds a profile.
    ///
    /// # Errors
    /// TensorRT refuses it.
    pub fn add_profile(&mut self, profile: &OptimizationProfile) -> Result<(), Error> {
        let (slot, raw) = (slots::builder_config::ADD_OPTIMIZATION_PROFILE, profile.raw.as_ptr());
        // SAFETY: the signature; the profile lives as long as the builder.
        let (index, log) = capture(|| unsafe { call!(self.config.object, slot, fn(*mut c_void) -> i32, raw) });
        if index? < 0 { Err(self.builder.failed(slot.method, log)) } else { Ok(()) }
    }

    /// Reports progress and cancels; from 10.
    ///
    /// # Errors
    /// [`Error::NoMethod`] in 8.
    pub fn set_progress_monitor(&mut self, monitor: ProgressMonitor) -> Result<(), Error> {
        let monitor = Box::new(monitor);
        let slot = slots::builder_config::SET_PROGRESS_MONITOR;
        // SAFETY: the signature; the box is kept until the configuration is gone.
        unsafe { call!(self.config.object, slot, fn(*mut c_void), monitor.raw()) }?;
        self.monitor = Some(monitor);
        Ok(())
    }

    /// Starts from the timings of earlier builds (empty: none), so that kernels aren't timed again.
    ///
    /// # Errors
    /// The timings are damaged, or of another TensorRT or GPU.
    pub fn set_timing_cache(&mut self, timings: &[u8]) -> Result<(), Error> {
        let config = self.config.object;
        let (create, set) = (slots::builder_config::CREATE_TIMING_CACHE, slots::builder_config::SET_TIMING_CACHE);
        let (data, size) = (timings.as_ptr().cast::<c_void>(), timings.len());
        // SAFETY: the signature; TensorRT copies the bytes.
        let (created, log) =
            capture(|| unsafe { call!(config, create, fn(*const c_void, usize) -> *mut c_void, data, size) });
        let raw = non_null(created?).ok_or_else(|| self.builder.failed(create.method, log))?;
        // SAFETY: a new object, ours alone.
        let cache = unsafe { Owned::public(raw, slots::timing_cache::SERIALIZE.class, config.library) }?;
        // SAFETY: the signature, a reference being a pointer; the cache is kept until the configuration is gone.
        let (taken, log) = capture(|| unsafe { call!(config, set, fn(*mut c_void, bool) -> bool, cache.raw(), false) });
        if !taken? {
            return Err(self.builder.failed(set.method, log));
        }
        self.timing_cache = Some(TimingCache(cache));
        Ok(())
    }

    /// The timings of this build and of those it started from, to be kept.
    ///
    /// # Errors
    /// TensorRT can't write them.
    pub fn timings(&self) -> Result<Option<Vec<u8>>, Error> {
        self.timing_cache.as_ref().map(|cache| cache.serialize(&self.builder)).transpose()
    }
}

/// `ITimingCache`
#[derive(Debug)]
struct TimingCache(Owned);

impl TimingCache {
    fn serialize(&self, builder: &Inner) -> Result<Vec<u8>, Error> {
        let slot = slots::timing_cache::SERIALIZE;
        // SAFETY: the signature.
        let (memory, log) = capture(|| unsafe { call!(self.0.object, slot, fn() -> *mut c_void) });
        let raw = non_null(memory?).ok_or_else(|| builder.failed(slot.method, log))?;
        // SAFETY: a new object, ours alone.
        let memory = unsafe { HostMemory::new(raw, builder.library()) }?;
        Ok(memory.to_vec())
    }
}

/// `IHostMemory`: bytes of TensorRT's, for example a plan.
#[derive(Debug)]
pub struct HostMemory {
    // Dropped in this order.
    memory: Owned,
    data: *const c_char,
    size: usize,
    _builder: Option<Rc<Inner>>,
}

impl HostMemory {
    /// # Safety
    /// `raw` is a live `IHostMemory` of `library` that nobody else deletes.
    unsafe fn new(raw: NonNull<c_void>, library: &'static Library) -> Result<Self, Error> {
        // SAFETY: by the caller.
        let memory = unsafe { Owned::public(raw, slots::host_memory::DATA.class, library) }?;
        // SAFETY: the signatures.
        let (data, size) = unsafe {
            let data = call!(memory.object, slots::host_memory::DATA, fn() -> *const c_char)?;
            (data, call!(memory.object, slots::host_memory::SIZE, fn() -> usize)?)
        };
        Ok(Self { memory, data, size: if data.is_null() { 0 } else { size }, _builder: None })
    }
}

impl std::ops::Deref for HostMemory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        debug_assert!(!self.memory.raw().is_null());
        if self.size == 0 {
            return &[];
        }
        // SAFETY: so many bytes, unchanged as long as the object that `self` owns.
        unsafe { std::slice::from_raw_parts(self.data.cast(), self.size) }
    }
}
