//! Tensors of frames in device memory, which are reused once nothing references them.

use crate::error::{Error, ErrorKind};
use crate::gst_cuda::{GstStream, MappedFrame, SharedContext};
use crate::infer::{Frame, Tensor, TensorData};
use cuda::{Context, CudaStream, DeviceBuffer, Event, Kernels, Preprocessor, SlotSource, Traffic};
use model::{InputSpec, Rect};
use std::sync::Arc;

/// A [`Tensor`]'s data on the device.
#[derive(Debug)]
pub struct ReadyTensor {
    pub buffer: DeviceBuffer,
    /// The data is complete once this event has completed; work on another stream must wait for it. A reader on the
    /// device must hold the tensor until its work has run, because the memory is reused once nothing holds the tensor.
    pub ready: Event,
}

impl ReadyTensor {
    /// `None` for a tensor that isn't on the device.
    pub fn of(data: &TensorData) -> Option<&Self> {
        if let TensorData::Device(data) = data { data.downcast_ref() } else { None }
    }

    fn of_mut(data: &mut TensorData) -> Option<&mut Self> {
        if let TensorData::Device(data) = data { data.downcast_mut() } else { None }
    }
}

impl From<ReadyTensor> for TensorData {
    fn from(tensor: ReadyTensor) -> Self {
        Self::Device(Box::new(tensor))
    }
}

/// Makes tensors with a kernel on a separate stream, without waiting for it.
#[derive(Debug)]
pub struct DeviceTensors {
    context: Arc<Context>,
    kernels: Arc<Kernels>,
    stream: CudaStream,
    /// The same stream, for readers of GStreamer's; `None` before GStreamer 1.24.
    gst_stream: Option<GstStream>,
    /// The event by which the stream waits for a frame's producer.
    produced: Event,
    pool: Vec<PooledTensor>,
}

/// One tensor, and the resources that its launch uses.
#[derive(Debug)]
struct PooledTensor {
    tensor: Arc<Tensor>,
    preprocessor: Preprocessor,
    /// The frame that the launch reads, held until it has run, so that its pool can't give it to the decoder before.
    frame: Option<gst::Buffer>,
}

impl DeviceTensors {
    /// # Errors
    /// A device failure.
    pub fn new(shared: &SharedContext) -> Result<Self, Error> {
        let context = shared.context();
        let gst_stream = GstStream::new(shared)?;
        Ok(Self {
            context: context.clone(),
            kernels: Kernels::of(context)?,
            stream: gst_stream.as_ref().map_or_else(|| CudaStream::new(context), |stream| Ok(stream.to_cuda()))?,
            gst_stream,
            produced: Event::new(context)?,
            pool: Vec::new(),
        })
    }

    /// Bytes of all allocated tensors.
    pub fn bytes(&self) -> usize {
        self.pool.iter().map(|pooled| pooled.tensor.spec.bytes()).sum()
    }

    /// Makes the tensor of a region of a frame.
    ///
    /// # Errors
    /// The frame can't be read, or the device failed or is out of memory.
    pub fn make(&mut self, frame: &Frame, region: Rect, spec: &InputSpec) -> Result<Arc<Tensor>, Error> {
        self.release_frames()?;
        // The frame is unmapped once the launch is queued: the buffer keeps the planes, and others may map it for
        // writing.
        let mapped = MappedFrame::read(&frame.buffer, &frame.info)?;
        mapped.check_context(&self.context)?;
        let source = SlotSource::picture(mapped.picture(), region, spec)?;
        let at = self.pooled(spec)?;
        mapped.wait_for_producer(&self.produced, &self.stream)?;
        let Some(PooledTensor { tensor, preprocessor, frame: read }) = self.pool.get_mut(at) else {
            return Err(taken());
        };
        let Some(Tensor { region: shown, data, .. }) = Arc::get_mut(tensor) else { return Err(taken()) };
        let Some(ReadyTensor { buffer, ready }) = ReadyTensor::of_mut(data) else { return Err(taken()) };
        *shown = region;
        preprocessor.set(0, &source)?;
        *read = Some(frame.buffer.clone());
        // SAFETY: the buffer has space for one image and is aligned; the frame's planes are in this context and kept
        // until `ready`; so are preprocessor and tensor, because a pooled tensor is reused or dropped only after that.
        unsafe { preprocessor.enqueue(&self.stream, buffer.address(), None, 1)? };
        ready.record(&self.stream)?;
        self.context.count_traffic(Traffic { to_device: size_of::<SlotSource>() as u64, ..Traffic::default() });
        Ok(tensor.clone())
    }

    /// The tensor's memory as a buffer for elements of GStreamer's; `None` before GStreamer 1.24, and for a tensor that
    /// isn't on the device.
    ///
    /// # Errors
    /// GStreamer refuses.
    pub fn gst_buffer(&self, tensor: &Arc<Tensor>) -> Result<Option<gst::Buffer>, Error> {
        let (Some(stream), Some(data)) = (&self.gst_stream, ReadyTensor::of(&tensor.data)) else { return Ok(None) };
        // SAFETY: the memory is of this context, and the tensor owns it.
        unsafe { stream.wrap(data.buffer.address(), tensor.spec.bytes(), Arc::clone(tensor)) }.map(Some)
    }

    /// Releases the frames whose launches have run.
    fn release_frames(&mut self) -> Result<(), Error> {
        for pooled in &mut self.pool {
            if let Some(ReadyTensor { ready, .. }) = ReadyTensor::of(&pooled.tensor.data)
                && pooled.frame.is_some()
                && ready.is_reached()?
            {
                pooled.frame = None;
            }
        }
        Ok(())
    }

    /// Returns the index of a tensor that nothing holds and whose launch has run, or of a new one.
    fn pooled(&mut self, spec: &InputSpec) -> Result<usize, Error> {
        let free = |pooled: &mut PooledTensor| pooled.frame.is_none() && Arc::get_mut(&mut pooled.tensor).is_some();
        if let Some(at) = self.pool.iter_mut().position(|pooled| pooled.tensor.spec == *spec && free(pooled)) {
            return Ok(at);
        }
        // Tensors for another model are freed once nothing uses them.
        self.pool.retain_mut(|pooled| pooled.tensor.spec == *spec || !free(pooled));
        let buffer = DeviceBuffer::new(&self.context, spec.bytes())?;
        let data = ReadyTensor { buffer, ready: Event::new(&self.context)? }.into();
        let tensor = Arc::new(Tensor { spec: spec.clone(), region: Rect::default(), data });
        let preprocessor = Preprocessor::new(&self.context, &self.kernels, spec, 1)?;
        self.pool.push(PooledTensor { tensor, preprocessor, frame: None });
        Ok(self.pool.len() - 1)
    }
}

impl Drop for DeviceTensors {
    fn drop(&mut self) {
        // The frames are released after this. The next use of the device reports an error.
        let _ = self.stream.synchronise();
    }
}

fn taken() -> Error {
    Error::new(ErrorKind::Failed, "a tensor of trtpreprocess is still in use")
}
