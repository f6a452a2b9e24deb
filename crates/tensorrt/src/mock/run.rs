//! The runtime's side of the mock.

use super::*;

pub const PLAN: &[u8] = b"a plan";

pub extern "C" fn create(logger: *mut c_void, number: c_int) -> *mut c_void {
    assert_eq!(number, version());
    state(|s| s.logger = logger.addr());
    check_interface(logger.addr(), "ILogger");
    let deserialize = if is_8() { deserialize_8 as *const c_void } else { deserialize as _ };
    public("VRuntime", &[("setGpuAllocator", set_gpu_allocator as _), ("deserializeCudaEngine", deserialize)])
}

unsafe extern "C" fn deserialize_8(
    this: *mut c_void,
    data: *const u8,
    size: usize,
    factory: *mut c_void,
) -> *mut c_void {
    assert!(factory.is_null());
    // SAFETY: the contract is the same.
    unsafe { deserialize(this, data, size) }
}

unsafe extern "C" fn deserialize(_this: *mut c_void, data: *const u8, size: usize) -> *mut c_void {
    // SAFETY: these are the bytes that the binding passed.
    match unsafe { std::slice::from_raw_parts(data, size) } {
        PLAN => {}
        b"another version" => {
            log(1, c"Version tag does not match. Note: Current Version: 239, Serialized Engine Version: 236");
            return std::ptr::null_mut();
        }
        b"another GPU" => {
            log(
                1,
                c"The engine plan file is generated on an incompatible device, expecting compute 8.6 got compute 9.0",
            );
            return std::ptr::null_mut();
        }
        _ => {
            log(1, c"Serialization assertion magicTagRead == kMAGIC_TAG failed");
            return std::ptr::null_mut();
        }
    }
    if !use_device_memory(1 << 20) {
        return std::ptr::null_mut();
    }
    let mut methods: Vec<(&str, *const c_void)> = vec![
        ("getNbLayers", layers as _),
        ("getNbOptimizationProfiles", profiles as _),
        ("getNbIOTensors", tensors as _),
        ("getIOTensorName", tensor_name as _),
        ("getTensorIOMode", io_mode as _),
        ("getTensorDataType", data_type as _),
        ("getTensorFormat", format as _),
        ("getTensorShape", returns_dims(shape_32 as _, shape_64 as _)),
        ("getProfileShape", returns_dims(profile_32 as _, profile_64 as _)),
    ];
    // The newer of two methods, if there are two.
    let v2 = slot("VCudaEngine", "getDeviceMemorySizeV2").is_some();
    methods.push(if v2 {
        ("getDeviceMemorySizeV2", memory_size as _)
    } else {
        ("getDeviceMemorySize", memory_size as _)
    });
    methods.push(if is_8() {
        ("createExecutionContextWithoutDeviceMemory", create_context_8 as _)
    } else {
        ("createExecutionContext", create_context as _)
    });
    public("VCudaEngine", &methods)
}

extern "C" fn layers(_this: *mut c_void) -> i32 {
    12
}

extern "C" fn profiles(_this: *mut c_void) -> i32 {
    1
}

extern "C" fn tensors(_this: *mut c_void) -> i32 {
    2
}

extern "C" fn tensor_name(_this: *mut c_void, index: i32) -> *const c_char {
    if index == 0 { c"images".as_ptr() } else { c"output0".as_ptr() }
}

unsafe extern "C" fn io_mode(_this: *mut c_void, name: *const c_char) -> i32 {
    // SAFETY: this is the binding's string.
    if unsafe { string(name) } == "images" { 1 } else { 2 }
}

extern "C" fn data_type(_this: *mut c_void, _name: *const c_char) -> i32 {
    1
}

extern "C" fn format(_this: *mut c_void, _name: *const c_char) -> i32 {
    0
}

unsafe fn shape(name: *const c_char) -> [i64; 4] {
    // SAFETY: this is the binding's string.
    if unsafe { string(name) } == "images" { [-1, 3, 64, 96] } else { [-1, 7, 192, 1] }
}

unsafe extern "C" fn shape_32(_this: *mut c_void, name: *const c_char) -> Dims32 {
    // SAFETY: this is the binding's string.
    dims_32(&unsafe { shape(name) })
}

unsafe extern "C" fn shape_64(_this: *mut c_void, name: *const c_char) -> Dims64 {
    // SAFETY: this is the binding's string.
    dims_64(&unsafe { shape(name) })
}

fn profile(index: i32, selector: i32) -> [i64; 4] {
    assert_eq!(index, 0);
    [[1, 4, 8][selector as usize], 3, 64, 96]
}

extern "C" fn profile_32(_this: *mut c_void, _name: *const c_char, index: i32, selector: i32) -> Dims32 {
    dims_32(&profile(index, selector))
}

extern "C" fn profile_64(_this: *mut c_void, _name: *const c_char, index: i32, selector: i32) -> Dims64 {
    dims_64(&profile(index, selector))
}

extern "C" fn memory_size(_this: *mut c_void) -> i64 {
    1 << 20
}

extern "C" fn create_context_8(this: *mut c_void) -> *mut c_void {
    create_context(this, 2)
}

extern "C" fn create_context(_this: *mut c_void, strategy: i32) -> *mut c_void {
    assert_eq!(strategy, 2, "USER_MANAGED");
    let mut methods: Vec<(&str, *const c_void)> = vec![
        ("setEnqueueEmitsProfile", set_emits as _),
        ("setNvtxVerbosity", set_nvtx as _),
        ("setOptimizationProfileAsync", set_profile as _),
        ("setInputShape", if is_8() { set_input_shape_32 as _ } else { set_input_shape_64 as _ }),
        ("getTensorShape", returns_dims(context_shape_32 as _, context_shape_64 as _)),
        ("setTensorAddress", set_address as _),
        ("inferShapes", infer_shapes as _),
        ("enqueueV3", enqueue as _),
    ];
    let v2 = slot("VExecutionContext", "setDeviceMemoryV2").is_some();
    methods.push(if v2 { ("setDeviceMemoryV2", set_memory_v2 as _) } else { ("setDeviceMemory", set_memory as _) });
    public("VExecutionContext", &methods)
}

extern "C" fn set_emits(_this: *mut c_void, on: bool) {
    assert!(!on);
}

extern "C" fn set_nvtx(_this: *mut c_void, verbosity: i32) -> bool {
    assert_eq!(verbosity, 1, "kNONE");
    true
}

extern "C" fn set_profile(_this: *mut c_void, profile: i32, stream: usize) -> bool {
    record(format!("setOptimizationProfileAsync({profile}, {stream:#x})"));
    profile == 0
}

/// Every release passes these Dims by reference.
unsafe extern "C" fn set_input_shape_32(_this: *mut c_void, name: *const c_char, dims: *const Dims32) -> bool {
    // SAFETY: these are the binding's string and dims.
    unsafe { record(format!("setInputShape({}, {:?})", string(name), (*dims).shape())) };
    true
}

unsafe extern "C" fn set_input_shape_64(_this: *mut c_void, name: *const c_char, dims: *const Dims64) -> bool {
    // SAFETY: these are the binding's string and dims.
    unsafe { record(format!("setInputShape({}, {:?})", string(name), (*dims).shape())) };
    true
}

extern "C" fn context_shape_32(_this: *mut c_void, _name: *const c_char) -> Dims32 {
    dims_32(&[2, 7, 192])
}

extern "C" fn context_shape_64(_this: *mut c_void, _name: *const c_char) -> Dims64 {
    dims_64(&[2, 7, 192])
}

unsafe extern "C" fn set_address(_this: *mut c_void, name: *const c_char, address: usize) -> bool {
    // SAFETY: this is the binding's string.
    record(format!("setTensorAddress({}, {address:#x})", unsafe { string(name) }));
    true
}

extern "C" fn infer_shapes(_this: *mut c_void, room: i32, _names: *mut *const c_char) -> i32 {
    assert!(room > 0);
    0
}

extern "C" fn set_memory_v2(_this: *mut c_void, memory: usize, size: i64) {
    record(format!("setDeviceMemory({memory:#x}, {size})"));
}

extern "C" fn set_memory(_this: *mut c_void, memory: usize) {
    record(format!("setDeviceMemory({memory:#x}, {})", 1 << 20));
}

extern "C" fn enqueue(_this: *mut c_void, stream: usize) -> bool {
    record(format!("enqueueV3({stream:#x})"));
    if stream == 0 {
        log(1, c"enqueueV3 on the default stream");
    }
    stream != 0
}
