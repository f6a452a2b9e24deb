//! Runs an ONNX model: opens TensorRT, builds the engine or reads it from the cache, and runs it once on zeros. Memory
//! and the stream come from the CUDA crate of this workspace; any other would do. Without TensorRT or a GPU it exits
//! with the error that says what to install.
//!
//! `cargo run --package gst-tensorrt-binding --example engine -- tests/models/yolo.onnx`

use cuda::{CudaStream, DeviceBuffer};
use std::error::Error;
use std::path::{Path, PathBuf};
use tensorrt::{
    BuildControl, BuildSettings, DEFAULT_LIMIT, DataType, EngineCache, EngineTensor, Library, Loader, Onnx, Selector,
};

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

fn run(model: &Path) -> Result<(), Box<dyn Error>> {
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
    let cuda = cuda::Context::create(0)?;
    // TensorRT uses the calling thread's CUDA context.
    let _current = cuda.enter()?;
    let cache = EngineCache::new(EngineCache::default_folder(), DEFAULT_LIMIT);
    let settings = BuildSettings { batch_size: 4, ..BuildSettings::default() };
    let loader = Loader { library, gpu: None, cache: &cache, settings: &settings, allocator: None };
    let loaded = loader.load(model, None, &BuildControl::default())?;
    println!("{} {}", if loaded.built { "built" } else { "found" }, loaded.path.display());

    let engine = &loaded.engine;
    let stream = CudaStream::new(&cuda)?;
    // A context works in memory that the program provides, and that is freed after it.
    let scratch = DeviceBuffer::new(&cuda, usize::try_from(engine.device_memory())?.max(1))?;
    let mut context = engine.create_context()?;
    // SAFETY: the block has the size that the engine asks for, and outlives the context.
    unsafe { context.set_device_memory(scratch.address() as *mut _, engine.device_memory()) }?;
    for input in engine.tensors().iter().filter(|tensor| tensor.input) {
        // A shape with dimensions that are open is set to the one that TensorRT optimised for.
        let shape = engine.profile_shape(&input.name, 0, Selector::Opt)?;
        context.set_input_shape(&input.name, &shape)?;
    }
    context.check_shapes()?;

    let mut buffers = Vec::new();
    for tensor in engine.tensors() {
        let shape = context.shape(&tensor.name)?;
        let mut buffer = DeviceBuffer::new(&cuda, bytes(tensor, &shape)?)?;
        buffer.fill(0, &stream)?;
        // SAFETY: the buffer has the tensor's size, and lives until the stream has been synchronised.
        unsafe { context.set_address(&tensor.name, buffer.address() as *mut _) }?;
        buffers.push((tensor, shape, buffer));
    }
    // SAFETY: every tensor is bound, and the stream belongs to the current context.
    unsafe { context.enqueue(stream.handle()) }?;
    stream.synchronise()?;

    for (tensor, shape, buffer) in buffers.iter().filter(|(tensor, ..)| !tensor.input) {
        print!("{} {shape:?}", tensor.display_name());
        if tensor.data_type == DataType::Float {
            let mut values = vec![0.0f32; buffer.bytes() / size_of::<f32>()];
            buffer.download(&mut values, &stream)?;
            let (least, most) = values.iter().fold((f32::MAX, f32::MIN), |(a, b), &v| (a.min(v), b.max(v)));
            print!(": {least:.4} to {most:.4}");
        }
        println!();
    }
    Ok(())
}

/// The size of a tensor of this shape.
fn bytes(tensor: &EngineTensor, shape: &[i64]) -> Result<usize, Box<dyn Error>> {
    let element = tensor.data_type.size().ok_or("elements of less than a byte")?;
    Ok(shape.iter().map(|&n| usize::try_from(n)).product::<Result<usize, _>>()? * element)
}
