//! The slots of TensorRT's methods in its vtables, by group of releases.
//!
//! A compiler derived the slots from NVIDIA's public headers; `tests/data/tensorrt_slots.tsv` lists them for each
//! release, and the tests below check every entry here against it.

use super::version::{Group, Version};
use Group::{Rtx1, V8, V10, V11};

/// No release of the group has the method.
const NO: u8 = u8::MAX;

/// A method's index in its class's vtable, counted from the address point.
#[derive(Debug)]
pub struct VtableSlot {
    pub class: &'static str,
    pub method: &'static str,
    /// By [`Group::index`].
    by_group: [u8; 4],
    /// The first minor release that has the method, if that isn't the group's first.
    since: &'static [(Group, u32)],
}

impl VtableSlot {
    /// `None` if this release doesn't have the method.
    pub fn index(&self, group: Group, version: &Version) -> Option<usize> {
        if self.since.iter().any(|(g, minor)| *g == group && version.minor < *minor) {
            return None;
        }
        self.first_index(group)
    }

    /// The slot in the group's releases that have the method.
    pub fn first_index(&self, group: Group) -> Option<usize> {
        self.by_group.get(group.index()).filter(|slot| **slot != NO).map(|slot| usize::from(*slot))
    }
}

/// `MODULE: "CLASS" { NAME: "method" = slot in 8, 10, 11, RTX 1 [, since GROUP MINOR]; }`
macro_rules! slots {
    ($($module:ident: $class:literal {
        $($name:ident: $method:literal = $v8:expr, $v10:expr, $v11:expr, $rtx:expr $(, since $group:ident $minor:literal)*;)+
    })+) => {
        $(#[doc = concat!("`", $class, "`")]
        pub mod $module {
            use super::*;
            $(pub const $name: VtableSlot = VtableSlot {
                class: $class,
                method: $method,
                by_group: [$v8, $v10, $v11, $rtx],
                since: &[$(($group, $minor)),*],
            };)+
        })+

        #[cfg(test)]
        const ALL: &[VtableSlot] = &[$($($module::$name),+),+];
    };
}

slots! {
    object: "INoCopy" {
        DELETE: "~D0" = 1, 1, 1, 1;
    }
    runtime: "VRuntime" {
        DESERIALIZE_CUDA_ENGINE: "deserializeCudaEngine" = 2, 3, 3, 3;
        SET_GPU_ALLOCATOR: "setGpuAllocator" = 6, 8, 7, 7;
    }
    engine: "VCudaEngine" {
        CREATE_EXECUTION_CONTEXT: "createExecutionContext" = 11, 5, 5, 5;
        CREATE_EXECUTION_CONTEXT_WITHOUT_DEVICE_MEMORY: "createExecutionContextWithoutDeviceMemory" = 13, 6, NO, NO;
        NB_LAYERS: "getNbLayers" = 9, 3, 3, 3;
        NB_OPTIMIZATION_PROFILES: "getNbOptimizationProfiles" = 22, 10, 8, 8;
        NB_IO_TENSORS: "getNbIOTensors" = 45, 30, 26, 26;
        IO_TENSOR_NAME: "getIOTensorName" = 46, 31, 27, 27;
        TENSOR_IO_MODE: "getTensorIOMode" = 38, 23, 19, 19;
        TENSOR_SHAPE: "getTensorShape" = 34, 19, 15, 15;
        TENSOR_DATA_TYPE: "getTensorDataType" = 35, 20, 16, 16;
        TENSOR_FORMAT: "getTensorFormat" = 41, 26, 22, 22;
        PROFILE_SHAPE: "getProfileShape" = 44, 29, 25, 25;
        DEVICE_MEMORY_SIZE: "getDeviceMemorySize" = 14, 7, NO, NO;
        DEVICE_MEMORY_SIZE_V2: "getDeviceMemorySizeV2" = NO, 52, 44, 44, since V10 3;
    }
    context: "VExecutionContext" {
        SET_OPTIMIZATION_PROFILE_ASYNC: "setOptimizationProfileAsync" = 25, 17, 16, 16;
        SET_INPUT_SHAPE: "setInputShape" = 29, 21, 20, 20;
        TENSOR_SHAPE: "getTensorShape" = 30, 22, 21, 21;
        SET_TENSOR_ADDRESS: "setTensorAddress" = 32, 24, 23, 23;
        INFER_SHAPES: "inferShapes" = 35, 28, 27, 27;
        ENQUEUE_V3: "enqueueV3" = 44, 37, 36, 36;
        SET_ENQUEUE_EMITS_PROFILE: "setEnqueueEmitsProfile" = 26, 18, 17, 17;
        SET_NVTX_VERBOSITY: "setNvtxVerbosity" = 47, 40, 39, 39;
        SET_DEVICE_MEMORY: "setDeviceMemory" = 11, 10, 10, 10;
        SET_DEVICE_MEMORY_V2: "setDeviceMemoryV2" = NO, 49, 48, 48, since V10 3;
    }
    builder: "VBuilder" {
        CREATE_BUILDER_CONFIG: "createBuilderConfig" = 9, 7, 5, 5;
        CREATE_NETWORK_V2: "createNetworkV2" = 11, 8, 6, 6;
        CREATE_OPTIMIZATION_PROFILE: "createOptimizationProfile" = 12, 9, 7, 7;
        BUILD_SERIALIZED_NETWORK: "buildSerializedNetwork" = 17, 14, 11, 11;
        SET_GPU_ALLOCATOR: "setGpuAllocator" = 8, 6, 4, 4;
    }
    builder_config: "VBuilderConfig" {
        SET_FLAG: "setFlag" = 15, 11, 9, 9;
        CLEAR_FLAG: "clearFlag" = 14, 10, 8, 8;
        ADD_OPTIMIZATION_PROFILE: "addOptimizationProfile" = 29, 25, 23, 23;
        SET_TACTIC_SOURCES: "setTacticSources" = 42, 38, 27, 27;
        CREATE_TIMING_CACHE: "createTimingCache" = 44, 40, 29, 29;
        SET_TIMING_CACHE: "setTimingCache" = 45, 41, 30, 30;
        SET_MEMORY_POOL_LIMIT: "setMemoryPoolLimit" = 47, 43, 32, 32;
        SET_BUILDER_OPTIMIZATION_LEVEL: "setBuilderOptimizationLevel" = 51, 47, 36, 36, since V8 6;
        SET_HARDWARE_COMPATIBILITY_LEVEL: "setHardwareCompatibilityLevel" = 53, 49, 38, 38, since V8 6;
        SET_PROGRESS_MONITOR: "setProgressMonitor" = NO, 56, 45, 45;
        SET_MIN_TIMING_ITERATIONS: "setMinTimingIterations" = 2, NO, NO, NO;
        SET_AVG_TIMING_ITERATIONS: "setAvgTimingIterations" = 4, 2, 2, 2;
        SET_NB_COMPUTE_CAPABILITIES: "setNbComputeCapabilities" = NO, NO, NO, 55;
        SET_COMPUTE_CAPABILITY: "setComputeCapability" = NO, NO, NO, 57;
        SET_PREVIEW_FEATURE: "setPreviewFeature" = 49, 45, 34, 34;
    }
    network: "VNetworkDefinition" {
        NB_LAYERS: "getNbLayers" = 17, 12, 12, 12;
        NB_INPUTS: "getNbInputs" = 19, 14, 14, 14;
        INPUT: "getInput" = 20, 15, 15, 15;
        NB_OUTPUTS: "getNbOutputs" = 21, 16, 16, 16;
        OUTPUT: "getOutput" = 22, 17, 17, 17;
    }
    tensor: "VTensor" {
        NAME: "getName" = 3, 3, 3, 3;
        DIMENSIONS: "getDimensions" = 5, 5, 5, 5;
        TYPE: "getType" = 7, 7, 6, 6;
    }
    optimization_profile: "VOptimizationProfile" {
        SET_DIMENSIONS: "setDimensions" = 2, 2, 2, 2;
        IS_VALID: "isValid" = 9, 9, 7, 7;
    }
    host_memory: "VHostMemory" {
        DATA: "data" = 2, 2, 2, 2;
        SIZE: "size" = 3, 3, 3, 3;
    }
    timing_cache: "VTimingCache" {
        SERIALIZE: "serialize" = 2, 2, 2, 2;
        COMBINE: "combine" = 3, 3, 3, 3;
    }
    parser: "IParser" {
        PARSE: "parse" = 0, 0, 0, 0;
        NB_ERRORS: "getNbErrors" = 6, 5, 3, 3;
        ERROR: "getError" = 7, 6, 4, 4;
        DELETE: "~D0" = 10, 9, 7, 7;
    }
    parser_error: "IParserError" {
        CODE: "code" = 0, 0, 0, 0;
        DESC: "desc" = 1, 1, 1, 1;
        NODE: "node" = 5, 5, 5, 5;
        NODE_NAME: "nodeName" = NO, 6, 6, 6;
        NODE_OPERATOR: "nodeOperator" = NO, 7, 7, 7;
    }
    logger: "ILogger" {
        API_LANGUAGE: "getAPILanguage" = NO, NO, 0, 0;
        INTERFACE_INFO: "getInterfaceInfo" = NO, NO, 1, 1;
        LOG: "log" = 0, 0, 4, 4;
        DESTROY: "~D1" = 1, 1, 2, 2;
        DELETE: "~D0" = 2, 2, 3, 3;
    }
    progress_monitor: "IProgressMonitor" {
        API_LANGUAGE: "getAPILanguage" = NO, 0, 0, 0;
        INTERFACE_INFO: "getInterfaceInfo" = NO, 1, 1, 1;
        PHASE_START: "phaseStart" = NO, 4, 4, 4;
        STEP_COMPLETE: "stepComplete" = NO, 5, 5, 5;
        PHASE_FINISH: "phaseFinish" = NO, 6, 6, 6;
        DESTROY: "~D1" = NO, 2, 2, 2;
        DELETE: "~D0" = NO, 3, 3, 3;
    }
    gpu_allocator: "IGpuAllocator" {
        API_LANGUAGE: "getAPILanguage" = NO, 0, 0, 0;
        INTERFACE_INFO: "getInterfaceInfo" = NO, 1, 1, 1;
        DESTROY: "~D1" = 2, 2, 2, 2;
        DELETE: "~D0" = 3, 3, 3, 3;
        ALLOCATE: "allocate" = 0, 4, 4, 4;
        FREE: "free" = 1, NO, NO, NO;
        REALLOCATE: "reallocate" = 4, 5, 5, 5;
        DEALLOCATE: "deallocate" = 5, 6, 6, 6;
        ALLOCATE_ASYNC: "allocateAsync" = NO, 7, 7, 7;
        DEALLOCATE_ASYNC: "deallocateAsync" = NO, 8, 8, 8;
    }
}

/// Group, minor release, entries.
type Lengths = &'static [(Group, u32, usize)];

/// The number of entries of each class's vtable, by the first minor release of a group that has that many. A library's
/// actual vtables may be longer (TensorRT's classes derive from these), but never shorter.
const LENGTHS: &[(&str, Lengths)] = &[
    ("INoCopy", &[(V8, 5, 2), (V10, 0, 2), (V11, 1, 2), (Rtx1, 7, 2)]),
    ("VRuntime", &[(V8, 5, 12), (V8, 6, 22), (V10, 0, 23), (V10, 9, 24), (V11, 1, 23), (V11, 4, 25), (Rtx1, 7, 29)]),
    (
        "VCudaEngine",
        &[
            (V8, 5, 47),
            (V8, 6, 55),
            (V10, 0, 48),
            (V10, 3, 54),
            (V10, 13, 57),
            (V10, 16, 59),
            (V11, 1, 51),
            (Rtx1, 7, 56),
        ],
    ),
    (
        "VExecutionContext",
        &[
            (V8, 5, 49),
            (V8, 6, 51),
            (V10, 0, 49),
            (V10, 3, 50),
            (V10, 13, 53),
            (V10, 16, 54),
            (V11, 1, 53),
            (Rtx1, 7, 54),
        ],
    ),
    ("VBuilder", &[(V8, 5, 22), (V8, 6, 23), (V10, 0, 20), (V10, 9, 21), (V10, 13, 23), (V11, 1, 20), (Rtx1, 7, 18)]),
    (
        "VBuilderConfig",
        &[
            (V8, 5, 51),
            (V8, 6, 60),
            (V10, 0, 58),
            (V10, 3, 60),
            (V10, 9, 66),
            (V10, 13, 68),
            (V11, 1, 60),
            (Rtx1, 7, 62),
        ],
    ),
    (
        "VNetworkDefinition",
        &[
            (V8, 5, 66),
            (V8, 6, 70),
            (V10, 0, 72),
            (V10, 3, 75),
            (V10, 9, 79),
            (V10, 13, 81),
            (V10, 16, 91),
            (V11, 1, 89),
            (V11, 4, 90),
            (Rtx1, 7, 88),
        ],
    ),
    ("VTensor", &[(V8, 5, 25), (V10, 0, 25), (V11, 1, 19), (Rtx1, 7, 15)]),
    ("VOptimizationProfile", &[(V8, 5, 10), (V10, 0, 10), (V10, 13, 12), (V11, 1, 10), (V11, 4, 12), (Rtx1, 7, 12)]),
    ("VHostMemory", &[(V8, 5, 5), (V10, 0, 5), (V11, 1, 5), (Rtx1, 7, 5)]),
    ("VTimingCache", &[(V8, 5, 5), (V10, 0, 5), (V10, 9, 8), (V11, 1, 8), (Rtx1, 7, 8)]),
    ("IParser", &[(V8, 5, 11), (V8, 6, 17), (V10, 0, 17), (V10, 16, 25), (V11, 1, 23), (V11, 4, 24), (Rtx1, 7, 24)]),
    ("IParserError", &[(V8, 5, 8), (V10, 0, 12), (V11, 1, 12), (Rtx1, 7, 12)]),
    ("ILogger", &[(V8, 5, 3), (V10, 0, 3), (V11, 1, 5), (Rtx1, 7, 5)]),
    ("IProgressMonitor", &[(V10, 0, 7), (V11, 1, 7), (Rtx1, 7, 7)]),
    ("IGpuAllocator", &[(V8, 5, 6), (V10, 0, 9), (V11, 1, 9), (Rtx1, 7, 9)]),
];

/// The minimum number of entries in the vtable of `class`.
pub fn vtable_length(class: &str, group: Group, version: &Version) -> Option<usize> {
    let (_, lengths) = LENGTHS.iter().find(|(name, _)| *name == class)?;
    lengths.iter().rfind(|(g, minor, _)| *g == group && *minor <= version.minor).map(|(.., length)| *length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::path::Path;

    const FACTS: &str = include_str!("../../../tests/data/tensorrt_slots.tsv");

    fn release(name: &str) -> (Group, Version) {
        let rtx = name.strip_prefix("rtx");
        let mut parts = rtx.unwrap_or(name).split('.').map(|part| part.parse::<u32>().unwrap());
        let (major, minor) = (parts.next().unwrap(), parts.next().unwrap());
        let unit = if major == 8 { 1_000 } else { 10_000 };
        let version = Version::decode(major * unit + minor * 100, "libnvinfer.so");
        (version.group().unwrap(), version)
    }

    type Facts = HashMap<(String, String, String), Option<usize>>;

    /// (class, method, release) → slot, without those that weren't derived from the release's headers (`?`).
    fn facts() -> (Vec<String>, Facts) {
        let mut lines = FACTS.lines();
        let releases: Vec<String> = lines.next().unwrap().split('\t').skip(2).map(str::to_owned).collect();
        let mut facts = HashMap::new();
        for line in lines {
            let cells: Vec<&str> = line.split('\t').collect();
            for (release, cell) in releases.iter().zip(&cells[2..]).filter(|(_, cell)| **cell != "?") {
                facts.insert((cells[0].into(), cells[1].into(), release.clone()), cell.parse().ok());
            }
        }
        (releases, facts)
    }

    #[test]
    fn every_slot_is_the_headers() {
        let (releases, facts) = facts();
        let mut checked = 0;
        for slot in ALL {
            for name in &releases {
                let (group, version) = release(name);
                let Some(fact) = facts.get(&(slot.class.to_owned(), slot.method.to_owned(), name.clone())) else {
                    continue;
                };
                assert_eq!(slot.index(group, &version), *fact, "{}::{} in {name}", slot.class, slot.method);
                checked += 1;
            }
        }
        // Ten releases, of which some lack the parser's header.
        assert!(checked > 9 * ALL.len(), "{checked} of {}", 10 * ALL.len());
    }

    #[test]
    fn every_length_is_the_headers() {
        let (releases, facts) = facts();
        for (class, _) in LENGTHS {
            for name in &releases {
                let (group, version) = release(name);
                if let Some(fact) = facts.get(&((*class).to_owned(), "(length)".to_owned(), name.clone())) {
                    assert_eq!(vtable_length(class, group, &version), *fact, "{class} in {name}");
                }
            }
        }
    }

    #[test]
    fn every_slot_is_inside_its_vtable() {
        let (releases, _) = facts();
        for slot in ALL {
            for name in &releases {
                let (group, version) = release(name);
                if let Some(index) = slot.index(group, &version) {
                    assert!(index < vtable_length(slot.class, group, &version).unwrap(), "{slot:?} in {name}");
                }
            }
        }
    }

    /// Compares the facts file with the full list from which it was taken, if that is available.
    #[test]
    fn facts_are_the_full_list() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/tensorrt-abi/slots.tsv");
        let Ok(list) = std::fs::read_to_string(&path) else {
            eprintln!("skipped: {} isn't there", path.display());
            return;
        };
        let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split('\t').collect()).collect();
        let (_, facts) = facts();
        for ((class, method, release), fact) in &facts {
            let mut of_class = rows.iter().filter(|row| row[0] == *release && row[1] == *class);
            let found = match method.as_str() {
                "(length)" => Some(of_class.count()).filter(|length| *length > 0),
                method => {
                    let wanted = match method {
                        "~D0" => "[deleting]".to_owned(),
                        "~D1" => "[complete]".to_owned(),
                        method => format!("::{method}("),
                    };
                    of_class.find(|row| row[3].contains(&wanted)).map(|row| row[2].parse().unwrap())
                }
            };
            assert_eq!(found, *fact, "{class} {method} in {release}");
        }
    }
}
