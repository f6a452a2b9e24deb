//! The builder's side of the mock.

use super::*;

pub extern "C" fn create(logger: *mut c_void, number: c_int) -> *mut c_void {
    assert_eq!(number, version());
    state(|s| s.logger = logger.addr());
    check_interface(logger.addr(), "ILogger");
    log(3, c"builder made");
    public(
        "VBuilder",
        &[
            ("setGpuAllocator", set_gpu_allocator as _),
            ("createNetworkV2", create_network as _),
            ("createBuilderConfig", create_config as _),
            ("createOptimizationProfile", create_profile as _),
            ("buildSerializedNetwork", build as _),
        ],
    )
}

extern "C" fn create_network(_this: *mut c_void, flags: u32) -> *mut c_void {
    record(format!("createNetworkV2({flags})"));
    public(
        "VNetworkDefinition",
        &[
            ("getNbInputs", one as _),
            ("getInput", input as _),
            ("getNbOutputs", one as _),
            ("getOutput", input as _),
            ("getNbLayers", one as _),
        ],
    )
}

extern "C" fn one(_this: *mut c_void) -> i32 {
    1
}

extern "C" fn input(_this: *mut c_void, index: i32) -> *mut c_void {
    assert_eq!(index, 0);
    let tensor = public(
        "VTensor",
        &[
            ("getName", tensor_name as _),
            ("getType", tensor_type as _),
            ("getDimensions", returns_dims(tensor_dims_32 as _, tensor_dims_64 as _)),
        ],
    );
    // The network owns it, so it is never deleted directly.
    state(|s| s.live.retain(|class| *class != "VTensor"));
    tensor
}

extern "C" fn tensor_name(_this: *mut c_void) -> *const c_char {
    c"images".as_ptr()
}

extern "C" fn tensor_type(_this: *mut c_void) -> i32 {
    0
}

extern "C" fn tensor_dims_32(_this: *mut c_void) -> Dims32 {
    dims_32(&[-1, 3, 64, 96])
}

extern "C" fn tensor_dims_64(_this: *mut c_void) -> Dims64 {
    dims_64(&[-1, 3, 64, 96])
}

extern "C" fn create_config(_this: *mut c_void) -> *mut c_void {
    let mut methods: Vec<(&str, *const c_void)> = vec![
        ("setFlag", set_flag as _),
        ("clearFlag", clear_flag as _),
        ("setMemoryPoolLimit", set_memory_pool_limit as _),
        ("setBuilderOptimizationLevel", set_optimization_level as _),
        ("createTimingCache", create_timing_cache as _),
        ("setTimingCache", set_timing_cache as _),
        ("addOptimizationProfile", add_profile as _),
        ("setProgressMonitor", set_progress_monitor as _),
        ("setNbComputeCapabilities", set_nb_compute_capabilities as _),
        ("setComputeCapability", set_compute_capability as _),
    ];
    if state(|s| s.release) == "8.6.1" {
        methods.push(("setPreviewFeature", set_preview_feature as _));
    }
    public("VBuilderConfig", &methods)
}

extern "C" fn set_flag(_this: *mut c_void, flag: i32) {
    record(format!("setFlag({flag})"));
}

extern "C" fn clear_flag(_this: *mut c_void, flag: i32) {
    record(format!("clearFlag({flag})"));
}

extern "C" fn set_memory_pool_limit(_this: *mut c_void, pool: i32, bytes: usize) {
    record(format!("setMemoryPoolLimit({pool}, {bytes})"));
}

extern "C" fn set_optimization_level(_this: *mut c_void, level: i32) {
    record(format!("setBuilderOptimizationLevel({level})"));
}

extern "C" fn set_preview_feature(_this: *mut c_void, feature: i32, on: bool) {
    record(format!("setPreviewFeature({feature}, {on})"));
}

extern "C" fn set_nb_compute_capabilities(_this: *mut c_void, count: i32) -> bool {
    record(format!("setNbComputeCapabilities({count})"));
    true
}

extern "C" fn set_compute_capability(_this: *mut c_void, capability: i32, index: i32) -> bool {
    record(format!("setComputeCapability({capability}, {index})"));
    true
}

/// A timing cache is the word TIMINGS, and a word for each timing.
unsafe extern "C" fn create_timing_cache(_this: *mut c_void, data: *const u8, size: usize) -> *mut c_void {
    // SAFETY: these are the bytes that the binding passed.
    let bytes = if size == 0 { b"TIMINGS" } else { unsafe { std::slice::from_raw_parts(data, size) } };
    let Some(words) = std::str::from_utf8(bytes).ok().and_then(|text| text.strip_prefix("TIMINGS")) else {
        log(1, c"timing cache: wrong magic");
        return std::ptr::null_mut();
    };
    let words = words.split_whitespace().map(str::to_owned).collect();
    let cache = public("VTimingCache", &[("serialize", serialize_timings as _), ("combine", combine_timings as _)]);
    state(|s| s.timings.insert(cache as usize, words));
    cache
}

/// Timings of another GPU are a word with an exclamation mark.
extern "C" fn combine_timings(this: *mut c_void, other: *mut c_void, ignore_mismatch: bool) -> bool {
    assert!(!ignore_mismatch);
    let words = state(|s| s.timings[&(other as usize)].clone());
    if words.iter().any(|word| word.ends_with('!')) {
        log(2, c"timing cache: other device");
        return false;
    }
    state(|s| s.timings.get_mut(&public_of(this)).expect("a timing cache").extend(words));
    true
}

extern "C" fn set_timing_cache(_this: *mut c_void, cache: *mut c_void, ignore_mismatch: bool) -> bool {
    assert!(!cache.is_null());
    record(format!("setTimingCache({ignore_mismatch})"));
    true
}

extern "C" fn serialize_timings(this: *mut c_void) -> *mut c_void {
    state(|s| {
        let words = s.timings[&public_of(this)].iter().map(|word| format!(" {word}"));
        s.serialised = std::iter::once("TIMINGS".to_owned()).chain(words).collect::<String>().into_bytes();
    });
    public("VHostMemory", &[("data", timings_data as _), ("size", timings_size as _)])
}

extern "C" fn timings_data(_this: *mut c_void) -> *const u8 {
    state(|s| s.serialised.as_ptr())
}

extern "C" fn timings_size(_this: *mut c_void) -> usize {
    state(|s| s.serialised.len())
}

extern "C" fn create_profile(_this: *mut c_void) -> *mut c_void {
    let set = returns_dims(set_dims_32 as _, set_dims_64 as _);
    let profile = public("VOptimizationProfile", &[("setDimensions", set), ("isValid", is_valid as _)]);
    // The builder owns it, so it is never deleted directly.
    state(|s| s.live.retain(|class| *class != "VOptimizationProfile"));
    profile
}

/// 8 passes Dims by value.
unsafe extern "C" fn set_dims_32(_this: *mut c_void, name: *const c_char, selector: i32, dims: Dims32) -> bool {
    // SAFETY: this is the binding's string.
    record(format!("setDimensions({}, {selector}, {:?})", unsafe { string(name) }, dims.shape()));
    true
}

/// From 10 on, Dims are passed by reference.
unsafe extern "C" fn set_dims_64(_this: *mut c_void, name: *const c_char, selector: i32, dims: *const Dims64) -> bool {
    // SAFETY: these are the binding's string and dims.
    unsafe { record(format!("setDimensions({}, {selector}, {:?})", string(name), (*dims).shape())) };
    true
}

extern "C" fn is_valid(_this: *mut c_void) -> bool {
    true
}

extern "C" fn add_profile(_this: *mut c_void, profile: *mut c_void) -> i32 {
    assert!(!profile.is_null());
    record("addOptimizationProfile");
    0
}

extern "C" fn set_progress_monitor(_this: *mut c_void, monitor: usize) {
    check_interface(monitor, "IProgressMonitor");
    state(|s| s.monitor = monitor);
}

extern "C" fn build(_this: *mut c_void, network: *mut c_void, config: *mut c_void) -> *mut c_void {
    assert!(!network.is_null() && !config.is_null());
    assert!(state(|s| s.live.contains(&"IParser")), "the parser owns the weights until the build is finished");
    if !use_device_memory(state(|s| s.build_memory)) {
        log(1, c"out of memory");
        return std::ptr::null_mut();
    }
    if !report_progress() {
        return std::ptr::null_mut();
    }
    record("buildSerializedNetwork");
    public("VHostMemory", &[("data", plan_data as _), ("size", plan_size as _)])
}

/// Reports two nested phases; `false` when the monitor cancels.
fn report_progress() -> bool {
    let monitor = state(|s| s.monitor);
    if monitor == 0 {
        return true;
    }
    let class = "IProgressMonitor";
    // SAFETY: this is the monitor that the binding set; the signatures are the header's.
    unsafe {
        let start: unsafe extern "C" fn(usize, *const c_char, *const c_char, i32) =
            method(monitor, class, "phaseStart");
        let step: unsafe extern "C" fn(usize, *const c_char, i32) -> bool = method(monitor, class, "stepComplete");
        let finish: unsafe extern "C" fn(usize, *const c_char) = method(monitor, class, "phaseFinish");
        let (whole, part) = (c"Building".as_ptr(), c"Tactics".as_ptr());
        start(monitor, whole, std::ptr::null(), 2);
        start(monitor, part, whole, 2);
        let mut going = step(monitor, part, 0) && step(monitor, part, 1);
        finish(monitor, part);
        going = going && step(monitor, whole, 0) && step(monitor, whole, 1);
        finish(monitor, whole);
        going
    }
}

extern "C" fn plan_data(_this: *mut c_void) -> *const u8 {
    super::run::PLAN.as_ptr()
}

extern "C" fn plan_size(_this: *mut c_void) -> usize {
    super::run::PLAN.len()
}

pub extern "C" fn create_parser(network: *mut c_void, _logger: *mut c_void, number: c_int) -> *mut c_void {
    assert!(!network.is_null());
    assert_eq!(number, version());
    plain(
        "IParser",
        &[("parse", parse as _), ("getNbErrors", one as _), ("getError", parser_error as _), ("~D0", delete as _)],
    )
}

unsafe extern "C" fn parse(_this: *mut c_void, data: *const u8, size: usize, path: *const c_char) -> bool {
    assert!(!data.is_null() && size > 0);
    // SAFETY: this is the binding's string.
    record(format!("parse({})", unsafe { string(path) }));
    // SAFETY: these are the bytes that the binding passed.
    state(|s| s.parsed = unsafe { std::slice::from_raw_parts(data, size) }.to_vec());
    !state(|s| s.bad_model)
}

extern "C" fn parser_error(_this: *mut c_void, index: i32) -> *mut c_void {
    assert_eq!(index, 0);
    let error = plain(
        "IParserError",
        &[
            ("code", error_code as _),
            ("desc", error_text as _),
            ("node", error_node as _),
            ("nodeName", error_name as _),
            ("nodeOperator", error_operator as _),
        ],
    );
    state(|s| s.live.retain(|class| *class != "IParserError"));
    error
}

extern "C" fn error_code(_this: *mut c_void) -> i32 {
    8
}

extern "C" fn error_text(_this: *mut c_void) -> *const c_char {
    c"no such operator".as_ptr()
}

extern "C" fn error_node(_this: *mut c_void) -> i32 {
    5
}

extern "C" fn error_name(_this: *mut c_void) -> *const c_char {
    c"/odd".as_ptr()
}

extern "C" fn error_operator(_this: *mut c_void) -> *const c_char {
    c"Odd".as_ptr()
}
