//! TensorRT's rules, including those that it documents but doesn't check.

use super::common::{find, plans};
use super::probe::is;
use cuda::{Context, CudaStream, DeviceBuffer};
use cudarc::driver::sys::CUresult::CUDA_ERROR_LAUNCH_FAILED;
use gsttensorrt::error::{Error, ErrorKind};
use std::ffi::c_void;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tensorrt::{self, BuildControl, BuildSettings, Engine, EngineFault, Onnx};

fn failed(error: impl Into<Error>) -> Error {
    error.into()
}

fn plan() -> Vec<u8> {
    let onnx = Onnx::open(&find::test_model("yolo-dynamic")).unwrap();
    let settings = BuildSettings { batch_size: 4, size: Some((64, 96)), ..BuildSettings::default() };
    tensorrt::build(plans::library(), &onnx, &settings, &[], &BuildControl::default()).unwrap().plan
}

/// An execution context with its memory, at batch 2.
struct Run {
    context: tensorrt::Context,
    _memory: Vec<DeviceBuffer>,
}

impl Run {
    fn new(gpu: &Arc<Context>, engine: &Arc<Engine>, scratch: &DeviceBuffer) -> Self {
        let mut run = Self { context: engine.create_context().unwrap(), _memory: Vec::new() };
        run.set_batch(2).unwrap();
        // SAFETY: it has the engine's size; concurrent use is the subject of the test.
        unsafe { run.context.set_device_memory(scratch.address() as *mut c_void, scratch.bytes() as u64) }.unwrap();
        for tensor in engine.tensors() {
            let elements: i64 = run.context.shape(&tensor.name).unwrap().iter().product();
            let mut buffer = DeviceBuffer::new(gpu, 4 * elements as usize).unwrap();
            buffer.upload(&vec![0.5f32; elements as usize], &CudaStream::new(gpu).unwrap()).unwrap();
            // SAFETY: it has the tensor's size, and is kept beside the context.
            unsafe { run.context.set_address(&tensor.name, buffer.address() as *mut c_void) }.unwrap();
            run._memory.push(buffer);
        }
        run
    }

    /// At the size for which the engine was built: the model's own is dynamic.
    fn set_batch(&mut self, batch: i64) -> Result<(), tensorrt::Error> {
        let engine = self.context.engine();
        let name = engine.tensors().iter().find(|tensor| tensor.input).unwrap().name.clone();
        let mut shape = engine.profile_shape(&name, 0, tensorrt::Selector::Max)?;
        shape[0] = batch;
        self.context.set_input_shape(&name, &shape)
    }

    fn enqueue(&mut self, stream: &CudaStream) -> Result<(), Error> {
        // SAFETY: stream and memory live until the stream is synchronised.
        unsafe { self.context.enqueue(stream.handle()) }.map_err(failed)
    }
}

fn load(plan: &[u8]) -> Result<Arc<Engine>, tensorrt::Error> {
    plans::library().runtime(None).unwrap().deserialize(plan, Path::new("a.plan"))
}

/// Runs `part` in a new context.
fn within(part: impl FnOnce(&Arc<Context>, &Arc<Engine>, &CudaStream, &DeviceBuffer)) {
    let gpu = Context::create(0).unwrap();
    let _current = gpu.enter().unwrap();
    let engine = load(&plan()).unwrap();
    let scratch = DeviceBuffer::new(&gpu, engine.device_memory() as usize).unwrap();
    part(&gpu, &engine, &CudaStream::new(&gpu).unwrap(), &scratch);
}

#[test]
#[ignore = "for the test of main.rs"]
fn rules() {
    within(|gpu, engine, stream, scratch| {
        let mut run = Run::new(gpu, engine, scratch);
        let outside = run.set_batch(5).unwrap_err().to_string();
        assert!(outside.contains("profile"), "{outside}");
        let early = stream.capture(|| run.enqueue(stream)).err().unwrap();
        assert!(early.message.contains("enqueue once without capturing"), "{early}");
        let mut bare = engine.create_context().unwrap();
        // SAFETY: the missing settings are the subject of the test.
        let unset = unsafe { bare.enqueue(stream.handle()) }.unwrap_err().to_string();
        assert!(unset.contains("isn't set") || unset.contains("is set for tensor"), "{unset}");
        run.enqueue(stream).unwrap();
        stream.synchronise().unwrap();
        // A graph gives the same results as a run without it.
        let output = &run._memory[1];
        let mut plain = vec![0f32; output.bytes() / 4];
        output.download(&mut plain, stream).unwrap();
        let mut graph = stream.capture(|| run.enqueue(stream)).unwrap().instantiate().unwrap();
        run._memory[1].fill(0, stream).unwrap();
        // SAFETY: everything is alive.
        unsafe { graph.launch(stream) }.unwrap();
        let mut again = vec![0f32; plain.len()];
        run._memory[1].download(&mut again, stream).unwrap();
        assert!(plain == again && plain.iter().any(|value| *value != 0.0));

        // A shape changed after the capture: the graph no longer matches the context.
        run.set_batch(1).unwrap();
        // SAFETY: as above.
        unsafe { graph.launch(stream) }.unwrap();
        let stale = stream.synchronise().unwrap_err();
        assert!(is(&stale, CUDA_ERROR_LAUNCH_FAILED), "{stale}");
    });
    // A graph whose context was deleted.
    within(|gpu, engine, stream, scratch| {
        let mut run = Run::new(gpu, engine, scratch);
        run.enqueue(stream).unwrap();
        let mut graph = stream.capture(|| run.enqueue(stream)).unwrap().instantiate().unwrap();
        stream.synchronise().unwrap();
        drop(run);
        // SAFETY: the missing context is the subject of the test.
        unsafe { graph.launch(stream) }.unwrap();
        assert!(is(&stream.synchronise().unwrap_err(), CUDA_ERROR_LAUNCH_FAILED));
    });
    // Two concurrent runs in one block of scratch memory.
    within(|gpu, engine, stream, scratch| {
        let other = CudaStream::new(gpu).unwrap();
        let (mut first, mut second) = (Run::new(gpu, engine, scratch), Run::new(gpu, engine, scratch));
        // The number of attempts varies: the streams' threads have to run at the same time.
        for _ in 0..20_000 {
            // Also refused, once the context has failed.
            if first.enqueue(stream).and_then(|()| second.enqueue(&other)).is_err() {
                break;
            }
        }
        let outcomes = [stream.synchronise(), other.synchronise()];
        assert!(outcomes.iter().any(|outcome| outcome.is_err()), "never at once in 20,000 times");
    });
}

/// Each in a separate process: the version and the GPU's name are per process.
#[test]
#[ignore = "for the test of main.rs"]
fn belong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.plan");
    within(|_, _, _, _| std::fs::write(&file, plan()).unwrap());
    for (variable, value, expected) in [
        ("STANDIN_SEED", "0", "loads"),
        ("STANDIN_NAME", "Another GPU", "another GPU"),
        ("STANDIN_TENSORRT", "100700", "another TensorRT"),
    ] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "engines::loads", "--nocapture"])
            .env("STANDIN_TEST_PLAN", &file)
            .env(variable, value)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(&format!("PLAN: {expected}")), "{variable}={value}: {said}");
    }
}

#[test]
#[ignore = "for the test above"]
fn loads() {
    let Some(file) = std::env::var_os("STANDIN_TEST_PLAN") else { return };
    let gpu = Context::create(0).unwrap();
    let _current = gpu.enter().unwrap();
    match load(&std::fs::read(file).unwrap()) {
        Ok(_) => println!("PLAN: loads"),
        Err(tensorrt::Error::Engine { fault: EngineFault::OtherGpu { .. }, .. }) => println!("PLAN: another GPU"),
        Err(tensorrt::Error::Engine { fault: EngineFault::OtherTensorRt { .. }, .. }) => {
            println!("PLAN: another TensorRT")
        }
        Err(other) => println!("PLAN: {other}"),
    }
}

#[test]
#[ignore = "for the test of main.rs"]
fn enqueue_fails() {
    within(|gpu, engine, stream, scratch| {
        let mut run = Run::new(gpu, engine, scratch);
        run.enqueue(stream).unwrap();
        let error = run.enqueue(stream).unwrap_err();
        assert!(error.kind == ErrorKind::Device && error.message.contains("enqueueV3"), "{error}");
        run.enqueue(stream).unwrap();
        stream.synchronise().unwrap();
    });
}
