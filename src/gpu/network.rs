//! TensorRT's part of a chain: an execution context, bound to device buffers that it keeps.

use crate::error::{Error, ErrorKind};
use cuda::{CudaStream, DeviceBuffer};
use std::ffi::CString;
use std::sync::Arc;
use tensorrt;

/// An input or output of a model: its name in the engine and its buffer.
#[derive(Debug, Clone)]
pub(super) struct Binding {
    pub name: CString,
    pub buffer: Arc<DeviceBuffer>,
}

/// The inputs of a model: the image, and those whose values are the same for every image.
#[derive(Debug)]
pub(super) struct Inputs {
    pub image: Binding,
    pub constants: Vec<Constant>,
}

/// An input that holds the same row for each image of a batch.
#[derive(Debug)]
pub(super) struct Constant {
    pub binding: Binding,
    /// Its number of rows, if that doesn't depend on the batch.
    pub rows: Option<usize>,
    /// Values per row.
    pub values: usize,
}

impl Inputs {
    /// Sets all shapes; `shape` is the image's, with the batch as its first dimension.
    fn set_shapes(&self, context: &mut tensorrt::Context, shape: &[i64]) -> Result<(), Error> {
        context.set_input_shape(&self.image.name, shape)?;
        let batch = shape.first().copied().unwrap_or(1);
        for Constant { binding, rows, values } in &self.constants {
            let rows = rows.map_or(batch, |rows| rows as i64);
            context.set_input_shape(&binding.name, &[rows, *values as i64])?;
        }
        Ok(())
    }

    fn bindings(&self) -> impl Iterator<Item = &Binding> {
        std::iter::once(&self.image).chain(self.constants.iter().map(|constant| &constant.binding))
    }
}

/// An execution context, set to one shape at a time. Its CUDA context must be current when it is dropped.
#[derive(Debug)]
pub(super) struct Network {
    context: tensorrt::Context,
    inputs: Arc<Inputs>,
    /// The buffers that it reads and writes. Their memory is freed only when the device is done with it.
    _buffers: Vec<Arc<DeviceBuffer>>,
}

impl Network {
    /// Sets a context's inputs to an image of `shape` and binds every tensor of its engine.
    ///
    /// # Errors
    /// A buffer is too small, or TensorRT failed.
    pub fn bind(
        mut context: tensorrt::Context,
        scratch: &Arc<DeviceBuffer>,
        inputs: &Arc<Inputs>,
        outputs: &[Binding],
        shape: &[i64],
    ) -> Result<Self, Error> {
        inputs.set_shapes(&mut context, shape)?;
        context.check_shapes()?;
        if (scratch.bytes() as u64) < context.engine().device_memory() {
            return Err(too_small("scratch memory", scratch.bytes()));
        }
        // SAFETY: the block is as large as the engine requires, aligned to 256 and kept in `self`; its memory is freed
        // only when the device is done. Contexts that share it run on one stream, so never at the same time.
        unsafe { context.set_device_memory(scratch.address() as *mut _, scratch.bytes() as u64) }?;
        let mut buffers = vec![Arc::clone(scratch)];
        for Binding { name, buffer } in inputs.bindings().chain(outputs) {
            if needed(&context, name)?.is_none_or(|bytes| bytes > buffer.bytes()) {
                return Err(too_small(&name.to_string_lossy(), buffer.bytes()));
            }
            // SAFETY: the buffer is large enough for the tensor's shape, is aligned to 256 and kept in `self`; its
            // memory is freed only when the device is done.
            unsafe { context.set_address(name, buffer.address() as *mut _) }?;
            buffers.push(Arc::clone(buffer));
        }
        Ok(Self { context, inputs: Arc::clone(inputs), _buffers: buffers })
    }

    /// Selects a profile other than the first, for a context that isn't bound yet.
    ///
    /// # Errors
    /// There is no such profile, or another context uses it.
    pub fn choose_profile(context: &mut tensorrt::Context, profile: u32, stream: &CudaStream) -> Result<(), Error> {
        // SAFETY: the stream lives.
        unsafe { context.set_profile(profile, stream.handle()) }?;
        // The work queued by this call must have run before shapes are set.
        Ok(stream.synchronise()?)
    }

    /// Sets another shape for the next [`Self::enqueue`], not larger than the one that was bound. No graph may have
    /// been captured from this context.
    ///
    /// # Errors
    /// TensorRT failed.
    pub fn reshape(&mut self, shape: &[i64]) -> Result<(), Error> {
        self.inputs.set_shapes(&mut self.context, shape)
    }

    /// Queues one inference.
    ///
    /// # Errors
    /// TensorRT failed.
    pub fn enqueue(&mut self, stream: &CudaStream) -> Result<(), Error> {
        let _current = stream.context().enter()?;
        // SAFETY: the stream lives, its context is current, and `self` keeps the bound buffers.
        Ok(unsafe { self.context.enqueue(stream.handle()) }?)
    }
}

/// Bytes of a tensor with the current shapes; `None` if its shape isn't known yet.
fn needed(context: &tensorrt::Context, name: &CString) -> Result<Option<usize>, Error> {
    let tensor = context.engine().tensors().iter().find(|tensor| tensor.name == *name);
    let Some(size) = tensor.and_then(|tensor| tensor.data_type.size()) else { return Ok(None) };
    let shape = context.shape(name)?;
    let mut sizes = shape.iter().map(|&n| usize::try_from(n).ok());
    Ok(sizes.try_fold(size, |bytes, n| bytes.checked_mul(n?)))
}

fn too_small(what: &str, bytes: usize) -> Error {
    Error::new(ErrorKind::Failed, format!("{what} doesn't fit in a device buffer of {bytes} bytes"))
}
