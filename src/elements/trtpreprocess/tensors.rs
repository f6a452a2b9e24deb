//! Makes tensors, and reuses those of earlier frames once they are released.

use crate::cpu;
use crate::error::Error;
use crate::gpu::DeviceTensors;
use crate::infer::{Frame, Tensor, TensorData};
use model::{InputSpec, Rect};
use std::sync::Arc;

/// The tensors by the memory that they are in.
#[derive(Debug)]
pub enum Tensors {
    Host(HostTensors),
    Device(DeviceTensors),
}

impl Tensors {
    /// Makes a tensor of the whole frame.
    ///
    /// # Errors
    /// The frame can't be mapped or contradicts its caps, the device failed, or its memory is exhausted.
    pub fn make(&mut self, frame: &Frame, spec: &InputSpec) -> Result<Arc<Tensor>, Error> {
        let region = Rect::new(0.0, 0.0, frame.info.width() as f32, frame.info.height() as f32);
        match self {
            Self::Host(tensors) => tensors.make(frame, region, spec),
            Self::Device(tensors) => tensors.make(frame, region, spec),
        }
    }

    /// A tensor's values as a buffer that keeps the tensor; `None` for one in GPU memory before GStreamer 1.24.
    ///
    /// # Errors
    /// GStreamer refuses the memory.
    pub fn gst_buffer(&self, tensor: &Arc<Tensor>) -> Result<Option<gst::Buffer>, Error> {
        struct Host(Arc<Tensor>);

        impl AsRef<[u8]> for Host {
            fn as_ref(&self) -> &[u8] {
                self.0.data.host().unwrap_or_default()
            }
        }

        match self {
            Self::Host(_) => Ok(Some(gst::Buffer::from_slice(Host(Arc::clone(tensor))))),
            Self::Device(tensors) => tensors.gst_buffer(tensor),
        }
    }

    /// The size of the tensors that are kept.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Host(tensors) => tensors.0.iter().map(|tensor| tensor.spec.bytes()).sum(),
            Self::Device(tensors) => tensors.bytes(),
        }
    }
}

/// Tensors in host memory.
#[derive(Debug, Default)]
pub struct HostTensors(Vec<Arc<Tensor>>);

impl HostTensors {
    fn make(&mut self, frame: &Frame, region: Rect, spec: &InputSpec) -> Result<Arc<Tensor>, Error> {
        let mut tensor = self.take(spec);
        if let Some(Tensor { region: shown, data: TensorData::Host(data), .. }) = Arc::get_mut(&mut tensor) {
            *shown = region;
            cpu::preprocess_frame(frame, region, spec, data)?;
        }
        self.0.push(tensor.clone());
        Ok(tensor)
    }

    /// A tensor that is no longer in use, or a new one.
    fn take(&mut self, spec: &InputSpec) -> Arc<Tensor> {
        match self.0.iter_mut().position(|t| Arc::get_mut(t).is_some_and(|t| t.spec == *spec)) {
            Some(at) => self.0.swap_remove(at),
            None => {
                self.0.retain(|t| t.spec == *spec);
                let data = TensorData::Host(Vec::new());
                Arc::new(Tensor { spec: spec.clone(), region: Rect::default(), data })
            }
        }
    }
}
