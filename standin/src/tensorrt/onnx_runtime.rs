//! Runs models with ONNX Runtime in place of TensorRT.

use super::model::Model;
use half::f16;
use ort::environment::{Environment, GlobalThreadPoolOptions};
use ort::memory::MemoryInfo;
use ort::session::{Session, SessionInputValue, SessionInputs};
use ort::value::{DynValue, PrimitiveTensorElementType, Shape, TensorRefMut};
use std::borrow::Cow;
use std::ffi::c_void;
use std::fmt::Debug;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Calls a function with the type of a TensorRT type number.
macro_rules! by_kind {
    ($kind:expr, $function:ident($($argument:expr),*)) => {
        match $kind {
            0 => $function::<f32>($($argument),*),
            1 => $function::<f16>($($argument),*),
            2 => $function::<i8>($($argument),*),
            3 => $function::<i32>($($argument),*),
            4 => $function::<bool>($($argument),*),
            5 => $function::<u8>($($argument),*),
            _ => $function::<i64>($($argument),*),
        }
    };
}

/// The process's environment; `ORT_DYLIB_PATH` names the library, which otherwise is where `cargo xtask setup` installs it.
fn environment() -> Result<&'static Environment, String> {
    static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();
    ENVIRONMENT.get_or_init(open).as_ref().map_err(Clone::clone)
}

fn open() -> Result<Environment, String> {
    let file = library().ok_or("ONNX Runtime isn't installed: run cargo xtask setup")?;
    let builder = ort::init_from(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    // Same settings as in the plugin's CPU engine: a process has one environment, created by whichever opens it first.
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let pool = GlobalThreadPoolOptions::default().with_intra_threads(threads);
    let pool = pool.and_then(|pool| pool.with_spin_control(false)).map_err(|error| error.to_string())?;
    let builder = builder.with_name("standin").with_telemetry(false).with_global_thread_pool(pool);
    builder.build().map_err(|error| error.to_string())
}

fn library() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("ORT_DYLIB_PATH").filter(|value| !value.is_empty()) {
        return Some(named.into());
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let data = data.or_else(|| Some(std::env::home_dir()?.join(".local/share")))?;
    let folder = data.join("gst-tensorrt/lib");
    let files = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    files
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime.so")))
        .max()
}

/// Opens a model.
///
/// # Errors
/// ONNX Runtime's own message.
pub fn session(onnx: &[u8]) -> Result<Session, String> {
    let session = Session::builder(environment()?).and_then(|mut builder| builder.commit_from_memory(onnx));
    session.map_err(|error| error.message().to_owned())
}

/// Receives an output's index, shape and bytes.
pub type TakeOutput<'a> = &'a mut dyn FnMut(usize, &[i64], &[u8]);

/// Runs a model; `output` receives each output's index, shape and bytes.
///
/// # Safety
/// The inputs are at these addresses, with the sizes of their shapes and the model's types.
pub unsafe fn run(
    session: &mut Session,
    model: &Model,
    shapes: &[Vec<i64>],
    addresses: &[usize],
    output: TakeOutput<'_>,
) -> Result<(), String> {
    let mut inputs = Vec::new();
    for ((tensor, shape), address) in model.inputs.iter().zip(shapes).zip(addresses) {
        // SAFETY: the caller's promise.
        let value =
            unsafe { by_kind!(tensor.kind, input(*address, shape)) }.map_err(|error| error.message().to_owned())?;
        inputs.push((Cow::Borrowed(tensor.name.as_str()), value));
    }
    let outputs = session.run(SessionInputs::<0>::ValueMap(inputs)).map_err(|error| error.message().to_owned())?;
    for (index, tensor) in model.outputs.iter().enumerate() {
        let value = outputs.get(&tensor.name).ok_or_else(|| format!("the model gives no {}", tensor.name))?;
        by_kind!(tensor.kind, give(value, &mut |shape, bytes| output(index, shape, bytes)))
            .map_err(|error| error.message().to_owned())?;
    }
    Ok(())
}

/// # Safety
/// As for [`run`], for an input of this type.
unsafe fn input<T: PrimitiveTensorElementType + Debug + 'static>(
    address: usize,
    shape: &[i64],
) -> ort::Result<SessionInputValue<'static>> {
    let shape = Shape::new(shape.iter().copied());
    // SAFETY: the caller's promise; ONNX Runtime reads inputs only.
    let tensor = unsafe { TensorRefMut::<T>::from_raw(MemoryInfo::default(), address as *mut c_void, shape) }?;
    Ok(tensor.into())
}

fn give<T: PrimitiveTensorElementType>(value: &DynValue, to: &mut dyn FnMut(&[i64], &[u8])) -> ort::Result<()> {
    let (shape, data) = value.try_extract_tensor::<T>()?;
    // SAFETY: plain numbers viewed as bytes.
    let bytes = unsafe { std::slice::from_raw_parts(data.as_ptr().cast(), size_of_val(data)) };
    to(shape, bytes);
    Ok(())
}
