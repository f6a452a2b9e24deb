//! Making tensors, and using those of earlier frames again when nobody holds them any more.

use crate::cpu;
use crate::error::Error;
use crate::gpu::DeviceTensors;
use crate::infer::{Frame, Tensor, TensorData};
use model::{InputSpec, Rect};
use std::sync::Arc;

/// Where tensors are made.
#[derive(Debug)]
pub enum Tensors {
    Host(HostTensors),
    Device(DeviceTensors),
}

impl Tensors {
    /// A tensor of the whole frame.
    ///
    /// # Errors
    /// A frame that can't be mapped or isn't what its caps say, a device failure, or no room.
    pub fn make(&mut self, frame: &Frame, spec: &InputSpec) -> Result<Arc<Tensor>, Error> {
        let region = Rect::new(0.0, 0.0, frame.info.width() as f32, frame.info.height() as f32);
        match self {
            Self::Host(tensors) => tensors.make(frame, region, spec),
            Self::Device(tensors) => tensors.make(frame, region, spec),
        }
    }

    /// Bytes of the tensors that are kept.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Host(tensors) => tensors.0.iter().map(|tensor| tensor.spec.bytes()).sum(),
            Self::Device(tensors) => tensors.bytes(),
        }
    }
}

/// In the host's memory.
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

    /// One that nobody holds any more, or a new one.
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
