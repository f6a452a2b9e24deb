//! `IBuilder`, its configuration, its profiles and the results of a build.

use super::allocator::Allocator;
use super::dims::Dims;
use super::logger;
use super::model::{Model, Tensor};
use super::network::Network;
use super::object::{self, argument, class, method, of, string};
use super::plan::{InputRange, SerialisedEngine};
use crate::settings::settings;
use parking_lot::Mutex;
use std::ffi::{CString, c_char, c_void};
use std::time::Duration;

#[derive(Default)]
struct Builder {
    allocator: Mutex<Allocator>,
    profiles: Mutex<Vec<usize>>,
}

#[derive(Default)]
struct Config {
    state: Mutex<ConfigState>,
}

#[derive(Default)]
struct ConfigState {
    flags: u32,
    workspace: Option<usize>,
    profiles: Vec<usize>,
    monitor: usize,
}

/// `IOptimizationProfile`, owned by its builder.
#[derive(Default)]
struct Profile {
    ranges: Mutex<Vec<InputRange>>,
}

/// `ITimingCache`
struct TimingCache;

/// `IHostMemory`
struct HostMemory(Vec<u8>);

class!(Builder: "VBuilder", public {
    "createBuilderConfig" = create_config,
    "createNetworkV2" = create_network,
    "createOptimizationProfile" = create_profile,
    "buildSerializedNetwork" = build,
    "setGpuAllocator" = set_gpu_allocator,
});

class!(Config: "VBuilderConfig", public {
    "setFlag" = set_flag,
    "clearFlag" = clear_flag,
    "addOptimizationProfile" = add_profile,
    "setTacticSources" = set_tactic_sources,
    "createTimingCache" = create_timing_cache,
    "setTimingCache" = set_timing_cache,
    "setMemoryPoolLimit" = set_memory_pool_limit,
    "setBuilderOptimizationLevel" = set_optimization_level,
    "setHardwareCompatibilityLevel" = set_hardware_compatibility,
    "setProgressMonitor" = set_progress_monitor,
    "setAvgTimingIterations" = set_timing_iterations,
    "setPreviewFeature" = set_preview_feature,
});

class!(Profile: "VOptimizationProfile", public {
    "setDimensions" = set_dimensions,
    "isValid" = is_valid,
});

class!(TimingCache: "VTimingCache", public {
    "serialize" = serialize_timings,
    "combine" = combine_timings,
});

class!(HostMemory: "VHostMemory", public {
    "data" = data,
    "size" = size,
});

pub fn new_builder() -> *mut c_void {
    object::new(Builder::default())
}

impl Drop for Builder {
    fn drop(&mut self) {
        for profile in self.profiles.lock().drain(..) {
            // SAFETY: created by `create_profile`, and deleted only here.
            unsafe { object::delete::<Profile>(profile as *mut c_void) };
        }
    }
}

unsafe extern "C" fn set_gpu_allocator(this: *mut c_void, allocator: *mut c_void) {
    // SAFETY: a method of this class, as all below.
    *unsafe { of::<Builder>(this) }.allocator.lock() = Allocator::new(allocator);
}

extern "C" fn create_config(_this: *mut c_void) -> *mut c_void {
    object::new(Config::default())
}

extern "C" fn create_network(_this: *mut c_void, flags: u32) -> *mut c_void {
    // EXPLICIT_BATCH, STRONGLY_TYPED
    if flags & !3 != 0 {
        logger::error(&format!("createNetworkV2: Error Code 3: API Usage Error (flags {flags:#x})"));
        return std::ptr::null_mut();
    }
    object::new(Network::default())
}

unsafe extern "C" fn create_profile(this: *mut c_void) -> *mut c_void {
    let profile = object::new(Profile::default());
    // SAFETY: as above.
    unsafe { of::<Builder>(this) }.profiles.lock().push(profile.addr());
    profile
}

unsafe extern "C" fn set_dimensions(this: *mut c_void, name: *const c_char, which: i32, dims: *const Dims) -> bool {
    // SAFETY: as above; the caller's string and dims.
    let (profile, name, shape) = unsafe { (of::<Profile>(this), string(name), (*dims).shape()) };
    let mut ranges = profile.ranges.lock();
    let index = ranges.iter().position(|range| range.name == name).unwrap_or_else(|| {
        ranges.push(InputRange { name, ..InputRange::default() });
        ranges.len() - 1
    });
    let place = match which {
        0 => &mut ranges[index].min,
        1 => &mut ranges[index].opt,
        2 => &mut ranges[index].max,
        _ => return false,
    };
    let valid = shape.iter().all(|size| *size >= 0);
    *place = shape;
    valid
}

unsafe extern "C" fn is_valid(this: *mut c_void) -> bool {
    // SAFETY: as above.
    let ranges = unsafe { of::<Profile>(this) }.ranges.lock();
    ranges.iter().all(|range| range.holds(&range.opt) && range.holds(&range.min) && range.holds(&range.max))
}

unsafe extern "C" fn set_flag(this: *mut c_void, flag: i32) {
    // SAFETY: as above.
    unsafe { of::<Config>(this) }.state.lock().flags |= 1 << flag;
}

unsafe extern "C" fn clear_flag(this: *mut c_void, flag: i32) {
    // SAFETY: as above.
    unsafe { of::<Config>(this) }.state.lock().flags &= !(1 << flag);
}

unsafe extern "C" fn add_profile(this: *mut c_void, profile: *mut c_void) -> i32 {
    // SAFETY: as above.
    let mut state = unsafe { of::<Config>(this) }.state.lock();
    state.profiles.push(profile.addr());
    state.profiles.len() as i32 - 1
}

extern "C" fn set_tactic_sources(_this: *mut c_void, _sources: u32) -> bool {
    true
}

unsafe extern "C" fn set_memory_pool_limit(this: *mut c_void, pool: i32, bytes: usize) {
    if pool == 0 {
        // SAFETY: as above.
        unsafe { of::<Config>(this) }.state.lock().workspace = Some(bytes);
    }
}

extern "C" fn set_optimization_level(_this: *mut c_void, level: i32) {
    if !(0..=5).contains(&level) {
        logger::error(&format!(
            "setBuilderOptimizationLevel: Error Code 3: API Usage Error ({level} is not in [0, 5])"
        ));
    }
}

extern "C" fn set_hardware_compatibility(_this: *mut c_void, _level: i32) {}

unsafe extern "C" fn set_progress_monitor(this: *mut c_void, monitor: usize) {
    // SAFETY: as above.
    unsafe { of::<Config>(this) }.state.lock().monitor = monitor;
}

extern "C" fn set_timing_iterations(_this: *mut c_void, _iterations: i32) {}

extern "C" fn set_preview_feature(_this: *mut c_void, _feature: i32, _on: bool) {}

const TIMINGS: &[u8] = b"stand-in timings";

unsafe extern "C" fn create_timing_cache(_this: *mut c_void, data: *const u8, size: usize) -> *mut c_void {
    // SAFETY: the caller's bytes.
    if size != 0 && unsafe { std::slice::from_raw_parts(data, size) } != TIMINGS {
        logger::error(
            "Error Code 1: Serialization (Serialization assertion magicTagRead == kMAGIC_TAG failed. timing cache)",
        );
        return std::ptr::null_mut();
    }
    object::new(TimingCache)
}

extern "C" fn set_timing_cache(_this: *mut c_void, cache: *mut c_void, _ignore_mismatch: bool) -> bool {
    !cache.is_null()
}

extern "C" fn combine_timings(_this: *mut c_void, other: *mut c_void, _ignore_mismatch: bool) -> bool {
    !other.is_null()
}

extern "C" fn serialize_timings(_this: *mut c_void) -> *mut c_void {
    object::new(HostMemory(TIMINGS.to_vec()))
}

unsafe extern "C" fn data(this: *mut c_void) -> *const u8 {
    // SAFETY: as above.
    unsafe { of::<HostMemory>(this) }.0.as_ptr()
}

unsafe extern "C" fn size(this: *mut c_void) -> usize {
    // SAFETY: as above.
    unsafe { of::<HostMemory>(this) }.0.len()
}

unsafe extern "C" fn build(this: *mut c_void, network: *mut c_void, config: *mut c_void) -> *mut c_void {
    // SAFETY: as above; the arguments are objects of their classes.
    let (builder, network, config) =
        unsafe { (of::<Builder>(this), argument::<Network>(network), argument::<Config>(config)) };
    let (filled, state) = (network.filled(), config.state.lock());
    let Some(model) = filled.model.as_ref().filter(|model| !model.outputs.is_empty()) else {
        logger::error(
            "IBuilder::buildSerializedNetwork: Error Code 4: Internal Error (Network must have at least one output)",
        );
        return std::ptr::null_mut();
    };
    let Some(profile) = profile_of(model, &state) else { return std::ptr::null_mut() };
    if super::super::driver::current().is_err() {
        logger::error("IBuilder::buildSerializedNetwork: Error Code 1: Cuda Driver (no context is current)");
        return std::ptr::null_mut();
    }
    // Timing of kernels needs the weights and a layer's scratch memory, within the workspace limit.
    let scratch = (model.weights + (1 << 20)).min(state.workspace.map_or(u64::MAX, |bytes| bytes as u64).max(1));
    let Some(memory) = builder.allocator.lock().take(scratch) else { return std::ptr::null_mut() };
    let finished = report_progress(state.monitor, model.nodes.len());
    drop(memory);
    if !finished {
        return std::ptr::null_mut();
    }
    let plan = SerialisedEngine { onnx: filled.onnx.clone(), profile, half: state.flags & 1 != 0 };
    logger::info(&format!(
        "[stand-in] built {} layers; arithmetic is the ONNX's own, whatever the flags",
        model.nodes.len()
    ));
    object::new(HostMemory(plan.serialise()))
}

/// The shapes that an engine accepts; `None` for a profile that doesn't fit the network.
fn profile_of(model: &Model, state: &ConfigState) -> Option<Vec<InputRange>> {
    let error = |text: &str| {
        logger::error(&format!("IBuilder::buildSerializedNetwork: Error Code 4: API Usage Error ({text})"));
        None
    };
    let dynamic = |tensor: &Tensor| tensor.shape.iter().any(|size| *size < 0);
    let given: Vec<InputRange> = match *state.profiles.as_slice() {
        [] if model.inputs.iter().any(dynamic) => {
            return error("Network has dynamic or shape inputs, but no optimization profile has been defined.");
        }
        [] => Vec::new(),
        // SAFETY: it belongs to the builder, which is alive during the build.
        [profile] => unsafe { argument::<Profile>(profile as *mut c_void) }.ranges.lock().clone(),
        _ => return error("the stand-in takes one profile"),
    };
    let range = |input: &Tensor| {
        let found = given.iter().find(|range| range.name == input.name);
        let fixed = || {
            let shape = input.shape.clone();
            Some(InputRange { name: input.name.clone(), min: shape.clone(), opt: shape.clone(), max: shape })
        };
        let range = if dynamic(input) { found.cloned() } else { fixed() };
        range.filter(|range| {
            [&range.min, &range.opt, &range.max].into_iter().all(|shape| {
                let fits = |(size, known): (&i64, &i64)| *known < 0 || size == known;
                shape.len() == input.shape.len() && shape.iter().zip(&input.shape).all(fits)
            })
        })
    };
    let ranges: Option<Vec<_>> = model.inputs.iter().map(range).collect();
    if ranges.is_none() {
        return error("the optimization profile doesn't fit the network's inputs");
    }
    ranges
}

/// Maximum duration of a step: the real builder queries its monitor between two kernels that it times.
const STEP: Duration = Duration::from_millis(100);

/// Reports two nested phases; returns `false` once the monitor cancels the build.
fn report_progress(monitor: usize, layers: usize) -> bool {
    let steps = layers.clamp(1, 20).max(settings().build_time.div_duration_f64(STEP) as usize);
    let pause = settings().build_time / steps as u32;
    if monitor == 0 {
        std::thread::sleep(settings().build_time);
        return true;
    }
    const CLASS: &str = "IProgressMonitor";
    type Start = unsafe extern "C" fn(usize, *const c_char, *const c_char, i32);
    let (whole, part) = (c"Building Engine", CString::from(c"Computing profile costs"));
    // SAFETY: the configuration's monitor; the signatures are the header's.
    unsafe {
        let start: Start = method(monitor, CLASS, "phaseStart");
        let step: unsafe extern "C" fn(usize, *const c_char, i32) -> bool = method(monitor, CLASS, "stepComplete");
        let finish: unsafe extern "C" fn(usize, *const c_char) = method(monitor, CLASS, "phaseFinish");
        start(monitor, whole.as_ptr(), std::ptr::null(), 2);
        start(monitor, part.as_ptr(), whole.as_ptr(), steps as i32);
        let mut going = (0..steps).all(|index| {
            std::thread::sleep(pause);
            step(monitor, part.as_ptr(), index as i32)
        });
        finish(monitor, part.as_ptr());
        going = going && step(monitor, whole.as_ptr(), 0) && step(monitor, whole.as_ptr(), 1);
        finish(monitor, whole.as_ptr());
        going
    }
}
