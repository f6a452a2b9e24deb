//! Loads the engine of an ONNX model: opens TensorRT, builds the engine or reads it from the cache, and lists its
//! tensors. Without TensorRT it exits with the error that says how to install it.
//!
//! `cargo run --package gst-tensorrt-binding --example engine -- tests/models/yolo.onnx`

use std::path::PathBuf;
use tensorrt::{BuildControl, BuildSettings, DEFAULT_LIMIT, EngineCache, Library, Loader, Onnx};

fn main() {
    let Some(model) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: engine MODEL.onnx");
        std::process::exit(2);
    };
    if let Err(error) = run(&model) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn run(model: &std::path::Path) -> Result<(), tensorrt::Error> {
    tensorrt::log::listen(|level, text| {
        if level <= tensorrt::log::Level::Info {
            eprintln!("{text}");
        }
    });
    let info = Onnx::open(model)?.info()?;
    for tensor in info.inputs.iter().chain(&info.outputs) {
        println!("{}: {:?} {:?}", tensor.name, tensor.element, tensor.shape);
    }

    let library = Library::open(None)?;
    println!("{} at {}", library.version(), library.path().display());
    let cache = EngineCache::new(EngineCache::default_folder(), DEFAULT_LIMIT);
    let settings = BuildSettings { batch_size: 4, ..BuildSettings::default() };
    let loader = Loader { library, gpu: None, cache: &cache, settings: &settings, allocator: None };
    let loaded = loader.load(model, None, &BuildControl::default())?;
    println!("{} {}", if loaded.built { "built" } else { "found" }, loaded.path.display());

    for tensor in loaded.engine.tensors() {
        let way = if tensor.input { "in" } else { "out" };
        println!("{way} {}: {:?} {:?}", tensor.display_name(), tensor.data_type, tensor.shape);
    }
    println!("a context takes {} bytes of device memory", loaded.engine.device_memory());
    Ok(())
}
