//! TensorRT on a GPU: build, load, plain runs and CUDA graphs, accuracy, damaged engines. Prints its measurements.
//!
//! Ignored without a GPU; the tests run one after the other:
//! `cargo test --test gpu_tensorrt -- --ignored --nocapture --test-threads 1`
//!
//! - `GST_TENSORRT_LIBRARY`: the TensorRT to test; `GPU_TEST_OTHER_TENSORRT`: others, separated by colons, which must
//!   refuse its engines.
//! - `GPU_TEST_MODELS`: folder with `yolov12n.onnx`, `yolo12m.onnx`, `yolo11m-pose.onnx`; those missing are skipped.
//! - `GPU_TEST_TIMINGS`: a timing cache to start from.
//! - `GPU_TEST_OUT`: folder for engines and timing caches, which later runs read instead of building.

mod common;

use common::find;
use common::gpu::{Gpu, Lane, RunContext, cpu_outputs, environment, input_bytes, thread_cpu_time};
use common::plans::{allocator, fp32, library, model, plan, settings};
use common::standin;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tensorrt::{
    BuildControl, BuildSettings, DEFAULT_LIMIT, EngineCache, EngineFault, EnginePrecision, EngineRecord, Error,
    Library, Loader, Onnx, build, write_record,
};

const MODELS: [&str; 3] = ["yolov12n", "yolo12m", "yolo11m-pose"];

/// The small test model, from the repository or from the bundle's folder.
fn small() -> Onnx {
    let here = Path::new("tests/models/yolo.onnx");
    Onnx::open(&if here.exists() { here.to_owned() } else { find::test_model("yolo") }).unwrap()
}

/// Batch sizes to test: those of the list that the engine's profile allows.
fn ladder(contexts: &RunContext) -> Vec<usize> {
    [1, 2, 4, 8, 16].into_iter().filter(|batch| *batch <= contexts.max_batch).collect()
}

fn median(mut times: Vec<Duration>) -> f32 {
    times.sort();
    times[times.len() / 2].as_secs_f32() * 1e3
}

#[test]
#[ignore = "needs a GPU"]
fn build_load_and_graphs() {
    let library = library();
    let gpu = Gpu::open();
    println!("{} at {} on {:?}", library.version(), library.path().display(), gpu.device.facts);
    for name in MODELS {
        let Some(onnx) = model(name) else { continue };
        let plan = plan(library, name, "fp16", &onnx, &settings(name));
        let memory = allocator(library, "the engine", None);
        let start = Instant::now();
        let runtime = library.runtime(Some(Arc::clone(&memory))).unwrap();
        let engine = runtime.deserialize(&plan, Path::new(name)).unwrap();
        let ready = engine.create_context().unwrap();
        let load = start.elapsed();
        drop(ready);
        println!(
            "{name}: loaded with a context in {:.3} s; {} layers, engine {} MiB, a context {} MiB",
            load.as_secs_f32(),
            engine.layers().unwrap(),
            memory.usage().in_use >> 20,
            engine.device_memory() >> 20
        );
        assert!(load < Duration::from_millis(500), "{load:?}");

        // Without a graph: the reference for every graph.
        let mut plain_lane = Lane::new(&engine);
        let mut plain = plain_lane.context(1, 0);
        let batches = ladder(&plain);
        let mut expected = Vec::new();
        for (index, batch) in batches.iter().enumerate() {
            plain = plain_lane.context(*batch, index as u64);
            plain.enqueue(&plain_lane);
            plain_lane.synchronize();
            expected.push(plain.outputs());
            let (mut wall, cpu) = (Vec::new(), thread_cpu_time());
            for _ in 0..20 {
                let start = Instant::now();
                plain.enqueue(&plain_lane);
                plain_lane.synchronize();
                wall.push(start.elapsed());
            }
            let cpu = (thread_cpu_time() - cpu).as_secs_f32() * 1e3 / 20.0;
            println!("{name} batch {batch}: plain {:.2} ms, {cpu:.2} CPU-ms", median(wall));
        }
        drop(plain);

        // Two lanes, with a context and a graph for each batch size, all existing at the same time.
        let mut lanes = [Lane::new(&engine), Lane::new(&engine)];
        let mut graphs: Vec<Vec<RunContext>> = Vec::new();
        for lane in &mut lanes {
            let contexts = batches.iter().enumerate().map(|(index, batch)| {
                let mut context = lane.context(*batch, index as u64);
                context.enqueue(lane);
                lane.synchronize();
                context.capture(lane);
                context
            });
            graphs.push(contexts.collect());
        }
        // xorshift: any reproducible order will do.
        let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        let mut differing = 0;
        for _ in 0..100 {
            // Both lanes concurrently: 200 launches.
            let picks = [random(batches.len()), random(batches.len())];
            for (lane, (graphs, pick)) in lanes.iter().zip(graphs.iter_mut().zip(picks)) {
                graphs[pick].clear_outputs();
                graphs[pick].launch(lane);
            }
            for (lane, (graphs, pick)) in lanes.iter().zip(graphs.iter().zip(picks)) {
                lane.synchronize();
                differing += usize::from(graphs[pick].outputs() != expected[pick]);
            }
        }
        for (index, batch) in batches.iter().enumerate() {
            let (mut wall, cpu) = (Vec::new(), thread_cpu_time());
            for _ in 0..20 {
                let start = Instant::now();
                graphs[0][index].launch(&lanes[0]);
                lanes[0].synchronize();
                wall.push(start.elapsed());
            }
            let cpu = (thread_cpu_time() - cpu).as_secs_f32() * 1e3 / 20.0;
            let wall = median(wall);
            println!(
                "{name} batch {batch}: graph {wall:.2} ms ({:.0} img/s), {cpu:.3} CPU-ms",
                *batch as f32 * 1e3 / wall
            );
        }
        println!(
            "{name}: {} graphs alive, 200 launches in random order on two lanes, {differing} differ from plain",
            2 * batches.len()
        );
        assert_eq!(differing, 0);
        drop(graphs);
        drop(lanes);
        drop(plain_lane);
        drop((engine, runtime));
        assert_eq!(memory.usage().in_use, 0, "device memory left behind");
    }
}

/// Greatest difference relative to the greatest value.
fn relative(expected: &[Vec<f32>], found: &[Vec<f32>]) -> f32 {
    let pairs = expected.iter().zip(found).flat_map(|(a, b)| a.iter().zip(b));
    let greatest = expected.iter().flatten().fold(0.0_f32, |most, value| most.max(value.abs()));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / greatest
}

fn outputs_of(library: &'static Library, plan: &[u8], image: u64) -> Vec<Vec<f32>> {
    let runtime = library.runtime(None).unwrap();
    let engine = runtime.deserialize(plan, Path::new("plan")).unwrap();
    let mut lane = Lane::new(&engine);
    let mut context = lane.context(1, image);
    context.enqueue(&lane);
    lane.synchronize();
    context.output_floats()
}

/// FP32 against ONNX Runtime: raw outputs within 1e-3 of the greatest; FP16 is printed.
#[test]
#[ignore = "needs a GPU"]
fn raw_outputs_are_the_cpu_engines() {
    let (library, _gpu) = (library(), Gpu::open());
    if !find::onnx_runtime() {
        return;
    }
    for name in MODELS {
        let Some(onnx) = model(name) else { continue };
        let expected = cpu_outputs(onnx.path(), &input_bytes(0));
        let found = outputs_of(library, &plan(library, name, "fp32", &onnx, &fp32(name)), 0);
        let difference = relative(&expected, &found);
        println!("{name}: FP32 differs from ONNX Runtime by {difference:.2e} of the greatest output");
        let fp16 = outputs_of(library, &plan(library, name, "fp16", &onnx, &settings(name)), 0);
        println!("{name}: FP16 by {:.2e}", relative(&expected, &fp16));
        assert!(difference < 1e-3);
    }
}

/// TensorRT 10 supports both: the flag, and the model converted to FP16.
#[test]
#[ignore = "needs a GPU, and minutes without timings"]
fn strongly_typed_against_the_flag() {
    let (library, _gpu) = (library(), Gpu::open());
    for name in MODELS {
        let Some(onnx) = model(name) else { continue };
        let expected = find::onnx_runtime().then(|| cpu_outputs(onnx.path(), &input_bytes(0)));
        for (label, strongly_typed) in [("fp16", false), ("fp16-strong", true)] {
            let settings = BuildSettings { strongly_typed, ..settings(name) };
            let plan = plan(library, name, label, &onnx, &settings);
            let runtime = library.runtime(None).unwrap();
            let engine = runtime.deserialize(&plan, Path::new(name)).unwrap();
            let mut lane = Lane::new(&engine);
            let first = lane.context(1, 0);
            for batch in ladder(&first) {
                let mut context = lane.context(batch, 0);
                context.enqueue(&lane);
                lane.synchronize();
                context.capture(&lane);
                let times = (0..50).map(|_| {
                    let start = Instant::now();
                    context.launch(&lane);
                    lane.synchronize();
                    start.elapsed()
                });
                let time = median(times.collect());
                let difference =
                    expected.as_ref().filter(|_| batch == 1).map(|e| relative(e, &context.output_floats()));
                println!("{name} {label} batch {batch}: {time:.3} ms, differs from ONNX Runtime by {difference:?}");
            }
        }
    }
}

/// A model of a dozen layers, for releases whose builder is slow here.
#[test]
#[ignore = "needs a GPU"]
fn a_small_model_finds_what_the_cpu_finds() {
    let (library, _gpu) = (library(), Gpu::open());
    let onnx = small();
    for (label, precision, tolerance) in [("fp32", EnginePrecision::Fp32, 1e-3), ("fp16", EnginePrecision::Fp16, 1e-2)]
    {
        let settings = BuildSettings {
            precision,
            tf32: false,
            batch_size: 4,
            timing_iterations: Some(1),
            tactic_sources: Some(0),
            ..BuildSettings::default()
        };
        let plan = plan(library, "small", &format!("{}-{label}", library.version().major), &onnx, &settings);
        let found = outputs_of(library, &plan, 0);
        assert!(found.iter().flatten().all(|value| value.is_finite()));
        if find::onnx_runtime() {
            let difference = relative(&cpu_outputs(onnx.path(), &input_bytes(0)), &found);
            println!("{}: {label} differs from ONNX Runtime by {difference:.2e}", library.version());
            assert!(difference < tolerance);
        }
    }
}

/// Refusals, each in a separate process: TensorRT may crash on data that it can't read.
#[test]
#[ignore = "needs a GPU"]
fn damaged_engines_are_refused() {
    let (library, _gpu) = (library(), Gpu::open());
    let onnx = small();
    let plan = plan(library, "small", "damage", &onnx, &BuildSettings::default());
    let flipped = |position: usize| {
        let mut plan = plan.clone();
        plan[position] ^= 0x40;
        plan
    };
    let cases = [
        ("whole", plan.clone()),
        ("empty", Vec::new()),
        ("4 bytes", plan[..4].to_vec()),
        ("half", plan[..plan.len() / 2].to_vec()),
        ("a byte less", plan[..plan.len() - 1].to_vec()),
        ("byte 0 flipped", flipped(0)),
        ("byte 20 flipped", flipped(20)),
        ("a byte in the middle flipped", flipped(plan.len() / 2)),
        ("garbage", (0..4096).map(|i| (i * 37 % 251) as u8).collect()),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (label, bytes) in cases {
        let file = folder.path().join("case.plan");
        std::fs::write(&file, bytes).unwrap();
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "one_engine_file", "--nocapture"])
            .env("GPU_TEST_ENGINE", &file)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&child.stdout);
        let said = text.lines().find_map(|line| line.split_once("ENGINE: ")).map_or("crashed", |(_, said)| said);
        println!("{label}: {said}");
        match label {
            "whole" => assert_eq!(said, "loads"),
            // TensorRT has no checksum of weights: the hash in the record beside an engine detects the damage.
            "a byte in the middle flipped" => {}
            _ => assert!(said != "loads" && said != "crashed", "{label}: {said}"),
        }
    }
}

#[test]
fn engines_are_built_anew_on_the_standin() {
    standin::run_ignored("engines_that_do_not_load_are_built_anew", &[]);
}

/// Damaged engines, or engines for another machine, in the cache or in a file with its ONNX beside it, are rebuilt and kept.
#[test]
#[ignore = "needs a GPU"]
fn engines_that_do_not_load_are_built_anew() {
    let (library, gpu) = (library(), Gpu::open());
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("small.onnx");
    std::fs::copy(small().path(), &model).unwrap();
    let cache = EngineCache::new(folder.path().join("cache"), DEFAULT_LIMIT);
    let settings = BuildSettings::default();
    let loader = Loader { library, gpu: Some(&gpu.device.facts), cache: &cache, settings: &settings, allocator: None };
    let load = |model: &Path| {
        let start = Instant::now();
        let loaded = loader.load(model, None, &BuildControl::default()).unwrap();
        assert!(loaded.engine.create_context().is_ok());
        println!("{}: {} in {:.1} s", loaded.path.display(), loaded.built, start.elapsed().as_secs_f32());
        loaded
    };
    let first = load(&model);
    assert!(first.built && !load(&model).built);
    let whole = std::fs::read(&first.path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x40;
    for (label, bytes) in [("a flipped byte", &flipped[..]), ("half of it", &whole[..whole.len() / 2])] {
        std::fs::write(&first.path, bytes).unwrap();
        assert!(load(&model).built, "{label}");
        assert!(!load(&model).built, "{label}: the new one is kept");
    }
    let file = folder.path().join("small.engine");
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert_ne!(load(&file).path, file, "truncated: built from the ONNX beside it");
    // From another release, according to its record.
    let record = |made_by: &str| {
        let json = std::fs::read_to_string(first.path.with_extension("json")).unwrap();
        let mut record: EngineRecord = serde_json::from_str(&json).unwrap();
        record.facts.tensorrt = made_by.into();
        write_record(&file.with_extension("json"), &record).unwrap();
    };
    std::fs::copy(&first.path, &file).unwrap();
    record(&library.version().to_string());
    assert_eq!(load(&file).path, file);
    record("TensorRT 7.0.0");
    assert_ne!(load(&file).path, file, "built from the ONNX beside it");
    std::fs::remove_file(&model).unwrap();
    let error = loader.load(&file, None, &BuildControl::default()).unwrap_err();
    println!("{error}");
    assert!(matches!(error, Error::Engine { fault: EngineFault::OtherTensorRt { .. }, .. }));
}

#[test]
#[ignore = "for the test of damaged engines"]
fn one_engine_file() {
    let Some(file) = environment("GPU_TEST_ENGINE") else { return };
    let (library, _gpu) = (library(), Gpu::open());
    let plan = std::fs::read(&file).unwrap();
    match library.runtime(None).unwrap().deserialize(&plan, &file) {
        Ok(_) => println!("ENGINE: loads"),
        Err(error) => println!("ENGINE: {error}"),
    }
}

/// Creates and destroys a runtime of each other TensorRT; it refuses garbage and this one's engine, and builds its own engine
/// instead if it can build.
#[test]
#[ignore = "needs a GPU and two TensorRTs"]
fn another_tensorrt_refuses() {
    let Some(others) = environment("GPU_TEST_OTHER_TENSORRT") else {
        return find::skip("GPU_TEST_OTHER_TENSORRT", "name libraries of other versions");
    };
    let (library, _gpu) = (library(), Gpu::open());
    let onnx = small();
    let plan = plan(library, "small", "damage", &onnx, &BuildSettings::default());
    for other in std::env::split_paths(&others) {
        let other = Library::open(Some(&other)).unwrap();
        println!("an engine of {} offered to {}", library.version(), other.version());
        drop(other.runtime(None).unwrap());
        let offer = |bytes: &[u8]| other.runtime(None).unwrap().deserialize(bytes, Path::new("small.plan")).map(drop);
        match offer(&plan) {
            Err(Error::Engine { fault: fault @ EngineFault::OtherTensorRt { .. }, .. }) => println!("  {fault}"),
            offered => panic!("{offered:?}"),
        }
        match offer(&[7; 4096]) {
            Err(error @ Error::Engine { .. }) => println!("  garbage: {error}"),
            offered => panic!("{offered:?}"),
        }
        if other.has_builder() {
            let settings =
                BuildSettings { timing_iterations: Some(1), tactic_sources: Some(0), ..BuildSettings::default() };
            let built = build(other, &onnx, &settings, &[], &BuildControl::default()).unwrap();
            offer(&built.plan).unwrap();
            println!("  built anew: {} KiB, which it loads", built.plan.len() >> 10);
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn the_memory_limit_is_kept() {
    let (library, _gpu) = (library(), Gpu::open());
    let onnx = small();
    let plan = plan(library, "small", "damage", &onnx, &BuildSettings::default());
    let unlimited = allocator(library, "the engine", None);
    let engine =
        library.runtime(Some(Arc::clone(&unlimited))).unwrap().deserialize(&plan, Path::new("small.plan")).unwrap();
    let needs = unlimited.usage().peak;
    println!("the engine takes {needs} bytes through our allocator");
    drop(engine);
    assert_eq!(unlimited.usage().in_use, 0);
    if needs == 0 {
        return find::skip("an engine that takes device memory", "TensorRT asked our allocator for none");
    }
    let limited = allocator(library, "the engine", Some(needs - 1));
    let refused = library.runtime(Some(limited)).unwrap().deserialize(&plan, Path::new("small.plan")).unwrap_err();
    println!("{refused}");
    assert!(matches!(refused, Error::OutOfMemory { .. }));
}
