//! Building engines: builder, network, configuration, profile, timing cache and the resulting plan.
//!
//! TensorRT's builder objects aren't thread-safe and share state, so none of these types is `Send` or `Sync`: a build
//! stays on its thread. Objects that belong to a builder keep it alive.

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
    // The fields are dropped in this order.
    builder: Owned,
    allocator: Option<Arc<GpuAllocator>>,
}

impl Inner {
    fn library(&self) -> &'static Library {
        self.builder.object.library
    }

    /// The error for a call that returned null or false.
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
        // SAFETY: the factory returned a new object that only we own.
        let builder = unsafe { Owned::public(raw, slots::builder::CREATE_NETWORK_V2.class, library) }?;
        if let Some(allocator) = &allocator {
            // SAFETY: the signature matches; the allocator lives as long as the builder.
            unsafe { call!(builder.object, slots::builder::SET_GPU_ALLOCATOR, fn(*mut c_void), allocator.raw()) }?;
        }
        Ok(Self(Rc::new(Inner { builder, allocator })))
    }

    /// Creates an empty network. In a strongly typed network the ONNX file decides each tensor's type; 11 and RTX have
    /// only that kind, 8 doesn't have it.
    ///
    /// # Errors
    /// TensorRT reports an error.
    pub fn network(&self, strongly_typed: bool) -> Result<Network, Error> {
        let flags: u32 = match self.0.library().group() {
            Group::V8 => 1,
            Group::V10 if strongly_typed => 1 << 1,
            // EXPLICIT_BATCH has been the only mode since 10, so its bit isn't needed any more.
            Group::V10 => 0,
            Group::V11 => 1,
            Group::Rtx1 => 0,
        };
        let slot = slots::builder::CREATE_NETWORK_V2;
        // SAFETY: the signature matches.
        let network = unsafe {
            self.create(slot, slots::network::NB_INPUTS.class, |o, s| call!(o, s, fn(u32) -> *mut c_void, flags))
        }?;
        Ok(Network { parser: None, network, builder: Rc::clone(&self.0) })
    }

    /// # Errors
    /// TensorRT reports an error.
    pub fn config(&self) -> Result<BuilderConfig, Error> {
        let slot = slots::builder::CREATE_BUILDER_CONFIG;
        // SAFETY: the signature matches.
        let config = unsafe {
            self.create(slot, slots::builder_config::SET_FLAG.class, |o, s| call!(o, s, fn() -> *mut c_void))
        }?;
        Ok(BuilderConfig { config, timing_cache: None, monitor: None, builder: Rc::clone(&self.0) })
    }

    /// # Safety
    /// `call` uses the method's signature, and the result is a new object of `class`.
    unsafe fn create(
        &self,
        slot: slots::VtableSlot,
        class: &'static str,
        call: impl FnOnce(Object, slots::VtableSlot) -> Result<*mut c_void, Error>,
    ) -> Result<Owned, Error> {
        let method = slot.method;
        let (created, log) = capture(|| call(self.0.builder.object, slot));
        let raw = non_null(created?).ok_or_else(|| self.0.failed(method, log))?;
        // SAFETY: the caller guarantees it.
        unsafe { Owned::public(raw, class, self.0.library()) }
    }

    /// The builder owns the returned profile, so we must not delete it.
    ///
    /// # Errors
    /// TensorRT reports an error.
    pub fn optimization_profile(&self) -> Result<OptimizationProfile, Error> {
        let slot = slots::builder::CREATE_OPTIMIZATION_PROFILE;
        // SAFETY: the signature matches.
        let (created, log) = capture(|| unsafe { call!(self.0.builder.object, slot, fn() -> *mut c_void) });
        let raw = non_null(created?).ok_or_else(|| self.0.failed(slot.method, log))?;
        let class = slots::optimization_profile::SET_DIMENSIONS.class;
        // SAFETY: the object lives as long as the builder, which the profile keeps alive.
        let profile = unsafe { Object::public(raw, class, self.0.library()) }?;
        Ok(OptimizationProfile { profile, raw, builder: Rc::clone(&self.0) })
    }

    /// Builds the engine, which takes minutes with an empty timing cache.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the allocator refused memory, otherwise the messages that TensorRT logged; an error
    /// also after cancellation.
    pub fn build(&self, network: &Network, config: &BuilderConfig) -> Result<HostMemory, Error> {
        let slot = slots::builder::BUILD_SERIALIZED_NETWORK;
        let (network, config) = (network.network.raw(), config.config.raw());
        // SAFETY: the signature matches, references being pointers; both objects are live.
        let (built, log) = capture(|| unsafe {
            call!(self.0.builder.object, slot, fn(*mut c_void, *mut c_void) -> *mut c_void, network, config)
        });
        let raw = non_null(built?).ok_or_else(|| self.0.failed(slot.method, log))?;
        // SAFETY: the object is new, and only we own it.
        let memory = unsafe { HostMemory::new(raw, self.0.library()) }?;
        Ok(HostMemory { _builder: Some(Rc::clone(&self.0)), ..memory })
    }
}

/// `INetworkDefinition`, and the parser that filled it, whose memory holds the weights until the build is finished.
#[derive(Debug)]
pub struct Network {
    // The fields are dropped in this order.
    parser: Option<Parser>,
    network: Owned,
    builder: Rc<Inner>,
}

impl Network {
    /// Fills the network from an ONNX model. `path` locates external weights and is named in errors.
    ///
    /// # Errors
    /// [`Error::Parse`] with the parser's errors, or the model has no outputs.
    pub fn parse(&mut self, onnx: &[u8], path: &Path) -> Result<(), Error> {
        let parser = Parser::new(self.builder.library(), &self.network)?;
        parser.parse(onnx, path)?;
        self.parser = Some(parser);
        // Some parsers accept an empty file without an error.
        if self.outputs()?.is_empty() {
            return Err(Error::Model {
                model: path.into(),
                reason: "the model has no outputs: export it again".into(),
            });
        }
        Ok(())
    }

    /// # Errors
    /// A tensor object doesn't have the published layout.
    pub fn inputs(&self) -> Result<Vec<NetworkTensor>, Error> {
        self.tensors(&slots::network::NB_INPUTS, &slots::network::INPUT)
    }

    /// # Errors
    /// A tensor object doesn't have the published layout.
    pub fn outputs(&self) -> Result<Vec<NetworkTensor>, Error> {
        self.tensors(&slots::network::NB_OUTPUTS, &slots::network::OUTPUT)
    }

    /// # Errors
    /// Only in unsupported releases.
    pub fn layers(&self) -> Result<usize, Error> {
        // SAFETY: the signature matches.
        let layers = unsafe { call!(self.network.object, slots::network::NB_LAYERS, fn() -> i32) }?;
        Ok(usize::try_from(layers).unwrap_or(0))
    }

    fn tensors(&self, count: &slots::VtableSlot, get: &slots::VtableSlot) -> Result<Vec<NetworkTensor>, Error> {
        let network = self.network.object;
        // SAFETY: the signature matches.
        let count = unsafe { call!(network, *count, fn() -> i32) }?;
        (0..count)
            .filter_map(|index| {
                // SAFETY: the signature matches; the index is in range.
                let tensor = unsafe { call!(network, *get, fn(i32) -> *mut c_void, index) };
                let tensor = tensor.map(non_null).transpose()?;
                // SAFETY: the network's tensors live as long as the network.
                Some(tensor.and_then(|raw| unsafe {
                    NetworkTensor::read(Object::public(raw, slots::tensor::NAME.class, network.library)?)
                }))
            })
            .collect()
    }
}

/// `IOptimizationProfile`: the shapes for which an engine is built.
#[derive(Debug)]
pub struct OptimizationProfile {
    profile: Object,
    raw: NonNull<c_void>,
    builder: Rc<Inner>,
}

impl OptimizationProfile {
    /// Sets the minimum, optimum and maximum shape of an input.
    ///
    /// # Errors
    /// TensorRT rejects a shape.
    pub fn set_shapes(&mut self, input: &str, min: &[i64], opt: &[i64], max: &[i64]) -> Result<(), Error> {
        let name = c_name(input)?;
        for (selector, shape) in [(Selector::Min, min), (Selector::Opt, opt), (Selector::Max, max)] {
            // SAFETY: the profile lives as long as the builder that `self` keeps alive.
            let (set, log) = capture(|| unsafe { set_profile_shape(self.profile, &name, selector, shape) });
            if !set? {
                return Err(self.builder.failed(&format!("setDimensions({input}, {selector:?}, {shape:?})"), log));
            }
        }
        // SAFETY: the signature matches.
        let valid = unsafe { call!(self.profile, slots::optimization_profile::IS_VALID, fn() -> bool) }?;
        if valid {
            Ok(())
        } else {
            Err(Error::Setting(format!("{input}: TensorRT can't use min {min:?}, opt {opt:?}, max {max:?} together")))
        }
    }
}

/// The values of `nvinfer1::BuilderFlag` that are used.
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
    /// The flag's number; `None` in releases that take the precision from the ONNX file.
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
    // The fields are dropped in this order.
    config: Owned,
    timing_cache: Option<TimingCache>,
    monitor: Option<Box<ProgressMonitor>>,
    builder: Rc<Inner>,
}

impl BuilderConfig {
    /// # Errors
    /// The release doesn't have the flag.
    pub fn set_flag(&mut self, flag: Flag, on: bool) -> Result<(), Error> {
        let library = self.builder.library();
        let number = flag.number(library.group()).ok_or_else(|| {
            Error::Setting(format!(
                "{} has no flag {flag:?}: it takes the precision from the ONNX file",
                library.version()
            ))
        })?;
        let slot = if on { slots::builder_config::SET_FLAG } else { slots::builder_config::CLEAR_FLAG };
        // SAFETY: the signature matches.
        unsafe { call!(self.config.object, slot, fn(i32), number) }
    }

    /// Sets the maximum device memory that a layer may use while it runs, in bytes.
    ///
    /// # Errors
    /// Only in unsupported releases.
    pub fn set_workspace(&mut self, bytes: usize) -> Result<(), Error> {
        let slot = slots::builder_config::SET_MEMORY_POOL_LIMIT;
        // SAFETY: the signature matches.
        unsafe { call!(self.config.object, slot, fn(i32, usize), WORKSPACE, bytes) }
    }

    /// Sets the level, from 0 (fastest build) to 5 (fastest engine). 8.5 has no levels; the call does nothing there.
    ///
    /// # Errors
    /// Only in unsupported releases.
    pub fn set_optimization_level(&mut self, level: i32) -> Result<(), Error> {
        self.set_where_known(slots::builder_config::SET_BUILDER_OPTIMIZATION_LEVEL, level)
    }

    /// Sets the level: 0 for this GPU only, 1 for Ampere and later, 2 (10.12 and later) for every GPU of this compute
    /// capability.
    ///
    /// # Errors
    /// [`Error::NoMethod`] in 8.5.
    pub fn set_hardware_compatibility(&mut self, level: i32) -> Result<(), Error> {
        let slot = slots::builder_config::SET_HARDWARE_COMPATIBILITY_LEVEL;
        // SAFETY: the signature matches.
        unsafe { call!(self.config.object, slot, fn(i32), level) }
    }

    fn set_where_known(&mut self, slot: slots::VtableSlot, value: i32) -> Result<(), Error> {
        if self.config.object.has(&slot) {
            // SAFETY: both setters have this signature.
            unsafe { call!(self.config.object, slot, fn(i32), value) }?;
        }
        Ok(())
    }

    /// Lets contexts share a profile, which lanes need. From 10 on they always share; 8.5 can't.
    ///
    /// # Errors
    /// Only in unsupported releases.
    pub fn share_profiles(&mut self) -> Result<(), Error> {
        let library = self.builder.library();
        if library.group() == Group::V8 && library.version().minor >= 6 {
            let slot = slots::builder_config::SET_PREVIEW_FEATURE;
            // SAFETY: the signature matches.
            unsafe { call!(self.config.object, slot, fn(i32, bool), PROFILE_SHARING_0806, true) }?;
        }
        Ok(())
    }

    /// Selects the libraries whose kernels are tried, one bit each, numbered per release. 0: only TensorRT's kernels.
    ///
    /// # Errors
    /// TensorRT reports an error.
    pub fn set_tactic_sources(&mut self, sources: u32) -> Result<(), Error> {
        let slot = slots::builder_config::SET_TACTIC_SOURCES;
        // SAFETY: the signature matches.
        let (set, log) = capture(|| unsafe { call!(self.config.object, slot, fn(u32) -> bool, sources) });
        if set? { Ok(()) } else { Err(self.builder.failed(slot.method, log)) }
    }

    /// Sets the number of timed runs of each kernel, as minimum and as average. Only 8 has the minimum.
    ///
    /// # Errors
    /// Only in unsupported releases.
    pub fn set_timing_iterations(&mut self, iterations: i32) -> Result<(), Error> {
        self.set_where_known(slots::builder_config::SET_MIN_TIMING_ITERATIONS, iterations)?;
        self.set_where_known(slots::builder_config::SET_AVG_TIMING_ITERATIONS, iterations)
    }

    /// Sets the GPUs to build for, as major · 10 + minor. Only RTX has this; it then needs no GPU to build.
    ///
    /// # Errors
    /// [`Error::NoMethod`] in other releases, or TensorRT rejects a value.
    pub fn set_compute_capabilities(&mut self, capabilities: &[i32]) -> Result<(), Error> {
        let (config, count) = (self.config.object, capabilities.len() as i32);
        let (nb, set) =
            (slots::builder_config::SET_NB_COMPUTE_CAPABILITIES, slots::builder_config::SET_COMPUTE_CAPABILITY);
        // SAFETY: the signatures match.
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
    /// TensorRT rejects the profile.
    pub fn add_profile(&mut self, profile: &OptimizationProfile) -> Result<(), Error> {
        let (slot, raw) = (slots::builder_config::ADD_OPTIMIZATION_PROFILE, profile.raw.as_ptr());
        // SAFETY: the signature matches; the profile lives as long as the builder.
        let (index, log) = capture(|| unsafe { call!(self.config.object, slot, fn(*mut c_void) -> i32, raw) });
        if index? < 0 { Err(self.builder.failed(slot.method, log)) } else { Ok(()) }
    }

    /// Sets a monitor that reports progress and cancels the build; from 10 on.
    ///
    /// # Errors
    /// [`Error::NoMethod`] in 8.
    pub fn set_progress_monitor(&mut self, monitor: ProgressMonitor) -> Result<(), Error> {
        let monitor = Box::new(monitor);
        let slot = slots::builder_config::SET_PROGRESS_MONITOR;
        // SAFETY: the signature matches; the box outlives the configuration.
        unsafe { call!(self.config.object, slot, fn(*mut c_void), monitor.raw()) }?;
        self.monitor = Some(monitor);
        Ok(())
    }

    /// Creates a timing cache from the timings of earlier builds; without any, an empty one.
    ///
    /// # Errors
    /// The timings are damaged, or come from another TensorRT.
    pub fn timing_cache(&self, timings: &[u8]) -> Result<TimingCache, Error> {
        let (config, create) = (self.config.object, slots::builder_config::CREATE_TIMING_CACHE);
        let (data, size) = (timings.as_ptr().cast::<c_void>(), timings.len());
        // SAFETY: the signature matches; TensorRT copies the bytes.
        let (created, log) =
            capture(|| unsafe { call!(config, create, fn(*const c_void, usize) -> *mut c_void, data, size) });
        let raw = non_null(created?).ok_or_else(|| self.builder.failed(create.method, log))?;
        // SAFETY: the object is new, and only we own it.
        let cache = unsafe { Owned::public(raw, slots::timing_cache::SERIALIZE.class, config.library) }?;
        Ok(TimingCache { cache, builder: Rc::clone(&self.builder) })
    }

    /// Sets the cache from which kernels' timings are taken, and to which new ones are added.
    ///
    /// # Errors
    /// The timings come from another GPU.
    pub fn set_timing_cache(&mut self, timings: TimingCache) -> Result<(), Error> {
        let (set, cache) = (slots::builder_config::SET_TIMING_CACHE, timings.cache.raw());
        // SAFETY: the signature matches, a reference being a pointer; the cache outlives the configuration.
        let (taken, log) =
            capture(|| unsafe { call!(self.config.object, set, fn(*mut c_void, bool) -> bool, cache, false) });
        if !taken? {
            return Err(self.builder.failed(set.method, log));
        }
        self.timing_cache = Some(timings);
        Ok(())
    }

    /// The timings of this build and of the loaded ones, to be saved.
    ///
    /// # Errors
    /// TensorRT can't serialise them.
    pub fn timings(&self) -> Result<Option<Vec<u8>>, Error> {
        self.timing_cache.as_ref().map(TimingCache::serialize).transpose()
    }
}

/// `ITimingCache`: how long each kernel took in earlier builds.
#[derive(Debug)]
pub struct TimingCache {
    // The fields are dropped in this order.
    cache: Owned,
    builder: Rc<Inner>,
}

impl TimingCache {
    /// Adds another cache's timings; those that this one has too stay as they are.
    ///
    /// # Errors
    /// The other's timings come from another TensorRT or GPU.
    pub fn combine(&mut self, other: &Self) -> Result<(), Error> {
        let (slot, other) = (slots::timing_cache::COMBINE, other.cache.raw());
        // SAFETY: the signature matches, a reference being a pointer.
        let (taken, log) =
            capture(|| unsafe { call!(self.cache.object, slot, fn(*mut c_void, bool) -> bool, other, false) });
        if taken? { Ok(()) } else { Err(self.builder.failed(slot.method, log)) }
    }

    fn serialize(&self) -> Result<Vec<u8>, Error> {
        let slot = slots::timing_cache::SERIALIZE;
        // SAFETY: the signature matches.
        let (memory, log) = capture(|| unsafe { call!(self.cache.object, slot, fn() -> *mut c_void) });
        let raw = non_null(memory?).ok_or_else(|| self.builder.failed(slot.method, log))?;
        // SAFETY: the object is new, and only we own it.
        let memory = unsafe { HostMemory::new(raw, self.builder.library()) }?;
        Ok(memory.to_vec())
    }
}

/// `IHostMemory`: bytes that TensorRT owns, for example a plan.
#[derive(Debug)]
pub struct HostMemory {
    // The fields are dropped in this order.
    memory: Owned,
    data: *const c_char,
    size: usize,
    _builder: Option<Rc<Inner>>,
}

impl HostMemory {
    /// # Safety
    /// `raw` is a live `IHostMemory` of `library` that nothing else deletes.
    unsafe fn new(raw: NonNull<c_void>, library: &'static Library) -> Result<Self, Error> {
        // SAFETY: the caller guarantees it.
        let memory = unsafe { Owned::public(raw, slots::host_memory::DATA.class, library) }?;
        // SAFETY: the signatures match.
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
        // SAFETY: the object, which `self` owns, has that many bytes and doesn't change them.
        unsafe { std::slice::from_raw_parts(self.data.cast(), self.size) }
    }
}
