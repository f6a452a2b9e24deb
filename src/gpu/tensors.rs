//! Tensors of frames in device memory, used again when nobody holds them any more.

use crate::cuda::{Context, DeviceBuffer, Event, Kernels, Preprocessor, Source, Stream, Traffic};
use crate::error::{Error, ErrorKind};
use crate::gst_cuda::MappedFrame;
use crate::infer::{Frame, Tensor, TensorData};
use model::{InputSpec, Rect};
use std::sync::Arc;

/// A [`Tensor`]'s data on the device.
#[derive(Debug)]
pub struct ReadyTensor {
    pub buffer: DeviceBuffer,
    /// The data is complete once this was reached: work on another stream waits for it. What reads the data on the device
    /// holds the tensor until that work has run, as it's written again when nothing holds it.
    pub ready: Event,
}

impl ReadyTensor {
    /// `None` for a tensor that is elsewhere.
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

/// Makes tensors by a kernel on a stream of its own; nothing here waits for it.
#[derive(Debug)]
pub struct DeviceTensors {
    context: Arc<Context>,
    kernels: Arc<Kernels>,
    stream: Stream,
    /// By which the stream waits for what makes the frames.
    produced: Event,
    places: Vec<Place>,
}

/// One tensor, and what its launch uses.
#[derive(Debug)]
struct Place {
    tensor: Arc<Tensor>,
    preprocessor: Preprocessor,
    /// What the launch reads, until it has run: its pool must not give it to the decoder before.
    frame: Option<gst::Buffer>,
}

impl DeviceTensors {
    /// # Errors
    /// A device failure.
    pub fn new(context: &Arc<Context>) -> Result<Self, Error> {
        Ok(Self {
            context: context.clone(),
            kernels: Kernels::of(context)?,
            stream: Stream::new(context)?,
            produced: Event::new(context)?,
            places: Vec::new(),
        })
    }

    /// Bytes of the tensors that are kept.
    pub fn bytes(&self) -> usize {
        self.places.iter().map(|place| place.tensor.spec.bytes()).sum()
    }

    /// A tensor of a region of a frame.
    ///
    /// # Errors
    /// A frame that can't be read, a device failure, or no room.
    pub fn make(&mut self, frame: &Frame, region: Rect, spec: &InputSpec) -> Result<Arc<Tensor>, Error> {
        self.release_frames()?;
        // Unmapped when the launch is queued: the buffer keeps the planes, and others may map it for writing.
        let mapped = MappedFrame::read(&frame.buffer, &frame.info)?;
        mapped.check_context(&self.context)?;
        let source = Source::picture(mapped.picture(), region, spec)?;
        let at = self.place(spec)?;
        mapped.wait_for_producer(&self.produced, &self.stream)?;
        let Some(Place { tensor, preprocessor, frame: read }) = self.places.get_mut(at) else { return Err(taken()) };
        let Some(Tensor { region: shown, data, .. }) = Arc::get_mut(tensor) else { return Err(taken()) };
        let Some(ReadyTensor { buffer, ready }) = ReadyTensor::of_mut(data) else { return Err(taken()) };
        *shown = region;
        preprocessor.set(0, &source)?;
        *read = Some(frame.buffer.clone());
        // SAFETY: the buffer has room for one image and is aligned; the planes are the frame's, in this context, and kept
        // until `ready`; so are preprocessor and tensor, as a place is used again, or dropped, only behind that.
        unsafe { preprocessor.enqueue(&self.stream, buffer.address(), None, 1)? };
        ready.record(&self.stream)?;
        self.context.count_traffic(Traffic { to_device: size_of::<Source>() as u64, to_host: 0 });
        Ok(tensor.clone())
    }

    /// Lets go of the frames whose launches have run.
    fn release_frames(&mut self) -> Result<(), Error> {
        for place in &mut self.places {
            if let Some(ReadyTensor { ready, .. }) = ReadyTensor::of(&place.tensor.data)
                && place.frame.is_some()
                && ready.is_reached()?
            {
                place.frame = None;
            }
        }
        Ok(())
    }

    /// A place whose tensor nobody holds and whose launch has run, or a new one.
    fn place(&mut self, spec: &InputSpec) -> Result<usize, Error> {
        let free = |place: &mut Place| place.frame.is_none() && Arc::get_mut(&mut place.tensor).is_some();
        if let Some(at) = self.places.iter_mut().position(|place| place.tensor.spec == *spec && free(place)) {
            return Ok(at);
        }
        // Those for another model go once they are free.
        self.places.retain_mut(|place| place.tensor.spec == *spec || !free(place));
        let buffer = DeviceBuffer::new(&self.context, spec.bytes())?;
        let data = ReadyTensor { buffer, ready: Event::new(&self.context)? }.into();
        let tensor = Arc::new(Tensor { spec: spec.clone(), region: Rect::default(), data });
        let preprocessor = Preprocessor::new(&self.context, &self.kernels, spec, 1)?;
        self.places.push(Place { tensor, preprocessor, frame: None });
        Ok(self.places.len() - 1)
    }
}

impl Drop for DeviceTensors {
    fn drop(&mut self) {
        // The frames go after this. Of an error somebody else is told who uses the device next.
        let _ = self.stream.synchronise();
    }
}

fn taken() -> Error {
    Error::new(ErrorKind::Failed, "a tensor of trtpreprocess is still in use")
}
