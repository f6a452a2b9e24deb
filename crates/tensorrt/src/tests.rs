//! Complete builds and inferences with the mock of every release.

use super::mock::{self, RELEASES, live, state, take_calls};
use super::onnx::tests::model_with_metadata;
use super::*;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Addresses that nothing dereferences.
#[derive(Default)]
struct FakeMemory(Mutex<BTreeMap<usize, u64>>);

impl DeviceMemory for FakeMemory {
    fn allocate(&self, size: u64, alignment: u64) -> Option<NonNull<c_void>> {
        let mut blocks = self.0.lock();
        let address = blocks.last_key_value().map_or(1 << 32, |(start, size)| start + *size as usize);
        let address = address.next_multiple_of(alignment as usize);
        blocks.insert(address, size);
        NonNull::new(address as *mut c_void)
    }

    fn free(&self, memory: NonNull<c_void>) -> bool {
        self.0.lock().remove(&memory.addr().get()).is_some()
    }
}

fn allocator(library: &Library, limit: Option<u64>) -> Arc<GpuAllocator> {
    Arc::new(GpuAllocator::new(library.group(), Box::<FakeMemory>::default(), "a test", limit))
}

fn timings(caches: &[&[u8]]) -> Vec<Timings> {
    caches.iter().map(|bytes| Timings { file: "some.cache".into(), bytes: bytes.to_vec() }).collect()
}

fn settings() -> BuildSettings {
    BuildSettings { batch_size: 8, compute_capability: Some((8, 6)), ..BuildSettings::default() }
}

#[test]
fn whole_build_on_every_release() {
    for release in RELEASES {
        let library = mock::library(release);
        let allocator = allocator(library, None);
        state(|s| s.build_memory = 1 << 20);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        let control = BuildControl {
            on_progress: Some(Arc::new(move |phase: &str, done| into.lock().push((phase.to_owned(), done)))),
            allocator: Some(Arc::clone(&allocator)),
            ..BuildControl::default()
        };
        let onnx = model_with_metadata(None);
        let built = build(library, &onnx, &settings(), &timings(&[b"TIMINGS a"]), &control).unwrap();
        assert_eq!((&built.plan[..], &built.timings[..]), (&b"a plan"[..], &b"TIMINGS a"[..]));
        assert_eq!(live(), 0, "{release}");
        assert_eq!(allocator.usage(), Usage { in_use: 0, peak: (1 << 20) + 16 });

        let (network, flags): (u32, &[&str]) = match release {
            "8.5.3" | "8.6.1" => (1, &["setFlag(7)", "setFlag(0)", "clearFlag(1)"]),
            "10.0" | "10.16" => (0, &["setFlag(6)", "setFlag(0)", "clearFlag(1)"]),
            "11.1" | "11.4" => (1, &["setFlag(6)"]),
            _ => (0, &["setFlag(6)", "setNbComputeCapabilities(1)", "setComputeCapability(86, 0)"]),
        };
        let mut expected = vec![format!("createNetworkV2({network})"), "parse(/models/a.onnx)".into()];
        expected.push(format!("setMemoryPoolLimit(0, {})", 2048u64 << 20));
        if release != "8.5.3" {
            expected.push("setBuilderOptimizationLevel(2)".into());
        }
        if release == "8.6.1" {
            expected.push("setPreviewFeature(2, true)".into());
        }
        expected.extend(flags.iter().map(|flag| String::from(*flag)));
        expected.push("setTimingCache(false)".into());
        for (selector, batch) in [1, 4, 8].into_iter().enumerate() {
            expected.push(format!("setDimensions(images, {selector}, [{batch}, 3, 64, 96])"));
        }
        expected.extend(["addOptimizationProfile", "buildSerializedNetwork"].map(String::from));
        assert_eq!(take_calls(), expected, "{release}");

        let fractions: Vec<f32> = seen.lock().iter().map(|(_, done)| *done).collect();
        // 8 has no monitor, so only the beginning and the end are reported.
        let steps: &[f32] = if release.starts_with('8') { &[] } else { &[0.0, 0.0, 0.25, 0.5, 0.5, 0.5, 1.0, 1.0] };
        assert_eq!(fractions, [&[0.0], steps, &[1.0]].concat(), "{release}");
    }
}

/// 8 and 10 have a flag for INT8; 11 and RTX get a model whose remaining part, including scales, is FP16.
#[test]
fn int8_on_every_release() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models/yolo-qdq.onnx");
    let (onnx, plain) = (Onnx::open(&model).unwrap(), model_with_metadata(None));
    let int8 = BuildSettings { precision: EnginePrecision::Int8, ..settings() };
    for release in RELEASES {
        let library = mock::library(release);
        build(library, &onnx, &int8, &[], &BuildControl::default()).unwrap();
        let calls = take_calls();
        let flags = ["setFlag(0)", "setFlag(1)"].map(|flag| calls.iter().any(|call| call == flag));
        let by_flag = release.starts_with('8') || release.starts_with("10.");
        assert_eq!(flags, [by_flag, by_flag], "{release}: {calls:?}");
        let parsed = Onnx::from_bytes(&model, state(|s| std::mem::take(&mut s.parsed))).unwrap();
        assert!(parsed.is_quantised());
        assert_eq!(parsed.bytes() == onnx.bytes(), by_flag, "{release}");
        if !by_flag {
            assert_eq!(parsed.bytes(), onnx.to_fp16(&BTreeSet::new()).unwrap(), "{release}");
        }

        let error = build(library, &plain, &int8, &[], &BuildControl::default()).unwrap_err().to_string();
        assert!(error.contains("a.onnx: precision=int8") && error.contains("QuantizeLinear"), "{release}: {error}");
        assert_eq!(take_calls(), [""; 0], "refused before TensorRT is asked");
    }
}

/// A transformer has nodes that mustn't be FP16: it is built with types where there are any, else without FP16.
#[test]
fn a_transformer_on_every_release() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/exports/rt-detr.onnx");
    let onnx = Onnx::open(&file).unwrap();
    let fp32 = onnx.fp32_nodes().unwrap();
    let all = onnx.fp16_nodes().unwrap().len();
    assert!(fp32.len() > 20 && fp32.len() < all / 2, "{} of {all}", fp32.len());
    for release in RELEASES {
        let notes = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&notes);
        let control = BuildControl {
            on_note: Some(Arc::new(move |text: &str| into.lock().push(text.to_owned()))),
            ..BuildControl::default()
        };
        let library = mock::library(release);
        build(library, &onnx, &BuildSettings { size: Some((320, 320)), ..settings() }, &[], &control).unwrap();
        let calls = take_calls();
        assert!(!calls.iter().any(|call| call == "setFlag(0)"), "{release}: {calls:?}");
        let parsed = state(|s| std::mem::take(&mut s.parsed));
        if release.starts_with('8') {
            assert_eq!(parsed, onnx.bytes(), "{release}");
            assert!(
                notes.lock()[0].contains("rt-detr.onnx") && notes.lock()[0].contains("mustn't be FP16"),
                "{notes:?}"
            );
        } else {
            assert_eq!(parsed, onnx.to_fp16(&fp32).unwrap(), "{release}");
            assert!(notes.lock().is_empty(), "{notes:?}");
        }
    }
}

/// The nodes that the list beside a model and the settings name stay FP32, and with types as on 11.
#[test]
fn nodes_that_are_named_stay_fp32() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("yolox.onnx");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/exports/yolox.onnx"), &model)
        .unwrap();
    let onnx = Onnx::open(&model).unwrap();
    assert!(onnx.fp32_nodes().unwrap().is_empty());
    let nodes: Vec<String> = onnx.fp16_nodes().unwrap().into_iter().map(|node| node.output).collect();
    let list = fp32_list(&model);
    std::fs::write(&list, format!("# slow\n{}\n", nodes[0])).unwrap();
    let size = Some((320, 320));
    let settings = BuildSettings { size, fp32_nodes: BTreeSet::from([nodes[1].clone()]), ..settings() };
    let library = mock::library("10.16");
    build(library, &onnx, &settings, &[], &BuildControl::default()).unwrap();
    let parsed = state(|s| std::mem::take(&mut s.parsed));
    assert_eq!(parsed, onnx.to_fp16(&nodes[..2].iter().cloned().collect()).unwrap());
    assert_ne!(parsed, onnx.to_fp16(&BTreeSet::new()).unwrap());

    std::fs::write(&list, "elsewhere\n").unwrap();
    let error = build(library, &onnx, &settings, &[], &BuildControl::default()).unwrap_err().to_string();
    assert!(error.contains("yolox.onnx.fp32: it names the output \"elsewhere\""), "{error}");
}

#[test]
fn whole_inference_on_every_release() {
    for release in RELEASES {
        let library = mock::library(release);
        let allocator = allocator(library, None);
        let runtime = library.runtime(Some(Arc::clone(&allocator))).unwrap();
        let engine = runtime.deserialize(b"a plan", Path::new("a.engine")).unwrap();
        drop(runtime);
        let [input, output] = engine.tensors() else { panic!("{:?}", engine.tensors()) };
        assert_eq!((input.display_name().as_ref(), input.input, output.input), ("images", true, false));
        assert_eq!((input.data_type, input.linear, &input.shape[..]), (DataType::Half, true, &[-1, 3, 64, 96][..]));
        assert_eq!((engine.device_memory(), engine.profiles(), engine.layers().unwrap()), (1 << 20, 1, 12));
        assert_eq!(engine.profile_shape(&input.name, 0, Selector::Max).unwrap(), [8, 3, 64, 96]);

        let mut contexts = [engine.create_context().unwrap(), engine.create_context().unwrap()];
        for context in &mut contexts {
            let stream = 0x5000 as *mut c_void;
            // SAFETY: the mock doesn't dereference the pointers.
            unsafe {
                context.set_device_memory(0x1000 as _, 1 << 20).unwrap();
                context.set_profile(0, stream).unwrap();
                context.set_input_shape(&input.name, &[2, 3, 64, 96]).unwrap();
                context.check_shapes().unwrap();
                assert_eq!(context.shape(&output.name).unwrap(), [2, 7, 192]);
                context.set_address(&input.name, 0x2000 as _).unwrap();
                context.set_address(&output.name, 0x3000 as _).unwrap();
                context.enqueue(stream).unwrap();
            }
            assert_eq!(
                take_calls(),
                [
                    "setDeviceMemory(0x1000, 1048576)",
                    "setOptimizationProfileAsync(0, 0x5000)",
                    "setInputShape(images, [2, 3, 64, 96])",
                    "setTensorAddress(images, 0x2000)",
                    "setTensorAddress(output0, 0x3000)",
                    "enqueueV3(0x5000)",
                ],
                "{release}"
            );
            // SAFETY: as above.
            let failed = unsafe { context.enqueue(std::ptr::null_mut()) }.unwrap_err().to_string();
            assert!(failed.contains("enqueueV3 failed: enqueueV3 on the default stream"), "{failed}");
            take_calls();
        }
        // The contexts keep the engine alive, and the engine the runtime.
        drop(engine);
        assert_eq!(live(), 4);
        drop(contexts);
        assert_eq!(live(), 0, "{release}");
        assert_eq!(allocator.usage().in_use, 0);
    }
}

#[test]
fn refused_models_name_the_node() {
    for release in RELEASES {
        let library = mock::library(release);
        state(|s| s.bad_model = true);
        let error = build(library, &model_with_metadata(None), &settings(), &[], &BuildControl::default()).unwrap_err();
        let node = if release.starts_with('8') { "node 5: " } else { "node 5 /odd Odd: " };
        assert_eq!(
            error.to_string(),
            format!("/models/a.onnx: TensorRT's ONNX parser refuses it: {node}no such operator (code 8)")
        );
        assert_eq!(live(), 0, "{release}");
    }
}

#[test]
fn cancelling_stops_the_build() {
    for release in RELEASES.into_iter().filter(|release| !release.starts_with('8')) {
        let library = mock::library(release);
        let cancel = Arc::new(AtomicBool::new(false));
        let (set, told) = (Arc::clone(&cancel), Arc::<Mutex<Vec<f32>>>::default());
        let tells = Arc::clone(&told);
        let on_progress: OnProgress = Arc::new(move |_, done| {
            set.store(done > 0.2, Ordering::Relaxed);
            tells.lock().push(done);
        });
        let control = BuildControl { cancel, on_progress: Some(on_progress), ..BuildControl::default() };
        let error = build(library, &model_with_metadata(None), &settings(), &[], &control).unwrap_err();
        assert!(matches!(error, Error::Cancelled { .. }), "{release}: {error}");
        let told = told.lock();
        assert_eq!(told.iter().filter(|done| **done > 0.2).count(), 1, "{release}: goes on after the cancel: {told:?}");
        assert!(!take_calls().contains(&"buildSerializedNetwork".to_owned()));
        assert_eq!(live(), 0, "{release}");
    }
}

#[test]
fn a_panic_in_a_callback_cancels() {
    let library = mock::library("10.16");
    let on_progress: OnProgress = Arc::new(|_, done| assert!(done < 0.2));
    let control = BuildControl { on_progress: Some(on_progress), ..BuildControl::default() };
    assert!(build(library, &model_with_metadata(None), &settings(), &[], &control).is_err());
    assert_eq!(live(), 0);
}

#[test]
fn the_memory_limit_is_an_error_of_ours() {
    for release in RELEASES {
        let library = mock::library(release);
        state(|s| s.build_memory = 3 << 20);
        let limited = allocator(library, Some(1 << 20));
        let control = BuildControl { allocator: Some(Arc::clone(&limited)), ..BuildControl::default() };
        let error = build(library, &model_with_metadata(None), &settings(), &[], &control).unwrap_err().to_string();
        assert_eq!(error, "GPU out of memory: a test asked for 3.0 MiB with 0.0 MiB in use, limit 1.0 MiB");
        let limited = allocator(library, Some(1 << 10));
        let refused =
            library.runtime(Some(limited)).unwrap().deserialize(b"a plan", Path::new("a.engine")).unwrap_err();
        assert!(matches!(refused, Error::OutOfMemory { asked: 0x10_0000, .. }), "{release}: {refused}");
        assert_eq!(live(), 0, "{release}");
    }
}

#[test]
fn engines_that_do_not_load_say_why() {
    let fault_in = |release: &'static str, plan: &[u8]| match mock::library(release)
        .runtime(None)
        .unwrap()
        .deserialize(plan, Path::new("a.engine"))
    {
        Err(Error::Engine { fault, .. }) => fault,
        other => panic!("{other:?}"),
    };
    let fault = |plan: &[u8]| fault_in("10.16", plan);
    assert!(matches!(fault(b"another version"), EngineFault::OtherTensorRt { .. }));
    assert!(matches!(fault(b"another GPU"), EngineFault::OtherGpu { .. }));
    assert!(matches!(fault(b"garbage"), EngineFault::Damaged { .. }));
    assert!(matches!(fault(b"ftrt and then garbage"), EngineFault::Damaged { .. }));
    assert!(matches!(fault_in("8.5.3", b"ftrt, a tag that 8.5 doesn't know"), EngineFault::OtherTensorRt { .. }));
    assert!(matches!(fault(b""), EngineFault::Damaged { .. }));
}

#[test]
fn several_timing_caches_serve_at_once() {
    for release in RELEASES {
        let library = mock::library(release);
        let known = timings(&[b"TIMINGS b a", b"rubbish", b"TIMINGS elsewhere!", b"TIMINGS c a"]);
        let built = build(library, &model_with_metadata(None), &settings(), &known, &BuildControl::default()).unwrap();
        assert_eq!(built.timings, b"TIMINGS a b c", "{release}: what can't be used is left out");
        assert_eq!(live(), 0, "{release}");
    }
}

#[test]
fn a_short_vtable_is_refused() {
    let library = mock::library("10.16");
    state(|s| s.release = "10.0");
    let error = library.builder(None, None).unwrap_err();
    let Error::Layout { class, found, expected, .. } = error else { panic!("{error}") };
    assert_eq!((class, found, expected), ("VBuilder", 20, 23));
}

#[test]
fn a_method_that_the_release_lacks_is_named() {
    let library = mock::library("8.5.3");
    let mut config = library.builder(None, None).unwrap().config().unwrap();
    let error = config.set_hardware_compatibility(1).unwrap_err().to_string();
    assert_eq!(error, "TensorRT 8.5.3 has no VBuilderConfig::setHardwareCompatibilityLevel");
    drop(config);
    let mut config = mock::library("11.4").builder(None, None).unwrap().config().unwrap();
    assert!(config.set_flag(Flag::Fp16, true).unwrap_err().to_string().contains("from the ONNX"));
}

/// Only the types that the documentation allows to be shared are `Send` and `Sync`.
#[test]
fn threads() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Runtime>();
    shared::<Engine>();
    shared::<GpuAllocator>();
    shared::<Error>();
    sent::<Context>();
}
